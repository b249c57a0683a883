"""The networks that guess on the labelled frames themselves: ones that have not learned from the frame they guess.

A cycle of the refinement network ends by inpainting the labelled frame it began with, and confidence is calibrated on
labels made of labelled frames as if they had none. A network that has learned those very labels makes too few mistakes
there: refinement learns to mend less than it will meet, and confidence promises more than will be right.
"""

import csv
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from frugalseg.core.classes import ClassSet
from frugalseg.core.errors import ConfigError
from frugalseg.propagation.semantic import Semantic
from frugalseg.workflow.propagate_config import PropagateConfig
from frugalseg.workflow.propagate_run import open_guess
from frugalseg.workflow.rounds import ancestors

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


def require_one_kind(checkpoint: Path, unseen: Mapping[str, str]) -> None:
    """Check that all networks whose features refinement reads are of one kind.

    Raises:
        ConfigError: they are not.
    """
    from frugalseg.models.store import read_model_info

    own = read_model_info(checkpoint)["network"]
    for model in sorted(set(unseen.values())):
        if (other := read_model_info(Path(model))["network"]) != own:
            raise ConfigError(
                f"--unseen {model}: it is {other}, and the network that guesses, {checkpoint}, is {own}. Refinement "
                "reads what their last layers see, which means something else in each. Give networks of one kind, or "
                "let refinement read none (--set deep=false)."
            )


def taught(model: Path) -> bool | None:
    """Tell whether a model, or one that it goes on from, has learned from people's answers.

    A stage's model tells; of one from elsewhere nothing is known, which is None.
    """
    stages = ancestors(model.parent)
    return any(stage.has_input("answers") for stage in stages) if stages else None


def caution(config: PropagateConfig, checkpoint: Path | None, unseen: Path | None) -> str:
    """Return why what is learned on the labelled frames may be too kind; empty where it is not, as far as is known."""
    asked = config.method == "warp_refine" or config.calibration_frames or config.precision is not None
    if checkpoint is None or unseen is not None or not config.guesses or not asked:
        return ""
    learned = taught(checkpoint)
    if learned is False:
        return ""
    known = "this network has learned from people's answers, perhaps these. Then"
    unknown = "nothing here tells whether this network has learned from these labels. If it has,"
    refined = ", and refinement learns to mend too little" if config.method == "warp_refine" else ""
    return (
        f"{checkpoint.absolute()}: {known if learned else unknown} it guesses better on their frames than on others, "
        f"so confidence is too kind{refined}. Give --unseen a network that has not."
    )


def unseen_for(
    unseen: Mapping[str, str], labelled: Collection[str], classes: ClassSet, default: Semantic, deep: bool
) -> Callable[[str], Semantic]:
    """Return what guesses on the labelled frame with a key, if `deep` with what it sees; `default` without `unseen`.

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
    opened = {model: open_guess(Path(model), classes, deep) for model in sorted(set(unseen.values()))}
    return lambda key: opened[unseen.get(key, unseen.get(EVERY, ""))]
