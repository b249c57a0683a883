"""`select`: one pass of the network over the target, and a selector turns the budget into questions.

Whole images are the business of `select_images.py`. Of questions about pixels a share is the standing control
(`control_slice.py`). Nothing is asked that an earlier round asked.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from frugalseg.acquisition.view import Asked, FrameView
from frugalseg.annotation.oracle import near_edge
from frugalseg.core.chance import key_hash
from frugalseg.core.config import load_config
from frugalseg.core.errors import ConfigError
from frugalseg.core.records import Frame, Query
from frugalseg.core.table import write_records
from frugalseg.evaluation.surprise import Guess
from frugalseg.workflow import catalog
from frugalseg.workflow.asking import Asking
from frugalseg.workflow.control_slice import ControlConfig, control_points, draw_control, mixed
from frugalseg.workflow.drawing import draw_selection
from frugalseg.workflow.project import GUESSES, MODEL, QUESTIONS, Project
from frugalseg.workflow.rounds import asked_before, labelled_in_full
from frugalseg.workflow.scoring import views
from frugalseg.workflow.select_images import select_images
from frugalseg.workflow.shelf import Shelf
from frugalseg.workflow.stage import Options, StageResult, run_stage

SHOWN_FRAMES = 12  # whose entropy maps are kept for the report
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
    simulated: bool = False,
) -> StageResult:
    """Choose what people are asked. `start` is the folder of the stage whose model asks; by default the newest one.

    `simulated`: an oracle is going to answer, and a budget in time buys more points: none is asked twice (`overlap`),
    none is there to check people (`gold`).

    What that model, or one it goes on from, was trained to know from people is not asked again.

    Raises:
        StageOrderError: there is no model yet.
        BudgetError: the budget cannot be read or buys nothing.
    """
    strategy = strategy or project.settings.strategy
    overrides = [text for text in options.overrides if not _is_share(text)]
    config = project.stage_config("selector", strategy, options.config, overrides)
    asking = Asking.begin(project, strategy, config, budget, start, simulated)
    if strategy in catalog.IMAGE_SELECTORS:
        if overrides != list(options.overrides) and _control_share(project, options):
            raise ConfigError(
                f"{SHARE}: {strategy} asks for whole images, of which a tenth is too few to compare with. "
                "Leave it out; a second series of random_images is the control (control = true in project.toml)."
            )
        return select_images(asking, options)
    return _select_points(asking, options)


def _select_points(asking: Asking, options: Options) -> StageResult:
    labelled = labelled_in_full(asking.labels)
    frames = tuple(frame for frame in asking.project.manifest("target") if frame.key not in labelled)
    cost = asking.cost.model
    total, share = asking.budget.total_points(len(frames), cost), _control_share(asking.project, options)
    plan = _Plan(asking, frames, control_points(total, share, asking.strategy))
    found = asking.facts(asking.budget.human_seconds(len(frames), cost))
    found |= {"points": total, "control_points": plan.control}
    settings = {**asking.settings, **asking.shares, SHARE: share}
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
    shown = {frame.key for frame in sorted(frames, key=lambda frame: key_hash(frame.key))[:SHOWN_FRAMES]}
    entropies: dict[str, float] = {}
    with Shelf(folder) as shelf:
        for number, view in enumerate(views(asking.start / MODEL, frames, selector.needs, taken), 1):
            selector.see(view)
            if number % 100 == 0:
                options.say(f"select {number}/{len(frames)}")
            shelf.put(view.key, view.prediction_HW)
            entropies[view.key] = float(view.entropy_HW.mean(dtype=np.float64))
            if view.key in shown:
                _keep_entropy(folder, view)
        queries = mixed(selector.finish(), control)
        write_records(folder / GUESSES, _guesses(queries, shelf, cost.boundary_px), Guess)
    write_records(folder / QUESTIONS, queries, Query)
    draw_selection(asking.project, queries, folder)
    return {
        "questions": len(queries),
        "frames": len({query.key for query in queries}),
        "frames_scored": len(entropies),
        "mean_entropy": float(np.mean([entropies[key] for key in sorted(entropies)])),
    }


def _guesses(queries: Iterable[Query], shelf: Shelf, edge_px: int) -> list[Guess]:
    """Return what the model said at each point, and whether one of its own edges is near."""
    points: dict[str, list[Query]] = defaultdict(list)
    for query in queries:
        points[query.key].append(query)
    guesses = []
    for key, asked in points.items():
        prediction_HW = shelf.get(key)
        for query in asked:
            if query.point is not None:
                class_id = int(prediction_HW[query.point.row, query.point.column])
                guesses.append(Guess(query.id, class_id, near_edge(prediction_HW, query.point, edge_px)))
    return guesses


def _keep_entropy(folder: Path, view: FrameView) -> None:
    path = folder / "entropy" / f"{view.key}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(view.entropy_HW.clip(0, 1) * 255).astype(np.uint8)).save(path)
