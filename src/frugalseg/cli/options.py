"""The flags that several verbs share, and what their values name."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from frugalseg.core.errors import ModelError

if TYPE_CHECKING:
    from frugalseg.workflow.project import Project
    from frugalseg.workflow.stage import Options

RUN = "a finished stage: its number, its folder's name, or a path to it"

ProjectFolder = Annotated[Path, typer.Argument(metavar="PROJECT", help="the project's folder")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="settings, one flat TOML file; `frugalseg methods NAME` lists them"),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="one setting, stronger than the file; may be given several times"),
]
BudgetText = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="BUDGET",
        help="50points/image, 2000points, 2h, 30min, 5%images or 15images; default: the project's",
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset", metavar="NAME", help="a paper's training settings, stronger than the file, weaker than --set"
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be done, and do nothing")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object on stdout and nothing else there")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress on stderr")]


def options(
    config: Path | None = None, settings: list[str] | None = None, dry_run: bool = False, quiet: bool = False
) -> "Options":
    """Return the shared flags as the workflow takes them."""
    from frugalseg.workflow.stage import Options

    return Options(config=config, overrides=tuple(settings or ()), dry_run=dry_run, quiet=quiet)


def with_preset(project: "Project", method: str, preset: str | None, chosen: "Options") -> "Options":
    """Return the flags with a paper's settings for a method under those of --set; say if its network is another.

    Raises:
        UnknownNameError: no such preset.
    """
    if preset is None:
        return chosen
    from frugalseg.training.preset import load_preset

    paper = load_preset(preset)
    if paper.network != project.settings.network:
        chosen.say(f"{preset} is for {paper.network}; this project's network is {project.settings.network}, and stays.")
    return replace(chosen, overrides=(*paper.overrides_of(method), *chosen.overrides))


def stage_folder(project: "Project", reference: str | None) -> Path | None:
    """Return the folder of the stage that RUN names; None stays None.

    Raises:
        ArtifactError: there is no such stage.
    """
    return None if reference is None else project.run(reference).folder


def find_model(path: Path) -> Path | None:
    """Return the model folder that `path` is or holds (a stage's folder has its model in `model/`), or None."""
    return next((folder for folder in (path, path / "model") if (folder / "model.json").is_file()), None)


def model_folder(path: Path) -> Path:
    """Return the model folder that `path` is or holds.

    Raises:
        ModelError: neither.
    """
    found = find_model(path)
    if found is None:
        if (path / "project.toml").is_file():
            hint = f"This is a project; give one of its trained stages: {path / 'runs'}/…"
        else:
            hint = (
                "Give a model's folder, or the folder of an adapt or retrain stage, e.g. PROJECT/runs/0004-adapt-cbst-…"
            )
        raise ModelError(f"{path}: no model here (there is no model.json, nor model/model.json).\n{hint}")
    return found
