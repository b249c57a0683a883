"""One run of `bench propagation`: a method on one part of the video, with what it learns from the other parts.

Its stage holds the counts of all cases, the labels that the page shows, and the refinement network where one is
learned. What was killed goes on: a refinement network that was finished is not trained again.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from frugalseg.core.artifact import Stage, content_hash
from frugalseg.core.config import load_config
from frugalseg.core.runs import RunInfo
from frugalseg.data.halves import Half, halves
from frugalseg.propagation.chain import Reached
from frugalseg.propagation.motion import Picture
from frugalseg.propagation.networks import RefineConfig
from frugalseg.propagation.semantic import Recent, Semantic
from frugalseg.propagation.spread import SEMANTIC, SpreadConfig, Spreader, Tools
from frugalseg.workflow.bench_jobs import Kind
from frugalseg.workflow.bench_propagation_config import BenchPropagationConfig
from frugalseg.workflow.bench_propagation_score import Label, Labeller, Scorer
from frugalseg.workflow.project import Project
from frugalseg.workflow.propagate_config import PropagateConfig
from frugalseg.workflow.propagate_motion import learn_motion
from frugalseg.workflow.propagate_plan import REFINER, LabelSource, Plan, stretches
from frugalseg.workflow.propagate_prepare import labelled_places, learn_refiner
from frugalseg.workflow.propagate_run import has_refiner, motion_folder, open_guess, open_tools
from frugalseg.workflow.stage import Options, run_stage

MOTION, SEMANTIC_ONLY, INPAINT, REFINE = "warp", "semantic", "warp_inpaint", "warp_refine"
METHODS = (MOTION, SEMANTIC_ONLY, INPAINT, REFINE)
OVERRIDES = {
    MOTION: ("method=warp",),
    SEMANTIC_ONLY: ("method=warp_inpaint", "recursion=composed"),  # for the network; what is carried is thrown away
    INPAINT: ("method=warp_inpaint",),
    REFINE: ("method=warp_refine",),
}


@dataclass(frozen=True)
class Unit:
    """A row's method on one part, in the project's copy for this comparison.

    `model` is the network that guesses in the scored part, `folds` those that guess in the cycles of each fold of what
    is learned from; without folds it is `model`, which then has learned from no label of this video.
    """

    name: str
    method: str
    part: int
    seed: int
    project: str
    overrides: tuple[str, ...]
    flows: str | None
    model: str | None = None
    folds: tuple[str, ...] = ()
    after: None = None  # units wait for nothing

    @property
    def title(self) -> str:
        """What it is called among all units."""
        return f"{self.name}, part {self.part}, seed {self.seed}"

    @property
    def config(self) -> BenchPropagationConfig:
        """Its settings."""
        fixed = ("anchors=1", "calibration_frames=0", f"seed={self.seed}")
        return load_config(BenchPropagationConfig, None, (*self.overrides, *OVERRIDES[self.method], *fixed))

    @property
    def half(self) -> Half:
        """What it scores, and what may be learned from."""
        config, manifest = self.config, Project.open(Path(self.project)).manifest("target")
        return halves(stretches(manifest), config.parts, config.gap, config.split)[self.part]

    def to_json(self) -> str:
        """Return the unit as text for its process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Unit":
        """Return the unit that `to_json` wrote."""
        content = json.loads(text)
        return cls(**{**content, **{name: tuple(content[name]) for name in ("overrides", "folds")}})


def work(unit: Unit) -> None:
    """Learn what is to be learned, score the part, and write down what came of it."""
    project = Project.open(Path(unit.project))
    name, inputs, settings = _stage(unit, project)
    run_stage(project, name, inputs, settings, lambda folder: _Work(unit, project, folder).run(), _QUIET, unit.seed)


def done(unit: Unit) -> RunInfo | None:
    """Return a unit's finished stage, or None."""
    project = Project.open(Path(unit.project))
    name, inputs, settings = _stage(unit, project)
    return Stage(project.runs, name, inputs, settings, [], unit.seed).done()


