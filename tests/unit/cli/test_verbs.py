"""Each verb turns flags into one workflow call and prints what came back; on a data set of a few tiny frames."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.cli.main import run
from frugalseg.core.classes import ClassSet, SemanticClass
from frugalseg.core.toml import read_toml

CLASSES = ClassSet(
    "tiny",
    tuple(SemanticClass(name, (80 * number, 9, 9), (number,)) for number, name in enumerate(("sky", "road", "tram"))),
    subsets={"frequent": ("sky", "road")},
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two labelled sets of two frames, and predictions of one that are right but for the last column."""
    for name in ("sim", "street"):
        for kind in ("images", "labels"):
            (tmp_path / name / kind).mkdir(parents=True)
        (tmp_path / name / "classes.toml").write_text(CLASSES.to_toml())
        for index in range(2):
            label = np.repeat(np.array([0, 1], np.uint8), 8)[:, None].repeat(20, 1)
            image = np.random.default_rng(index).integers(0, 255, (16, 20, 3), np.uint8)
            Image.fromarray(image).save(tmp_path / name / "images" / f"a_{index}.png")
            Image.fromarray(label).save(tmp_path / name / "labels" / f"a_{index}.png")
            label[:, -1] = 2
            (tmp_path / "predictions").mkdir(exist_ok=True)
            Image.fromarray(label).save(tmp_path / "predictions" / f"a_{index}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]):
    """Run a command line that must succeed and return the object it prints."""

    def call(*arguments: str) -> dict:
        code = run([*arguments, "--json"])
        out, err = capsys.readouterr()
        assert code == 0, err
        return json.loads(out)

    return call


@pytest.fixture
def project(world: Path, said) -> Path:
    said("init", "city", "--source", "folder:sim", "--target", "folder:street", "--validation", "folder:street?limit=1")
    return world / "city"


def test_a_papers_settings_lie_between_the_file_and_set(project: Path, said) -> None:
    (project / "settings").mkdir(exist_ok=True)
    (project / "settings" / "source_only.toml").write_text("lr = 0.5\nlog_every = 7\n")
    found = said(
        "adapt", "city", "--method", "source_only", "--dry-run", "--preset", "advent_paper", "--set", "steps=9"
    )
    config = found["config"]
    assert (config["lr"], config["log_every"], config["steps"]) == (2.5e-4, 7, 9)
    assert (config["optimizer"], config["width"], config["network"]) == ("sgd", 1024, "shuffle_lite")


def test_a_preset_for_another_network_says_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["adapt", "city", "--method", "source_only", "--dry-run", "--preset", "advent_paper"]) == 0
    assert "advent_paper is for deeplabv2:resnet101; this project's network is shuffle_lite" in capsys.readouterr().err
    assert run(["adapt", "city", "--preset", "advent"]) == 2
    assert "Did you mean 'advent_paper'?" in capsys.readouterr().err


def test_init_writes_a_project_that_does_not_depend_on_the_working_directory(world: Path, said) -> None:
    found = said("init", "city", "--source", "folder:sim", "--target", "folder:street?limit=1", "--budget", "2h")
    settings = read_toml(world / "city" / "project.toml")
    assert settings["source"] == f"folder:{world}/sim"
    assert settings["target"] == f"folder:{world}/street?limit=1"
    assert (settings["budget"], settings["name"]) == ("2h", "city")
    assert found["frames"] == {"source": 2, "target": 1}
    assert found["classes"] == ["sky", "road", "tram"]
    assert found["next"] == "frugalseg check city"


def test_init_again_changes_only_what_is_given(project: Path, said) -> None:
    before = read_toml(project / "project.toml")
    said("init", "city", "--control", "--seed", "7", "--weights", "trunk.pth", "--name", "true")
    after = read_toml(project / "project.toml")
    changed = {"control": True, "seed": 7, "weights": str(project.parent / "trunk.pth"), "name": "true"}
    assert after == before | changed
    said("init", "city", "--no-control", "--weights", "none")
    assert read_toml(project / "project.toml") == before | {"control": False, "seed": 7, "name": "true"}


