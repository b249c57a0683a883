"""Ready projects of the papers, on miniatures in the real layouts: init, check, adapt; what the user gives wins."""

import json
from pathlib import Path

import pytest

from frugalseg.cli.main import run
from frugalseg.core.classes import IGNORE
from frugalseg.data.labels import LabelReader
from frugalseg.training.preset import load_preset
from frugalseg.workflow import recipes
from frugalseg.workflow.catalog import METHODS
from frugalseg.workflow.project import Project

pytestmark = pytest.mark.slow

FOLDERS = ("gta5", "synthia", "cityscapes", "nthu", "bdd100k")
CHOICES = [  # recipe, frames of source, target and validation in the miniatures, classes
    ("gta5_to_cityscapes", (3, 4, 1), 19),
    ("synthia_to_cityscapes", (2, 4, 1), 16),
    ("synthia_to_cityscapes:13", (2, 4, 1), 13),
    ("cityscapes_to_nthu", (4, 18, 2), 13),
    ("cityscapes_to_nthu:Tokyo", (4, 18, 2), 13),
    ("gta5_to_bdd", (3, 2, 1), 19),
]
TINY = ("--network", "shuffle_lite", "--weights", "none", "--quiet")
STEP = {"steps": 1, "batch_size": 2, "height": 32, "width": 48, "zoom_min": 1.0, "zoom_max": 1.0}
OWN = {"rounds": 1, "discriminator_width": 4, "target_split": "train"}  # the miniatures have one frame to score on


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, miniatures) -> Path:
    root = tmp_path_factory.mktemp("data")
    for name in FOLDERS:
        getattr(miniatures, name)(root / name)
    return root


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def init(name: str, data: Path, *more: str) -> Project:
    assert run(["init", "project", "--recipe", name, "--data", str(data), *more]) == 0
    return Project.open(Path("project"))


def adapt(project: Project, method: str) -> int:
    fields = METHODS[method].load_config().model_fields
    tiny = {**STEP, **{key: value for key, value in OWN.items() if key in fields}}
    flags = [flag for key, value in tiny.items() for flag in ("--set", f"{key}={value}")]
    return run(["adapt", str(project.folder), "--method", method, "--quiet", *flags])


def test_every_recipe_is_tried_here() -> None:
    assert {name.partition(":")[0] for name, _, _ in CHOICES} == set(recipes.names())


@pytest.mark.parametrize(("name", "frames", "classes"), CHOICES)
def test_one_command_makes_a_project_that_holds_its_data(name: str, frames, classes: int, data: Path) -> None:
    project = init(name, data, "--quiet")
    manifests = [project.manifest(domain) for domain in ("source", "target", "validation")]
    assert tuple(map(len, manifests)) == frames
    assert len(project.classes) == classes
    for manifest in (manifests[0], manifests[2]):
        reader = LabelReader(manifest.classes, project.classes)
        assert all((reader.read(frame) != IGNORE).any() for frame in manifest)
    keys = {frame.key for frame in manifests[1]}
    assert not keys & {frame.key for frame in manifests[2]}, "what is learned from is not what is scored"
    assert (project.settings.network, project.settings.weights) == ("deeplabv2:resnet101", "hub")


@pytest.mark.parametrize("name", recipes.names())
def test_every_method_gets_settings_that_it_takes(name: str, data: Path) -> None:
    project = init(name, data, "--quiet")
    recipe = recipes.load(name)
    assert {path.stem for path in (project.folder / "settings").iterdir()} == set(METHODS)
    for method in METHODS:
        config = project.stage_config("method", method, None, [])
        expected = dict(recipe.settings.get(method, {}))
        for preset in recipe.presets.get(method, ())[:1]:
            expected = {**load_preset(preset).settings, **expected}
        assert expected and {key: getattr(config, key) for key in expected} == expected, method
        assert config.steps > 100 and config.height >= 500, "a paper's size, not the toy's"


@pytest.mark.parametrize("name", recipes.names())
def test_check_then_adapt(name: str, data: Path) -> None:
    project = init(name, data, *TINY)
    assert run(["check", "project", "--quiet"]) == 0
    assert adapt(project, "source_only") == 0
    assert adapt(project, project.settings.adapt_method) == 0
    config = project.list()[-1].config
    assert config["method"] == project.settings.adapt_method and config["steps"] == 1
    assert config["class_weighting"] == 0, "what was not set stays the paper's"


def test_what_is_given_wins_over_the_recipe(data: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(data / "synthia")
    given = (
        "--source",
        "synthia:elsewhere?classes=13",
        "--classes",
        "synthia13",
        "--adapt-method",
        "advent",
        "--quiet",
    )
    project = init("gta5_to_cityscapes", data, *given, "--network", "fcn8s:vgg16", "--weights", "none")
    assert project.settings.source == f"synthia:{tmp_path}/elsewhere?classes=13"
    assert (project.settings.adapt_method, project.settings.weights, len(project.classes)) == ("advent", None, 13)
    config = project.stage_config("method", "cbst", None, [])
    assert config.lr == load_preset("cbst_paper_vgg16").settings["lr"], "the preset that is made for this network"


def test_settings_that_are_there_already_stay_and_are_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init("gta5_to_cityscapes", data, "--quiet")
    mine = Path("project/settings/cbst.toml")
    mine.write_text("rounds = 7\n")
    capsys.readouterr()
    project = init("gta5_to_cityscapes", data, "--quiet")
    assert mine.read_text() == "rounds = 7\n" and project.stage_config("method", "cbst", None, []).rounds == 7
    assert "cbst.toml" in (said := capsys.readouterr().err) and "advent.toml" not in said


def test_nothing_is_written_by_a_dry_run(data: Path) -> None:
    assert run(["init", "project", "--recipe", "gta5_to_bdd", "--data", str(data), "--dry-run", "--json"]) == 0
    assert not Path("project").exists()


def test_missing_data_sets_are_named_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data" / "GTAV").mkdir(parents=True)
    assert run(["init", "project", "--recipe", "gta5_to_cityscapes", "--data", "data"]) == 2
    said = capsys.readouterr().err
    assert "looks there for gta5/ and cityscapes/" in said and "It holds: GTAV." in said
    assert "--source gta5:PATH" in said and "--target cityscapes:PATH?split=train" in said
    assert not Path("project").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--recipe", "gta_to_cityscapes", "--data", "."), "Did you mean 'gta5_to_cityscapes'"),
        (("--recipe", "cityscapes_to_nthu:Roma", "--data", "."), "Did you mean 'Rome'"),
        (("--recipe", "gta5_to_bdd:16", "--data", "."), "no variant of gta5_to_bdd named '16'"),
        (("--recipe", "gta5_to_bdd"), "needs --data FOLDER, the folder that holds gta5/ and bdd100k/"),
        (("--recipe", "gta5_to_bdd", "--data", "nowhere"), "There is no such folder"),
        (("--data", "."), "--data belongs to --recipe"),
        (("--recipe", "gta5_to_bdd", "--data", ".", "--checkpoint", "model"), "give one of them"),
    ],
)
def test_slips_are_told(arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "project", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_synthia_scores_both_sets_of_classes(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = init("synthia_to_cityscapes", data, *TINY)
    assert adapt(project, "source_only") == 0
    capsys.readouterr()
    assert run(["evaluate", "project", "--json", "--quiet", "--set", "drift_frames=0"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["iou"]) == 16 and set(found["subsets"]) == {"synthia13"}
