"""`frugalseg init` over public layouts: class sets by name, and files that cannot be used."""

import json
from pathlib import Path

import pytest

from frugalseg.cli.main import run
from frugalseg.core.spec import Spec
from frugalseg.data.facts import Inspector
from frugalseg.data.summary import Summary, summarise
from frugalseg.workflow.project import Project


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, miniatures) -> Path:
    miniatures.gta5(tmp_path / "gta5")
    miniatures.cityscapes(tmp_path / "city")
    miniatures.camvid(tmp_path / "camvid")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(capsys, *arguments: str) -> tuple[int, str, str]:
    code = run(["init", "project", *arguments])
    return code, *capsys.readouterr()


def looked_at(project: Project, domain: str) -> Summary:
    manifest = project.manifest(domain)
    inspect = Inspector(manifest.classes, project.classes, images=False)
    return summarise(domain, manifest, [inspect(frame) for frame in manifest], project.classes)


def test_two_public_sets_meet_in_a_class_set_chosen_by_name(world, capsys) -> None:
    code, out, err = init(
        capsys, "--source", "camvid:camvid", "--target", "cityscapes:city", "--classes", "nthu13", "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    assert found["frames"] == {"source": 3, "target": 4}
    assert found["refused"] == {"source": [], "target": []}
    project = Project.open(world / "project")
    assert len(project.classes) == 13
    for domain, lost in (("source", 6), ("target", 6)):
        summary = looked_at(project, domain)
        assert summary.pixels_C.sum() == summary.frames * 16 * (24 - lost)  # a quarter of each label is no class
        assert summary.pixels_C[project.classes.index("road")] > 0


def test_without_a_choice_the_sources_classes_are_the_projects(world, capsys) -> None:
    assert init(capsys, "--source", "camvid:camvid", "--target", "cityscapes:city")[0] == 0
    project = Project.open(world / "project")
    assert project.classes.name == "camvid11"
    assert looked_at(project, "target").pixels_C.any()


def test_a_class_set_that_there_is_not(world, capsys) -> None:
    code, _, err = init(capsys, "--target", "cityscapes:city", "--classes", "cityscape19")
    assert code == 2
    assert (
        "cityscape19: there is no such file. There is no class set named 'cityscape19'. Did you mean 'cityscapes19'"
        in err
    )
    assert not (world / "project").exists()


def test_refused_files_are_named_and_the_rest_goes_on(world, capsys) -> None:
    for number in range(16, 22):
        (world / "gta5" / "images" / f"{number:05}.png").write_bytes(b"junk")
    (world / "gta5" / "images" / "z\x1b[2J.gif").write_bytes(b"junk")
    code, out, err = init(capsys, "--source", "gta5:gta5", "--target", "cityscapes:city")
    assert code == 0
    table = world / "project" / "manifests" / "source" / "refused.csv"
    assert f"source: 7 file(s) cannot be used and are left out; all stand in {table.relative_to(world)}" in err
    assert f"{world}/gta5/images/00016.png: no image of a format we accept" in err
    assert "… and 2 more" in err
    assert "target" not in err
    assert "source files refused" in out
    assert table.read_text().count("no image of a format") == 6
    assert len(Project.open(world / "project").manifest("source").refused) == 7
    code, out, err = init(capsys, "--json")
    reasons = {Path(entry["path"]).name: entry["reason"] for entry in json.loads(out)["refused"]["source"]}
    assert ".gif is not read here" in reasons["z\x1b[2J.gif"]
    assert "\x1b" not in err


def test_every_reader_of_the_table_is_offered_by_name(world, capsys) -> None:
    code, _, err = init(capsys, "--target", str(Spec("cityscape", "city")))
    assert code == 2
    assert "There is no reader named 'cityscape'. Did you mean 'cityscapes'?" in err
