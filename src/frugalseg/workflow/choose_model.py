"""`choose-model`: the best of a project's adapted models, without a target label.

Each candidate is judged by a stage of its own (`judge-model`), so that one more candidate costs one more look.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from frugalseg.core.config import Config, load_config
from frugalseg.core.errors import DataError, ImageFileError, StageOrderError
from frugalseg.core.records import Frame
from frugalseg.core.runs import RunInfo
from frugalseg.data.batches import ImageCache
from frugalseg.data.labels import LabelReader
from frugalseg.data.masks import askable
from frugalseg.evaluation.confusion import Confusions, confusion, scores
from frugalseg.evaluation.domain_sample import sampled
from frugalseg.evaluation.label_free import Judgement, UnlabelledTally, best, rank_scores, spearman
from frugalseg.models.store import load_model, read_model_info
from frugalseg.training.losses import entropy_NHW
from frugalseg.training.predict import PredictConfig, Predictor
from frugalseg.workflow.project import MODEL, NETWORKS, Project
from frugalseg.workflow.stage import Options, StageResult, run_stage

JUDGE, CHOOSE = "judge-model", "choose-model"
CANDIDATES = ("import", "adapt")  # stages that saw no target label
CHANGES = ("mirrored", "smaller", "recoloured")
GAMMA = (0.8, 1.25)  # of the first and the last band; those between lie evenly between


class JudgeConfig(Config):
    """How a model is judged."""

    frames: int = Field(
        200, ge=1, le=2000, description="frames of each domain that are looked at, the same ones always"
    )
    smaller: float = Field(0.75, gt=0, lt=1, description="size of the smaller copy of a frame")


@dataclass(frozen=True)
class Candidate:
    """A model to choose from: what it is called, and the folder that holds `model/`."""

    name: str
    folder: Path


def judge_stage(project: Project, where: Path, options: Options) -> StageResult:
    """Judge the model in `where` on a sample of target frames, and of source frames if there are any.

    Raises:
        ModelError: there is no model.
        ImageFileError: not one target frame can be read.
    """
    config = load_config(JudgeConfig, options.config, options.overrides)
    inputs = {"model": where / MODEL, "classes": project.folder / "classes.toml"}
    inputs |= {domain: project.manifest_folder(domain) for domain in ("source", "target") if project.has(domain)}
    if options.dry_run:
        planned = {name: str(path) for name, path in inputs.items()}
        return StageResult(JUDGE, None, {"inputs": planned, "config": config.model_dump(mode="json")})

    def work(folder: Path) -> dict[str, Any]:
        return _Judge(project, where / MODEL, config).found(options)

    return run_stage(project, JUDGE, inputs, config.model_dump(mode="json"), work, options)


def judgement_of(found: dict[str, Any]) -> Judgement:
    """Return the measures that a `judge-model` stage found."""
    return Judgement(**{name: found[name] for name in Judgement.__dataclass_fields__})


def choose_model(project: Project, options: Options) -> StageResult:
    """Judge every model that was trained without answers, choose one, and keep it in the stage's folder.

    Where models have been scored on validation labels, the rank correlation of score and mIoU is reported; it has no
    part in the choice.

    Raises:
        StageOrderError: there is nothing to choose from.
    """
    found = candidates(project)
    if not found:
        raise StageOrderError(
            f"{project.folder}: a trained model is needed first. Run: frugalseg adapt {project.folder}"
        )
    if options.dry_run:
        return StageResult(CHOOSE, None, {"candidates": [candidate.name for candidate in found]})
    judged = [judge_stage(project, candidate.folder, options) for candidate in found]
    scored = [_evaluation(project, candidate) for candidate in found]
    rows = _rows(found, [judgement_of(result.found) for result in judged], scored)
    winner = next(candidate for candidate, row in zip(found, rows, strict=True) if row["chosen"])
    inputs = {candidate.name: result.where for candidate, result in zip(found, judged, strict=True)}
    inputs |= {f"{c.name} (scored)": run.folder for c, run in zip(found, scored, strict=True) if run is not None}

    def work(folder: Path) -> dict[str, Any]:
        shutil.copytree(winner.folder / MODEL, folder / MODEL, dirs_exist_ok=True)
        (folder / "choice.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
        known = [row for row in rows if row["miou"] is not None]
        correlation = spearman([row["score"] for row in known], [row["miou"] for row in known])
        return {"chosen": winner.name, "spearman": correlation, "scored": len(known), "candidates": rows}

    return run_stage(project, CHOOSE, inputs, {"rule": "mean rank"}, work, options)


def candidates(project: Project) -> list[Candidate]:
    """Return every model trained without answers, and the networks that were kept after its rounds."""
    found = []
    for run in project.list():
        if run.name.startswith(CANDIDATES):
            kept = sorted((run.folder / NETWORKS).glob(f"*/{MODEL}"))
            found += [Candidate(f"{run.folder.name}/{NETWORKS}/{model.parent.name}", model.parent) for model in kept]
            found.append(Candidate(run.folder.name, run.folder))
    return found


def _evaluation(project: Project, candidate: Candidate) -> RunInfo | None:
    """Return the newest evaluation of a model on the project's validation frames."""
    found = [
        run
        for run in project.list()
        if run.name == "evaluate" and run.input("model").resolve() == (candidate.folder / MODEL).resolve()
    ]
    return found[-1] if found else None


