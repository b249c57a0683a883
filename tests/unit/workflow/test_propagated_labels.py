"""`propagate`, then `retrain`: answers that were spread are found, learned, and left out where that is asked for."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from frugalseg.core.classes import IGNORE
from frugalseg.core.codec import read_label_png
from frugalseg.core.errors import ArtifactError, StageOrderError
from frugalseg.core.records import Query, QueryKind
from frugalseg.core.table import write_records
from frugalseg.data.toycity import CLASSES, write_dataset
from frugalseg.workflow.label import label
from frugalseg.workflow.project import MODEL, PARTIAL, QUESTIONS, Project, init_project
from frugalseg.workflow.propagate import propagate_project
from frugalseg.workflow.propagated_labels import propagation_of, read_propagated
from frugalseg.workflow.stage import Options, run_stage
from frugalseg.workflow.status import next_command

SIZE_HW, FRAMES = (48, 64), 5
QUIET = Options(quiet=True)
SMALL = ("steps=2", "batch_size=2", "height=32", "width=48", "save_every=2")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A video of which people labelled the middle frame, with a network that asked."""
    from frugalseg.models.build import build
    from frugalseg.models.store import save_model

    root = tmp_path_factory.mktemp("video")
    write_dataset(root / "video", "street", 0, 1, FRAMES, SIZE_HW)
    made = init_project(root / "project", {"target": f"folder:{root / 'video'}", "control_share": 0}, None)

    def train(folder: Path) -> dict:
        save_model(folder / MODEL, build("shuffle_lite", CLASSES, seed=0), {"input_height": 32, "input_width": 48})
        return {}

    model = run_stage(made, "import-model", {}, {}, train, QUIET).where
    key = made.manifest("target").frames[2].key

    def ask(folder: Path) -> dict:
        write_records(folder / QUESTIONS, [Query("q", key, QueryKind.IMAGE, "test", 0.0)], Query)
        return {}

    chosen = run_stage(made, "select-test", {"model": model / MODEL}, {}, ask, QUIET).where
    label(made, True, chosen, QUIET)
    return made


def answers(project: Project) -> Path:
    return project.latest(("label",), "", "").folder


def test_what_was_spread_is_learned_next(project: Project) -> None:
    found = propagate_project(project, None, None, 0, Options(overrides=("calibration_frames=0",), quiet=True)).found
    assert next_command(project) == f"frugalseg retrain {project.folder} --method point_da"
    assert not [name for name, value in found.items() if ".part-" in str(value)], "the folder has its name at the end"


def spread(project: Project, *settings: str) -> Path:
    return propagate_project(
        project, None, None, 0, Options(overrides=("calibration_frames=0", *settings), quiet=True)
    ).where


def test_the_newest_answers_go_to_the_frames_that_nobody_was_asked_about(project: Project) -> None:
    stage, frames = spread(project), project.manifest("target").frames
    assert {path.stem for path in (stage / "labels").iterdir()} == {
        frame.key for n, frame in enumerate(frames) if n != 2
    }
    found = read_propagated(stage)
    assert [found.steps.get(frame.key) for frame in frames] == [2, 1, None, 1, 2] and found.pictures is None
    assert read_propagated(spread(project, "joint=true", "anchors=1")).pictures is not None
    truth = read_label_png(Path(frames[1].label))
    known = (label_HW := read_label_png(stage / "labels" / f"{frames[1].key}.png")) != IGNORE
    assert (label_HW == truth)[known].mean() > 0.9


def test_a_stage_is_found_by_the_answers_it_spread(project: Project, tmp_path: Path) -> None:
    first, newest = spread(project), spread(project, "reach=3")
    assert propagation_of(project, answers(project), None) == newest
    assert propagation_of(project, answers(project), first) == first
    assert propagation_of(project, tmp_path, None) is None
    with pytest.raises(
        StageOrderError, match=r"not labels that were spread from the answers of elsewhere(.|\n)*frugalseg propagate"
    ):
        propagation_of(project, tmp_path / "elsewhere", first)
    with pytest.raises(StageOrderError, match="Give a propagate stage"):
        propagation_of(project, answers(project), answers(project))
    with pytest.raises(ArtifactError, match=r"frames.csv: not what `frugalseg propagate` writes"):
        read_propagated(tmp_path)


def test_retrain_learns_what_was_spread_and_says_so(project: Project, tiny_city: ModuleType, capsys) -> None:
    from frugalseg.models.store import load_model
    from frugalseg.workflow.train import retrain

    stage = spread(project)
    learn = Options(overrides=(*SMALL, "unlabelled=none", "align_weight=0.0", "propagated_steps=[1]"))
    together = retrain(project, "mada", None, None, learn, stage)
    assert f"learned too: {stage.name}" in capsys.readouterr().err
    run, tuning = project.run(str(together.where)), together.found["phases"]["fine_tuning"]
    assert run.input("propagated") == stage and (tuning["selected_frames"], tuning["propagated_frames"]) == (1, 2)
    alone = retrain(project, "mada", None, None, learn, alone=True)
    assert not project.run(str(alone.where)).has_input("propagated")
    assert "propagated_frames" not in alone.found["phases"]["fine_tuning"]
    one, other = (tiny_city.weights(load_model(done.where / MODEL)) for done in (alone, together))
    assert not tiny_city.same_weights(one, other)
    points = retrain(project, "point_da", None, None, Options(overrides=SMALL, quiet=True), stage)
    counts = points.found["phases"]["points"]
    spread_pixels = sum(int((read_label_png(path) != IGNORE).sum()) for path in (stage / "labels").iterdir())
    asked = read_label_png(answers(project) / PARTIAL / "labels" / f"{project.manifest('target').frames[2].key}.png")
    assert sum(counts["spread_pixels"]) == spread_pixels and sum(counts["human_pixels"]) == (asked != IGNORE).sum()
    assert not list(points.where.glob("points/confidence")) and np.isfinite(points.found["parameters"])


def test_on_the_command_line(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    from frugalseg.cli.main import run as cli

    stage = spread(project)
    command = ["retrain", str(project.folder), "--method", "mada", "--dry-run", "--json", "--quiet"]
    newest = propagation_of(project, answers(project), None)
    for flags, learned in (([], newest), (["--propagated", stage.name], stage), (["--propagated", "none"], None)):
        assert cli([*command, *flags]) == 0
        given = json.loads(capsys.readouterr().out)["inputs"].get("propagated")
        assert given == (None if learned is None else str(learned))
    assert cli([*command, "--propagated", answers(project).name]) == 2
    assert "not labels that were spread" in capsys.readouterr().err
