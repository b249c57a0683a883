"""The whole loop as a user runs it: init, run, status, report, predict, on a small toy city."""

import json
from pathlib import Path

import pytest

from frugalseg.cli.main import run
from frugalseg.core.errors import StageOrderError
from frugalseg.data.toycity import write_dataset
from frugalseg.workflow.label import answered
from frugalseg.workflow.project import Project

SIZE_HW = (48, 64)
TINY = "height = 48\nwidth = 64\nbatch_size = 2\nsteps = 3\nlog_every = 1\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("loop")
    for name, look, seed in (("source", "simulator", 1), ("target", "street", 2), ("validation", "street", 3)):
        write_dataset(root / name, look, seed, 3, 1, SIZE_HW)
    folder = root / "project"
    (folder / "settings").mkdir(parents=True)
    for method, more in (("source_only", ""), ("cbst", "rounds = 2\n"), ("point_da", "")):
        (folder / "settings" / f"{method}.toml").write_text(TINY + more)
    specs = [part for name in ("source", "target", "validation") for part in (f"--{name}", f"folder:{root / name}")]
    assert run(["init", str(folder), *specs, "--budget", "10points/image", "--control", "--quiet"]) == 0
    assert run(["run", str(folder), "--simulate", "--quiet"]) == 0
    return folder


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    assert run([*arguments, "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def names(project: Path) -> list[str]:
    return sorted(path.name for path in (project / "runs").iterdir() if not path.name.startswith("."))


def test_every_stage_left_a_folder_and_nothing_half_done(project):
    stages = [name.split("-", 1)[1].rsplit("-", 1)[0] for name in names(project)]
    assert stages == [
        *("check-source", "adapt-source_only", "evaluate", "adapt-cbst", "evaluate"),
        *("select-expected_gain", "label", "retrain-point_da", "evaluate"),
        *("select-random_points", "label", "retrain-point_da", "evaluate", "report"),
    ]


def test_running_again_does_nothing(project, capsys):
    before = {name: (project / "runs" / name / "run.json").stat().st_mtime_ns for name in names(project)}
    found = output(capsys, "run", str(project), "--simulate")
    assert {name: (project / "runs" / name / "run.json").stat().st_mtime_ns for name in names(project)} == before
    assert {"source_only", "adapted", "retrained", "control", "report"} <= set(found)


def test_people_were_asked_what_the_budget_pays_and_their_time_is_counted(project, capsys):
    status = output(capsys, "status", str(project))
    answers = [
        json.loads((project / "runs" / name / "run.json").read_text()) for name in names(project) if "-label-" in name
    ]
    assert [run["found"]["answers"] for run in answers] == [30, 30]
    assert status["human_seconds"] == pytest.approx(sum(run["found"]["human_seconds"] for run in answers))
    assert all(30 * 3 <= run["found"]["human_seconds"] <= 30 * 6 for run in answers)


def test_the_report_stands_alone_and_names_the_stages(project):
    text = (project / "report.html").read_text()
    assert "<script" not in text
    assert all(name in text for name in names(project) if "-report-" not in name)


def test_a_changed_setting_makes_a_new_folder_and_keeps_the_old(project, capsys):
    before = names(project)
    output(capsys, "adapt", str(project), "--method", "source_only", "--set", "seed=7")
    assert [name for name in names(project) if name not in before][0].split("-", 1)[1].startswith("adapt-source_only")
    assert set(before) <= set(names(project))


def test_full_labels_are_the_ceiling_and_cost_hours(project, capsys):
    adapted = next(name for name in names(project) if "adapt-cbst" in name)
    from frugalseg.workflow.label import label
    from frugalseg.workflow.stage import Options
    from frugalseg.workflow.train import retrain

    opened = Project.open(project)
    answers = label(opened, True, None, Options(quiet=True), everything=True)
    assert answers.found["human_seconds"] == 3 * 4500
    trained = retrain(opened, None, project / "runs" / adapted, answers.where, Options(quiet=True))
    assert (trained.where / "model" / "model.safetensors").is_file()


def test_evaluate_and_predict_agree(project, capsys, tmp_path):
    model = next(project.glob("runs/*-adapt-cbst-*/model"))
    validation = project.parent / "validation"
    output(capsys, "predict", str(model), str(validation / "images"), "--out", str(tmp_path))
    from_folder = output(capsys, "evaluate", str(tmp_path), "--data", f"folder:{validation}")
    from_model = output(capsys, "evaluate", str(model), "--data", f"folder:{validation}")
    assert from_folder["miou"] == pytest.approx(from_model["miou"])
    assert from_folder["frames"] == from_model["frames"] == 3


def test_frames_that_came_after_the_answers_are_left_out_by_name(project, capsys):
    """A frame that was in quarantine while people answered has no partial label."""
    opened, target = Project.open(project), project / "manifests" / "target"
    first, *others = [frame.key for frame in opened.manifest("target")]
    (target / "quarantine.csv").write_text(f"key,reason\n{first},too dark\n")
    output(capsys, "label", str(project), "--simulate")
    (target / "quarantine.csv").unlink()
    assert run(["retrain", str(project), "--json", "--quiet"]) == 0
    said = capsys.readouterr().err
    assert f"1 of 3 target frames came, or were let in from quarantine, after {names(project)[-2]}: {first}." in said
    assert f"frugalseg select {project} && frugalseg label {project}, then retrain" in said
    answers = opened.latest(("label",), "answers", "label").folder
    frames = opened.manifest("target").frames
    assert [frame.key for frame in answered(opened, answers, frames)] == others
    with pytest.raises(StageOrderError, match=f"1 of 1 target frames .*: {first}. None is left"):
        answered(opened, answers, frames[:1])
