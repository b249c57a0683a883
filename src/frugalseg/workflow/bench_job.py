"""One run of a comparison: a training with its evaluations, and before it the questions that it learns from.

Its stages are ordinary ones, so "is it done?" is asked of the folders, and what was killed goes on where they stand.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from frugalseg.core.artifact import Stage
from frugalseg.core.errors import ArtifactError, BusyError
from frugalseg.core.runs import RunInfo
from frugalseg.workflow.bench_jobs import Kind
from frugalseg.workflow.choose_model import judge_stage
from frugalseg.workflow.evaluate import evaluate_stage
from frugalseg.workflow.label import label, label_nothing
from frugalseg.workflow.project import MODEL, NETWORKS, Project
from frugalseg.workflow.rounds import EARLIER, learned_from
from frugalseg.workflow.select import select
from frugalseg.workflow.stage import Options, StageResult
from frugalseg.workflow.train import adapt, retrain

SCORES_ONLY = Options(overrides=("drift_frames=0", "gallery_frames=0"), quiet=True)
WAIT_S = 0.2  # between looks whether a stage that another job is at is done
QUIET, DRY = Options(quiet=True), Options(dry_run=True, quiet=True)


@dataclass(frozen=True)
class Ask:
    """What an oracle is asked before a training: a selector, its settings and a budget; without a budget, nothing.

    With `everything` it labels every frame in full.
    """

    strategy: str = ""
    budget: str | None = None
    overrides: tuple[str, ...] = ()
    everything: bool = False


@dataclass(frozen=True)
class Job:
    """One training in a seed's copy of the project.

    It waits for `after`, a job of the same seed, and starts from its network unless `afresh`; without it from that of
    the stage's folder `origin`, if there is one. With `ask`, that network asks first, and the training learns from the
    answers.
    """

    name: str
    method: str
    seed: int
    project: str
    overrides: tuple[str, ...]
    after: "Job | None" = None
    judge: bool = False
    afresh: bool = False
    ask: Ask | None = None
    origin: str | None = None

    @property
    def title(self) -> str:
        """What it is called among all jobs."""
        return f"{self.name}, seed {self.seed}"

    def to_json(self) -> str:
        """Return the job as text for its process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """Return the job that `to_json` wrote."""
        return cls._from_dict(json.loads(text))

    @classmethod
    def _from_dict(cls, content: dict[str, Any]) -> "Job":
        after = cls._from_dict(content["after"]) if content["after"] else None
        ask = Ask(**{**content["ask"], "overrides": tuple(content["ask"]["overrides"])}) if content["ask"] else None
        return cls(**{**content, "overrides": tuple(content["overrides"]), "after": after, "ask": ask})


@dataclass(frozen=True)
class Done:
    """A job's finished stages: training, evaluations (of kept networks in order, the model last), and the others."""

    training: RunInfo
    evaluations: tuple[RunInfo, ...]
    judgement: RunInfo | None = None
    answers: RunInfo | None = None

    @property
    def stages(self) -> tuple[RunInfo, ...]:
        """All of them."""
        others = (self.judgement, self.answers)
        return (self.training, *self.evaluations, *(run for run in others if run))


def work(job: Job) -> None:
    """Do a job: ask, train, evaluate, judge; whatever is done already is not done again."""
    project = Project.open(Path(job.project))
    start = _start(project, job)
    answers = _ask(project, job.ask, start) if job.ask and start else None
    training = _train(project, job, start, answers, Options(overrides=job.overrides, quiet=True))
    for folder in _models(training.where):
        evaluate_stage(project, folder, SCORES_ONLY)
    if job.judge:
        judge_stage(project, training.where, QUIET)


def done(job: Job) -> Done | None:
    """Return a job's stages if all of them are finished; nothing is run."""
    project = Project.open(Path(job.project))
    training = _training(project, job)
    if training is None:
        return None
    dry = Options(overrides=SCORES_ONLY.overrides, dry_run=True, quiet=True)
    evaluations = [_find(project, evaluate_stage(project, where, dry)) for where in _models(training.folder)]
    judgement = _find(project, judge_stage(project, training.folder, DRY)) if job.judge else None
    if not all(evaluations) or (job.judge and judgement is None):
        return None
    answers = project.run(str(training.input("answers"))) if job.ask else None
    return Done(training, tuple(run for run in evaluations if run), judgement, answers)


