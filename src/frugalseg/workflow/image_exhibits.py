"""What the report shows of the newest selection of whole images; a frame that cannot be read costs its picture."""

from dataclasses import dataclass

import numpy as np

from frugalseg.acquisition.images import RankedImage, rank_of
from frugalseg.core.errors import FrugalsegError
from frugalseg.core.runs import RunInfo
from frugalseg.core.table import read_records
from frugalseg.data.batches import ImageCache
from frugalseg.evaluation.chosen_images import MOST
from frugalseg.evaluation.exhibits import ChosenImage, ChosenImages
from frugalseg.evaluation.vector_map import VectorMap
from frugalseg.workflow.project import IMAGES, MAP, Project
from frugalseg.workflow.rounds import is_control, selection_strategy

TITLE = "Which images we asked about"


@dataclass(frozen=True, eq=False)
class ImageExhibits:
    """What there is to show; `left_out` are pieces with the reason why they are not there."""

    chosen: ChosenImages | None
    left_out: tuple[tuple[str, str], ...] = ()


def image_exhibits(project: Project, runs: list[RunInfo]) -> ImageExhibits:
    """Read the newest selection of whole images: by the project's strategy, else any but a control's, else any."""
    asked = [run for run in runs if run.name.startswith("select-") and (run.folder / IMAGES).is_file()]
    if not asked:
        return ImageExhibits(None)
    own = [run for run in asked if selection_strategy(run) == project.settings.strategy]
    others = [run for run in asked if not is_control(selection_strategy(run), project.settings.strategy)]
    try:
        return _read(project, (own or others or asked)[-1])
    except FrugalsegError as error:
        return ImageExhibits(None, ((TITLE, str(error)),))


def _read(project: Project, run: RunInfo) -> ImageExhibits:
    rows = list(read_records(run.folder / IMAGES, RankedImage))
    ranked = sorted((row for row in rows if not row.asked), key=lambda row: rank_of(row.key, row.score))
    chosen = tuple(
        ChosenImage(row.key, row.score, rank, row.anchor) for rank, row in enumerate(ranked, 1) if row.chosen
    )
    target, cache, images = project.manifest("target").by_key, ImageCache(0), {}
    left_out = []
    for key in [one.key for one in chosen[:MOST]]:
        if key not in target:
            left_out.append((f"Frame {key}", "no longer among the target frames"))
            continue
        try:
            images[key] = cache.read(target[key])
        except FrugalsegError as error:
            left_out.append((f"Frame {key}", str(error)))
    drawn = VectorMap.load(run.folder / MAP) if (run.folder / MAP).is_file() else None
    scores_N = np.array([row.score for row in rows])
    shown = ChosenImages(run.folder.name, selection_strategy(run), chosen, scores_N, images, drawn)
    return ImageExhibits(shown, tuple(left_out))
