"""Whole images out to another tool and labels back: checked like a source's, every slip said at once, minutes kept."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from frugalseg.annotation.exchange.folder import FolderFormat
from frugalseg.cli.main import run
from frugalseg.core.classes import ClassSet
from frugalseg.core.codec import read_image, read_label_png
from frugalseg.core.errors import ConfigError, DataError, DataProblems, ReaderError, StageOrderError
from frugalseg.core.records import Answer, Provenance, Query, Verdict
from frugalseg.core.spec import Spec
from frugalseg.core.table import read_records
from frugalseg.data.labels import LabelReader
from frugalseg.data.readers import video
from frugalseg.data.toycity import CLASSES
from frugalseg.workflow.answered_exhibits import answered
from frugalseg.workflow.label import label
from frugalseg.workflow.people import open_store, prepare
from frugalseg.workflow.pricing import Prices
from frugalseg.workflow.project import ANSWERS, LEDGER, PARTIAL, QUESTIONS, Project
from frugalseg.workflow.report import report_stage
from frugalseg.workflow.select import select
from frugalseg.workflow.stage import Options
from frugalseg.workflow.status import next_command
from frugalseg.workflow.tasks import export_tasks, import_tasks

QUIET = Options(quiet=True)


@pytest.fixture
def asked(untrained: Callable[..., Project]) -> tuple[Project, Path, list[str]]:
    """A project that asks about three whole images."""
    project = untrained(frames=6)
    selection = select(project, "entropy_images", "3images", None, QUIET).where
    return project, selection, sorted(query.key for query in read_records(selection / QUESTIONS, Query))


def draw(project: Project, folder: Path, keys: list[str]) -> None:
    """Label frames as a careful person would."""
    target = project.manifest("target")
    reader = LabelReader(target.classes, project.classes)
    for key in keys:
        Image.fromarray(reader.read(target.by_key[key])).save(folder / "labels" / f"{key}.png")


def minutes(folder: Path, **by_key: str) -> None:
    rows = [f"{key},{text}" for key, text in by_key.items()]
    (folder / "minutes.csv").write_text("\n".join(["key,minutes", *rows]) + "\n")


def test_export_writes_the_frames_the_classes_and_a_table(asked, tmp_path: Path) -> None:
    project, selection, keys = asked
    assert next_command(project) == f"frugalseg tasks export {project.folder} FOLDER"
    told = export_tasks(project, None, "folder", tmp_path / "out", QUIET)
    assert told["frames"] == 3 and told["questions"] == str(selection)
    by_key = project.manifest("target").by_key
    assert sorted(path.stem for path in (tmp_path / "out" / "images").iterdir()) == keys
    for key in keys:
        assert (tmp_path / "out" / "images" / f"{key}.png").read_bytes() == Path(by_key[key].image).read_bytes()
    classes = ClassSet.from_toml(tmp_path / "out" / "classes.toml")
    assert classes.names == project.classes.names
    assert [entry.raw_ids for entry in classes.classes] == [(number,) for number in range(len(classes))]
    assert (tmp_path / "out" / "minutes.csv").read_text().split() == ["key,minutes", *(f"{key}," for key in keys)]
    with pytest.raises(DataError, match="there is something here already"):
        export_tasks(project, None, "folder", tmp_path / "out", QUIET)


def test_labels_come_back_with_the_minutes_that_they_took(asked, tmp_path: Path) -> None:
    project, _, keys = asked
    export_tasks(project, None, "folder", tmp_path / "out", QUIET)
    draw(project, tmp_path / "out", keys)
    minutes(tmp_path / "out", **dict(zip(keys, ("60", "", "40.5"), strict=True)))
    done = import_tasks(project, None, "folder", tmp_path / "out", QUIET, annotator="ann", minutes_each=50)
    answers = list(read_records(done.where / ANSWERS, Answer))
    assert [(a.verdict, a.annotator, a.seconds) for a in answers] == [
        (Verdict.MASK, "ann", seconds) for seconds in (3600, 3000, 2430)
    ]
    assert next_command(project) == f"frugalseg retrain {project.folder} --method mada"
    assert done.found["human_seconds"] == 9030 and not done.found["simulated"] and done.found["missing"] == []
    assert json.loads((done.where / LEDGER).read_text())["seconds"] == {"image": 9030}
    simulated = label(project, True, None, QUIET)
    for key in (frame.key for frame in project.manifest("target")):
        for kind in ("labels", "provenance"):
            name = Path(PARTIAL) / kind / f"{key}.png"
            assert np.array_equal(read_label_png(done.where / name), read_label_png(simulated.where / name)), key
    assert (read_label_png(done.where / PARTIAL / "provenance" / f"{keys[0]}.png") == Provenance.HUMAN_MASK).any()
    assert import_tasks(project, None, "folder", tmp_path / "out", QUIET, annotator="ann", minutes_each=50).done_before


def test_what_is_not_back_yet_may_follow(asked, tmp_path: Path) -> None:
    project, _, keys = asked
    export_tasks(project, None, "folder", tmp_path / "out", QUIET)
    with pytest.raises(ReaderError, match="no label of the 3 frames is here yet"):
        import_tasks(project, None, "folder", tmp_path / "out", QUIET, minutes_each=50)
    draw(project, tmp_path / "out", keys[:1])
    first = import_tasks(project, None, "folder", tmp_path / "out", QUIET, minutes_each=50)
    assert first.found["answers"] == 1 and first.found["missing"] == keys[1:]
    draw(project, tmp_path / "out", keys[1:])
    second = import_tasks(project, None, "folder", tmp_path / "out", QUIET, minutes_each=50)
    assert second.found["answers"] == 3 and second.where != first.where


def test_other_numbers_and_colours_are_read_by_the_folders_own_classes(asked, tmp_path: Path) -> None:
    project, _, keys = asked
    folder = tmp_path / "out"
    export_tasks(project, None, "folder", folder, QUIET)
    draw(project, folder, keys)
    plain = import_tasks(project, None, "folder", folder, QUIET, minutes_each=50)
    colors = np.vstack([project.classes.colors, np.zeros((256 - len(project.classes), 3), np.uint8)])
    text = (folder / "classes.toml").read_text() + "\n[label_colors]\n255 = [1, 2, 3]\n"
    colors[255] = (1, 2, 3)
    (folder / "classes.toml").write_text(text)
    for key in keys:
        path = folder / "labels" / f"{key}.png"
        Image.fromarray(colors[np.array(Image.open(path))]).save(path)
    told = import_tasks(project, None, "folder", folder, QUIET, minutes_each=50, label_kind="colors")
    for key in keys:
        name = Path(PARTIAL) / "labels" / f"{key}.png"
        assert np.array_equal(read_label_png(plain.where / name), read_label_png(told.where / name))


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_imported(asked, tmp_path: Path) -> None:
    project, _, keys = asked
    folder = tmp_path / "out"
    export_tasks(project, None, "folder", folder, QUIET)
    Image.fromarray(np.zeros((24, 64), np.uint8)).save(folder / "labels" / f"{keys[0]}.png")
    Image.fromarray(np.full((48, 64), 77, np.uint8)).save(folder / "labels" / f"{keys[1]}.png")
    Image.fromarray(np.full((48, 64), 255, np.uint8)).save(folder / "labels" / f"{keys[2]}.png")
    (folder / "labels" / "stranger.png").write_bytes(b"?")
    (folder / "labels" / "lossy.jpg").write_bytes(b"?")
    minutes(folder, **{keys[0]: "an hour", "stranger": "5"})
    before = len(project.list())
    with pytest.raises(DataProblems) as caught:
        import_tasks(project, None, "folder", folder, QUIET)
    text = str(caught.value)
    assert "8 problem(s)" in text and len(project.list()) == before
    for said in (
        "label is 24x64",
        "77",
        "no pixel has a class",
        "no frame 'stranger' was asked about. Check the name; expected one in minutes.csv",
        ".jpg is not read here",
        "took 'an hour' minutes",
        "how long did",
    ):
        assert said in text, said


def test_a_table_of_minutes_that_is_none_is_refused(asked, tmp_path: Path) -> None:
    project, _, keys = asked
    export_tasks(project, None, "folder", tmp_path / "out", QUIET)
    draw(project, tmp_path / "out", keys)
    (tmp_path / "out" / "minutes.csv").write_text("frame;time\n")
    with pytest.raises(DataProblems, match="expected the columns key, minutes"):
        import_tasks(project, None, "folder", tmp_path / "out", QUIET, minutes_each=50)
    with pytest.raises(ConfigError, match="is no time"):
        import_tasks(project, None, "folder", tmp_path / "out", QUIET, minutes_each=0)


def test_an_image_that_changed_since_it_was_listed_is_not_handed_out(asked, tmp_path: Path) -> None:
    project, _, keys = asked
    frames = project.manifest("target").by_key
    changed = replace(frames[keys[0]], sha256="0" * 64)
    with pytest.raises(DataError, match="changed since it was listed"):
        FolderFormat().write(tmp_path / "out", [changed], project.classes)


def test_of_a_video_the_frame_alone_is_handed_out(videos: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    videos.write(path)
    frames = video.read(Spec("video", str(path), {})).frames
    FolderFormat().write(tmp_path / "out", frames[5:7], CLASSES)
    written = sorted(file for file in (tmp_path / "out" / "images").rglob("*") if file.is_file())
    assert [file.suffix for file in written] == [".png"] * 2
    assert [videos.number_of(read_image(file)) for file in written] == [5, 6]
    with pytest.raises(DataError, match="changed since it was listed"):
        FolderFormat().write(tmp_path / "other", [replace(frames[0], sha256="0" * 64)], CLASSES)


def test_points_go_to_the_page_and_images_do_not(untrained, tmp_path: Path) -> None:
    project = untrained(frames=3)
    points = select(project, "margin", "2points/image", None, QUIET).where
    with pytest.raises(StageOrderError, match="single pixels, and people answer them on a page"):
        export_tasks(project, points, "folder", tmp_path / "out", QUIET)
    images = select(project, "entropy_images", "1images", None, QUIET).where
    store = open_store(project, None)
    with pytest.raises(StageOrderError, match="Hand the images out: frugalseg tasks export"):
        prepare(project, images, store, 0.1, 0.03, QUIET)
    store.close()


def test_measured_minutes_become_the_cost_of_an_image(asked, tmp_path: Path) -> None:
    project, _, keys = asked
    export_tasks(project, None, "folder", tmp_path / "out", QUIET)
    draw(project, tmp_path / "out", keys)
    import_tasks(project, None, "folder", tmp_path / "out", QUIET, minutes_each=20)
    assert Prices(project).common.facts["image_s"] == (3 * 1200 + 5 * 4500) / 8


def test_the_report_says_what_whole_frames_took(asked, tmp_path: Path) -> None:
    project, _, keys = asked
    export_tasks(project, None, "folder", tmp_path / "out", QUIET)
    draw(project, tmp_path / "out", keys)
    minutes(tmp_path / "out", **dict.fromkeys(keys, "10"))
    import_tasks(project, None, "folder", tmp_path / "out", QUIET)
    found = answered(project, project.list())
    assert found is not None and found.people == () and set(found.plan_s) == {"image"}
    (row,) = found.timed
    assert (row.kind, row.answers, row.median_s.value) == ("whole frame", 3, 600.0)
    assert (row.forecast_s, row.off) == (4500.0, pytest.approx(600 / 4500 - 1))
    assert found.plan_s["image"] == Prices(project).common.model.expected("image") < 4500
    html = (report_stage(project, QUIET).where / "report.html").read_text(encoding="utf-8")
    section = html[html.index('id="answered"') :].split("</section>")[0]
    assert "whole frame" in section and "Whole frames: as told" in section and "A pixel" not in section
    assert "Table of people" not in section


def test_from_the_command_line(asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project, _, keys = asked
    out = tmp_path / "out"
    assert run(["tasks", "export", str(project.folder), str(out), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 3
    draw(project, out, keys)
    assert run(["tasks", "import", str(project.folder), str(out), "--quiet"]) == 2
    assert "how long did" in capsys.readouterr().err
    assert run(["tasks", "import", str(project.folder), str(out), "--minutes", "30", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["human_seconds"] == 5400
    assert run(["tasks", "import", str(project.folder), str(out), "--format", "foldr", "--quiet"]) == 2
    assert "Did you mean 'folder'" in capsys.readouterr().err
