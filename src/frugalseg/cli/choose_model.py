"""`frugalseg choose-model`: the best adapted model, without a target label."""

import shlex

from frugalseg.cli.options import ConfigFile, DryRun, Json, ProjectFolder, Quiet, Settings, options
from frugalseg.cli.output import Table, logs_on_stderr, show_stage

EXAMPLES = ("frugalseg choose-model city", "frugalseg choose-model city --set frames=50 --json")


def command(
    project: ProjectFolder,
    config: ConfigFile = None,
    settings: Settings = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Choose among the models trained without people's answers, and look at no target label for it.

    Each is judged by how sure it is on target frames, how steady when they are mirrored, smaller or recoloured, and how
    well it still does on the source. Other verbs go on with the newest model; give this stage to --start to go on with
    the chosen one.
    """
    with logs_on_stderr():
        from frugalseg.workflow.choose_model import choose_model
        from frugalseg.workflow.project import Project

        opened = Project.open(project)
        result = choose_model(opened, options(config, settings, dry_run, quiet))
    if result.folder is None:
        show_stage(result, as_json)
        return
    names = ("model", "score", "entropy_01", "agreement", "source_miou", "miou")
    rows = [
        [("* " if row["chosen"] else "  ") + row["model"], *(row[name] for name in names[1:])]
        for row in result.found["candidates"]
    ]
    table = Table(rows, ("model", "score", "entropy", "agreement", "source mIoU", "true mIoU"))
    stage = result.where.name.partition("-")[0].lstrip("0")
    parts: list[str | Table] = [
        table,
        f"Chosen, without target labels: {result.found['chosen']}",
        *_told(result.found["spearman"]),
    ]
    show_stage(
        result, as_json, *parts, next_command=f"frugalseg select {shlex.quote(str(opened.folder))} --start {stage}"
    )


def _told(correlation: float | None) -> list[str]:
    if correlation is None:
        return []
    return [f"Rank correlation of score and true mIoU (reported, not used): {correlation:+.2f}"]
