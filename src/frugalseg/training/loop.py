"""The one loop: it owns time (phases, steps, rates, checkpoints, signals, logs) and knows no method.

A method is a list of phases, each a number of steps over batches; what happens in a step is the method's business. A run
killed at any moment goes on with the same command and ends with the same weights: batches and random numbers are
functions of the step, everything else is in the checkpoint.
"""

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.fabric import Fabric

from frugalseg.core.chance import seed_for
from frugalseg.core.errors import TrainingError
from frugalseg.models.network import Network
from frugalseg.training.checkpoint import CheckpointFolder
from frugalseg.training.interrupt import sigterm_event
from frugalseg.training.learner import NonFiniteLoss
from frugalseg.training.method import Method, Phase
from frugalseg.training.progress import TrainingLog
from frugalseg.training.schedule import poly


def train(method: Method, folder: Path, fabric: Fabric, log: TrainingLog) -> Network:
    """Run all phases of `method`, resuming whatever `folder` already holds, and return the finished network.

    Raises:
        TrainingError: the loss stays NaN or infinite.
        CheckpointError: no room to save.
        SystemExit: 143 after SIGTERM, once the step is finished and saved.
    """
    checkpoints = CheckpointFolder(folder / "checkpoints")
    loaded = checkpoints.load(fabric.device)
    saved = loaded[1] if loaded else {"phase": 0, "step": 0}
    if loaded:
        method.load_state(saved["method"])
    phases = method.phases()
    log.start([phase.steps for phase in phases], saved["phase"], saved["step"])
    with sigterm_event() as told_to_stop:
        for number in range(saved["phase"], len(phases)):
            phase_folder = _prepared(folder, phases[number])
            method.begin(number)
            first = saved["step"] if number == saved["phase"] else 0
            if first:
                method.load_state(saved["method"])
            run = _PhaseRun(method, phases, number, phase_folder, checkpoints, fabric, log, told_to_stop)
            run.steps(first)
            run.save(number + 1, 0)
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
        told_to_stop: threading.Event,
    ) -> None:
        self._method, self._config, self._fabric, self._log = method, method.config, fabric, log
        self._phase, self._number, self._checkpoints = phases[number], number, checkpoints
        self._done_before = [sum(phase.steps for phase in phases[:count]) for count in range(len(phases) + 1)]
        self._batches = self._phase.batches(folder)
        self._told_to_stop = told_to_stop

    def steps(self, first: int) -> None:
        """Run from step `first` to the end of the phase; roll back once if the loss stops being a number."""
        try:
            self._run(first)
        except NonFiniteLoss:
            loaded = self._checkpoints.load(self._fabric.device)
            if not loaded or loaded[1]["phase"] != self._number:
                raise TrainingError(self._diverged) from None
            self._method.load_state(loaded[1]["method"])
            self._log.note(f"loss is no number: back to step {loaded[1]['step']}")
            try:
                self._run(loaded[1]["step"])
            except NonFiniteLoss:
                raise TrainingError(self._diverged) from None

    def _run(self, first: int) -> None:
        config, total = self._config, self._phase.steps
        skipped = False
        for batch in self._batches.stream(first, total):
            self._method.set_rate(poly(batch.step, total, config.poly_power, config.warm_up))
            try:
                with _step_randomness(config.seed, self._number, batch.step, self._fabric):
                    losses = self._method.step(batch.to(self._fabric.device))
                skipped = False
            except NonFiniteLoss as error:
                self._diverged = (
                    f"Training diverged in phase {self._phase.name!r} at step {batch.step}: {error}.\n"
                    f"Seed {config.seed}, frames: {', '.join(batch.keys)}.\nLower `lr`, or look at these frames."
                )
                if skipped:
                    raise
                skipped = True
                self._log.note(f"step {batch.step} skipped: {error}; frames: {', '.join(batch.keys)}")
                continue
            done = batch.step + 1
            self._log.step(self._phase.name, done, losses, config.log_every)
            stop = self._agreed_stop()
            if done < total and (stop or done % config.save_every == 0):
                self.save(self._number, done)
            if stop:
                raise SystemExit(143)

    def save(self, phase: int, step: int) -> None:
        """Save the state from which step `step` of phase `phase` follows."""
        if self._fabric.is_global_zero:
            state = {"phase": phase, "step": step, "method": self._method.state()}
            self._checkpoints.save(self._done_before[phase] + step, state)
        self._fabric.barrier()

    def _agreed_stop(self) -> bool:
        stop = self._told_to_stop.is_set()
        if self._fabric.world_size > 1:
            stop = bool(self._fabric.all_reduce(torch.tensor(float(stop)), reduce_op="sum") > 0)
        return stop


def _prepared(folder: Path, phase: Phase) -> Path:
    """Return the phase's folder, prepared once: complete under its own name, or not there at all."""
    ready, part = folder / phase.name, folder / f".part-{phase.name}"
    if not ready.exists():
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        phase.prepare(part)
        os.sync()
        part.rename(ready)
    return ready


@contextmanager
def _step_randomness(seed: int, phase: int, step: int, fabric: Fabric) -> Iterator[None]:
    """Give dropout and the like numbers that depend on the step only, and leave the global generator as it was."""
    devices = [fabric.device] if fabric.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed_for(seed, "step", phase, step, fabric.global_rank))
        yield
