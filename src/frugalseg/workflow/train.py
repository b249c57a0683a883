"""`adapt` and `retrain`: labels checked, pools opened, a method trained, its model saved."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning.fabric import Fabric
from numpy.typing import NDArray

from frugalseg.core.errors import StageOrderError
from frugalseg.data.batches import FramePool, human_masks
from frugalseg.data.labels import LabelReader
from frugalseg.models.build import build
from frugalseg.models.network import Network
from frugalseg.models.store import load_model, save_model
from frugalseg.training.discriminators import DISCRIMINATOR
from frugalseg.training.domain_data import DomainData, Human
from frugalseg.training.loop import train
from frugalseg.training.memory import keep_freed_memory, peak_memory
from frugalseg.training.method import Keeps
from frugalseg.training.progress import TrainingLog
from frugalseg.training.settings import TrainConfig
from frugalseg.workflow import catalog
from frugalseg.workflow.check import check_stage
from frugalseg.workflow.label import answered, cells_by_key
from frugalseg.workflow.project import IMPORT, MODEL, NETWORKS, PARTIAL, Project
from frugalseg.workflow.propagated_labels import propagation_of, read_propagated
from frugalseg.workflow.round_labels import annotators_of
from frugalseg.workflow.rounds import chain
from frugalseg.workflow.series import newest_answers, outdated
from frugalseg.workflow.stage import Options, StageResult, run_stage


def adapt(project: Project, method: str | None, start: Path | None, options: Options) -> StageResult:
    """Train without people's answers. `start` is the folder of a stage with a model to go on from.

    A method that goes on from a source model gets the project's newest source_only one; it is trained where there is
    none.

    Raises:
        StageOrderError: the method learns from people's answers.
    """
    method = method or project.settings.adapt_method
    catalog.entry("method", method)
    if method in catalog.WITH_ANSWERS:
        raise StageOrderError(
            f"{method} learns from people's answers: frugalseg retrain {project.folder} --method {method}"
        )
    config = project.stage_config("method", method, options.config, list(options.overrides))
    if start is None and config.start == "checkpoint":
        start = _source_model(project, options)
    return _train_stage(project, "adapt", method, config, start, None, options)


def retrain(
    project: Project,
    method: str | None,
    start: Path | None,
    answers: Path | None,
    options: Options,
    propagated: Path | None = None,
    alone: bool = False,
) -> StageResult:
    """Train with people's answers, from the network that asked the questions.

    Answers that `propagate` has spread through the target's video are learned with them.

    Args:
        project: The project.
        method: A method that learns from answers, or None for the project's.
        start: The folder of a stage with a model, or None for the one the questions came from.
        answers: The folder of a `label` stage, or None for the newest.
        options: Settings.
        propagated: The folder of a `propagate` stage, or None for the newest that spread these answers, if any.
        alone: Learn from the answers alone, whatever was spread.

    Raises:
        StageOrderError: nothing has been answered yet, the method does not learn from answers, or `propagated` spread
            other answers.
    """
    method = method or project.settings.retrain_method
    catalog.entry("method", method)
    if method not in catalog.WITH_ANSWERS:
        raise StageOrderError(
            f"{method} does not learn from people's answers: frugalseg adapt {project.folder} --method {method}\n"
            f"Methods that do: {', '.join(catalog.WITH_ANSWERS)}."
        )
    config = project.stage_config("method", method, options.config, list(options.overrides))
    if answers is None:
        answers = newest_answers(project)
    for older in outdated(project, answers):
        options.say(
            f"{answers.name} holds the answers of {older.folder.name}, which were handed on again since. To learn the "
            "newer ones, hand on the later rounds' answers again: frugalseg label --questions RUN --export"
        )
    if start is None:
        start = _asking_model(project, answers)
    spread = None if alone else propagation_of(project, answers, propagated)
    if spread is not None:
        options.say(f"Answers spread through video are learned too: {spread.name}.")
    return _train_stage(project, "retrain", method, config, start, answers, options, spread)


def _asking_model(project: Project, answers: Path) -> Path:
    """Return the stage whose model asked; for frames labelled in full the newest without answers."""
    run = project.run(str(answers))
    if run.has_input("questions"):
        return project.run(str(run.input("questions"))).input("model").parent
    return project.latest(("import", "adapt"), "an adapted model", f"frugalseg adapt {project.folder}").folder


def _source_model(project: Project, options: Options) -> Path:
    """Return the newest stage whose model knows the source only: trained here, or brought along."""
    found = [run for run in project.list() if run.name in ("adapt-source_only", IMPORT)]
    if found:
        return found[-1].folder
    if options.dry_run:
        return project.runs / "(a source_only model, to be trained first)"
    options.say("No source model yet: training source_only first.")
    return adapt(project, "source_only", None, Options(quiet=options.quiet)).where


def _train_stage(
    project: Project,
    verb: str,
    method: str,
    config: TrainConfig,
    start: Path | None,
    answers: Path | None,
    options: Options,
    propagated: Path | None = None,
) -> StageResult:
    inputs = {"source": project.manifest_folder("source")} if project.has("source") else {}
    inputs["target"] = project.manifest_folder(_target_domain(config))
    inputs["classes"] = project.folder / "classes.toml"
    if project.settings.weights and project.settings.weights != "hub":
        inputs["weights"] = Path(project.settings.weights)
    if start is not None:
        inputs["model"] = start / MODEL
    if answers is not None:
        inputs["answers"] = answers
    if propagated is not None:
        inputs["propagated"] = propagated
    settings = {"method": method, "network": project.settings.network, "channels": project.settings.channels}
    settings |= {"weights": project.settings.weights, **config.model_dump(mode="json")}
    if options.dry_run:
        return StageResult(
            f"{verb}-{method}", None, {"inputs": {k: str(v) for k, v in inputs.items()}, "config": settings}
        )
    domain = _target_domain(config)
    options.say(f"{method}: {len(project.manifest(domain))} unlabelled frames of the {domain} set.")
    pixels_C = check_stage(project, "source", options) if project.has("source") else None

    def work(folder: Path) -> dict[str, Any]:
        return _Training(project, method, config, start, answers, propagated, pixels_C, options).run(folder)

    return run_stage(project, f"{verb}-{method}", inputs, settings, work, options, seed=config.seed)


@dataclass(frozen=True, eq=False)
class _Training:
    """Everything one training stage needs."""

    project: Project
    method: str
    config: TrainConfig
    start: Path | None
    answers: Path | None
    propagated: Path | None
    pixels_C: NDArray[np.int64] | None
    options: Options

    def run(self, folder: Path) -> dict[str, Any]:
        """Train in `folder`, save the model there, and return what is worth knowing."""
        keep_freed_memory()
        fabric = Fabric(accelerator="auto", devices=1, precision=self.config.precision)
        log = TrainingLog(folder / "log.jsonl", self.method, quiet=self.options.quiet)
        try:
            method = catalog.entry("method", self.method).load()(self._network(), self.config, fabric, self._data())
            network = train(method, folder, fabric, log, self._keep(folder) if self.config.keep_networks else None)
        finally:
            log.close()
        save_model(folder / MODEL, network, self._extra())
        if isinstance(method, Keeps):
            method.keep(folder)
        summaries = _summaries(folder)
        _sweep(folder)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        return {
            "method": self.method,
            "parameters": parameters,
            "device": str(fabric.device),
            "phases": summaries,
            "peak_memory": peak_memory(fabric.device),
        }

    def _extra(self) -> dict[str, Any]:
        return {"method": self.method, "input_height": self.config.height, "input_width": self.config.width}

    def _keep(self, folder: Path) -> Callable[[str, Network], None]:
        return lambda phase, network: save_model(folder / NETWORKS / phase / MODEL, network, self._extra())

    def _network(self) -> Network:
        if self.start is not None and self.config.start == "checkpoint":
            return load_model(self.start / MODEL)
        return self._fresh_network()

    def _fresh_network(self) -> Network:
        settings = self.project.settings
        return build(
            settings.network, self.project.classes, settings.channels, weights=settings.weights, seed=self.config.seed
        )

    def _data(self) -> DomainData:
        project, human = self.project, None
        frames = project.manifest(_target_domain(self.config)).frames
        if self.answers is not None:
            frames = answered(project, self.answers, frames)
            people = annotators_of(chain(self.answers))
            confusion_CC = None if people is None else people.mixture_CC
            human = Human(self.answers / PARTIAL, cells_by_key(self.answers), confusion_CC)
        return DomainData(
            source=self._source(),
            target=FramePool(frames),
            pixels_C=self.pixels_C,
            human=human,
            teacher=load_model(self.start / MODEL) if self.start is not None else None,
            pretrained=self._fresh_network if project.settings.weights else None,
            propagated=read_propagated(self.propagated) if self.propagated is not None else None,
        )

    def _source(self) -> FramePool | None:
        if not self.project.has("source"):
            return None
        source = self.project.manifest("source")
        return FramePool(source.frames, human_masks(LabelReader(source.classes, self.project.classes).read))


def _target_domain(config: TrainConfig) -> str:
    """Return which frames stand for the target: `target_split = "val"` learns, transductively, from those scored."""
    return "validation" if getattr(config, "target_split", "train") == "val" else "target"


def _summaries(folder: Path) -> dict[str, Any]:
    """Collect what phases wrote down about themselves."""
    return {
        path.parent.name: json.loads(path.read_text())
        for path in sorted(folder.glob("*/*.json"))
        if path.parent.name not in (MODEL, DISCRIMINATOR)
    }


def _sweep(folder: Path) -> None:
    """Remove what only resume needed: checkpoints, and label maps that can be made again from the model."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for kind in ("labels", "provenance", "confidence"):
        for path in folder.glob(f"*/{kind}"):
            shutil.rmtree(path)
