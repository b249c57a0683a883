"""`frugalseg init`: start a project or change it."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from frugalseg.cli.options import DryRun, Json, ProjectFolder, Quiet, model_folder, options
from frugalseg.cli.output import logs_on_stderr, pairs, printable, show
from frugalseg.core.errors import ConfigError
from frugalseg.core.spec import Spec

if TYPE_CHECKING:
    from frugalseg.core.classes import ClassSet
    from frugalseg.core.records import Refused
    from frugalseg.workflow.project import Project

EXAMPLES = (
    "frugalseg init city --source folder:data/sim --target folder:data/street --validation folder:data/street-labelled",
    "frugalseg init city --recipe gta5_to_cityscapes --data data",
    "frugalseg init city --budget 2h --control",
    "frugalseg init city --checkpoint models/old-camera --target folder:data/new-camera",
)

SHOWN = 5  # refused files a data set
Text = str | None
RecipeName = Annotated[
    Text,
    typer.Option(
        "--recipe", metavar="NAME", help="data sets, network and settings of the papers: gta5_to_cityscapes …"
    ),
]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="FOLDER", help="the folder that holds the recipe's data sets")
]
Source = Annotated[Text, typer.Option("--source", metavar="SPEC", help="the labelled source set")]
Target = Annotated[Text, typer.Option("--target", metavar="SPEC", help="the target set; it needs no labels")]
Validation = Annotated[
    Text, typer.Option("--validation", metavar="SPEC", help="labelled frames that models are scored on")
]
Classes = Annotated[
    Text, typer.Option("--classes", metavar="FILE|NAME", help="a classes.toml or e.g. camvid11; default: the source's")
]
Network = Annotated[
    Text, typer.Option("--network", metavar="NAME", help="e.g. shuffle_lite or deeplabv3plus:resnet101")
]
Weights = Annotated[
    Text, typer.Option("--weights", metavar="FILE|hub|none", help="pretrained trunk; default: none, random weights")
]
Checkpoint = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="MODEL", help="a trained model to start from: no source data is needed then"),
]
Channels = Annotated[int | None, typer.Option("--channels", metavar="N", min=1, help="bands of the images")]
AdaptMethod = Annotated[Text, typer.Option("--adapt-method", metavar="NAME", help="method of `adapt`")]
Strategy = Annotated[Text, typer.Option("--strategy", metavar="NAME", help="strategy of `select`")]
Budget = Annotated[
    Text, typer.Option("--budget", metavar="BUDGET", help="what people are asked in a round, e.g. 50points/image or 2h")
]
RetrainMethod = Annotated[Text, typer.Option("--retrain-method", metavar="NAME", help="method of `retrain`")]
Control = Annotated[
    bool | None,
    typer.Option("--control/--no-control", help="`run` also spends the budget at random, as proof that selection paid"),
]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", min=0, help="seed of everything random")]
Name = Annotated[Text, typer.Option("--name", metavar="TEXT", help="name in the report; default: the folder's")]


def command(
    project: ProjectFolder,
    recipe: RecipeName = None,
    data: Data = None,
    source: Source = None,
    target: Target = None,
    validation: Validation = None,
    classes: Classes = None,
    network: Network = None,
    weights: Weights = None,
    checkpoint: Checkpoint = None,
    channels: Channels = None,
    adapt_method: AdaptMethod = None,
    strategy: Strategy = None,
    budget: Budget = None,
    retrain_method: RetrainMethod = None,
    control: Control = None,
    seed: Seed = None,
    name: Name = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Start a project, or give an existing one other data or settings; finished stages are never touched.

    SPEC is reader:path, with options after a question mark: folder:frames?split=train&limit=100. Settings that are not
    given keep their value. Everything chosen stands in PROJECT/project.toml and PROJECT/classes.toml; a recipe, over
    which every other option wins, also writes PROJECT/settings/METHOD.toml.
    """
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
    given = {key: value for key, value in given.items() if value is not None}
    _init(project, given, classes, checkpoint, _chosen(recipe, data, checkpoint), Flags(dry_run, as_json, quiet))


class Chosen(NamedTuple):
    """A recipe's name, and the folder that holds its data sets."""

    name: str
    data: Path | None


class Flags(NamedTuple):
    """How to do it and what to print."""

    dry_run: bool
    as_json: bool
    quiet: bool