def _stage(unit: Unit, project: Project) -> tuple[str, dict[str, Path], dict[str, Any]]:
    """Return name, inputs and settings of a unit's stage; settings that its method does not use are left out."""
    inputs = {"target": project.manifest_folder("target"), "classes": project.folder / "classes.toml"}
    if unit.model is not None:
        inputs["model"] = Path(unit.model)
    inputs |= {f"fold-{number}": Path(model) for number, model in enumerate(unit.folds)}
    idle = {"cache", *([] if unit.method == REFINE else RefineConfig.model_fields)}
    idle |= {"tau"} if unit.method in (MOTION, SEMANTIC_ONLY) else set()
    settings = {key: value for key, value in unit.config.model_dump(mode="json").items() if key not in idle}
    return f"propagation-{unit.method}", inputs, {**settings, "scored_part": unit.part}


_QUIET = Options(quiet=True)


class _Work:
    """What a unit does in its stage's folder."""

    def __init__(self, unit: Unit, project: Project, folder: Path) -> None:
        self._unit, self._folder, self._config, self._half = unit, folder, unit.config, unit.half
        self._manifest = project.manifest("target")
        settings = self._config.part(PropagateConfig).model_dump(mode="json")
        learned = [frame.key for run in self._half.learned for frame in run.frames]
        seen = "\n".join([content_hash(project.manifest_folder("target")), *learned])  # each part has motion of its own
        frames = {"frames": hashlib.sha256(seen.encode()).hexdigest()}
        self._plan = Plan(settings, project.classes, None, unit.model, unit.flows, frames)
        self._source = LabelSource(self._manifest, self._plan)

    def run(self) -> dict[str, Any]:
        """Learn and score; return what is worth knowing."""
        motion = motion_folder(self._folder, self._plan)
        learn_motion(motion, self._half.learned, self._plan.config, _QUIET)
        tools, began_s = self._tools(), time.monotonic()
        if self._unit.method == REFINE and not has_refiner(self._folder):
            semantic_for = self._semantic_for(tools)
            places = labelled_places(self._half.learned, self._source)
            learn_refiner(self._folder / REFINER, places, self._source, tools, self._config, semantic_for)
            tools = self._tools()
        learned_s, began_s = time.monotonic() - began_s, time.monotonic()
        spreader = Spreader(tools, self._config.part(SpreadConfig))
        scorer = Scorer(spreader, self._labeller(spreader, tools), self._source, self._config.protocol)
        counts = scorer.run(self._half, self._unit.part, len(self._plan.classes), self._folder)
        counts.save(self._folder)
        means = {str(anchors): counts.miou(anchors) for anchors in (1, 2) if counts.distances(anchors)}
        seconds = {"learning_s": round(learned_s, 1), "scoring_s": round(time.monotonic() - began_s, 1)}
        return {"cases": len(counts.cases), "miou": means, **seconds}

    def _tools(self) -> Tools:
        tools = open_tools(self._folder, self._plan)
        return replace(tools, semantic=self._recent(tools.semantic)) if tools.semantic else tools

    def _recent(self, semantic: Semantic) -> Semantic:
        return Recent(semantic, 3 * self._config.reach + 2)

    def _semantic_for(self, tools: Tools) -> Callable[[str], Semantic]:
        """Return what guesses in a labelled frame's cycles: the network of the fold that the frame is not part of."""
        assert tools.semantic is not None
        if not self._unit.folds:
            semantic = tools.semantic
            return lambda key: semantic
        guesses = [
            self._recent(open_guess(Path(model), self._plan.classes, self._config.reads_features))
            for model in self._unit.folds
        ]
        parts = halves(self._half.learned, len(guesses), self._config.gap, "parts")
        fold = {
            frame.key: guess
            for part, guess in zip(parts, guesses, strict=True)
            for run in part.scored
            for frame in run.frames
        }
        return fold.__getitem__

    def _labeller(self, spreader: Spreader, tools: Tools) -> Labeller:
        semantic = tools.semantic

        def spread(picture: Picture, reached: list[Reached], before: Reached | None) -> tuple[Label, Label]:
            label_HW, origin_HW, _ = spreader.label(picture, reached, before)
            return label_HW, origin_HW

        def guess(picture: Picture, reached: list[Reached], before: Reached | None) -> tuple[Label, Label]:
            assert semantic is not None
            first_HW = semantic.guess(picture).first_HW
            return first_HW, np.full_like(first_HW, SEMANTIC)

        return guess if self._unit.method == SEMANTIC_ONLY else spread


UNITS: Kind[Unit, RunInfo] = Kind(
    "frugalseg.workflow.bench_propagation_worker",
    work,
    done,
    lambda run: f"{run.extra['cases']} labels scored in {run.extra['scoring_s']:.0f} s",
)
