"""`predict`: label maps for any images, from a model folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from frugalseg.core.codec import read_image, write_label_png
from frugalseg.core.config import load_config
from frugalseg.core.errors import DataError, ReaderError
from frugalseg.data.batches import to_uint8
from frugalseg.models.store import load_model, read_model_info
from frugalseg.training.predict import PredictConfig, Predictor
from frugalseg.workflow.stage import Options

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")


def predict(model: Path, images: Sequence[Path], out: Path, options: Options, overlay: bool = False) -> dict[str, Any]:
    """Write one label PNG (class ids) an image into `out`, and with `overlay` the classes' colours over the image too.

    A bad image is refused by name and the rest goes on.

    Raises:
        ReaderError: no image, or two that would be written to one file.
    """
    paths = _expand(images)
    info, network = read_model_info(model), load_model(model)
    config = load_config(PredictConfig, options.config, options.overrides)
    if options.dry_run:
        return {"images": len(paths), "out": str(out)}
    predictor = Predictor(network, (info["input_height"], info["input_width"]), config)
    colors = np.vstack([network.classes.colors, np.zeros((256 - len(network.classes), 3), np.uint8)])
    refused = {}
    for path, name in paths.items():
        try:
            image = to_uint8(read_image(path))
            ids = predictor.logits(image).argmax(dim=0).cpu().numpy().astype(np.uint8)
        except DataError as error:
            refused[str(path)] = str(error)
            options.say(f"refused: {error}")
            continue
        target = out / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_label_png(target, ids)
        if overlay:
            mixed = (image[..., :3].astype(np.uint16) + colors[ids]) // 2
            Image.fromarray(mixed.astype(np.uint8)).save(out / f"{name}_overlay.png")
    return {"images": len(paths), "predicted": len(paths) - len(refused), "refused": refused, "out": str(out)}


def _expand(images: Sequence[Path]) -> dict[Path, str]:
    """Return image files and the name each prediction gets: its path below the folder given, without suffix."""
    found: dict[Path, str] = {}
    for path in images:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            found |= {file: file.relative_to(path).with_suffix("").as_posix() for file in inside}
        else:
            found[path] = path.stem
    if not found:
        raise ReaderError(f"{', '.join(map(str, images))}: no image here. Accepted: {' '.join(SUFFIXES)}.")
    names = sorted(found.values())
    twice = sorted({name for name, following in zip(names, names[1:], strict=False) if name == following})
    if twice:
        raise ReaderError(f"several images would be written to {twice[0]}.png. Predict their folders one by one.")
    return found
