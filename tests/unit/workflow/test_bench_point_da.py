"""`bench point_da` on tiny worlds: the paper's rows, each asked what its K says, done once; 19, 16 and 13 classes."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from frugalseg.cli.main import run
from frugalseg.core.classes import IGNORE
from frugalseg.core.errors import ConfigError, StageOrderError
from frugalseg.core.records import Query
from frugalseg.core.table import read_records
from frugalseg.data.batches import PartialLabelFolder
from frugalseg.data.manifest import read_manifest, write_manifest
from frugalseg.data.toycity import write_dataset
from frugalseg.workflow.bench import BenchOptions
from frugalseg.workflow.bench_job import Ask, Job
from frugalseg.workflow.bench_point_da import point_da, read_cells
from frugalseg.workflow.project import PARTIAL, QUESTIONS, Project, init_project
from frugalseg.workflow.stage import Options

pytestmark = pytest.mark.slow

SIZE_HW = (32, 48)
QUIET = Options(quiet=True)
ROWS = ("self_training", "random", "active", "full_labeling")
TINY = {  # settings/NAME.toml: a network that asks after three steps, and cells of 8 x 6 pixels
    "source_only": "steps = 2\n",
    "cbst": "rounds = 1\nsteps = 1\n",
    "intrada": "steps = 1\ndiscriminator_width = 4\n",
    "point_da": "adv_weight = 1e-3\ndiscriminator_width = 4\n",
    "entropy_patches": "rows = 4\ncolumns = 4\npoints_per_cell = 3\n",
    "label": "wrong_rate = 0.5\n",
}
ONE_SEED = BenchOptions(
    seeds=(0,),
    jobs=0,
    allow_few=True,
    steps=1,
    grid=("2",),
    settings=(f"height={SIZE_HW[0]}", f"width={SIZE_HW[1]}", "batch_size=2"),
)


def write_settings(project: Project) -> Project:
    (project.folder / "settings").mkdir(exist_ok=True)
    for name, text in TINY.items():
        (project.folder / "settings" / f"{name}.toml").write_text(text)
    return project


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bench")
    for name, look, seed in (("source", "simulator", 1), ("target", "street", 2), ("validation", "street", 3)):
        write_dataset(root / name, look, seed, 3, 1, SIZE_HW)
    return root


@pytest.fixture(scope="module")
def compared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("compared") / "project"
    specs = {name: f"folder:{data / name}" for name in ("source", "target", "validation")}
    project = write_settings(init_project(folder, specs, None))
    point_da(project, ONE_SEED, QUIET)
    return project


def copy_of(project: Project, seed: int = 0) -> Project:
    return Project.open(project.folder / "bench" / f"seed-{seed}")


def rows(project: Project) -> dict:
    found = json.loads((project.folder / "bench-point_da.json").read_text(encoding="utf-8"))
    return {row["method"]: row for row in found["methods"]}


def answers_of(project: Project, row: str) -> tuple[Project, Path]:
    """Return the seed's copy and the folder of the answers that a row learned from."""
    (one,) = rows(project)[row]["runs"]
    copy = copy_of(project)
    return copy, copy.run(str(project.folder / one["stage"])).input("answers")


def test_the_papers_rows_stand_there_by_name_after_the_model_that_asks(compared: Project) -> None:
    assert list(rows(compared)) == ["cbst", "source_only", *ROWS, "active_2"]
    asked = {name: row["asked"] for name, row in rows(compared).items() if "asked" in row}
    assert {name: one["cells"] for name, one in asked.items()} == {
        "self_training": 0, "random": 10, "active": 10, "full_labeling": 16, "active_2": 2,
    }  # fmt: skip
    assert {name: one["points_a_frame"] for name, one in asked.items()} == {
        "self_training": 0, "random": 30, "active": 30, "full_labeling": 48, "active_2": 6,
    }  # fmt: skip
    assert asked["self_training"]["human_seconds"] == 0 < asked["active_2"]["human_seconds"]
    assert asked["full_labeling"]["wrong"] > 0, "the annotator's settings are the project's"


