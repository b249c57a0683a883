import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric

from frugalseg.core.errors import TrainingError
from frugalseg.data.batches import DomainBatch
from frugalseg.training.checkpoint import CheckpointFolder
from frugalseg.training.learner import NonFiniteLoss
from frugalseg.training.loop import train
from frugalseg.training.method import Phase
from frugalseg.training.progress import TrainingLog
from frugalseg.training.schedule import poly
from frugalseg.training.settings import TrainConfig

STEPS = 6


class Batches:
    def stream(self, start: int, stop: int) -> Iterator[DomainBatch]:
        for step in range(start, stop):
            yield DomainBatch(step=step, keys=(f"frame_{step}", "other"))


class Recorder:
    """A method whose one weight depends on every step, rate, random number and phase folder it has seen.

    `before_step(phase, step)` is called before each step, and may raise or send signals.
    """

    def __init__(self, phases: int = 2, before_step: Callable[[int, int], object] = lambda phase, step: None) -> None:
        self.config = TrainConfig(steps=STEPS, save_every=2, log_every=1, seed=3, warm_up=0)
        self.weight, self.momentum = torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
        self.count, self.before_step = phases, before_step
        self.phase, self.factor, self.folder = 0, 0.0, Path()
        self.prepared: list[str] = []
        self.taken: list[tuple[int, int]] = []
        self.prepare_hook: Callable[[], object] = lambda: None

    def phases(self) -> list[Phase]:
        return [Phase(f"part-{number}", STEPS, self.open, self.prepare) for number in range(self.count)]

    def prepare(self, folder: Path) -> None:
        self.prepare_hook()
        self.prepared.append(folder.name)
        (folder / "weight.txt").write_text(repr(float(self.weight)))

    def open(self, folder: Path) -> Any:
        self.folder = folder
        return Batches()

    def begin(self, phase: int) -> None:
        self.phase = phase
        self.momentum = torch.zeros(1, dtype=torch.float64)

    def set_rate(self, factor: float) -> None:
        self.factor = factor

    def step(self, batch: DomainBatch) -> dict[str, float]:
        self.before_step(self.phase, batch.step)
        start = float((self.folder / "weight.txt").read_text())
        self.momentum = 0.9 * self.momentum + self.factor + torch.rand(1, dtype=torch.float64) + start
        self.weight = self.weight * 0.5 + self.momentum
        self.taken.append((self.phase, batch.step))
        return {"loss": float(self.weight)}

    def state(self) -> dict[str, Any]:
        return {"weight": self.weight, "momentum": self.momentum}

    def load_state(self, state: dict[str, Any]) -> None:
        self.weight, self.momentum = state["weight"].clone(), state["momentum"].clone()

    def finish(self) -> Any:
        return self.weight


def run(method: Recorder, folder: Path) -> float:
    fabric = Fabric(accelerator="cpu", devices=1)
    return float(train(method, folder, fabric, TrainingLog(folder / "log.jsonl", "test", quiet=True)))  # type: ignore[arg-type]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


class Once:
    """Calls `action` at the given steps, the first time each is reached."""

    def __init__(self, action: Callable[[], object], *steps: tuple[int, int], always: bool = False) -> None:
        self.action, self.steps, self.always = action, list(steps), always

    def __call__(self, phase: int, step: int) -> None:
        if (phase, step) in self.steps:
            if not self.always:
                self.steps.remove((phase, step))
            self.action()


def crash() -> None:
    raise RuntimeError("power cut")


def not_a_number(harmless: bool = True) -> Callable[[], None]:
    def act() -> None:
        raise NonFiniteLoss("the loss is nan", harmless)

    return act


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> float:
    """The weight after an uninterrupted run."""
    return run(Recorder(), tmp_path_factory.mktemp("clean"))


def test_all_steps_of_all_phases_in_order_each_prepared_once(tmp_path: Path) -> None:
    method = Recorder()
    run(method, tmp_path)
    assert method.taken == [(phase, step) for phase in range(2) for step in range(STEPS)]
    assert method.prepared == [".part-part-0", ".part-part-1"]
    assert not list(tmp_path.glob(".part-*"))
    assert [row["done"] for row in rows(tmp_path)] == list(range(1, 2 * STEPS + 1))


def test_rates_follow_the_schedule_of_each_phase(tmp_path: Path) -> None:
    method, rates = Recorder(), []
    method.before_step = lambda phase, step: rates.append(method.factor)
    run(method, tmp_path)
    assert rates == [poly(step, STEPS, 0.9) for step in range(STEPS)] * 2


def test_random_numbers_depend_on_the_step_only(tmp_path: Path, expected: float) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert run(Recorder(), tmp_path) == expected
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("at", [(0, 0), (0, 1), (0, 2), (0, 5), (1, 0), (1, 3), (1, 5)])
def test_a_crash_at_any_step_resumes_exactly(tmp_path: Path, expected: float, at: tuple[int, int]) -> None:
    with pytest.raises(RuntimeError, match="power cut"):
        run(Recorder(before_step=Once(crash, at)), tmp_path)
    second = Recorder()
    assert run(second, tmp_path) == expected
    assert len(second.taken) <= 2 * STEPS - (at[0] * STEPS + at[1]) + 1  # at most `save_every` - 1 steps again
    assert [name for name in second.prepared if name == ".part-part-0"] == []  # prepared before the crash


