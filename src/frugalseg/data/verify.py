"""One look at image files that nobody has listed, in worker processes: what cannot be decoded is refused by name.

A file that kills or blocks its decoder costs that process and nothing else (`data.workers` has the limits).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from frugalseg.core.codec import ImageFacts, image_facts
from frugalseg.core.errors import DataError
from frugalseg.data.workers import LIMITS, each


def verified(paths: Sequence[Path], workers: int = 1) -> Iterator[tuple[Path, ImageFacts | str]]:
    """Yield each file with its facts, or why it cannot be used, in the order in which they are known."""
    for position, seen in each(_look, paths, workers):
        yield paths[position], seen or f"{paths[position]}: it cannot be decoded: {LIMITS}."


def _look(path: Path) -> ImageFacts | str:
    try:
        return image_facts(path, strict=True)
    except DataError as error:
        return str(error)
    except MemoryError:
        return f"{path}: it cannot be decoded: {LIMITS}."
