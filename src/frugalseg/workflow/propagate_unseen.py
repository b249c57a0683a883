"""The networks that guess in the refinement network's cycles: ones that have not learned from the frame they guess.

A cycle ends by inpainting the labelled frame it began with. A network that has learned that very label makes too few
mistakes there, and refinement learns to mend less than it will meet.
"""

import csv
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import ConfigError
from frugalseg.propagation.semantic import Semantic
from frugalseg.workflow.propagate_run import open_guess

EVERY = ""  # the entry for all labelled frames, where there is one network for all


def read_unseen(path: Path) -> dict[str, str]:
    """Return the model folder for each labelled frame's key, or one under EVERY.

    `path` is a model's folder, or a CSV file with the columns `key` and `model`; a relative path there is relative to
    the file.

    Raises:
        ConfigError: neither.
    """
    from frugalseg.models.store import INFO  # it loads torch, which a run that only warps does without

    for folder in (path, path / "model"):
        if (folder / INFO).is_file():
            return {EVERY: str(folder.absolute())}
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        found = {row["key"]: str((path.parent / row["model"]).absolute()) for row in rows}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}: expected a model's folder, or a CSV file with the columns key and model ({error!r})."
        ) from error
    if len(found) < len(rows) or EVERY in found:
        raise ConfigError(f"{path}: {len(rows)} rows for {len(found)} keys; expected one row a labelled frame's key.")
    return found


def unseen_for(
    unseen: Mapping[str, str], labelled: Collection[str], classes: ClassSet, default: Semantic
) -> Callable[[str], Semantic]:
    """Return what guesses in the cycles of the frame with a key; `default` where `unseen` is empty.

    Raises:
        ConfigError: a labelled frame without a network, or a network of other classes.
    """
    if not unseen:
        return lambda key: default
    if EVERY not in unseen and (without := sorted(set(labelled) - unseen.keys())):
        raise ConfigError(
            f"--unseen: {len(without)} of {len(labelled)} labelled frames have no network there, e.g. {without[0]}. "
            "Add a row for each."
        )
    opened = {model: open_guess(Path(model), classes) for model in sorted(set(unseen.values()))}
    return lambda key: opened[unseen.get(key, unseen.get(EVERY, ""))]