def _rows(found: list[Candidate], judgements: list[Judgement], scored: list[RunInfo | None]) -> list[dict[str, Any]]:
    chosen = best(judgements)
    return [
        {
            "model": candidate.name,
            "score": score,
            **asdict(judgement),
            "miou": run.extra["miou"] if run else None,
            "chosen": number == chosen,
        }
        for number, (candidate, judgement, score, run) in enumerate(
            zip(found, judgements, rank_scores(judgements), scored, strict=True)
        )
    ]


class _Judge:
    """One model, looking at frames and at changed copies of them."""

    def __init__(self, project: Project, model: Path, config: JudgeConfig) -> None:
        info, network = read_model_info(model), load_model(model)
        size_hw, device = (info["input_height"], info["input_width"]), "cuda" if torch.cuda.is_available() else "cpu"
        self._project, self._config, self._classes = project, config, len(network.classes)
        self._plain = Predictor(network, size_hw, device=device)
        self._small = Predictor(network, size_hw, PredictConfig(scales=(config.smaller,)), device=device)
        self._cache = ImageCache(0)

    def found(self, options: Options) -> dict[str, Any]:
        """Return the measures, how many frames they come from, and the frames that could not be read."""
        refused: list[str] = []
        tally, seen = UnlabelledTally(self._classes, CHANGES), 0
        for frame, image_HWC in self._sample("target", refused):
            self._see(tally, frame, image_HWC)
            seen += 1
        if not seen:
            raise ImageFileError("No target frame can be read, so no model can be judged:\n" + "\n".join(refused))
        options.say(f"judge-model: {seen} target frames")
        source = self._source(refused)
        measures = asdict(tally.judgement(scores(source.total()).miou if len(source) else None))
        return {**measures, "frames": seen, "source_frames": len(source), "refused": refused}

    def _see(self, tally: UnlabelledTally, frame: Frame, image_HWC: NDArray[np.uint8]) -> None:
        logits_CHW = self._plain.logits(image_HWC)
        entropy_HW = entropy_NHW(logits_CHW[None])[0].cpu().numpy()
        mirrored_HW = _ids(self._plain.logits(np.ascontiguousarray(image_HWC[:, ::-1])))[:, ::-1]
        changed = {
            "mirrored": np.ascontiguousarray(mirrored_HW),
            "smaller": _ids(self._small.logits(image_HWC)),
            "recoloured": _ids(self._plain.logits(recoloured(image_HWC))),
        }
        tally.see(_ids(logits_CHW), entropy_HW, changed, askable(frame))

    def _source(self, refused: list[str]) -> Confusions:
        confusions = Confusions(self._classes)
        if self._project.has("source"):
            reader = LabelReader(self._project.manifest("source").classes, self._project.classes)
            for frame, image_HWC in self._sample("source", refused):
                try:
                    truth_HW = reader.read(frame)
                except DataError as error:
                    refused.append(f"source: {error}")
                    continue
                confusions.add(frame.key, confusion(truth_HW, _ids(self._plain.logits(image_HWC)), self._classes))
        return confusions

    def _sample(self, domain: str, refused: list[str]) -> Iterator[tuple[Frame, NDArray[np.uint8]]]:
        """Yield the sample's frames with their images; one that cannot be read is noted in `refused`."""
        by_key = self._project.manifest(domain).by_key
        for key in sampled(by_key, self._config.frames):
            try:
                image_HWC = self._cache.read(by_key[key])
            except ImageFileError as error:
                refused.append(f"{domain}: {error}")
                continue
            yield by_key[key], image_HWC


def recoloured(image_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image under other light: each band through a gamma curve of its own, 0 and 255 stay."""
    bands = image_HWC.shape[2]
    gammas = np.linspace(GAMMA[0], GAMMA[1], bands) if bands > 1 else np.array(GAMMA[1:])
    curves = np.rint(255 * (np.arange(256) / 255)[:, None] ** gammas).astype(np.uint8)
    return np.stack([curves[image_HWC[..., band], band] for band in range(bands)], axis=-1)


def _ids(logits_CHW: torch.Tensor) -> NDArray[np.uint8]:
    return logits_CHW.argmax(dim=0).cpu().numpy().astype(np.uint8)
