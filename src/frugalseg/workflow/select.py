"""`select`: one pass of the network over the target, and a selector turns the budget into questions."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from frugalseg.acquisition.view import FrameView
from frugalseg.core.chance import key_hash
from frugalseg.core.cost import Budget, CostModel
from frugalseg.core.records import Query
from frugalseg.core.table import write_records
from frugalseg.workflow import catalog
from frugalseg.workflow.project import MODEL, QUESTIONS, Project
from frugalseg.workflow.scoring import views
from frugalseg.workflow.stage import Options, StageResult, run_stage

SHOWN_FRAMES = 12  # whose entropy maps are kept for the report


def select(
    project: Project, strategy: str | None, budget: str | None, start: Path | None, options: Options
) -> StageResult:
    """Choose what people are asked. `start` is the folder of the stage whose model asks; the newest by default.

    Raises:
        StageOrderError: there is no model yet.
        BudgetError: the budget cannot be read or buys nothing.
    """
    strategy = strategy or project.settings.strategy
    parsed = Budget.parse(budget or project.settings.budget)
    entry = catalog.entry("selector", strategy)
    config = project.stage_config("selector", strategy, options.config, list(options.overrides))
    if start is None:
        start = project.latest_model()
    target, cost = project.manifest("target"), CostModel()
    found = {
        "points": parsed.total_points(len(target), cost),
        "human_seconds_planned": parsed.human_seconds(len(target), cost),
    }
    inputs = {"target": project.manifest_folder("target"), "model": start / MODEL}
    settings = {"strategy": strategy, "budget": str(parsed), **config.model_dump(mode="json")}
    if options.dry_run:
        return StageResult(f"select-{strategy}", None, {**found, "config": settings})

    def work(folder: Path) -> dict[str, Any]:
        selector = entry.load()(config, parsed, len(target), cost, project.settings.seed)
        shown = sorted(target.frames, key=lambda frame: key_hash(frame.key))[:SHOWN_FRAMES]
        for number, view in enumerate(views(start / MODEL, target.frames, selector.needs), 1):
            selector.see(view)
            if number % 100 == 0:
                options.say(f"select {number}/{len(target)}")
            if any(view.key == frame.key for frame in shown):
                _keep_entropy(folder, view)
        queries = selector.finish()
        write_records(folder / QUESTIONS, queries, Query)
        return {**found, "questions": len(queries), "frames": len({query.key for query in queries})}

    return run_stage(project, f"select-{strategy}", inputs, settings, work, options, seed=project.settings.seed)


def _keep_entropy(folder: Path, view: FrameView) -> None:
    path = folder / "entropy" / f"{view.key}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(view.entropy_HW.clip(0, 1) * 255).astype(np.uint8)).save(path)
