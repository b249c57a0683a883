"""`predict`: label maps for any images, from a model folder."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from frugalseg.core.codec import read_image, write_label_png
from frugalseg.core.config import load_config
from frugalseg.core.errors import DataError, ImageFileError, ReaderError
from frugalseg.data.listing import IMAGE_SUFFIXES, list_files
from frugalseg.data.pixels import to_uint8
from frugalseg.data.verify import verified
from frugalseg.models.store import load_model, read_model_info
from frugalseg.training.predict import PredictConfig, Predictor
from frugalseg.workflow.stage import Options
from frugalseg.workflow.submission import Submission

OVERLAY = "_overlay.png"  # behind an image's name
NAME_BYTES = 255  # of a file on all systems we know


def predict(
    model: Path,
    images: Sequence[Path],
    out: Path,
    options: Options,
    overlay: bool = False,
    server: Submission | None = None,
) -> dict[str, Any]:
    """Write one label PNG (class ids) an image into `out`, and with `overlay` the classes' colours over the image too.

    With `server` they hold its ids and are named as it expects. A bad image is refused by name and the rest goes on.

    Raises:
        ReaderError: two images would be written to one file.
        ConfigError: the server does not know a class of the model.
    """
    paths, refused = _expand(images, OVERLAY if overlay else ".png", server)
    info, network = read_model_info(model), load_model(model)
    stored = server.raw_ids(network.classes) if server else np.arange(256, dtype=np.uint8)
    config = load_config(PredictConfig, options.config, options.overrides)
    if options.dry_run:
        return {"images": len(paths), "refused": refused, "out": str(out)}
    predictor = Predictor(network, (info["input_height"], info["input_width"]), config)
    colors = np.vstack([network.classes.colors, np.zeros((256 - len(network.classes), 3), np.uint8)])
    for reason in refused.values():
        options.say(f"refused: {reason}")
    predicted = 0
    for path, seen in verified(list(paths)):
        try:
            if isinstance(seen, str):
                raise ImageFileError(seen)
            image = to_uint8(read_image(path, sha256=seen.sha256))
        except DataError as error:
            refused[str(path)] = str(error)
            options.say(f"refused: {error}")
            continue
        ids = predictor.logits(image).argmax(dim=0).cpu().numpy().astype(np.uint8)
        target = out / f"{paths[path]}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_label_png(target, stored[ids])
        if overlay:
            mixed = (image[..., :3].astype(np.uint16) + colors[ids]) // 2
            Image.fromarray(mixed.astype(np.uint8)).save(out / f"{paths[path]}{OVERLAY}")
        predicted += 1
    refused = dict(sorted(refused.items()))
    return {"images": predicted + len(refused), "predicted": predicted, "refused": refused, "out": str(out)}


def _expand(
    images: Sequence[Path], ending: str, server: Submission | None = None
) -> tuple[dict[Path, str], dict[str, str]]:
    """Return image files with the name each prediction gets (its path below the folder given), and what is refused.

    `ending` is the longest that is put behind such a name; a `server` has names of its own.
    """
    found: dict[Path, str] = {}
    refused: dict[str, str] = {}
    for path in images:
        if path.is_dir():
            listing = list_files(path, IMAGE_SUFFIXES)
            found |= {file: name for name, file in listing.files.items()}
            refused |= {entry.path: f"{entry.path}: {entry.reason}" for entry in listing.refused}
            if not listing.files and not listing.refused:
                refused[str(path)] = f"{path}: a folder without images ({' '.join(IMAGE_SUFFIXES)})."
        else:
            found[path] = path.stem
    if server:
        refused |= {
            str(path): f"{path}: no image that this server scores; expected names like {server.expected}."
            for path in found
            if server.file_name(path.stem) is None
        }
        found = {path: name for path in found if (name := server.file_name(path.stem)) is not None}
    names = sorted(found.values())
    twice = sorted({name for name, following in zip(names, names[1:], strict=False) if name == following})
    if twice:
        raise ReaderError(f"several images would be written to {twice[0]}.png. Predict their folders one by one.")
    for path in [path for path, name in found.items() if len(os.fsencode(Path(name).name + ending)) > NAME_BYTES]:
        refused[str(path)] = f"{path}: the name is too long for the files that would be written. Shorten it."
        del found[path]
    return found, refused