def _init(
    project: Path,
    given: dict[str, Any],
    classes: str | None,
    checkpoint: Path | None,
    chosen: Chosen | None,
    flags: Flags,
) -> None:
    dry_run, as_json, quiet = flags
    with logs_on_stderr():
        from frugalseg.workflow.project import DOMAINS, init_project
        from frugalseg.workflow.status import next_command

        of_checkpoint = None
        if chosen is not None:
            given, classes = _of_recipe(chosen, given, classes)
        if checkpoint is not None:
            of_model, of_checkpoint = _of_checkpoint(checkpoint, given)
            given |= of_model
        made = init_project(project, given, classes, dry_run, of_checkpoint)
        if checkpoint is not None and not dry_run:
            _import(made, quiet)
        if chosen is not None and not dry_run:
            _write_settings(made, chosen.name, quiet)
        domains = [] if dry_run else [domain for domain in DOMAINS if made.has(domain)]
        manifests = {domain: made.manifest(domain) for domain in domains}
        frames = {domain: len(manifest) for domain, manifest in manifests.items()}
        refused = {domain: manifest.refused for domain, manifest in manifests.items()}
        if not quiet:
            _warn(made, refused)
        settings = made.settings.model_dump(mode="json")
        following = f"frugalseg init {shlex.quote(str(project))} …" if dry_run else next_command(made)
    found = {"project": project, "dry_run": dry_run, "frames": frames, "classes": made.classes.names}
    found["refused"] = {domain: [vars(entry) for entry in entries] for domain, entries in refused.items()}
    counts = {f"{domain} frames": count for domain, count in frames.items()}
    counts |= {f"{domain} files refused": len(entries) for domain, entries in refused.items() if entries}
    table = pairs({**counts, "classes": f"{len(made.classes)}: {', '.join(made.classes.names)}", **settings})
    head = f"{project}: {'would be written with' if dry_run else 'ready'}:"
    show({**found, "settings": settings, "next": following}, as_json, head, table, f"Next: {following}")


def _warn(project: "Project", refused: "dict[str, tuple[Refused, ...]]") -> None:
    """Say on stderr which files cannot be used, so that no frame is missing without anybody knowing."""
    for domain, entries in refused.items():
        if entries:
            table = project.manifest_folder(domain) / "refused.csv"
            lines = [f"{domain}: {len(entries)} file(s) cannot be used and are left out; all stand in {table}"]
            lines += [f"  {entry.path}: {entry.reason}" for entry in entries[:SHOWN]]
            lines += [f"  … and {len(entries) - SHOWN} more"] if len(entries) > SHOWN else []
            print("\n".join(printable(line.replace("\n", " "), sys.stderr) for line in lines), file=sys.stderr)


def _of_checkpoint(checkpoint: Path, given: dict[str, Any]) -> "tuple[dict[str, Any], ClassSet]":
    from frugalseg.workflow.start import checkpoint_settings

    found, classes = checkpoint_settings(model_folder(checkpoint))
    wrong = [f"--{key} {given[key]}" for key in ("network", "channels") if given.get(key, found[key]) != found[key]]
    if wrong:
        made_of = f"{found['network']} for {found['channels']} bands"
        raise ConfigError(f"{', '.join(wrong)}: {checkpoint} is a {made_of}. Leave the flag out.")
    return found, classes


def _chosen(recipe: str | None, data: Path | None, checkpoint: Path | None) -> Chosen | None:
    if recipe is None and data is not None:
        raise ConfigError("--data belongs to --recipe NAME; without one give --source, --target and --validation.")
    if recipe is not None and checkpoint is not None:
        raise ConfigError(
            "--recipe trains from the source, --checkpoint goes on from a trained model: give one of them."
        )
    return None if recipe is None else Chosen(recipe, data)


def _of_recipe(chosen: Chosen, given: dict[str, Any], classes: str | None) -> tuple[dict[str, Any], str]:
    """Return the project's settings and class set: the recipe's, and over them what was given."""
    from frugalseg.workflow import recipes

    recipe = recipes.load(chosen.name)
    specs = recipes.specs(chosen.name, recipe, chosen.data, set(given))
    return {**recipe.project, **specs, **given}, classes or recipe.classes


def _write_settings(project: "Project", name: str, quiet: bool) -> None:
    from frugalseg.workflow import recipes

    network = project.settings.network
    kept = recipes.write_settings(project.folder / "settings", name, recipes.load(name), network)
    if kept:  # said even to those who want no progress: these are not the recipe's settings
        files = ", ".join(path.name for path in kept)
        print(
            f"{project.folder / 'settings'}: {files}: there already and other than the recipe's; kept.", file=sys.stderr
        )
    if project.settings.weights == "hub" and not quiet:
        print(f"{network}: pretrained weights are fetched when training starts; --weights FILE|none.", file=sys.stderr)


def _import(project: "Project", quiet: bool) -> None:
    from frugalseg.workflow.start import import_model

    import_model(project, options(quiet=quiet))


def _absolute(text: str) -> str:
    """Return a SPEC that does not depend on the working directory."""
    spec = Spec.parse(text)
    files = {name: os.path.abspath(value) if os.path.isfile(value) else value for name, value in spec.options.items()}
    return str(Spec(spec.reader, os.path.abspath(spec.path), files))
