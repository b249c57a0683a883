"""A run killed at any moment resumes with the same command; on CPU the final weights are bit-identical."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).with_name("kill_worker.py")
# How many steps of the run had been saved when it was killed.
SAVED = {
    "forward": 2,  # the fifth pass is step 3's first
    "backward": 2,
    "after_backward": 2,
    "after_optimizer_step": 4,
    "before_the_second_step_of_round_2": 4,
    "save_before_fsync": 0,
    "save_after_fsync": 0,
    "save_before_rename": 0,
    "save_after_rename": 2,
    "second_save_before_rename": 4,
    "before_latest": 2,
    "end_of_round_1": 4,
    "among_the_first_pseudo_labels": 0,
    "among_the_second_pseudo_labels": 4,
    "pseudo_labels_before_rename": 4,
    "right_after_the_second_pseudo_labels": 4,
    "end_of_training": 8,
    "point_da_step": 2,
    "point_da_labels": 0,
    "mada_anchors": 4,
    "mada_anchors_follow": 6,
    "source_only_step": 2,
}


FEW = ("after_optimizer_step", "second_save_before_rename", "right_after_the_second_pseudo_labels", "sigterm")


def start(*arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, str(WORKER), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_at(points: Iterable[str], folder: Path) -> dict[str, dict[str, Any]]:
    process = start(str(folder), "kill", *points)
    output, errors = process.communicate(timeout=30000)
    assert process.returncode == 0, errors
    rows = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {row["label"]: row for row in rows}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return kill_at(FEW, tmp_path_factory.mktemp("few"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return kill_at([point for point in SAVED if point not in FEW], tmp_path_factory.mktemp("many"))


def check(results: dict[str, dict[str, Any]], point: str) -> None:
    row = results[point]
    clean = results[f"clean {row['method']}"]["second"]
    assert row["first"]["signal"] == signal.SIGKILL and row["first"]["weights"] is None
    newest = max((int(name.split("-")[1]) for name in row["checkpoints"]), default=0)
    assert newest == SAVED[point]
    assert row["second"]["exit"] == 0 and clean["exit"] == 0
    assert row["second"]["weights"] == clean["weights"] is not None


@pytest.mark.parametrize("point", [point for point in SAVED if point in FEW])
def test_killed_and_resumed_equals_uninterrupted(few: dict[str, dict[str, Any]], point: str) -> None:
    check(few, point)


@pytest.mark.slow
@pytest.mark.parametrize("point", [point for point in SAVED if point not in FEW])
def test_killed_anywhere_and_resumed_equals_uninterrupted(many: dict[str, dict[str, Any]], point: str) -> None:
    check(many, point)


def test_sigterm_saves_and_exits_with_143(few: dict[str, dict[str, Any]]) -> None:
    row = few["sigterm"]
    assert row["first"]["exit"] == 143
    assert row["checkpoints"][-1] == "step-00000003"  # between two regular saves
    assert row["second"]["weights"] == few["clean cbst"]["second"]["weights"]


@pytest.mark.slow
def test_the_same_command_after_kills_from_outside(tmp_path: Path) -> None:
    clean = start(str(tmp_path / "clean"), "run", "cbst")
    began_s = time.monotonic()
    expected, errors = clean.communicate(timeout=3000)
    assert clean.returncode == 0, errors
    run_s = time.monotonic() - began_s
    chance = random.Random(0)
    for _ in range(2):
        process = start(str(tmp_path / "killed"), "run", "cbst")
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        try:
            process.wait(timeout=chance.uniform(0.02, 0.3) * run_s)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
    last = start(str(tmp_path / "killed"), "run", "cbst")
    output, errors = last.communicate(timeout=3000)
    assert last.returncode == 0, errors
    assert output.splitlines()[-1] == expected.splitlines()[-1]
