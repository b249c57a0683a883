"""The confusion matrix as a table to look at: each row shares out one true class's pixels over the predictions."""

import math
from dataclasses import dataclass

import numpy as np

from frugalseg.core.classes import ClassSet
from frugalseg.evaluation.panels import css_color
from frugalseg.evaluation.report_data import EvaluatedModel
from frugalseg.evaluation.wording import percent

MOST = 40  # classes in the table: more can neither be read nor mailed
NOWHERE = "nothing"  # heading of the last column: labelled pixels for which nothing was predicted


@dataclass(frozen=True)
class MatrixCell:
    """One share: 0–1 or NaN in an empty row; `text` in per cent, empty below half a per cent."""

    share: float
    text: str
    right: bool

    @property
    def deep(self) -> bool:
        """Whether the cell is so dark that its text must be light."""
        return self.share > 0.65


@dataclass(frozen=True)
class MatrixRow:
    """One true class; no cells where it occurs nowhere."""

    name: str
    color: str
    pixels: int
    cells: tuple[MatrixCell, ...]


@dataclass(frozen=True)
class Matrix:
    """The table; `left_out` classes are not in it. `heads` are name and colour of each column."""

    heads: tuple[tuple[str, str], ...]
    rows: tuple[MatrixRow, ...]
    left_out: int


def confusion_matrix(model: EvaluatedModel, classes: ClassSet) -> Matrix:
    """Return the table over the classes that are true or predicted somewhere, at most MOST: those with most pixels."""
    counts = model.confusions.total()
    weight_C = np.maximum(counts.sum(axis=1), counts[:, :-1].sum(axis=0))
    kept = sorted(int(c) for c in np.argsort(-weight_C, kind="stable")[:MOST] if weight_C[c])
    columns = [*kept, len(classes)] if counts[:, -1].any() else kept
    heads = [(classes.names[c], css_color(classes.colors[c])) for c in kept]
    heads += [(NOWHERE, "transparent")] * (len(columns) - len(kept))
    rows = []
    for truth in kept:
        pixels = int(counts[truth].sum())
        shares = [float(counts[truth, column] / pixels) if pixels else math.nan for column in columns]
        cells = tuple(MatrixCell(s, _text(s), column == truth) for s, column in zip(shares, columns, strict=True))
        rows.append(MatrixRow(classes.names[truth], css_color(classes.colors[truth]), pixels, cells))
    return Matrix(tuple(heads), tuple(rows), int((weight_C > 0).sum()) - len(kept))


def _text(share: float) -> str:
    return percent(share, 0) if share >= 0.005 else ""
