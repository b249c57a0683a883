"""Two rounds as a user runs them: planned, killed, resumed, answered by people; nothing is asked or done twice."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from frugalseg.cli.main import run
from frugalseg.core.codec import read_label_png
from frugalseg.core.records import Answer, Query, Verdict
from frugalseg.core.table import read_records
from frugalseg.data.toycity import write_dataset
from frugalseg.workflow.drawing import drawn
from frugalseg.workflow.project import Project
from frugalseg.workflow.rounds import chain, learned_from, own_series

SIZE_HW = (48, 64)
TINY = "height = 48\nwidth = 64\nbatch_size = 2\nsteps = 3\nlog_every = 1\nsave_every = 1\n"
POINTS, FRAMES = 20, 4
# Kills the process at the start of the second round's retraining; everything before it is finished.
KILLED = """
import os, signal, sys
from frugalseg.workflow import run as stages
original, calls = stages.retrain, []
def retrain(*arguments):
    calls.append(arguments)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)
stages.retrain = retrain
from frugalseg.cli.main import main
main(sys.argv[1:])
"""

MAIN = "import sys; from frugalseg.cli.main import main; main(sys.argv[1:])"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rounds")
    for name, look, seed in (("source", "simulator", 1), ("target", "street", 2), ("validation", "street", 3)):
        write_dataset(root / name, look, seed, FRAMES, 1, SIZE_HW)
    folder = root / "project"
    (folder / "settings").mkdir(parents=True)
    for method in ("source_only", "point_da"):
        (folder / "settings" / f"{method}.toml").write_text(TINY)
    specs = [part for name in ("source", "target", "validation") for part in (f"--{name}", f"folder:{root / name}")]
    rest = ["--adapt-method", "source_only", "--budget", f"{POINTS}points/image", "--quiet"]
    assert run(["init", str(folder), *specs, *rest]) == 0
    return folder


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    capsys.readouterr()
    assert run([*arguments, "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def stages(project: Path) -> list[str]:
    names = sorted(path.name for path in (project / "runs").iterdir() if not path.name.startswith("."))
    return [name.split("-", 1)[1].rsplit("-", 1)[0] for name in names]


@pytest.fixture(scope="module")
def planned_before(project: Path) -> dict:
    shown = subprocess.run(
        [sys.executable, "-c", MAIN, "plan", str(project), "--budget", "2min", "--json"],
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


@pytest.fixture(scope="module")
def after_kill(project: Path, planned_before: dict) -> list[str]:
    """The stages left by a run of two rounds that was killed in the second."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, "run", str(project), "--simulate", "--rounds", "2", "--quiet"]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    return stages(project)


@pytest.fixture(scope="module")
def finished(project: Path, after_kill: list[str]) -> list[str]:
    assert run(["run", str(project), "--simulate", "--rounds", "2", "--quiet"]) == 0
    return stages(project)


ROUND = ["select-expected_gain", "label", "retrain-point_da", "evaluate"]
START = ["check-source", "adapt-source_only", "evaluate"]


def test_the_same_command_goes_on_after_a_kill(after_kill, finished):
    assert after_kill == [*START, *ROUND, "select-expected_gain", "label"]
    assert finished == [*START, *ROUND, *ROUND, "report"]


def test_running_again_does_nothing_and_more_rounds_add_to_it(project, finished, capsys):
    found = output(capsys, "run", str(project), "--simulate", "--rounds", "2")
    assert stages(project) == finished
    assert [row["round"] for row in found["rounds"]] == [1, 2]
    planned = output(capsys, "run", str(project), "--rounds", "3", "--dry-run")["stages"]
    assert "round 3: retrain point_da" in planned


def test_nothing_is_asked_twice_and_a_tenth_is_the_control(project, finished):
    opened = Project.open(project)
    rounds = [run for run in opened.list() if run.name.startswith("select")]
    queries = [read_records(run.folder / "questions.parquet", Query) for run in rounds]
    pixels = [(query.key, query.point) for asked in queries for query in asked]
    assert len(pixels) == len(set(pixels)) == 2 * POINTS * FRAMES
    for selection, asked in zip(rounds, queries, strict=True):
        assert set(drawn(opened, selection.folder)) == {query.id for query in asked}
        assert Counter(query.strategy for query in asked) == {"expected_gain": 72, "random_points": 8}


