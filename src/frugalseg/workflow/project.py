"""A project: one folder.

It holds what the user decided (project.toml, classes.toml, settings/), what was found (manifests/) and what was done
(runs/, one folder a stage).
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from frugalseg.core.classes import ClassSet
from frugalseg.core.config import Config, load_config, to_toml
from frugalseg.core.errors import ArtifactError, ConfigError, StageOrderError
from frugalseg.core.files import write_atomic
from frugalseg.core.records import Manifest
from frugalseg.core.runs import RunInfo, list_runs
from frugalseg.core.spec import Spec
from frugalseg.data import class_sets
from frugalseg.data.manifest import read_manifest, write_manifest
from frugalseg.data.quarantine import read_quarantine, without
from frugalseg.workflow import catalog

DOMAINS = ("source", "target", "validation")
MODEL = "model"  # in a stage's folder: its network
NETWORKS = "networks"  # PHASE/model beside it: with keep_networks, the network after each round or stage
IMPORT = "import-model"  # the stage that takes a model from outside in
MODEL_STAGES = ("import", "adapt", "retrain")  # stages whose folder holds one
QUESTIONS = "questions.parquet"  # in a select stage's folder
IMAGES = "images.parquet"  # beside it, where whole images were chosen: every frame with its score
MAP = "map.npz"  # beside it, where anchors were fitted: source, target and anchors in a plane
GUESSES = "guesses.parquet"  # beside it: what the model said of each point before people did
SHOWN = "shown.json"  # beside it: the files that show each question, in the project's media/
ANSWERS = "answers.parquet"  # in a label stage's folder
MASKS = "masks"  # beside it: KEY.png for each image that was labelled as a whole, class ids
LEDGER = "ledger.json"  # beside it: answers and seconds by kind of question, verdicts, how far they are right
ANNOTATORS = "annotators.json"  # beside it, where people answered: how far each can be believed
PARTIAL = "partial"  # beside it: the answers folded into labels/ and provenance/
UNLISTED = "unlabelled"  # the class set of a folder without classes.toml
CONFUSIONS = "confusions.npz"  # in an evaluate stage's folder


class ProjectSettings(Config):
    """`project.toml`: where the data is, the network, and what `frugalseg run` does."""

    name: str = Field(description="the project's name, as it stands in the report")
    source: str | None = Field(None, description="SPEC of the labelled source set")
    target: str = Field(description="SPEC of the target set; it needs no labels")
    validation: str | None = Field(None, description="SPEC of the labelled frames that models are scored on")
    network: str = Field("shuffle_lite", description="network, e.g. shuffle_lite or deeplabv3plus:resnet101")
    weights: str | None = Field(None, description="pretrained trunk: a file, or hub")
    checkpoint: str | None = Field(
        None, description="folder of a trained model to start from; then no source is needed"
    )
    channels: int = Field(3, ge=1, description="bands of the images")
    adapt_method: str = Field("cbst", description="method of `adapt`")
    strategy: str = Field("expected_gain", description="strategy of `select`")
    budget: str = Field("50points/image", description="what people are asked in a round")
    retrain_method: str = Field("point_da", description="method of `retrain`")
    control: bool = Field(
        False, description="`run` also spends the same budget at random, to show whether selection paid"
    )
    control_share: float = Field(
        0.1, ge=0, le=0.5, description="share of a round's questions at pixels drawn at random, the standing control"
    )
    overlap: float = Field(0.1, ge=0, le=1, description="share of the questions that two people answer")
    gold: float = Field(0.03, ge=0, le=1, description="share of questions with a known answer, to check people")
    rounds: int = Field(
        1, ge=1, le=1000, description="rounds of `run`: select, label, retrain, evaluate; `budget` each"
    )
    min_gain_per_hour: float = Field(
        0.5, ge=0, description="mIoU points that an hour of people's time has to bring; below, `plan` says stop"
    )
    seed: int = Field(0, ge=0, description="seed of everything random")


@dataclass(frozen=True)
class Project:
    """An opened project."""

    folder: Path
    settings: ProjectSettings
    classes: ClassSet

    @classmethod
    def open(cls, folder: Path) -> "Project":
        """Open a project's folder.

        Raises:
            ConfigError: it is no project, or its files do not fit.
        """
        if not (folder / "project.toml").is_file():
            raise ConfigError(
                f"{folder}: no project here (there is no project.toml).\n"
                f"Start one: frugalseg init {folder} --source SPEC --target SPEC"
            )
        settings = load_config(ProjectSettings, folder / "project.toml")
        return cls(folder, settings, ClassSet.from_toml(folder / "classes.toml"))

    @property
    def runs(self) -> Path:
        """The folder that holds one folder a stage."""
        return self.folder / "runs"

    def manifest_folder(self, domain: str) -> Path:
        """Return where the manifest of `domain` lies.

        Raises:
            StageOrderError: the project has no such data.
        """
        path = self.folder / "manifests" / domain
        if not path.is_dir():
            raise StageOrderError(
                f"{self.folder}: this project has no {domain} data.\n"
                f"Add it: frugalseg init {self.folder} --{domain} SPEC"
            )
        return path

    def has(self, domain: str) -> bool:
        """Return whether the project has data of `domain`."""
        return (self.folder / "manifests" / domain).is_dir()

    @property
    def gold_domain(self) -> str | None:
        """The data whose labels are the known answers that people are checked by; None: nobody can be checked."""
        return next((domain for domain in ("validation", "source") if self.has(domain)), None)

    def manifest(self, domain: str) -> Manifest:
        """Return the manifest of `source`, `target` or `validation`, without the frames in quarantine."""
        folder = self.manifest_folder(domain)
        return without(read_manifest(folder), read_quarantine(folder))

    def quarantined(self, domain: str) -> int:
        """Return how many frames of `domain` are in quarantine."""
        folder = self.manifest_folder(domain)
        names = read_quarantine(folder)
        return len(names.keys() & read_manifest(folder).by_key.keys()) if names else 0

    def stage_config(self, kind: str, name: str, toml: Path | None, overrides: list[str]) -> Any:
        """Return the settings of a method or selector: defaults, settings/NAME.toml or `toml`, then `overrides`."""
        own = self.folder / "settings" / f"{name}.toml"
        model = catalog.entry(kind, name).load_config()
        given = any(override.partition("=")[0].strip() == "seed" for override in overrides)
        seed = [] if given or "seed" not in model.model_fields else [f"seed={self.settings.seed}"]
        file = toml or (own if own.is_file() else None)
        return load_config(model, file, [*seed, *overrides])

    def list(self) -> list[RunInfo]:
        """Return the finished stages in order."""
        return list_runs(self.runs) if self.runs.is_dir() else []

    def latest(self, prefixes: tuple[str, ...], what: str, remedy: str) -> RunInfo:
        """Return the newest finished stage whose name starts with one of `prefixes`.

        Raises:
            StageOrderError: there is none.
        """
        found = [run for run in self.list() if run.name.startswith(prefixes)]
        if not found:
            raise StageOrderError(f"{self.folder}: {what} is needed first. Run: {remedy}")
        return found[-1]

    def latest_model(self) -> Path:
        """Return the folder of the newest stage with a model.

        Raises:
            StageOrderError: nothing has been trained yet.
        """
        return self.latest(MODEL_STAGES, "a trained model", f"frugalseg adapt {self.folder}").folder

    def run(self, reference: str) -> RunInfo:
        """Return the stage that `reference` names: its number, its folder's name, or a path to it.

        Raises:
            ArtifactError: there is no such stage.
        """
        for run in self.list():
            if reference in (str(run.ordinal), run.folder.name) or Path(reference).resolve() == run.folder.resolve():
                return run
        names = ", ".join(run.folder.name for run in self.list()) or "(none)"
        raise ArtifactError(f"{self.folder}: there is no stage {reference!r}. Finished stages: {names}.")


def init_project(
    folder: Path,
    given: dict[str, Any],
    classes: str | Path | None,
    dry_run: bool = False,
    of_checkpoint: ClassSet | None = None,
) -> Project:
    """Create a project, or give an existing one other data or settings; nothing finished is touched.

    Args:
        folder: The project's folder.
        given: Fields of ProjectSettings the user gave; the rest keeps its value or default.
        classes: A classes.toml, or one of our class sets by name; None: the source's (without one: the target's).
        dry_run: Read and check everything, write nothing.
        of_checkpoint: Classes of the model the project starts from: its classes where no others are given.

    Raises:
        ConfigError: a setting that does not fit, or no class list anywhere.
        DataError: data that cannot be read.
    """
    existing = folder / "project.toml"
    given = {"name": folder.resolve().name, **given} if not existing.is_file() else given
    toml_overrides = [f"{key}={_toml(value)}" for key, value in given.items() if value is not None]
    settings = load_config(ProjectSettings, existing if existing.is_file() else None, toml_overrides)
    for kind, name in (
        ("method", settings.adapt_method),
        ("method", settings.retrain_method),
        ("selector", settings.strategy),
    ):
        catalog.entry(kind, name)
    manifests = {domain: read_spec(text) for domain in DOMAINS if (text := getattr(settings, domain))}
    class_set = _class_set(folder, manifests, classes, of_checkpoint)
    if of_checkpoint and of_checkpoint.names != class_set.names:
        raise ConfigError(
            f"{settings.checkpoint}: this model predicts {', '.join(of_checkpoint.names)}, but the project's "
            f"classes are {', '.join(class_set.names)}.\nGive the same classes in the same order."
        )
    if dry_run:
        return Project(folder, settings, class_set)
    folder.mkdir(parents=True, exist_ok=True)
    for domain, manifest in manifests.items():
        if manifest.classes.name == UNLISTED:  # labels without a list of their own have the project's ids
            manifest = replace(manifest, classes=class_set)
        write_manifest(folder / "manifests" / domain, manifest)
    write_atomic(folder / "classes.toml", class_set.to_toml().encode())
    write_atomic(existing, to_toml(settings).encode())
    return Project.open(folder)


def read_spec(text: str) -> Manifest:
    """Return the manifest that a SPEC describes; relative paths are relative to the working directory.

    Raises:
        DataError, UnknownNameError: the SPEC or its folder cannot be read.
    """
    spec = Spec.parse(text)
    manifest: Manifest = catalog.entry("reader", spec.reader).load()(spec)
    return manifest


def _class_set(
    folder: Path, manifests: dict[str, Manifest], classes: str | Path | None, of_checkpoint: ClassSet | None
) -> ClassSet:
    if classes:
        return class_sets.find(classes)
    if (folder / "classes.toml").is_file():
        return ClassSet.from_toml(folder / "classes.toml")
    if of_checkpoint:
        return of_checkpoint
    for domain in ("source", "validation", "target"):
        if domain in manifests and manifests[domain].classes.name != UNLISTED:
            return manifests[domain].classes
    raise ConfigError(
        f"{folder}: no class list. Give --classes FILE (a classes.toml), or the name of one of ours: "
        f"{', '.join(class_sets.names())}."
    )


def _toml(value: Any) -> str:
    text = str(value)
    return text.lower() if isinstance(value, bool) else text


def absolute_spec(text: str) -> str:
    """Return a SPEC whose path does not depend on the working directory."""
    spec = Spec.parse(text)
    return str(Spec(spec.reader, os.path.abspath(spec.path), spec.options))