@pytest.mark.parametrize(("row", "cells"), [("random", 10), ("active", 10), ("full_labeling", 16), ("active_2", 2)])
def test_every_frame_gets_k_cells_with_n_points_in_each(compared: Project, row: str, cells: int) -> None:
    copy, answers = answers_of(compared, row)
    selection = copy.run(str(answers)).input("questions")
    by_frame: dict[str, Counter] = {}
    for query in read_records(selection / QUESTIONS, Query):
        by_frame.setdefault(query.key, Counter())[query.cell] += 1
    assert len(by_frame) == 3
    assert all(len(points) == cells and set(points.values()) == {3} for points in by_frame.values())
    strategy = "random_patches" if row == "random" else "entropy_patches"
    assert copy.run(str(selection)).name == f"select-{strategy}"


def test_self_training_asks_nobody_and_learns_pseudo_labels_everywhere(compared: Project) -> None:
    copy, answers = answers_of(compared, "self_training")
    assert copy.run(str(answers)).name == "unasked" and not copy.run(str(answers)).has_input("questions")
    for frame in copy.manifest("target"):
        assert (PartialLabelFolder(answers / PARTIAL)(frame)[0] == IGNORE).all()
    counts = {name: phases(compared, name) for name in ROWS}
    pixels = 3 * SIZE_HW[0] * SIZE_HW[1]
    assert sum(counts["self_training"]["machine_pixels"]) == pixels
    assert not any(counts["self_training"]["human_pixels"])
    assert not any(counts["full_labeling"]["machine_pixels"]), "without pseudo-labels (section 4.2)"
    assert sum(counts["active"]["machine_pixels"]) == pixels * 6 / 16


def phases(project: Project, row: str) -> dict:
    (one,) = rows(project)[row]["runs"]
    (summary,) = copy_of(project).run(str(project.folder / one["stage"])).extra["phases"].values()
    return summary


def test_all_rows_go_on_from_the_same_network_with_the_same_settings(compared: Project) -> None:
    trained = [run for run in copy_of(compared).list() if run.name == "retrain-point_da"]
    assert len(trained) == 5
    assert len({run.input("model") for run in trained}) == 1
    assert all(run.config == trained[0].config for run in trained)
    assert (trained[0].config["adv_weight"], trained[0].config["steps"]) == (1e-3, 1)


def stages(project: Project) -> dict[str, int]:
    return {
        str(path.relative_to(project.folder)): path.stat().st_mtime_ns
        for path in project.folder.rglob("runs/*/run.json")
    }


def test_again_is_a_no_op_and_what_is_missing_is_done_again_alone(compared: Project, tmp_path: Path) -> None:
    before = stages(compared)
    assert point_da(compared, ONE_SEED, QUIET).done_before
    assert stages(compared) == before
    project = Project.open(Path(shutil.copytree(compared.folder, tmp_path / "project")))
    (one,) = rows(project)["active_2"]["runs"]
    lost = copy_of(project).run(str(project.folder / one["stage"]))
    answers = copy_of(project).run(str(lost.input("answers")))
    for run_ in (lost, answers):
        shutil.rmtree(run_.folder)
    kept = stages(project)
    point_da(project, ONE_SEED, QUIET)
    new = [Path(name).parent.name.split("-", 1)[1].rpartition("-")[0] for name in stages(project).keys() - kept.keys()]
    assert all(stages(project)[name] == when for name, when in kept.items())
    new = sorted({*new} - {"bench-point_da"})  # made anew where a log says other seconds
    assert new == ["label", "retrain-point_da"], "the same network, whose score was there"


def test_the_files_tell_everything_and_need_nothing(compared: Project) -> None:
    page = (compared.folder / "bench-point_da.html").read_text(encoding="utf-8")
    text = (compared.folder / "bench-point_da.md").read_text(encoding="utf-8")
    for word in ("self_training", "full_labeling", "active_2", "active against random", "wrong_rate"):
        assert word in page and word in text, word
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")


