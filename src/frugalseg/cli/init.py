"""`frugalseg init`: start a project or change it."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from frugalseg.cli.options import DryRun, Json, ProjectFolder, Quiet
from frugalseg.cli.output import logs_on_stderr, pairs, show
from frugalseg.core.spec import Spec

EXAMPLES = (
    "frugalseg init city --source folder:data/sim --target folder:data/street --validation folder:data/street-labelled",
    "frugalseg init city --budget 2h --control",
)

Text = str | None


def command(
    project: ProjectFolder,
    source: Annotated[Text, typer.Option("--source", metavar="SPEC", help="the labelled source set")] = None,
    target: Annotated[Text, typer.Option("--target", metavar="SPEC", help="the target set; it needs no labels")] = None,
    validation: Annotated[
        Text, typer.Option("--validation", metavar="SPEC", help="labelled frames that models are scored on")
    ] = None,
    classes: Annotated[
        Path | None, typer.Option("--classes", metavar="FILE", help="a classes.toml; default: the source's")
    ] = None,
    network: Annotated[
        Text, typer.Option("--network", metavar="NAME", help="e.g. shuffle_lite or deeplabv3plus:resnet101")
    ] = None,
    weights: Annotated[
        Text, typer.Option("--weights", metavar="FILE|hub|none", help="pretrained trunk; default: none, random weights")
    ] = None,
    channels: Annotated[int | None, typer.Option("--channels", metavar="N", min=1, help="bands of the images")] = None,
    adapt_method: Annotated[Text, typer.Option("--adapt-method", metavar="NAME", help="method of `adapt`")] = None,
    strategy: Annotated[Text, typer.Option("--strategy", metavar="NAME", help="strategy of `select`")] = None,
    budget: Annotated[
        Text,
        typer.Option("--budget", metavar="BUDGET", help="what people are asked in a round, e.g. 50points/image or 2h"),
    ] = None,
    retrain_method: Annotated[
        Text, typer.Option("--retrain-method", metavar="NAME", help="method of `retrain`")
    ] = None,
    control: Annotated[
        bool | None,
        typer.Option(
            "--control/--no-control", help="`run` also spends the budget at random, as proof that selection paid"
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", min=0, help="seed of everything random")] = None,
    name: Annotated[
        Text, typer.Option("--name", metavar="TEXT", help="name in the report; default: the folder's")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Start a project, or give an existing one other data or settings; finished stages are never touched.

    SPEC is reader:path, with options after a question mark: folder:frames?split=train&limit=100. Settings that are not
    given keep their value. Everything chosen stands in PROJECT/project.toml and PROJECT/classes.toml.
    """
    with logs_on_stderr():
        from frugalseg.workflow.project import init_project
        from frugalseg.workflow.status import next_command

        specs = {"source": source, "target": target, "validation": validation}
        given: dict[str, Any] = {domain: _absolute(spec) for domain, spec in specs.items() if spec is not None}
        given |= {
            "network": network,
            "weights": os.path.abspath(weights) if weights and weights not in ("hub", "none") else weights,
            "channels": channels,
            "adapt_method": adapt_method,
            "strategy": strategy,
            "budget": budget,
            "retrain_method": retrain_method,
            "control": control,
            "seed": seed,
            "name": name,
        }
        made = init_project(
            project, {key: value for key, value in given.items() if value is not None}, classes, dry_run
        )
        domains = [] if dry_run else [domain for domain in specs if made.has(domain)]
        frames = {domain: len(made.manifest(domain)) for domain in domains}
        settings = made.settings.model_dump(mode="json")
    found = {
        "project": project,
        "dry_run": dry_run,
        "frames": frames,
        "classes": made.classes.names,
        "settings": settings,
    }
    following = f"frugalseg init {project}" if dry_run else next_command(made)
    head = f"{project}: {'would be written with' if dry_run else 'ready'}:"
    counts = {f"{domain} frames": count for domain, count in frames.items()}
    table = pairs({**counts, "classes": f"{len(made.classes)}: {', '.join(made.classes.names)}", **settings})
    show({**found, "next": following}, as_json, head, table, f"Next: {following}")


def _absolute(text: str) -> str:
    """Return a SPEC that does not depend on the working directory."""
    spec = Spec.parse(text)
    files = {name: os.path.abspath(value) if os.path.isfile(value) else value for name, value in spec.options.items()}
    return str(Spec(spec.reader, os.path.abspath(spec.path), files))
