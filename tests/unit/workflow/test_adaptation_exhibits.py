"""The report shows what adaptation wrote down, and what cannot be read any more costs a section, not the report."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from frugalseg.adaptation.intrada import RankedFrame
from frugalseg.core.classes import IGNORE
from frugalseg.core.table import read_records
from frugalseg.data.labels import LabelReader
from frugalseg.data.toycity import write_dataset
from frugalseg.workflow.adaptation_exhibits import adaptation_exhibits
from frugalseg.workflow.project import Project, init_project
from frugalseg.workflow.report import report_stage
from frugalseg.workflow.stage import Options
from frugalseg.workflow.train import adapt

pytestmark = pytest.mark.slow

SHORT = ("steps=1", "batch_size=2", "height=32", "width=48")
RANKED = (*SHORT, "discriminator_width=4", "start=checkpoint", "easy_ratio=0.6")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose network was adapted by IntraDA and by CBST-SP, a step each."""
    root = tmp_path_factory.mktemp("city")
    write_dataset(root / "source", "simulator", 1, 3, 1, (48, 64))
    write_dataset(root / "target", "street", 2, 5, 1, (48, 64), labels=False)
    specs = {name: f"folder:{root / name}" for name in ("source", "target")}
    project = init_project(root / "project", specs, None)
    start = adapt(project, "source_only", None, Options(overrides=SHORT, quiet=True)).where
    adapt(project, "intrada", start, Options(overrides=RANKED, quiet=True))
    adapt(project, "cbst_sp", start, Options(overrides=(*SHORT, "rounds=1"), quiet=True))
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy that may be damaged."""
    shutil.copytree(finished.folder, tmp_path / "project")
    return Project.open(tmp_path / "project")


def stage(project: Project, method: str) -> Path:
    return next(run.folder for run in project.list() if run.name == f"adapt-{method}")


def test_the_report_shows_both(project: Project) -> None:
    html = report_stage(project, Options(quiet=True)).where.joinpath("report.html").read_text(encoding="utf-8")
    assert '<section id="ranking"' in html and '<section id="priors"' in html
    assert stage(project, "intrada").name in html and stage(project, "cbst_sp").name in html


def test_the_ranking_is_the_one_on_disk(project: Project) -> None:
    shown = adaptation_exhibits(project, project.list()).ranking
    kept = read_records(stage(project, "intrada") / "intra" / "ranking.parquet", RankedFrame)
    assert shown.keys == tuple(frame.key for frame in kept) and len(kept) == 5
    assert shown.entropy_01_N.tolist() == [frame.entropy_01 for frame in kept]
    assert shown.easy == 3 and shown.images.keys() == {*shown.keys[:2], *shown.keys[-2:]}


def test_the_priors_follow_the_source(project: Project) -> None:
    shown = adaptation_exhibits(project, project.list()).priors
    manifest = project.manifest("source")
    reader = LabelReader(manifest.classes, project.classes)
    labels_FHW = np.stack([reader.read(frame) for frame in manifest])
    here = {int(number) for number in np.unique(labels_FHW)} - {IGNORE}
    assert {number for number, prior_hw in enumerate(shown.prior_Chw) if prior_hw.any()} == here
    assert shown.prior_Chw[sorted(here)].sum(axis=(1, 2)) == pytest.approx(1)


def test_damage_costs_a_section_and_says_so(project: Project) -> None:
    (stage(project, "cbst_sp") / "round-1" / "prior.npz").write_bytes(b"no arrays")
    target = project.manifest("target")
    hardest = adaptation_exhibits(project, project.list()).ranking.keys[-1]
    shutil.copy(target.by_key[hardest].image, kept := project.folder / "kept.png")
    try:
        Path(target.by_key[hardest].image).write_bytes(b"no image")
        found = adaptation_exhibits(project, project.list())
    finally:
        shutil.copy(kept, target.by_key[hardest].image)
    assert found.priors is None and hardest not in found.ranking.images and len(found.ranking.images) == 3
    reasons = dict(found.left_out)
    assert "prior.npz: these are no spatial priors" in reasons["Where the source shows each class"]
    assert f"Frame {hardest}" in reasons


def test_a_project_without_them_shows_nothing(project: Project) -> None:
    runs = [run for run in project.list() if run.name == "adapt-source_only"]
    found = adaptation_exhibits(project, runs)
    assert (found.ranking, found.priors, found.left_out) == (None, None, ())
