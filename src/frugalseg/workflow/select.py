"""`select`: one pass of the network over the target, and a selector turns the budget into questions.

Whole images are the business of `select_images.py`. Of questions about pixels a share is the standing control
(`control_slice.py`). Nothing is asked that an earlier round asked.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frugalseg.acquisition.view import Asked, Selector
from frugalseg.annotation.oracle import near_edge
from frugalseg.core.config import load_config
from frugalseg.core.errors import ConfigError
from frugalseg.core.records import Frame, Query
from frugalseg.core.table import write_records
from frugalseg.evaluation.surprise import Guess
from frugalseg.workflow import catalog
from frugalseg.workflow.asking import Asking
from frugalseg.workflow.control_slice import ControlConfig, blank_view, control_points, draw_control, mixed
from frugalseg.workflow.drawing import draw_selection, most_asked
from frugalseg.workflow.predictions import archive_of, keep, kept
from frugalseg.workflow.project import GUESSES, MODEL, QUESTIONS, Project
from frugalseg.workflow.rounds import asked_before, labelled_in_full
from frugalseg.workflow.scoring import views
from frugalseg.workflow.select_images import select_images
from frugalseg.workflow.shelf import Shelf
from frugalseg.workflow.stage import Options, StageResult, run_stage

SHOWN_FRAMES = 12  # whose entropy maps are kept for the report: those with most questions
MAP_SIDE = 640  # pixels of such a map at most
SHARE = "control_share"


@dataclass(frozen=True)
class _Plan:
    """Everything one selection of points needs: who asks, which frames are left, how many questions are the control."""

    asking: Asking
    frames: tuple[Frame, ...]
    control: int


def select(
    project: Project,
    strategy: str | None,
    budget: str | None,
    start: Path | None,
    options: Options,
    alone: bool = False,
    simulated: bool = False,
) -> StageResult:
    """Choose what people are asked. `start` is the folder of the stage whose model asks; by default the newest one.

    What that model, or one it goes on from, was trained to know from people is not asked again, nor what was answered
    since and waits to be learned; with `alone` (to compare selectors) the latter is passed over. `simulated`: an oracle
    is going to answer, and a budget in time buys more points: none is asked twice (`overlap`), none is there to check
    people (`gold`).

    Raises:
        StageOrderError: there is no model yet.
        BudgetError: the budget cannot be read or buys nothing.
    """
    strategy = strategy or project.settings.strategy
    overrides = [text for text in options.overrides if not _is_share(text)]
    config = project.stage_config("selector", strategy, options.config, overrides)
    asking = Asking.begin(project, strategy, config, budget, start, alone, simulated)
    if strategy in catalog.IMAGE_SELECTORS:
        if overrides != list(options.overrides) and _control_share(project, options):
            raise ConfigError(
                f"{SHARE}: {strategy} asks for whole images, of which a tenth is too few to compare with. "
                "Leave it out; a second series of random_images is the control (control = true in project.toml)."
            )
        return select_images(asking, options)
    return _select_points(asking, options)


def _select_points(asking: Asking, options: Options) -> StageResult:
    share = _control_share(asking.project, options)
    settings = {**asking.settings, **asking.shares, SHARE: share}
    asking = asking.or_the_same(asking.inputs, settings)
    labelled = labelled_in_full(asking.labels)
    frames = tuple(frame for frame in asking.project.manifest("target") if frame.key not in labelled)
    cost = asking.cost.model
    total = asking.budget.total_points(len(frames), cost)
    plan = _Plan(asking, frames, control_points(total, share, asking.strategy))
    found = asking.facts(asking.budget.human_seconds(len(frames), cost))
    found |= {"points": total, "control_points": plan.control}
    if options.dry_run:
        return StageResult(asking.name, None, {**found, "config": settings})

    def work(folder: Path) -> dict[str, Any]:
        return {**found, **_select(plan, folder, options)}

    return run_stage(
        asking.project, asking.name, asking.inputs, settings, work, options, seed=asking.project.settings.seed
    )


def _is_share(override: str) -> bool:
    return override.partition("=")[0].strip() == SHARE


def _control_share(project: Project, options: Options) -> float:
    """Return the share of the control: the project's, or what `--set control_share=` says."""
    own = f"{SHARE}={project.settings.control_share}"
    return load_config(ControlConfig, None, [own, *filter(_is_share, options.overrides)]).control_share


