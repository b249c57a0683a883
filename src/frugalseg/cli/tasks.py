"""`frugalseg tasks`: whole images out to other tools, and labels back."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from frugalseg.cli.options import RUN, DryRun, Json, ProjectFolder, Quiet, options, stage_folder
from frugalseg.cli.output import logs_on_stderr, pairs, show, show_stage

EXAMPLES = (
    "frugalseg tasks export city to_label/",
    "frugalseg tasks import city to_label/",
    "frugalseg tasks import city to_label/ --minutes 75 --name ann",
)


class Action(StrEnum):
    """Which way."""

    EXPORT = "export"
    IMPORT = "import"


Images = Annotated[Path, typer.Argument(metavar="FOLDER", help="where the images go, and the labels come from")]
Format = Annotated[str, typer.Option("--format", metavar="NAME", help="how they are written; default: folder")]
Questions = Annotated[
    str | None,
    typer.Option("--questions", metavar="RUN", help=f"`select` stage they belong to, {RUN}; default: the newest"),
]
Minutes = Annotated[
    float | None,
    typer.Option("--minutes", help="minutes that one image took, where minutes.csv does not say; for import"),
]
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="who drew the labels; for import")]
LabelKind = Annotated[
    str, typer.Option("--label-kind", metavar="KIND", help="label files hold `ids`, `red` or `colors`; for import")
]


def command(
    action: Annotated[Action, typer.Argument(metavar="ACTION", help="export or import")],
    project: ProjectFolder,
    folder: Images,
    file_format: Format = "folder",
    questions: Questions = None,
    minutes: Minutes = None,
    name: Name = "import",
    label_kind: LabelKind = "ids",
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Hand whole images to people who label in a tool of their own, and take their labels back.

    `export` writes the chosen frames, the classes and a table for the minutes. `import` checks the label files like
    any labelled data, lists all that is wrong at once, and makes a `label` stage of them; frames that have not come
    back may follow with a later import.
    """
    with logs_on_stderr():
        from frugalseg.workflow.project import Project
        from frugalseg.workflow.status import next_command
        from frugalseg.workflow.tasks import export_tasks, import_tasks

        opened, chosen = Project.open(project), options(None, None, dry_run, quiet)
        selection = stage_folder(opened, questions)
        if action is Action.IMPORT:
            told: dict[str, Any] = {"annotator": name, "minutes_each": minutes, "label_kind": label_kind}
            result = import_tasks(opened, selection, file_format, folder, chosen, **told)
        else:
            found = export_tasks(opened, selection, file_format, folder, chosen)
    if action is Action.IMPORT:
        show_stage(result, as_json, next_command=next_command(opened))
    else:
        show(found, as_json, pairs(found))