def _training(project: Project, job: Job) -> RunInfo | None:
    if job.after and _training(project, job.after) is None:
        return None
    start = _start(project, job)
    answers = _answered(project, job.ask, start) if job.ask and start else None
    if job.ask and answers is None:
        return None
    dry = Options(overrides=job.overrides, dry_run=True, quiet=True)
    planned = _train(project, job, start, answers, dry)
    return _find(project, planned, int(planned.found["config"]["seed"]))


def _train(project: Project, job: Job, start: Path | None, answers: Path | None, options: Options) -> StageResult:
    if answers is None:
        return adapt(project, job.method, start, options)
    return retrain(project, job.method, start, answers, options, alone=True)


def _start(project: Project, job: Job) -> Path | None:
    if job.after is None and job.origin is not None:
        return Path(job.origin)
    if job.after is None or job.afresh:
        return None
    start = _training(project, job.after)
    if start is None:
        raise ArtifactError(f"{job.title}: {job.after.title} is needed first and is not finished.")
    return start.folder


def _ask(project: Project, ask: Ask, start: Path) -> Path:
    """Ask with the model of `start`, let the oracle answer, and return the folder of the answers."""
    if ask.everything:
        return _shared(lambda: label(project, True, None, QUIET, everything=True))
    if ask.budget is None:
        return _shared(lambda: label_nothing(project, QUIET))
    options = Options(overrides=ask.overrides, quiet=True)
    questions = _shared(lambda: select(project, ask.strategy, ask.budget, start, options, alone=True, simulated=True))
    return _shared(lambda: label(project, True, questions, QUIET))


def _shared(stage: Callable[[], StageResult]) -> Path:
    """Run a stage that several jobs have in common and return its folder; another one that is at it is waited for."""
    while True:
        try:
            return stage().where
        except BusyError:
            time.sleep(WAIT_S)


def _answered(project: Project, ask: Ask, start: Path) -> Path | None:
    """Return the folder that `_ask` would return, if it is finished; nothing is run."""
    if ask.everything:
        found = _find(project, label(project, True, None, DRY, everything=True), project.settings.seed)
    elif ask.budget is None:
        found = _find(project, label_nothing(project, DRY))
    else:
        asked = _asked(project, ask, start)
        found = None
        if asked is not None:
            found = _find(project, label(project, True, asked.folder, DRY), project.settings.seed)
    return found.folder if found else None


def _asked(project: Project, ask: Ask, start: Path) -> RunInfo | None:
    """Return the finished selection with these settings and this model, if what it saw is as it was then."""
    dry = Options(overrides=ask.overrides, dry_run=True, quiet=True)
    planned = select(project, ask.strategy, ask.budget, start, dry, alone=True, simulated=True)
    model = (start / MODEL).resolve()
    for run in project.list():
        same = run.name == planned.name and run.config == planned.found["config"]
        same &= (run.input(EARLIER) if run.has_input(EARLIER) else None) == learned_from(start)
        if same and run.input("model").resolve() == model:
            inputs = {name: run.input(name) for name in run.content["inputs"]}
            if (found := Stage(project.runs, run.name, inputs, run.config, [], run.seed).done()) is not None:
                return found
    return None


def _find(project: Project, planned: StageResult, seed: int = 0) -> RunInfo | None:
    """Return the finished stage that a dry run describes, or None."""
    inputs = {name: Path(path) for name, path in planned.found["inputs"].items()}
    return Stage(project.runs, planned.name, inputs, planned.found["config"], [], seed).done()


def _models(training: Path) -> list[Path]:
    """Return the folders that hold the networks of a training, in the order they came about."""
    kept = [path for path in (training / NETWORKS).glob("*") if path.is_dir()]
    return [*sorted(kept, key=lambda path: (len(path.name), path.name)), training]


TRAININGS: Kind[Job, Done] = Kind(
    "frugalseg.workflow.bench_worker", work, done, lambda stages: f"mIoU {stages.evaluations[-1].extra['miou']:.3f}"
)