def _select(plan: _Plan, folder: Path, options: Options) -> dict[str, Any]:
    asking, frames, cost = plan.asking, plan.frames, plan.asking.cost.model
    before = asked_before(asking.labels)
    control = draw_control(frames, plan.control, before, cost, asking.seed)
    taken = dict(before)
    for query in control:
        assert query.point is not None  # random_points asks about points
        taken[query.key] = (*taken.get(query.key, ()), Asked(query.point, None))
    left = asking.budget.less(len(control), len(frames), cost) if control else asking.budget
    entry = catalog.entry("selector", asking.strategy)
    selector = entry.load()(asking.config, left, len(frames), cost, asking.seed)
    archive = archive_of(asking.project, asking.start / MODEL)
    known = kept(archive, [frame.key for frame in frames]) if asking.strategy in catalog.BLIND_SELECTORS else None
    if known is not None:
        for frame in frames:
            selector.see(blank_view(frame, taken.get(frame.key, ())))
        queries = mixed(selector.finish(), control)
        write_records(folder / GUESSES, _guesses(queries, known.get, cost.boundary_px), Guess)
        entropies, scored = {frame.key: known.entropies[frame.key] for frame in frames}, 0
    else:
        with Shelf(folder) as predictions, Shelf(folder) as maps:
            entropies = _look(plan, selector, taken, predictions, maps, options)
            queries = mixed(selector.finish(), control)
            write_records(folder / GUESSES, _guesses(queries, predictions.get, cost.boundary_px), Guess)
            for key in most_asked(queries)[:SHOWN_FRAMES]:
                _keep_entropy(folder, key, maps.get(key))
            keep(archive, predictions, entropies)
        scored = len(entropies)
    write_records(folder / QUESTIONS, queries, Query)
    draw_selection(asking.project, queries, folder)
    return {
        "questions": len(queries),
        "frames": len({query.key for query in queries}),
        "frames_scored": scored,
        "mean_entropy": float(np.mean([entropies[key] for key in sorted(entropies)])),
    }


def _look(
    plan: _Plan,
    selector: Selector,
    taken: Mapping[str, tuple[Asked, ...]],
    predictions: Shelf,
    maps: Shelf,
    options: Options,
) -> dict[str, float]:
    """Run the network over all frames. Set predictions and small entropy maps aside; return the mean entropies."""
    entropies: dict[str, float] = {}
    for number, view in enumerate(views(plan.asking.start / MODEL, plan.frames, selector.needs, taken), 1):
        selector.see(view)
        if number % 100 == 0:
            options.say(f"select {number}/{len(plan.frames)}")
        predictions.put(view.key, view.prediction_HW)
        maps.put(view.key, small(view.entropy_HW))
        entropies[view.key] = float(view.entropy_HW.mean(dtype=np.float64))
    return entropies


def small(entropy_HW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return every n-th pixel of an entropy map, at most `MAP_SIDE` a side, 0-255: which are shown is known later."""
    step = math.ceil(max(entropy_HW.shape) / MAP_SIDE)
    small_HW: NDArray[np.uint8] = np.rint(entropy_HW[::step, ::step].clip(0, 1) * 255).astype(np.uint8)
    return small_HW


def _guesses(queries: Iterable[Query], predicted: Callable[[str], NDArray[np.uint8]], edge_px: int) -> list[Guess]:
    """Return what the model said at each point, and whether one of its own edges is near."""
    points: dict[str, list[Query]] = defaultdict(list)
    for query in queries:
        points[query.key].append(query)
    guesses = []
    for key, asked in points.items():
        prediction_HW = predicted(key)
        for query in asked:
            if query.point is not None:
                class_id = int(prediction_HW[query.point.row, query.point.column])
                guesses.append(Guess(query.id, class_id, near_edge(prediction_HW, query.point, edge_px)))
    return guesses


def _keep_entropy(folder: Path, key: str, entropy_HW: NDArray[np.uint8]) -> None:
    path = folder / "entropy" / f"{key}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(entropy_HW).save(path)
