"""Folds for cross-validation: frames that were filmed together stay together, and who is where never changes.

Neighbours in a video are nearly the same picture: a frame whose neighbour was learned from is no test. So sequences are
the units. They stay in the order of their names and are cut into runs of nearly equal numbers of frames, because
recordings of one day, drive or city bear names that follow each other.
"""

from collections.abc import Iterable

from frugalseg.core.errors import DataError
from frugalseg.core.records import Frame


def fold_of(frames: Iterable[Frame], folds: int) -> dict[str, int]:
    """Return the fold (0 … folds-1) of each frame by its key; frames without a sequence are each one of their own.

    Raises:
        DataError: fewer than two folds, or sequences that cannot be shared out so that each fold has a frame.
    """
    frames = list(frames)
    sequences: dict[tuple[str, str], list[str]] = {}
    for frame in frames:
        name = (frame.sequence, "") if frame.sequence else ("", frame.key)
        sequences.setdefault(name, []).append(frame.key)
    if not 2 <= folds <= len(sequences):
        raise DataError(
            f"{folds} folds of {len(sequences)} sequences ({len(frames)} labelled frames): expected 2 or more folds, "
            "and a sequence for each, as neighbouring frames may not be in two."
        )
    found: dict[str, int] = {}
    before = 0
    for _, keys in sorted(sequences.items()):
        middle = before + len(keys) / 2
        found |= dict.fromkeys(keys, int(folds * middle / len(frames)))
        before += len(keys)
    if empty := sorted(set(range(folds)) - set(found.values())):
        longest = max(sequences, key=lambda name: len(sequences[name]))
        raise DataError(
            f"{folds} folds of {len(sequences)} sequences: fold {empty[0]} would have no frame, because sequence "
            f"{longest[0] or longest[1]!r} alone has {len(sequences[longest])} of {len(frames)}. Take fewer folds."
        )
    return found
