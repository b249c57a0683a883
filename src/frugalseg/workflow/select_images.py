"""`select` of whole images: a look at every target frame, and at the source's where a strategy compares with it.

Beside the questions stand the table of all frames with their scores, and a map of source, target and anchors.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from frugalseg.acquisition.images import LIKENESS, SOURCE, ImageSelector, Opinion, RankedImage
from frugalseg.core.anchors import ImageVectors
from frugalseg.core.errors import StageOrderError
from frugalseg.core.records import Query
from frugalseg.core.table import write_records
from frugalseg.data.batches import ImageCache
from frugalseg.data.labels import LabelReader
from frugalseg.evaluation.vector_map import draw_map
from frugalseg.models.store import load_model, read_model_info
from frugalseg.training.discriminators import DISCRIMINATOR, load_discriminator
from frugalseg.workflow import catalog
from frugalseg.workflow.asking import Asking
from frugalseg.workflow.image_scoring import ImageScorer
from frugalseg.workflow.project import IMAGES, MAP, MODEL, QUESTIONS
from frugalseg.workflow.rounds import ancestors, labelled_in_full
from frugalseg.workflow.stage import Options, StageResult, run_stage

EVERY = 100  # frames between two words about progress


def select_images(asking: Asking, options: Options) -> StageResult:
    """Choose whole images; a frame that people have labelled already is not asked about again.

    Raises:
        StageOrderError: the strategy compares with a source or a discriminator, and there is none.
        BudgetError: the budget buys no image, or more than there are.
    """
    strategy = catalog.entry("selector", asking.strategy).load()(asking.config)
    more: dict[str, Path] = {}
    if SOURCE in strategy.needs:
        more |= {"source": _source_folder(asking), "classes": asking.project.folder / "classes.toml"}
    if LIKENESS in strategy.needs:
        more["discriminator"] = _discriminator(asking)
    asking = asking.or_the_same(asking.inputs | more, asking.settings)
    inputs = asking.inputs | more
    frames, cost = len(asking.project.manifest("target")), asking.cost.model
    total = asking.budget.total_images(frames, cost)
    found = {**asking.facts(cost.seconds("image", total)), "images": total}
    if options.dry_run:
        return StageResult(asking.name, None, {**found, "config": asking.settings})
    selector = ImageSelector(strategy, total, frames, asking.seed)

    def work(folder: Path) -> dict[str, Any]:
        return {**found, **_select(asking, selector, inputs, folder, options)}

    return run_stage(
        asking.project, asking.name, inputs, asking.settings, work, options, seed=asking.project.settings.seed
    )


def _source_folder(asking: Asking) -> Path:
    if not asking.project.has("source"):
        raise StageOrderError(
            f"{asking.strategy} compares target frames with the source's, and {asking.project.folder} has no source "
            f"data.\nAdd it: frugalseg init {asking.project.folder} --source SPEC; or choose without: entropy_images."
        )
    return asking.project.manifest_folder("source")


def _discriminator(asking: Asking) -> Path:
    """Return the discriminator of the model that asks, or of the newest one that it goes on from."""
    for run in ancestors(asking.start):
        if (run.folder / DISCRIMINATOR).is_dir():
            return run.folder / DISCRIMINATOR
    raise StageOrderError(
        f"{asking.strategy} asks the discriminator that a network was adapted against, and neither {asking.start.name} "
        f"nor a model it goes on from has one.\nFirst: frugalseg adapt {asking.project.folder} --method advent "
        "(or adaptsegnet)."
    )


def _select(
    asking: Asking, selector: ImageSelector, inputs: dict[str, Path], folder: Path, options: Options
) -> dict[str, Any]:
    model, needs = asking.start / MODEL, selector.strategy.needs
    info = read_model_info(model)
    judge = load_discriminator(inputs["discriminator"]) if LIKENESS in needs else None
    scorer = ImageScorer(load_model(model), (info["input_height"], info["input_width"]), needs, judge)
    source = _source_vectors(asking, scorer, options) if SOURCE in needs else None
    read, target = ImageCache(0).read, asking.project.manifest("target").frames
    asked, say = labelled_in_full(asking.labels), _progress("select", len(target), options)
    entropies = []
    for number, view in enumerate(scorer.views(target, read, asked), 1):
        selector.see(view)
        entropies.append(view.entropy_01)
        say(number)
    queries, table, opinion = selector.finish(source)
    write_records(folder / QUESTIONS, queries, Query)
    write_records(folder / IMAGES, table, RankedImage)
    _keep_map(folder, opinion, queries)
    return {
        "questions": len(queries),
        "frames": len(queries),
        "frames_scored": len(target),
        "mean_entropy": float(np.mean(entropies)),
        "mean_score": float(np.mean(opinion.score_N)),
        "mean_score_chosen": float(np.mean([query.score for query in queries])),
        **({} if opinion.anchors is None else {"anchors": len(opinion.anchors)}),
    }


def _source_vectors(asking: Asking, scorer: ImageScorer, options: Options) -> ImageVectors:
    manifest = asking.project.manifest("source")
    truth = LabelReader(manifest.classes, asking.project.classes).read
    say = _progress("select: source", len(manifest), options)
    return scorer.source(manifest, ImageCache(0).read, truth, asking.config.right_only, say)


def _keep_map(folder: Path, opinion: Opinion, queries: list[Query]) -> None:
    if opinion.source is None or opinion.anchors is None or opinion.vectors is None or opinion.anchor_N is None:
        return
    chosen = [query.key for query in queries]
    draw_map(opinion.source, opinion.vectors, opinion.anchors, opinion.anchor_N, chosen).save(folder / MAP)


def _progress(what: str, frames: int, options: Options) -> Callable[[int], None]:
    def say(number: int) -> None:
        if number % EVERY == 0:
            options.say(f"{what} {number}/{frames}")

    return say