def test_labels_hold_the_answers_of_both_rounds(project, finished):
    opened = Project.open(project)
    newest = own_series(opened)[-1].model
    labels = chain(learned_from(newest.folder))
    assert len(labels) == 2
    expected: dict[str, dict] = {}
    for run_ in labels:
        queries = {query.id: query for query in read_records(run_.input("questions") / "questions.parquet", Query)}
        for answer in read_records(run_.folder / "answers.parquet", Answer):
            query = queries[answer.query]
            if answer.verdict is Verdict.CLASS:
                expected.setdefault(query.key, {})[query.point.row, query.point.column] = answer.class_id
    for key, points in expected.items():
        label = read_label_png(labels[-1].folder / "partial" / "labels" / f"{key}.png")
        assert {pixel: int(label[pixel]) for pixel in points} == points
        assert (label != 255).sum() == len(points)


def test_each_round_goes_on_from_the_model_of_the_round_before(project, finished):
    series = own_series(Project.open(project))
    assert [scored.model.name for scored in series] == ["adapt-source_only", "retrain-point_da", "retrain-point_da"]
    assert [scored.model.input("model").parent for scored in series[1:]] == [one.model.folder for one in series[:2]]
    seconds = [scored.human_seconds for scored in series]
    given = [run.extra["human_seconds"] for run in Project.open(project).list() if run.name == "label"]
    assert seconds == pytest.approx([0, given[0], given[0] + given[1]])


def test_status_shows_the_rounds(project, finished, capsys):
    found = output(capsys, "status", str(project))
    assert [(row["round"], row["questions"], row["answers"]) for row in found["rounds"]] == [(1, 80, 80), (2, 80, 80)]
    assert all(row["miou"] is not None and row["human_seconds"] > 0 for row in found["rounds"])
    assert found["next"].startswith("frugalseg plan ")


def test_the_plan_knows_priors_before_and_measures_after(project, planned_before, finished, capsys):
    assert planned_before["cost"]["point_s"] == 3 and planned_before["forecast"] is None
    assert planned_before["device"]["round_s"] is None
    rows = {row["strategy"]: row for row in planned_before["strategies"]}
    # 120 s / 3 s, where a tenth is asked twice and 3 % are there to check people
    assert (rows["expected_gain"]["points"], rows["expected_gain"]["control_points"]) == (35, 4)
    assert rows["expected_gain"]["unnamed_share"] is None
    after = output(capsys, "plan", str(project), "--budget", "2min")
    measured = after["cost"]["measured"]  # no price of edges where hardly any was asked about
    assert sum(kind["answers"] for kind in measured.values()) in range(140, 161) and after["cost"]["simulated"]
    assert after["device"]["round_s"] > 0
    rows = {row["strategy"]: row for row in after["strategies"]}
    assert 0 <= rows["expected_gain"]["unnamed_share"] < 1 and 0 <= rows["random_points"]["edge_share"] <= 1
    forecast = after["forecast"]["next_hour"]
    assert after["forecast"]["rounds"] == 2 and forecast["low"] <= forecast["gain"] <= forecast["high"]
    assert after["advice"]


def test_the_report_tells_the_rounds(project, finished):
    text = (project / "report.html").read_text()
    for id_ in ("rounds", "selection-paid", "uncertain"):
        assert f'<section id="{id_}"' in text
    assert "round 2" in text


def test_without_simulation_it_stops_in_each_round_until_people_have_answered(project, finished, capsys):
    """People's answers come as a label stage; here the simulated one of another run stands in for them."""
    found = output(capsys, "run", str(project), "--rounds", "3")
    assert found["answers_due"].endswith(Project.open(project).list()[-2].folder.name)
    assert output(capsys, "status", str(project))["next"] == f"frugalseg label {project}"
    output(capsys, "label", str(project), "--simulate")
    found = output(capsys, "run", str(project), "--rounds", "3")
    assert "answers_due" not in found and [row["round"] for row in found["rounds"]] == [1, 2, 3]
