"""The pictures on the page of `bench propagation`: what its units kept, side by side with frame and truth."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frugalseg.core.codec import read_label_png
from frugalseg.core.records import Manifest
from frugalseg.core.runs import RunInfo
from frugalseg.core.table import read_records
from frugalseg.data.labels import LabelReader
from frugalseg.data.pixels import read_frame
from frugalseg.evaluation.bench_propagation import ANCHORS, CarriedData
from frugalseg.evaluation.carried_page import CarriedFrame, bench_page, write_page
from frugalseg.evaluation.wording import percent
from frugalseg.workflow.bench_propagation_score import SHOWN, SHOWN_TABLE, STRIP, WORST, ShownCase
from frugalseg.workflow.bench_propagation_unit import Unit

WORST_SHOWN = 3  # of each method
Kept = tuple[Unit, ShownCase, Path]


def write_carried_page(path: Path, data: CarriedData, video: Manifest, done: Mapping[Unit, RunInfo]) -> None:
    """Write the comparison as one self-contained HTML file."""
    shown = _Shown(data, video)
    kept = [
        (unit, case, run.folder) for unit, run in done.items() if unit.seed == data.seeds[0] for case in _cases(run)
    ]
    strip = list(shown.strip([one for one in kept if one[1].kind == STRIP]))
    write_page(path, bench_page(data, strip, list(shown.worst([one for one in kept if one[1].kind == WORST]))))


def _cases(run: RunInfo) -> list[ShownCase]:
    return read_records(run.folder / SHOWN_TABLE, ShownCase)


class _Shown:
    def __init__(self, data: CarriedData, video: Manifest) -> None:
        self._names = [row.name for row in data.rows]
        self._frames, self._reader = video.by_key, LabelReader(video.classes, data.classes)

    def strip(self, kept: list[Kept]) -> Iterator[CarriedFrame]:
        """Yield a frame for each distance with the labels of all methods; origins are those of the last one."""
        for k in sorted({case.k for _, case, _ in kept}):
            of_k = sorted((one for one in kept if one[1].k == k), key=lambda one: self._names.index(one[0].name))
            labels = {unit.name: _read(folder, case, "label") for unit, case, folder in of_k}
            _, case, folder = of_k[-1]
            yield self._frame(case, f"{k} from {case.sources}", labels, _read(folder, case, "origin"), False)

    def worst(self, kept: list[Kept]) -> Iterator[CarriedFrame]:
        """Yield the worst labels of each method."""
        for name in self._names:
            mine = sorted((one for one in kept if one[0].name == name), key=lambda one: one[1].miou)
            for unit, case, folder in mine[:WORST_SHOWN]:
                note = f"{name}, {ANCHORS[case.anchors]}, {case.k} from {case.sources}: mIoU {percent(case.miou)} %"
                labels = {unit.name: _read(folder, case, "label")}
                yield self._frame(case, note, labels, _read(folder, case, "origin"), True)

    def _frame(
        self,
        case: ShownCase,
        note: str,
        labels: dict[str, NDArray[np.uint8]],
        origin_HW: NDArray[np.uint8],
        with_errors: bool,
    ) -> CarriedFrame:
        frame = self._frames[case.target]
        truth_HW = self._reader.read(frame)
        return CarriedFrame(case.target, note, read_frame(frame), labels, origin_HW, truth_HW, with_errors=with_errors)


def _read(folder: Path, case: ShownCase, what: str) -> NDArray[np.uint8]:
    return read_label_png(folder / SHOWN / f"{case.number}-{what}.png")
