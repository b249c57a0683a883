"""`select`: one pass of the network over the target, and a selector turns the budget into questions.

A share of them is the standing control (`control_slice.py`). Nothing is asked that an earlier round asked.
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
from frugalseg.core.chance import key_hash, seed_for
from frugalseg.core.config import Config, load_config
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Frame, Query
from frugalseg.core.table import write_records
from frugalseg.evaluation.surprise import Guess
from frugalseg.workflow import catalog
from frugalseg.workflow.control_slice import ControlConfig, control_points, draw_control, mixed
from frugalseg.workflow.project import GUESSES, MODEL, QUESTIONS, Project
from frugalseg.workflow.rounds import EARLIER, asked_before, chain, cost_model, learned_from, own_model
from frugalseg.workflow.scoring import views
from frugalseg.workflow.shelf import Shelf
from frugalseg.workflow.stage import Options, StageResult, run_stage

SHOWN_FRAMES = 12  # whose entropy maps are kept for the report
SHARE = "control_share"


@dataclass(frozen=True)
class _Plan:
    """Everything one selection needs. `earlier` is the label stage of the round before, `number` this round's."""

    project: Project
    strategy: str
    config: Config
    budget: Budget
    cost: CostModel
    control: int
    start: Path
    earlier: Path | None
    number: int
    seed: int

    @property
    def frames(self) -> tuple[Frame, ...]:
        return self.project.manifest("target").frames


def select(
    project: Project, strategy: str | None, budget: str | None, start: Path | None, options: Options
) -> StageResult:
    """Choose what people are asked. `start` is the folder of the stage whose model asks; by default the newest one.

    What that model, or one it goes on from, was trained to know from people is not asked again.

    Raises:
        StageOrderError: there is no model yet.
        BudgetError: the budget cannot be read or buys nothing.
    """
    strategy = strategy or project.settings.strategy
    parsed = Budget.parse(budget or project.settings.budget)
    overrides = [text for text in options.overrides if not _is_share(text)]
    config = project.stage_config("selector", strategy, options.config, overrides)
    if start is None:
        start = own_model(project) or project.latest_model()
    earlier = learned_from(start)
    labels, frames = chain(earlier), len(project.manifest("target"))
    cost = cost_model(project, labels)
    total = parsed.total_points(frames, cost.model)
    share = _control_share(project, options)
    number = len(labels) + 1
    # each round draws anew: the same draw from nearly the same pixels would land beside the old points
    seed = project.settings.seed if number == 1 else seed_for(project.settings.seed, "round", number)
    control = control_points(total, share, strategy)
    plan = _Plan(project, strategy, config, parsed, cost.model, control, start, earlier, number, seed)
    found = {
        "round": number,
        "points": total,
        "control_points": control,
        "human_seconds_planned": parsed.human_seconds(frames, cost.model),
        "cost": cost.facts,
    }
    inputs = {"target": project.manifest_folder("target"), "model": start / MODEL}
    inputs |= {EARLIER: earlier} if earlier is not None else {}
    settings = {"strategy": strategy, "budget": str(parsed), SHARE: share, **config.model_dump(mode="json")}
    if options.dry_run:
        return StageResult(f"select-{strategy}", None, {**found, "config": settings})

    def work(folder: Path) -> dict[str, Any]:
        return {**found, **_select(plan, folder, options)}

    return run_stage(project, f"select-{strategy}", inputs, settings, work, options, seed=project.settings.seed)


def _is_share(override: str) -> bool:
    return override.partition("=")[0].strip() == SHARE


def _control_share(project: Project, options: Options) -> float:
    """Return the share of the control: the project's, or what `--set control_share=` says."""
    own = f"{SHARE}={project.settings.control_share}"
    return load_config(ControlConfig, None, [own, *filter(_is_share, options.overrides)]).control_share


def _select(plan: _Plan, folder: Path, options: Options) -> dict[str, Any]:
    frames, before = plan.frames, asked_before(chain(plan.earlier))
    control = draw_control(frames, plan.control, before, plan.cost, plan.seed)
    taken = dict(before)
    for query in control:
        assert query.point is not None  # random_points asks about points
        taken[query.key] = (*taken.get(query.key, ()), Asked(query.point, None))
    left = plan.budget.less(len(control), len(frames), plan.cost) if control else plan.budget
    selector = catalog.entry("selector", plan.strategy).load()(plan.config, left, len(frames), plan.cost, plan.seed)
    shown = {frame.key for frame in sorted(frames, key=lambda frame: key_hash(frame.key))[:SHOWN_FRAMES]}
    entropies: dict[str, float] = {}
    with Shelf(folder) as shelf:
        for number, view in enumerate(views(plan.start / MODEL, frames, selector.needs, taken), 1):
            selector.see(view)
            if number % 100 == 0:
                options.say(f"select {number}/{len(frames)}")
            shelf.put(view.key, view.prediction_HW)
            entropies[view.key] = float(view.entropy_HW.mean(dtype=np.float64))
            if view.key in shown:
                _keep_entropy(folder, view)
        queries = mixed(selector.finish(), control)
        write_records(folder / GUESSES, _guesses(queries, shelf, plan.cost.boundary_px), Guess)
    write_records(folder / QUESTIONS, queries, Query)
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