def test_from_the_command_line_it_says_what_it_would_do(compared: Project, capsys) -> None:
    arguments = ["bench", "point_da", str(compared.folder), "--allow-few", "--seeds", "0", "--json", "--quiet"]
    assert run([*arguments, "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {name: row["cells"] for name, row in told["rows"].items()} == {
        **dict(zip(ROWS, (0, 10, 10, 16), strict=True)), "active_1": 1, "active_2": 2, "active_3": 3, "active_5": 5,
    }  # fmt: skip
    assert told["asks"] == "cbst" and told["rows"]["active"]["budget"] == "30points/image"
    assert told["settings"]["annotator"]["wrong_rate"] == 0.5
    assert run([*arguments, "--dry-run", "--methods", "advent"]) == 0
    assert json.loads(capsys.readouterr().out)["asks"] == "advent"


def test_what_cannot_be_compared_is_refused(compared: Project, tmp_path: Path) -> None:
    dry = Options(dry_run=True, quiet=True)
    for asked, message in (
        (BenchOptions(rounds=2), "--rounds: not for `bench point_da`"),
        (BenchOptions(methods=("cbst", "advent")), "one method adapts the network that asks"),
        (BenchOptions(grid=("17",)), "--grid 17: expected numbers of cells from 0 to 16"),
        (BenchOptions(grid=("0.2/0.1",)), "--grid 0.2/0.1"),
        (BenchOptions(seeds=(0,)), "--allow-few"),
    ):
        with pytest.raises(ConfigError, match=message):
            point_da(compared, asked, dry)
    project = Project.open(Path(shutil.copytree(compared.folder, tmp_path / "project")))
    (project.folder / "settings" / "entropy_patches.toml").write_text("rows = 2\ncolumns = 5\n")
    with pytest.raises(ConfigError, match="10 cells in a frame"):
        point_da(project, BenchOptions(), dry)
    target = project.folder / "manifests" / "target"
    manifest = read_manifest(target)
    write_manifest(target, type(manifest)("blind", tuple(map(unlabelled, manifest)), manifest.classes))
    with pytest.raises(StageOrderError, match="3 of 3 target frames have no label"):
        point_da(project, BenchOptions(), dry)


def unlabelled(frame):
    from dataclasses import replace

    return replace(frame, label=None)


def test_cells_are_the_papers_unless_given() -> None:
    assert read_cells((), 128) == (0, 1, 2, 3, 5, 10, 128)
    assert read_cells(("7", "0"), 128) == (0, 7, 10, 128)


def test_a_job_that_asks_survives_the_way_to_its_process() -> None:
    first = Job("cbst", "cbst", 3, "somewhere", ("lr=1.0",))
    ask = Ask("entropy_patches", "50points/image", ("rows=8",))
    for job in (
        Job("active", "point_da", 3, "somewhere", (), first, ask=ask),
        Job("k0", "point_da", 3, "x", (), first),
    ):
        assert Job.from_json(job.to_json()) == job


@pytest.mark.parametrize(
    ("recipe", "classes", "subsets"),
    [
        ("gta5_to_cityscapes", 19, {"synthia16", "synthia13"}),
        ("synthia_to_cityscapes", 16, {"synthia13"}),
        ("synthia_to_cityscapes:13", 13, set()),
    ],
)
def test_with_the_papers_classes(
    recipe: str, classes: int, subsets: set, tmp_path: Path, miniatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("gta5", "synthia", "cityscapes"):
        getattr(miniatures, name)(tmp_path / "data" / name)
    given = ("--recipe", recipe, "--data", "data", "--network", "shuffle_lite", "--weights", "none", "--quiet")
    assert run(["init", "project", *given]) == 0
    project = write_settings(Project.open(Path("project")))
    (project.folder / "settings" / "point_da.toml").write_text(
        'start = "pretrained"\nhuman_term = "merged"\nadv_weight = 1e-3\ndiscriminator_width = 4\n'
    )
    found = point_da(project, BenchOptions(**{**vars(ONE_SEED), "grid": ("0",)}), QUIET).found
    assert not found["failed"]
    by_name = {row["method"]: row for row in found["methods"]}
    assert list(by_name) == ["intrada", "source_only", *ROWS]
    for row in by_name.values():
        assert len(row["iou"]) == classes and 0 <= row["miou"] <= 1
        assert set(row["subsets"]) == subsets
