"""The one loop: it owns time (phases, steps, rates, checkpoints, signals, logs) and knows no method.

A method is a list of phases, each a number of steps over batches; what happens in a step is the method's business. A
run killed at any moment goes on with the same command and ends with the same weights: batches and random numbers are
functions of the step, everything else is in the checkpoint.
"""

import copy
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from frugalseg.core.chance import seed_for
from frugalseg.core.errors import TrainingError
from frugalseg.core.files import sync_folder
from frugalseg.data.batches import DomainBatch
from frugalseg.models.network import Network
from frugalseg.training.checkpoint import CheckpointFolder
from frugalseg.training.interrupt import EXIT_CODE, sigterm_event, sigterm_exits
from frugalseg.training.learner import NonFiniteLoss
from frugalseg.training.method import Method, Phase
from frugalseg.training.progress import TrainingLog
from frugalseg.training.schedule import poly

Keep = Callable[[str, Network], None]


def train(method: Method, folder: Path, fabric: Fabric, log: TrainingLog, keep: Keep | None = None) -> Network:
    """Run all phases of `method`, resuming whatever `folder` already holds, and return the finished network.

    `keep` is handed each phase's name and the network as it would be if training ended there; the last one's is what
    is returned. A run that was killed may hand out a phase twice, with the same weights.

    Raises:
        TrainingError: the loss stays NaN or infinite.
        CheckpointError: no room to save.
        SystemExit: 143 after SIGTERM, once the step is finished and saved.
    """
    checkpoints = CheckpointFolder(folder / "checkpoints")
    loaded = checkpoints.load()
    state: dict[str, Any] = loaded[1] if loaded else {"phase": 0, "step": 0}
    if loaded:
        method.load_state(state["method"])
    phases = method.phases()
    log.start([phase.steps for phase in phases], state["phase"], state["step"])
    with sigterm_exits():
        for number in range(state["phase"], len(phases)):
            first = state["step"] if number == state["phase"] else 0
            phase_folder = _prepared(folder, phases[number], first, fabric)
            method.begin(number)
            if first:
                method.load_state(state["method"])
            _PhaseRun(method, phases, number, phase_folder, checkpoints, fabric, log).run(first, keep)
        return method.finish()


class _PhaseRun:
    """The steps of one phase."""

    def __init__(
        self,
        method: Method,
        phases: Sequence[Phase],
        number: int,
        folder: Path,
        checkpoints: CheckpointFolder,
        fabric: Fabric,
        log: TrainingLog,
    ) -> None:
        self._method, self._config, self._fabric, self._log = method, method.config, fabric, log
        self._phase, self._number, self._checkpoints = phases[number], number, checkpoints
        self._done_before = [sum(phase.steps for phase in phases[:count]) for count in range(len(phases) + 1)]
        self._batches = self._phase.batches(folder)
        self._diverged = ""

    def run(self, first: int, keep: Keep | None) -> None:
        """Run from step `first` to the end of the phase; roll back once if the loss stops being a number."""
        with sigterm_event() as told_to_stop:
            try:
                self._steps(first, told_to_stop)
            except NonFiniteLoss:
                step = self._roll_back()
                try:
                    self._steps(step, told_to_stop)
                except NonFiniteLoss:
                    raise TrainingError(self._diverged) from None
            if keep and self._number + 2 < len(self._done_before):  # one entry more than there are phases
                self._show(keep)
            self._save(self._number + 1, 0)

    def _show(self, keep: Keep) -> None:
        """Hand out the network as if training ended here, and go on as if it had not (`finish` may change it)."""
        state = copy.deepcopy(self._method.state())
        network = self._method.finish()
        if self._fabric.is_global_zero:
            keep(self._phase.name, network)
        self._method.load_state(state)

    def _roll_back(self) -> int:
        loaded = self._checkpoints.load()
        if not loaded or loaded[1]["phase"] != self._number:
            raise TrainingError(self._diverged) from None
        step = int(loaded[1]["step"])
        self._method.load_state(loaded[1]["method"])
        if not step:  # the checkpoint was made before this phase began: its optimizer is the earlier phase's
            self._method.begin(self._number)
        self._log.note(f"loss is no number: back to step {step}")
        return step

    def _steps(self, first: int, told_to_stop: threading.Event) -> None:
        config, total = self._config, self._phase.steps
        skipped = False
        for batch in self._batches.stream(first, total):
            self._method.set_rate(poly(batch.step, total, config.poly_power, config.warm_up))
            try:
                with _step_randomness(config.seed, self._number, batch.step, self._fabric):
                    losses = self._method.step(batch.to(self._fabric.device))
            except NonFiniteLoss as error:
                self._note_divergence(batch, error)
                if skipped or not error.harmless:
                    raise
                skipped = True
                continue
            skipped = False
            done = batch.step + 1
            self._log.step(self._phase.name, done, self._done_before[self._number] + done, losses, config.log_every)
            stop = self._agreed(told_to_stop)
            if done < total and (stop or done % config.save_every == 0):
                self._save(self._number, done)
                if stop:
                    raise SystemExit(EXIT_CODE)

    def _note_divergence(self, batch: DomainBatch, error: NonFiniteLoss) -> None:
        keys = ", ".join(batch.keys)
        self._diverged = (
            f"Training diverged in phase {self._phase.name!r} at step {batch.step}: {error}.\n"
            f"Seed {self._config.seed}, frames: {keys}.\nLower `lr`, or look at these frames."
        )
        self._log.note(f"step {batch.step} not taken: {error}; frames: {keys}")

    def _save(self, phase: int, step: int) -> None:
        """Save the state from which step `step` of phase `phase` follows."""
        if self._fabric.is_global_zero:
            state = {"phase": phase, "step": step, "method": self._method.state()}
            self._checkpoints.save(self._done_before[phase] + step, state)
        self._fabric.barrier()

    def _agreed(self, told_to_stop: threading.Event) -> bool:
        stop = told_to_stop.is_set()
        if self._fabric.world_size > 1:
            stop = bool(self._fabric.all_reduce(torch.tensor(float(stop)), reduce_op="sum") > 0)  # type: ignore[operator]
        return stop


def _prepared(folder: Path, phase: Phase, first: int, fabric: Fabric) -> Path:
    """Return the phase's folder, prepared once: complete under its own name, or not there at all.

    Raises:
        TrainingError: the phase is to go on from step `first` without what it began with.
    """
    ready, part = folder / phase.name, folder / f".part-{phase.name}"
    if first and not ready.exists():
        raise TrainingError(
            f"{ready} is missing, and training is to go on from step {first} with what it held.\n"
            f"Remove {folder} and start the same command again: it begins from the start."
        )
    if not ready.exists() and fabric.is_global_zero:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        phase.prepare(part)
        os.sync()
        part.rename(ready)
        sync_folder(folder)
    fabric.barrier()
    return ready


@contextmanager
def _step_randomness(seed: int, phase: int, step: int, fabric: Fabric) -> Iterator[None]:
    """Give dropout and the like numbers that depend on the step only, and leave the global generator as it was."""
    devices = [fabric.device] if fabric.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed_for(seed, "step", phase, step, fabric.global_rank))
        yield
