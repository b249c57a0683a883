"""`bench propagation` on a toy city drive: honest halves, all rows on the same cases, gone on with, told on a page."""

import json
import shutil
from pathlib import Path

import pytest

from frugalseg.cli.main import run as cli
from frugalseg.core.errors import ConfigError, StageOrderError
from frugalseg.data.manifest import read_manifest
from frugalseg.data.toycity import CLASSES, write_dataset
from frugalseg.evaluation.carried import CarriedCounts
from frugalseg.models.build import build
from frugalseg.models.store import save_model
from frugalseg.propagation import train_sdc
from frugalseg.workflow import bench_propagation_unit
from frugalseg.workflow.bench import BenchOptions
from frugalseg.workflow.bench_propagation import Plan, propagation
from frugalseg.workflow.bench_propagation_unit import Unit, done
from frugalseg.workflow.project import Project, init_project
from frugalseg.workflow.stage import Options

QUIET = Options(quiet=True)
SIZE_HW, FRAMES = (48, 64), 20
SMALL = (
    "reach=3", "spacing=2", "gap=2", "block_frames=3", "channels=4", "batch_size=1", "crop_px=32", "cycles=1",
    "longest_cycle=2",
)  # fmt: skip
ASKED = BenchOptions(seeds=(0, 1), jobs=0, allow_few=True, settings=SMALL, steps=2, tau=(10.0, 60.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("propagation")
    write_dataset(root / "drive", "street", 0, 1, FRAMES, SIZE_HW)
    info = {"input_height": SIZE_HW[0], "input_width": SIZE_HW[1]}
    save_model(root / "model", build("shuffle_lite", CLASSES, seed=0), info)
    return root


@pytest.fixture(scope="module")
def project(folder: Path) -> Project:
    opened = init_project(folder / "project", {"target": f"folder:{folder / 'drive'}"}, None)
    propagation(opened, with_model(folder), QUIET)
    return opened


def with_model(folder: Path, **changes) -> BenchOptions:
    return BenchOptions(**{**vars(ASKED), "checkpoint": folder / "model", **changes})


def table(project: Project) -> dict:
    return json.loads((project.folder / "bench-propagation.json").read_text(encoding="utf-8"))


def test_every_row_is_scored_on_the_same_cases_of_both_halves(project: Project) -> None:
    found = table(project)
    names = [row["row"] for row in found["rows"]]
    assert names == [
        "warp",
        "semantic",
        *(f"warp_{kind}, tau {tau}" for kind in ("inpaint", "refine") for tau in (10, 60)),
    ]
    assert not any(row["failed"] for row in found["rows"])
    # halves of 10 frames, 3 on both sides: centres 3 and 5; so 4 cases a distance and half with one labelled frame
    for row in found["rows"]:
        assert row["anchors"]["1"]["cases"] == 2 * 4 * 3 and row["anchors"]["2"]["cases"] == 2 * 2 * 3
        assert list(row["anchors"]["1"]["miou"]) == ["1", "2", "3"]
    warp, semantic, *_ = (row["anchors"]["1"] for row in found["rows"])
    assert warp["gain"] is None and 0.5 < warp["mean"] < 1
    assert semantic["gain"]["value"] == pytest.approx(semantic["mean"] - warp["mean"])
    assert semantic["gain"]["low"] <= semantic["gain"]["value"] <= semantic["gain"]["high"] < 0
    refined = next(row["anchors"]["1"] for row in found["rows"] if row["row"] == "warp_refine, tau 10")
    assert list(refined["gain_over"]) == ["warp", "semantic", "warp_inpaint, tau 10"]
    for other in found["rows"]:
        if over := refined["gain_over"].get(other["row"]):
            assert over["mean"]["value"] == pytest.approx(refined["mean"] - other["anchors"]["1"]["mean"])
            assert over["2"]["value"] == pytest.approx(refined["miou"]["2"] - other["anchors"]["1"]["miou"]["2"])
            assert over["2"]["low"] <= over["2"]["value"] <= over["2"]["high"]
    assert refined["gain_over"]["warp"] == {**refined["gain_by_k"], "mean": refined["gain"]} and not warp["gain_over"]
    assert found["verdict"].startswith(("warp_inpaint", "warp_refine", "No method"))
    assert set(warp["class_iou"]) == {*CLASSES.names, "Ignore"}


def test_nothing_scored_is_learned_from(project: Project) -> None:
    seen: list[str] = []
    units = stages(project, "propagation-warp_refine")
    assert len(units) == 2 * 2 * 2  # parts, seeds, τ
    for run in units:
        part = run.config["scored_part"]
        scored = {case.target for case in CarriedCounts.load(run.folder).cases.values()}
        half = Unit("r", "warp_refine", part, 0, str(project.folder / "bench" / "propagation"), SMALL, None).half
        learned = {frame.index for piece in half.learned for frame in piece.frames}
        assert learned == (set(range(12, 20)) if part == 0 else set(range(8)))
        indices = {int(key[-5:]) for key in scored}
        assert min(abs(a - b) for a in indices for b in learned) > 2
        seen += scored
    assert {int(key[-5:]) for key in seen} == {0, 1, 2, 4, 5, 6, 7, 8, 3} | {
        n + 10 for n in (0, 1, 2, 3, 4, 5, 6, 7, 8)
    }


def stages(project: Project, name: str):
    copy = Project.open(project.folder / "bench" / "propagation")
    return [run for run in copy.list() if run.name == name]


def test_the_same_again_does_nothing_and_one_that_is_gone_is_done_again(project: Project, folder: Path) -> None:
    before = (project.folder / "bench-propagation.md").read_text(encoding="utf-8")
    again = propagation(project, with_model(folder), QUIET)
    assert again.done_before
    gone = stages(project, "propagation-warp_refine")[0].folder
    shutil.rmtree(gone)
    propagation(project, with_model(folder), QUIET)
    assert (project.folder / "bench-propagation.md").read_text(encoding="utf-8") == before
    assert len(stages(project, "propagation-warp_refine")) == 8


def test_a_unit_that_was_killed_while_scoring_does_not_learn_again(project: Project, folder: Path, monkeypatch) -> None:
    copy = str(project.folder / "bench" / "propagation")
    unit = Unit("r", "warp_refine", 0, 7, copy, (*SMALL, "steps=2"), None, str(folder / "model"))
    learned = []
    learn = bench_propagation_unit.learn_refiner
    monkeypatch.setattr(bench_propagation_unit, "learn_refiner", lambda *a: learned.append(1) or learn(*a))
    monkeypatch.setattr(bench_propagation_unit.Scorer, "run", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        bench_propagation_unit.work(unit)
    monkeypatch.undo()
    monkeypatch.setattr(bench_propagation_unit, "learn_refiner", lambda *a: learned.append(1))
    bench_propagation_unit.work(Unit.from_json(unit.to_json()))
    assert learned == [1] and done(unit) is not None


SDC = ("motion=sdc", "sdc_steps=0", "sdc_channels=4", "sdc_levels=1", "sdc_crop_px=32")


def test_learned_motion_has_seen_no_scored_frame_and_each_part_has_its_own(folder: Path, tmp_path, monkeypatch) -> None:
    opened = init_project(tmp_path / "project", {"target": f"folder:{folder / 'drive'}"}, None)
    seen: list[int] = []
    crops = train_sdc.crops

    def kept(neighbours, *rest):
        pairs = list(neighbours)
        seen.extend(int(picture.key[-5:]) for pair in pairs for picture in pair)
        return crops(pairs, *rest)

    monkeypatch.setattr(train_sdc, "crops", kept)
    monkeypatch.setattr(bench_propagation_unit.Scorer, "run", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    for part, learned in ((0, range(12, 20)), (1, range(8))):
        unit = Unit("r", "warp", part, 0, str(opened.folder), (*SMALL, *SDC), str(tmp_path / "flows"))
        with pytest.raises(KeyboardInterrupt):
            bench_propagation_unit.work(unit)
        assert set(seen) == set(learned)
        seen.clear()
    assert len(list((tmp_path / "flows").glob("sdc-*/sdc.json"))) == 2


def test_the_page_has_curve_tables_strip_and_the_worst(project: Project) -> None:
    page = (project.folder / "bench-propagation.html").read_text(encoding="utf-8")
    for heading in ("Scores with one labelled frame", "Gains with two, one on each side", "Class by class", "Ignore"):
        assert heading in page
    assert "warp_refine with one labelled frame" in page and "warp_refine, tau 10 minus semantic" in page
    assert "Where pixels come from" in page and "Frame by frame" in page and "Where it drifted" in page
    assert "<script" not in page and page.count("data:image") > 40
    assert "blocks of neighbouring targets" in page


def test_networks_are_cross_fitted_over_what_is_not_scored(project: Project, folder: Path) -> None:
    settings = project.folder / "settings"
    settings.mkdir(exist_ok=True)
    (settings / "source_only.toml").write_text("height = 32\nwidth = 32\nbatch_size = 2\nsteps = 1\nlog_every = 1\n")
    asked = with_model(
        folder, methods=("warp_refine",), folds=2, tau=(), seeds=(0,), settings=(*SMALL[:2], "gap=1", *SMALL[3:])
    )
    result = propagation(project, asked, QUIET)
    assert not result.found["failed"] and [row["row"] for row in result.found["rows"]] == ["warp", "warp_refine"]
    for part, scored, learned in ((0, range(10), range(11, 20)), (1, range(10, 20), range(9))):
        name = f"propagation-part-{part}"
        assert indices(project, name, "source") == indices(project, name, "target") == set(learned)
        assert indices(project, name, "validation") == set(scored)
        folds = [f"{name}-fold-{fold}" for fold in (0, 1)]
        assert set.union(*(indices(project, fold, "validation") for fold in folds)) == set(learned)
        for fold in folds:
            own, others = indices(project, fold, "validation"), indices(project, fold, "source")
            assert others < set(learned) and min(abs(a - b) for a in own for b in others) > 1
    (refined,) = [run for run in stages(project, "propagation-warp_refine") if run.has_input("fold-0")][:1]
    assert "propagation-part-0-fold-1" in str(refined.input("fold-1"))


def indices(project: Project, name: str, domain: str) -> set[int]:
    return {frame.index for frame in read_manifest(project.folder / "bench" / name / "manifests" / domain)}


def test_what_is_no_honest_comparison_is_refused(project: Project, folder: Path, tmp_path: Path) -> None:
    for changes, message in (
        ({"seeds": (0,), "allow_few": False}, "1 seed"),
        ({"settings": ("method=warp",)}, "method: the comparison decides this itself"),
        ({"settings": ("tau=20",)}, "tau stands in --set and in --tau"),
        ({"methods": ("cbst",)}, "Methods in it: warp, semantic, warp_inpaint, warp_refine"),
        ({"grid": ("x",)}, "--grid: not for `bench propagation`"),
    ):
        with pytest.raises(ConfigError, match=message):
            propagation(project, with_model(folder, **changes), QUIET)
    with pytest.raises(StageOrderError, match="Give --checkpoint MODEL"):
        propagation(project, with_model(folder, checkpoint=None), QUIET)
    own = init_project(tmp_path / "own", {name: f"folder:{folder / 'drive'}" for name in ("source", "target")}, None)
    with pytest.raises(ConfigError, match="20 frames of the video are source frames too"):
        Plan(own, with_model(folder))
    shutil.copytree(folder / "drive" / "images", tmp_path / "bare" / "images")
    shutil.copy(folder / "drive" / "classes.toml", tmp_path / "bare")
    bare = init_project(tmp_path / "none", {"target": f"folder:{tmp_path / 'bare'}"}, None)
    with pytest.raises(StageOrderError, match="no target frame has a label"):
        Plan(bare, with_model(folder))


def test_too_short_a_video_says_so_and_the_command_exits_with_2(folder: Path, project: Project, capsys) -> None:
    words = ["bench", "propagation", str(project.folder), "--methods", "warp", "--seeds", "0", "--allow-few"]
    assert cli([*words, "--jobs", "0", "--set", "reach=8", "--quiet", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert "Score fewer frames away" in found["failed"]["warp, part 0, seed 0"]
    assert cli([*words, "--dry-run", *(word for one in SMALL for word in ("--set", one)), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scored_frames"] == [10, 10] and told["learned_frames"] == [8, 8] and told["network"] is None
    assert cli([*words, "--tau", "0,1"]) == 2
    assert "--tau '0,1': expected different positive numbers" in capsys.readouterr().err
