"""Cross-validation: every labelled frame is scored once, by a network that has not seen its sequence."""

import csv
import json

import numpy as np
import pytest

from frugalseg.cli.main import run
from frugalseg.core.errors import ConfigError, DataError
from frugalseg.core.table import read_records
from frugalseg.data.manifest import read_manifest
from frugalseg.evaluation.confusion import Confusions, scores
from frugalseg.evaluation.objects import Grouping, ObjectHits, object_scores
from frugalseg.workflow.bench import BenchOptions
from frugalseg.workflow.bench_folds import Plan, folds
from frugalseg.workflow.measure import OBJECTS
from frugalseg.workflow.project import CONFUSIONS, Project, init_project
from frugalseg.workflow.report import report_stage
from frugalseg.workflow.stage import Options

pytestmark = pytest.mark.slow

TINY = "height = 32\nwidth = 32\nbatch_size = 2\nsteps = 2\nlog_every = 1\n"
QUIET = Options(quiet=True)
ONE_SEED = BenchOptions(seeds=(3,), jobs=0, allow_few=True, folds=3)


@pytest.fixture(scope="module")
def project(miniatures, tmp_path_factory) -> Project:
    """KITTI in miniature: three labelled scenes."""
    root = tmp_path_factory.mktemp("folds")
    miniatures.kitti(root / "kitti")
    miniatures.kitti_multiview(root / "kitti")
    (root / "project" / "settings").mkdir(parents=True)
    (root / "project" / "settings" / "source_only.toml").write_text(TINY)
    spec = f"kitti:{root / 'kitti'}"
    opened = init_project(root / "project", {"source": f"{spec}?around=1", "target": spec}, "cityscapes19")
    folds(opened, ONE_SEED, QUIET)
    return opened


def table(project):
    return json.loads((project.folder / "bench-folds.json").read_text(encoding="utf-8"))


def copies(project):
    return [project.folder / "bench" / f"seed-3-fold-{fold}" for fold in range(3)]


def evaluations(project, method):
    found = []
    for copy in copies(project):
        opened = Project.open(copy)
        trained = next(one.folder for one in opened.list() if one.name == f"adapt-{method}")
        evaluated = [one for one in opened.list() if one.name == "evaluate"]
        (mine,) = [one for one in evaluated if one.input("model").resolve().is_relative_to(trained.resolve())]
        found.append(mine.folder)
    return found


def test_no_fold_learns_from_what_it_is_scored_on(project):
    for fold, copy in enumerate(copies(project)):
        learned, scored = (read_manifest(copy / "manifests" / domain) for domain in ("source", "validation"))
        assert [frame.key for frame in scored] == [f"{fold:06}_10"]
        assert [frame.key for frame in learned] == [f"{n:06}_10" for n in range(3) if n != fold]
        assert learned.labelled  # frames around them have no label and are not there


def test_scores_are_those_of_all_frames_together(project):
    found = table(project)
    assert [row["method"] for row in found["methods"]] == ["source_only"]
    for row in found["methods"]:
        merged = Confusions(19)
        hits = []
        for folder in evaluations(project, row["method"]):
            merged = merged.merge(Confusions.load(folder / CONFUSIONS))
            hits += read_records(folder / OBJECTS, ObjectHits)
        assert len(merged) == 3
        assert row["miou"] == pytest.approx(scores(merged.total()).miou)
        grouping = Grouping.of(project.manifest("source").classes, project.classes)
        expected = object_scores(merged.total(), hits, grouping)
        told = found["coarse_and_fine"][row["method"]]["3"]
        assert told["miiou"] == pytest.approx(expected.miiou)
        assert told["category_miou"] == pytest.approx(expected.category_miou)
        by_fold = found["by_fold"][row["method"]]["3"]
        assert len(by_fold) == 3 and all(0 <= score <= 1 for score in by_fold)


def test_who_is_where_is_recorded(project):
    (stage,) = [one for one in project.list() if one.name == "bench-folds"]
    with open(stage.folder / "folds.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["key"], row["sequence"], row["fold"]) for row in rows] == [
        ("000000_10", "000000", "0"),
        ("000001_10", "000001", "1"),
        ("000002_10", "000002", "2"),
    ]
    assert (project.folder / "bench-folds.md").read_text().count("fold 2") == 1


def test_the_same_again_does_nothing(project):
    before = {path: path.stat().st_mtime_ns for path in project.folder.rglob("run.json")}
    assert folds(project, ONE_SEED, QUIET).done_before
    assert {path: path.stat().st_mtime_ns for path in project.folder.rglob("run.json")} == before


def test_the_command_tells_its_plan_and_its_tables(project, capsys, monkeypatch):
    monkeypatch.chdir(project.folder.parent)
    arguments = ["bench", "folds", "project", "--folds", "3", "--seeds", "3"]
    assert run([*arguments, "--allow-few", "--jobs", "0", "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["folds"], planned["frames"]) == (3, [1, 1, 1])
    assert run([*arguments, "--allow-few", "--jobs", "0", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "source_only, seed" in out and "fold 2" in out


def test_methods_go_on_from_the_source_model_of_their_fold(project):
    plan = Plan(project, BenchOptions(methods=("minent",), seeds=(3,), allow_few=True, folds=3, steps=7))
    source, adapted = plan.jobs(3, 1)
    assert (source.name, source.after) == ("source_only/fold-1", None)
    assert (adapted.method, adapted.after) == ("minent", source)
    assert source.project == adapted.project == str(copies(project)[1].resolve())
    assert "steps=7" in source.overrides and {"steps=7", "start=checkpoint"} <= set(adapted.overrides)


def test_what_does_not_fit_is_refused(project, miniatures, tmp_path):
    with pytest.raises(DataError, match="4 folds of 3 sequences"):
        folds(project, BenchOptions(seeds=(0,), allow_few=True), QUIET)
    with pytest.raises(ConfigError, match="--grid: not for `bench folds`"):
        folds(project, BenchOptions(grid=("1",), seeds=(0,), allow_few=True), QUIET)
    with pytest.raises(ConfigError, match="1 seed"):
        folds(project, BenchOptions(seeds=(0,), folds=3), QUIET)
    miniatures.kitti(tmp_path / "kitti")
    spec = f"kitti:{tmp_path / 'kitti'}?labels=none"
    bare = init_project(tmp_path / "p", {"source": spec, "target": spec}, "cityscapes19")
    with pytest.raises(ConfigError, match="no source frame has a label"):
        folds(bare, BenchOptions(seeds=(0,), allow_few=True), QUIET)


def test_object_scores_of_one_evaluation_are_in_its_stage(project):
    opened = Project.open(copies(project)[0])
    (run_info, *_) = [one for one in opened.list() if one.name == "evaluate"]
    assert run_info.extra["objects"] == 1  # the car; the building's is not scored, the caravan no class
    assert set(run_info.extra["iiou"]) <= {"person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"}
    assert set(run_info.extra["category_iou"]) == set(class_names())
    assert np.isfinite(run_info.extra["category_miou"])
    page = (report_stage(opened, QUIET).where / "report.html").read_text(encoding="utf-8")
    told = page.partition('<section id="coarse">')[2].partition("</section>")[0]
    assert "IoU of each category" in told and all(f">{name}</th>" in told for name in (*class_names(), "car"))


def class_names():
    return ["flat", "construction", "object", "nature", "sky", "human", "vehicle"]