def test_init_dry_run_checks_and_writes_nothing(world: Path, said, capsys) -> None:
    found = said("init", "city", "--target", "folder:street", "--dry-run")
    assert found["dry_run"] is True
    assert found["settings"]["strategy"] == "expected_gain"
    assert run(["init", "city", "--target", "folder:street", "--strategy", "entropy_patchs", "--dry-run"]) == 2
    assert "Did you mean 'entropy_patches'?" in capsys.readouterr().err
    assert not (world / "city").exists()


def test_status_of_a_new_project(project: Path, said, capsys) -> None:
    found = said("status", "city")
    assert found["data"] == {"source": 2, "target": 2, "validation": 1}
    assert (found["stages"], found["human_seconds"]) == ([], 0)
    assert run(["status", "city"]) == 0
    assert "Next: frugalseg check city" in capsys.readouterr().out


def test_a_checked_project_is_adapted_next(project: Path, said, capsys) -> None:
    assert run(["check", "city", "--quiet"]) == 0
    assert "Next: frugalseg adapt city --method cbst" in capsys.readouterr().out
    assert said("status", "city")["next"] == "frugalseg adapt city --method cbst"


def test_a_project_whose_folder_has_a_space_is_quoted_in_the_next_command(world: Path, said) -> None:
    assert said("init", "my city", "--target", "folder:street")["next"].startswith("frugalseg init 'my city' ")


def test_methods_lists_the_whole_catalog_and_the_settings_of_one(said, capsys) -> None:
    from frugalseg.workflow.catalog import TABLES

    assert {kind: list(table) for kind, table in said("methods").items()} == {k: list(t) for k, t in TABLES.items()}
    found = said("methods", "entropy_patches")
    rows = next(setting for setting in found["settings"] if setting["name"] == "rows")
    assert (found["kind"], rows["default"]) == ("selector", "8")
    assert rows["description"]
    assert run(["methods", "folder"]) == 0
    assert capsys.readouterr().out.startswith("reader folder: ")


def test_run_and_demo_tell_their_plan(project: Path, said) -> None:
    stages = said("run", "city", "--dry-run")["stages"]
    assert stages[0] == "adapt source_only"
    assert all(stages)
    found = said("demo", "toy", "--dry-run")
    assert found["frames"].keys() == {"source", "target", "validation"}
    assert not (project.parent / "toy").exists()


def test_adapt_passes_settings_on_and_refuses_unknown_ones(project: Path, said, capsys) -> None:
    Path("own.toml").write_text("steps = 7\nlr = 0.5\n")
    found = said("adapt", "city", "--method", "source_only", "--config", "own.toml", "--set", "steps=9", "--dry-run")
    assert (found["config"]["steps"], found["config"]["lr"]) == (9, 0.5)
    assert run(["adapt", "city", "--set", "stepps=9", "--set", "lr=-1", "--dry-run"]) == 2
    err = capsys.readouterr().err
    assert "Did you mean 'steps'?" in err
    assert "lr = -1" in err
    assert run(["adapt", "city", "--method", "point_da"]) == 2
    assert "frugalseg retrain" in capsys.readouterr().err
    assert run(["adapt", "city", "--start", "3"]) == 2
    assert "there is no stage '3'" in capsys.readouterr().err
    assert not (project / "runs").exists()


