"""`status`: what is finished, what it cost, and what comes next."""

import shlex
from typing import Any

from frugalseg.workflow.catalog import IMAGE_SELECTORS
from frugalseg.workflow.project import DOMAINS, IMPORT, Project
from frugalseg.workflow.rounds import Round, is_control, label_stages, rounds


def status(project: Project) -> dict[str, Any]:
    """Return the project's stages in order, people's seconds so far, and the next command."""
    stages = []
    for run in project.list():
        row = {"stage": run.folder.name, "wall_s": run.wall_s, **_headline(run.extra)}
        stages.append(row)
    return {
        "project": project.settings.name,
        "folder": str(project.folder),
        "data": {domain: len(project.manifest(domain)) for domain in DOMAINS if project.has(domain)},
        "quarantined": {
            domain: count for domain in DOMAINS if project.has(domain) and (count := project.quarantined(domain))
        },
        "stages": stages,
        "rounds": [_round_row(one) for one in rounds(project)],
        "human_seconds": sum(run.extra["human_seconds"] for run in label_stages(project.list())),
        "next": next_command(project),
    }


def next_command(project: Project, budget: str | None = None) -> str:
    """Return the command that carries the project on; with a `budget` the next round asks for that much."""
    names = [run.name for run in project.list()]
    folder = shlex.quote(str(project.folder))
    stages = [
        name for name in names if not name.startswith(("check", "evaluate", "report", "judge", "choose", "bench"))
    ]
    if not stages and not project.has("source") and project.settings.checkpoint is None:
        return f"frugalseg init {folder} --source SPEC (or --checkpoint MODEL)"
    if set(stages) <= {IMPORT} and "check" not in names:  # data slips are cheaper to know before the training
        return f"frugalseg check {folder}"
    if not stages:
        return f"frugalseg adapt {folder} --method {project.settings.adapt_method}"
    asked = [name.partition("-")[2] for name in stages if name.startswith("select")]
    whole = bool(asked) and asked[-1] in IMAGE_SELECTORS
    if stages[-1].startswith("select"):
        return f"frugalseg tasks export {folder} FOLDER" if whole else f"frugalseg label {folder}"
    answered = any(name.startswith("label") for name in stages)  # `propagate` may have had labels from elsewhere
    if stages[-1].startswith("label") or (stages[-1].startswith("propagate") and answered):
        return f"frugalseg retrain {folder} --method {'mada' if whole else project.settings.retrain_method}"
    if stages[-1] == "adapt-source_only" and project.settings.adapt_method != "source_only":
        return f"frugalseg adapt {folder} --method {project.settings.adapt_method}"
    if stages[-1].startswith("retrain") and not names[-1].startswith("report"):
        scored = names[-1].startswith("evaluate") or not project.has("validation")
        return f"frugalseg report {folder}" if scored else f"frugalseg evaluate {folder} && frugalseg report {folder}"
    if budget is None and stages[-1].startswith("retrain") and _all_rounds_done(project):
        return f"frugalseg plan {folder} --budget {project.settings.budget}"
    more = f" --budget {budget}" if budget and budget != project.settings.budget else ""
    return f"frugalseg select {folder} --strategy {project.settings.strategy}{more}"


def _all_rounds_done(project: Project) -> bool:
    """Return whether the project's own series has as many trained rounds as it is to have."""
    own = project.settings.strategy
    done = [one.number for one in rounds(project) if one.model and not is_control(one.strategy, own)]
    return max(done, default=0) >= project.settings.rounds


def _round_row(one: Round) -> dict[str, Any]:
    answered, scored = one.labels, one.evaluation
    return {
        "round": one.number,
        "strategy": one.strategy,
        "questions": one.selection.extra["questions"],
        "answers": answered.extra["answers"] if answered else 0,
        "human_seconds_planned": one.selection.extra.get("human_seconds_planned"),
        "human_seconds": answered.extra["human_seconds"] if answered else 0.0,
        "each_s": answered.extra.get("each_s") if answered else None,
        "agreement": _agreement(answered.extra) if answered else None,
        "miou": scored.extra["miou"] if scored else None,
    }


def _agreement(found: dict[str, Any]) -> float | None:
    """Return the share of the questions to two people on which they said the same; None without any."""
    told = found.get("agreement", {})
    return told["same"] / told["questions"] if told.get("questions") else None


def _headline(extra: dict[str, Any]) -> dict[str, Any]:
    shown = ("miou", "questions", "answers", "human_seconds", "each_s", "undecided", "report")
    return {name: extra[name] for name in shown if name in extra}