def test_a_crash_at_every_step_in_turn_still_ends_at_the_same_weights(tmp_path: Path, expected: float) -> None:
    crashes = Once(crash, *[(phase, step) for phase in range(2) for step in range(1, STEPS, 2)])
    for _ in range(6):
        with pytest.raises(RuntimeError):
            run(Recorder(before_step=crashes), tmp_path)
    assert run(Recorder(before_step=crashes), tmp_path) == expected


def test_a_crash_while_preparing_prepares_again_from_the_start(tmp_path: Path, expected: float) -> None:
    first = Recorder()
    first.prepare_hook = lambda: crash() if first.phase == 0 and first.taken else None  # in phase 1's preparation
    with pytest.raises(RuntimeError):
        run(first, tmp_path)
    (tmp_path / ".part-part-1" / "half_written").write_text("rubbish")
    second = Recorder()
    assert run(second, tmp_path) == expected
    assert second.taken == [(1, step) for step in range(STEPS)]
    assert not (tmp_path / "part-1" / "half_written").exists()


def test_a_finished_run_is_not_run_again(tmp_path: Path, expected: float) -> None:
    run(Recorder(), tmp_path)
    again = Recorder()
    assert run(again, tmp_path) == expected and again.taken == [] and again.prepared == []


def test_a_lost_phase_folder_is_an_error_in_the_middle_of_the_phase(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        run(Recorder(before_step=Once(crash, (0, 3))), tmp_path)
    (tmp_path / "part-0" / "weight.txt").unlink()
    (tmp_path / "part-0").rmdir()
    with pytest.raises(TrainingError, match="part-0 is missing.*step 2"):
        run(Recorder(), tmp_path)


# --- losses that are no numbers


def test_one_bad_step_is_skipped_and_noted(tmp_path: Path) -> None:
    method = Recorder(before_step=Once(not_a_number(), (0, 3), always=True))
    run(method, tmp_path)
    assert (0, 3) not in method.taken and len(method.taken) == 2 * STEPS - 1
    notes = [row["note"] for row in rows(tmp_path) if "note" in row]
    assert notes == ["step 3 not taken: the loss is nan; frames: frame_3, other"]


def test_two_bad_steps_in_a_row_roll_back_and_leave_no_trace(tmp_path: Path, expected: float) -> None:
    method = Recorder(before_step=Once(not_a_number(), (1, 4), (1, 5)))
    assert run(method, tmp_path) == expected
    assert method.taken[-4:] == [(1, 2), (1, 3), (1, 4), (1, 5)]
    assert [row["done"] for row in rows(tmp_path) if "done" in row][-2:] == [11, 12]
    assert any("back to step 4" in row.get("note", "") for row in rows(tmp_path))


def test_what_the_network_cannot_get_over_rolls_back_at_once(tmp_path: Path, expected: float) -> None:
    method = Recorder(before_step=Once(not_a_number(harmless=False), (1, 3)))
    assert run(method, tmp_path) == expected
    assert method.taken[-5:] == [(1, 2), (1, 2), (1, 3), (1, 4), (1, 5)]


def test_rolling_back_to_the_start_of_a_phase_starts_with_a_fresh_optimizer(tmp_path: Path, expected: float) -> None:
    method = Recorder(before_step=Once(not_a_number(), (1, 0), (1, 1)))
    assert run(method, tmp_path) == expected


def test_trouble_that_stays_stops_with_frames_and_seed(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as error:
        run(Recorder(before_step=Once(not_a_number(), (1, 3), (1, 4), always=True)), tmp_path)
    for part in ("phase 'part-1'", "step 4", "the loss is nan", "Seed 3", "frame_4, other", "Lower `lr`"):
        assert part in str(error.value)
    loaded = CheckpointFolder(tmp_path / "checkpoints").load()
    assert loaded is not None and loaded[1]["phase"] == 1  # the last good one is still there


def test_trouble_before_the_first_checkpoint_stops(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="diverged in phase 'part-0' at step 1"):
        run(Recorder(before_step=Once(not_a_number(), (0, 0), (0, 1))), tmp_path)


# --- SIGTERM


@pytest.mark.parametrize("at", [(0, 0), (0, 3), (0, STEPS - 1), (1, 2), (1, STEPS - 1)])
def test_sigterm_finishes_the_step_saves_and_exits_143(tmp_path: Path, expected: float, at: tuple[int, int]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    first = Recorder(before_step=Once(terminate, at))
    with pytest.raises(SystemExit) as left:
        run(first, tmp_path)
    assert left.value.code == 143
    assert first.taken[-1] == at  # the step was finished
    assert signal.getsignal(signal.SIGTERM) is before
    second = Recorder()
    assert run(second, tmp_path) == expected
    assert first.taken + second.taken == [(phase, step) for phase in range(2) for step in range(STEPS)]


def test_sigterm_while_preparing_leaves_at_once(tmp_path: Path, expected: float) -> None:
    first = Recorder()
    first.prepare_hook = terminate
    with pytest.raises(SystemExit) as left:
        run(first, tmp_path)
    assert left.value.code == 143 and first.prepared == []
    assert run(Recorder(), tmp_path) == expected


def test_the_loop_is_short_and_names_no_method() -> None:
    import frugalseg.training.loop as loop
    from frugalseg.workflow.catalog import METHODS

    text = Path(loop.__file__).read_text()
    assert len(text.splitlines()) < 200
    assert not [name for name in METHODS if re.search(rf"\b{name}\b", text)]