@pytest.mark.parametrize("verb", ["select", "label", "retrain", "evaluate"])
def test_a_stage_out_of_order_says_which_comes_first(project: Path, verb: str, capsys) -> None:
    assert run([verb, "city"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "is needed first. Run: frugalseg " in err


def test_evaluate_a_folder_of_predictions(world: Path, said, capsys) -> None:
    found = said("evaluate", "predictions", "--data", "folder:street")
    assert found["iou"] == {"sky": pytest.approx(0.95), "road": pytest.approx(0.95), "tram": 0.0}
    assert found["miou"] == pytest.approx(0.95)  # tram does not occur
    assert found["frames"] == 2
    assert run(["evaluate", "predictions", "--data", "folder:street"]) == 0
    assert "  sky    0.950" in capsys.readouterr().out


def test_evaluate_says_what_it_lacks_and_what_does_not_belong(project: Path, capsys) -> None:
    for arguments, message in [
        (["predictions"], "say what to score it on with --data SPEC"),
        (["predictions", "--data", "folder:street", "--model", "3"], "--model: not here"),
        (["city", "--classes", "x.toml"], "--classes: not here"),
    ]:
        assert run(["evaluate", *arguments]) == 2
        assert message in capsys.readouterr().err


@pytest.fixture
def model(world: Path) -> Path:
    from frugalseg.models.build import build
    from frugalseg.models.store import save_model

    extra = {"method": "source_only", "input_height": 32, "input_width": 32}
    save_model(world / "trained" / "model", build("shuffle_lite", CLASSES), extra)
    return world / "trained"


def test_predict_refuses_a_bad_image_by_name_and_goes_on(model: Path, said, capsys) -> None:
    Path("sim/images/broken.png").write_bytes(b"no image")
    assert run(["predict", "trained", "sim/images", "--out", "out", "--overlay", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["predicted"], list(found["refused"])) == (3, 2, ["sim/images/broken.png"])
    ids = np.array(Image.open("out/a_0.png"))
    assert ids.shape == (16, 20)
    assert ids.max() < 3
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "a_0.png", "a_0_overlay.png", "a_1.png", "a_1_overlay.png",
    ]  # fmt: skip
    assert run(["predict", "trained", "sim/images/broken.png", "--out", "out"]) == 2
    assert "broken.png" in capsys.readouterr().err
    assert said("predict", "trained/model", "sim/images", "--out", "dry", "--dry-run")["images"] == 3
    assert not Path("dry").exists()


def test_a_submission_has_the_servers_ids_and_names(world: Path, said, capsys) -> None:
    from frugalseg.data import class_sets
    from frugalseg.models.build import build
    from frugalseg.models.store import save_model

    classes = class_sets.load("cityscapes19_train_ids")
    save_model(world / "city" / "model", build("shuffle_lite", classes), {"input_height": 32, "input_width": 32})
    for name in ("berlin/berlin_000000_000019_leftImg8bit", "mainz/mainz_000001_000019_leftImg8bit", "mainz/mainz_x"):
        Path("test", name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((16, 20, 3), np.uint8)).save(f"test/{name}.png")
    assert run(["predict", "city", "test", "--out", "upload", "--submission", "cityscapes", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert list(found["refused"]) == ["test/mainz/mainz_x.png"]
    assert "expected names like berlin_000000_000019_leftImg8bit.png" in found["refused"]["test/mainz/mainz_x.png"]
    assert sorted(path.name for path in Path("upload").iterdir()) == [
        "berlin_000000_000019_pred_labelIds.png",
        "mainz_000001_000019_pred_labelIds.png",
    ]
    said("predict", "city", "test/berlin", "--out", "plain")
    ids = np.array(Image.open("plain/berlin_000000_000019_leftImg8bit.png"))
    raw = np.array(Image.open("upload/berlin_000000_000019_pred_labelIds.png"))
    assert np.array_equal(class_sets.load("cityscapes19").lookup[raw], ids)
    assert set(np.unique(raw)) <= {7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33}
    Path("kitti").mkdir()
    Image.fromarray(np.zeros((16, 20, 3), np.uint8)).save("kitti/000003_10.png")
    said("predict", "city", "kitti", "--out", "upload-kitti", "--submission", "kitti")
    assert [path.name for path in Path("upload-kitti").iterdir()] == ["000003_10.png"]


def test_a_submission_that_a_server_would_not_take_is_refused(model: Path, capsys) -> None:
    for arguments, message in [
        (["--submission", "cityscapes"], "predicts tram, which cityscapes19 does not have"),
        (["--submission", "citiscapes"], "Did you mean 'cityscapes'?"),
        (["--submission", "kitti", "--overlay"], "--overlay: not with --submission"),
    ]:
        assert run(["predict", "trained", "sim/images", "--out", "out", *arguments]) == 2
        assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_evaluate_a_checkpoint(model: Path, said) -> None:
    found = said("evaluate", "trained", "--data", "folder:street")
    assert found.keys() >= {"miou", "iou", "frames"}
    assert list(found["iou"]) == ["sky", "road", "tram"]
    assert said("evaluate", "trained", "--data", "folder:street", "--dry-run")["data"] == "folder:street"


def test_predict_with_a_project_says_to_take_one_of_its_stages(project: Path, capsys) -> None:
    assert run(["predict", "city", "sim/images", "--out", "out"]) == 2
    assert "give one of its trained stages" in capsys.readouterr().err
