"""`propagate`: a video in, labels out; stopped and gone on with, damaged, in parallel, with a network."""

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frugalseg.cli.main import run as cli
from frugalseg.core.classes import IGNORE
from frugalseg.core.codec import read_image, read_label_png, write_label_png
from frugalseg.core.errors import ConfigError, DataError, StageOrderError, TrainingError
from frugalseg.core.records import PartialLabel, Provenance
from frugalseg.data import class_sets
from frugalseg.data.partial import write_partial
from frugalseg.data.toycity import CLASSES, write_dataset
from frugalseg.propagation import train_refine
from frugalseg.propagation.spread import ORIGINS
from frugalseg.workflow.project import init_project, read_spec
from frugalseg.workflow.propagate import propagate_project, propagate_video
from frugalseg.workflow.propagate_config import PropagateConfig
from frugalseg.workflow.propagate_files import opened_log, read_rows
from frugalseg.workflow.propagate_jobs import run_stretches
from frugalseg.workflow.propagate_plan import keeps_flows
from frugalseg.workflow.propagate_run import open_gaps
from frugalseg.workflow.propagate_unseen import EVERY, read_unseen
from frugalseg.workflow.stage import Options

SIZE_HW, FRAMES = (60, 80), 8
LABELLED = (0, 5)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drives of eight frames with a label on every frame."""
    folder = tmp_path_factory.mktemp("city") / "city"
    write_dataset(folder, "street", 0, 2, FRAMES, SIZE_HW)
    return folder


@pytest.fixture
def video(city: Path, tmp_path: Path) -> Path:
    """The same with labels on two frames of each drive."""
    folder = tmp_path / "video"
    shutil.copytree(city, folder)
    for path in (folder / "labels").iterdir():
        if int(path.stem[-5:]) not in LABELLED:
            path.unlink()
    return folder


def spread(
    video: Path, out: Path, *overrides: str, jobs: int = 0, labels: Path | None = None, checkpoint=None, unseen=None
):
    options = Options(overrides=overrides, quiet=True)
    return propagate_video(f"folder:{video}", labels, None, checkpoint, out, jobs, options, unseen)


def key(drive: int, index: int) -> str:
    return f"street0-{drive:03d}_{index:05d}"


def contents(out: Path) -> dict[str, bytes]:
    kinds = ("labels", "provenance", "origin", "confidence")
    return {str(path.relative_to(out)): path.read_bytes() for kind in kinds for path in sorted((out / kind).iterdir())}


def test_every_unlabelled_frame_gets_a_label_with_origin_and_confidence(
    city: Path, video: Path, tmp_path: Path
) -> None:
    found = spread(video, tmp_path / "out")
    assert (found["frames"], found["labelled"], found["spread"], found["unreached"]) == (16, 4, 12, 0)
    assert found["tracks_ended"] == {} and 0.5 < found["known"] < 1 and 0.3 < found["confidence"] < 1
    right, sure = [], []
    for drive in (0, 1):
        for index in set(range(FRAMES)) - set(LABELLED):
            label, provenance, origin, confidence = (
                read_label_png(tmp_path / "out" / kind / f"{key(drive, index)}.png")
                for kind in ("labels", "provenance", "origin", "confidence")
            )
            PartialLabel(key(drive, index), label, provenance)  # as training reads it
            truth = read_label_png(city / "labels" / f"{key(drive, index)}.png")
            assert ((origin == ORIGINS.index("nothing")) == (label == IGNORE)).all()
            known = label != IGNORE
            right.append((label == truth)[known].mean())
            sure.append(confidence[known & (label == truth)].mean() - confidence[known & (label != truth)].mean())
    assert np.mean(right) > 0.85 and min(sure) > 0
    assert {path.stem for path in (tmp_path / "out" / "labels").iterdir()} == {
        key(drive, index) for drive in (0, 1) for index in range(FRAMES) if index not in LABELLED
    }
    lines = (tmp_path / "out" / "frames.csv").read_text().splitlines()
    assert lines[0] == "key,before,before_k,after,after_k,known,confidence,accepted,points" and len(lines) == 13
    assert lines[1].startswith(f"{key(0, 1)},{key(0, 0)},1,{key(0, 5)},4,")
    assert {line.partition(",")[0] for line in lines[1:]} >= set(found["label_next"]) and found["label_next"]


def test_the_same_again_does_nothing_and_a_killed_run_ends_with_the_same_files(video: Path, tmp_path: Path) -> None:
    spread(video, tmp_path / "whole")
    spread(video, tmp_path / "killed")
    out, log = tmp_path / "killed", tmp_path / "killed" / "frames" / "0.jsonl"
    lines = log.read_text().splitlines()
    assert json.loads(lines[3])["key"] == key(0, 4)
    log.write_text("\n".join(lines[:3]) + "\n" + lines[3][:11])  # killed while the fourth line was written
    for index in (4, 6, 7):
        (out / "labels" / f"{key(0, index)}.png").unlink()
    untouched = {path: path.stat().st_mtime_ns for path in (out / "labels").iterdir()}
    time.sleep(0.02)
    found = spread(video, out)
    assert contents(out) == contents(tmp_path / "whole") and found["spread"] == 12
    assert all(path.stat().st_mtime_ns == then for path, then in untouched.items())
    assert (out / "frames.csv").read_text() == (tmp_path / "whole" / "frames.csv").read_text()


def test_gaps_that_are_done_are_not_looked_at_again() -> None:
    class Named:
        def __init__(self, key: str) -> None:
            self.key = key

    frames, labelled = [Named(letter) for letter in "abCdeFgh"], {"C", "F"}

    def left(done: str) -> str:
        return "".join(frame.key for frame in open_gaps(frames, labelled, set(done)))

    assert left("") == "abCdeFgh" and left("de") == "abCFgh" and left("d") == "abCdeFgh" and left("abdegh") == "CF"


def test_another_setting_or_another_label_is_refused_in_the_same_folder(video: Path, tmp_path: Path) -> None:
    spread(video, tmp_path / "out", "calibration_frames=0")
    with pytest.raises(ConfigError, match="holds labels made with other settings"):
        spread(video, tmp_path / "out", "calibration_frames=0", "reach=3")
    path = video / "labels" / f"{key(0, 0)}.png"
    write_label_png(path, np.zeros(SIZE_HW, np.uint8))
    with pytest.raises(ConfigError, match="holds labels made with other inputs"):
        spread(video, tmp_path / "out", "calibration_frames=0")


def test_a_missing_and_a_damaged_frame_end_the_track_and_are_named(video: Path, tmp_path: Path) -> None:
    (video / "images" / f"{key(0, 2)}.png").unlink()
    damaged = video / "images" / f"{key(1, 3)}.png"
    found_before = spread(video, tmp_path / "before", "calibration_frames=0")
    assert "00002 is missing" in found_before["tracks_ended"][key(0, 3)] or "2 is missing" in str(found_before)
    content = damaged.read_bytes()

    def break_after_listing() -> None:
        damaged.write_bytes(content[: len(content) // 2])

    break_after_listing()
    found = spread(video, tmp_path / "out", "calibration_frames=0")
    assert key(1, 4) in found["tracks_ended"] or key(1, 3) in found["tracks_ended"]
    for index in (1, 3, 4, 6, 7):
        assert (tmp_path / "out" / "labels" / f"{key(0, index)}.png").is_file()
    row = next(
        line for line in (tmp_path / "out" / "frames.csv").read_text().splitlines() if line.startswith(key(0, 1))
    )
    assert row.startswith(f"{key(0, 1)},{key(0, 0)},1,,,"), "nothing from over the gap"


def test_frames_of_no_video_are_refused_and_may_be_told_to_be_one(video: Path, tmp_path: Path) -> None:
    (tmp_path / "drive").mkdir()
    shutil.copy(video / "classes.toml", tmp_path / "drive")
    for kind in ("images", "labels"):
        (tmp_path / "drive" / kind).mkdir()
        for path in (video / kind).glob("*-000_*.png"):
            shutil.copy(path, tmp_path / "drive" / kind / path.name.rpartition("_")[2])
    with pytest.raises(DataError, match="none of the 2 labelled frames has a neighbour in a video"):
        spread(tmp_path / "drive", tmp_path / "a")
    options = Options(overrides=("calibration_frames=0",), quiet=True)
    spec = f"folder:{tmp_path / 'drive'}?sequence=folder"
    assert propagate_video(spec, None, None, None, tmp_path / "b", 1, options)["spread"] == 6


def test_nothing_labelled_strange_ids_and_no_class_list_are_refused_by_name(video: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(StageOrderError, match="empty: none of 16 frames has a label there"):
        spread(video, tmp_path / "a", labels=empty)
    write_label_png(empty / f"{key(0, 0)}.png", np.full(SIZE_HW, 77, np.uint8))
    with pytest.raises(DataError, match=rf"{key(0, 0)}.png: 4800 pixels hold ids that are no class, e.g. 77"):
        spread(video, tmp_path / "b", "calibration_frames=0", labels=empty)
    (video / "classes.toml").unlink()
    shutil.rmtree(video / "labels")
    with pytest.raises(ConfigError, match="no class list"):
        spread(video, tmp_path / "c")


def test_labels_may_lie_elsewhere(video: Path, city: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(city / "labels" / f"{key(1, 3)}.png", elsewhere)
    found = spread(video, tmp_path / "out", "calibration_frames=0", labels=elsewhere)
    assert (found["labelled"], found["spread"], found["unreached"]) == (1, 7, 8)
    assert found["confidence"] is None


def test_a_precision_keeps_the_surer_pixels_only(video: Path, tmp_path: Path) -> None:
    loose, strict = (spread(video, tmp_path / name, *more) for name, more in (("a", ()), ("b", ("precision=0.97",))))
    assert strict["accepted"] < strict["known"] == loose["known"] == loose["accepted"]
    one, other = (read_label_png(tmp_path / name / "labels" / f"{key(0, 2)}.png") for name in "ab")
    assert ((other == one) | (other == IGNORE)).all() and (other == IGNORE).sum() > (one == IGNORE).sum()
    with pytest.raises(DataError, match="no `precision`"):
        labels = tmp_path / "one"
        labels.mkdir()
        write_label_png(labels / f"{key(0, 0)}.png", np.full(SIZE_HW, 3, np.uint8))
        spread(video, tmp_path / "c", "precision=0.97", labels=labels)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from frugalseg.models.build import build
    from frugalseg.models.store import save_model

    folder = tmp_path_factory.mktemp("model")
    height, width = SIZE_HW
    save_model(folder, build("shuffle_lite", CLASSES, seed=0), {"input_height": height, "input_width": width})
    return folder


def test_a_network_fills_what_motion_cannot_and_a_second_one_mends(video: Path, model: Path, tmp_path: Path) -> None:
    inpainted = spread(video, tmp_path / "a", "method=warp_inpaint", "calibration_frames=1", checkpoint=model)
    assert inpainted["known"] > 0.99 and "nothing here tells" in inpainted["caution"]
    assert "nothing here tells" in (tmp_path / "a" / "propagate.html").read_text(encoding="utf-8")
    unseen = ("method=warp_inpaint", "calibration_frames=1")
    assert spread(video, tmp_path / "d", *unseen, checkpoint=model, unseen=model)["caution"] == ""
    origin = read_label_png(tmp_path / "a" / "origin" / f"{key(0, 7)}.png")
    assert (origin == ORIGINS.index("semantic")).any()
    small = ("steps=2", "channels=4", "batch_size=1", "crop_px=32", "cycles=1", "longest_cycle=2")
    refined = spread(video, tmp_path / "b", "method=warp_refine", "calibration_frames=1", *small, checkpoint=model)
    assert refined["spread"] == 12 and (tmp_path / "b" / "refiner" / "refine.safetensors").is_file()
    with pytest.raises(ConfigError, match="--checkpoint"):
        spread(video, tmp_path / "c", "method=warp_inpaint")


TINY = ("method=warp_refine", "calibration_frames=0", "steps=1", "channels=4", "batch_size=1", "crop_px=32", "cycles=1")


def test_in_cycles_guesses_a_network_that_has_not_seen_the_frame(
    video: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def drafts(pictures, labels, number, tools, spread, config, wanted):
        asked[pictures[number].key] = tools.semantic
        assert spread.recursion == "paper" and tools.refiner is None
        return make_drafts(pictures, labels, number, tools, spread, config, wanted)

    make_drafts = train_refine.make_drafts
    monkeypatch.setattr(train_refine, "make_drafts", drafts)
    shutil.copytree(model, tmp_path / "other")
    table = tmp_path / "unseen.csv"
    keys = [key(drive, index) for drive in (0, 1) for index in LABELLED]
    rows = [f"{one},{model if number % 2 else 'other'}" for number, one in enumerate(keys)]
    table.write_text("\n".join(["key,model", *rows]) + "\n")
    spread(
        video, tmp_path / "out", *TINY, "recursion=paper", "longest_cycle=1", "steps=12", checkpoint=model, unseen=table
    )
    assert list(asked) == keys and asked[keys[0]] is asked[keys[2]] is not asked[keys[1]]
    table.write_text("\n".join(["key,model", *rows[1:]]) + "\n")
    with pytest.raises(ConfigError, match=f"1 of 4 labelled frames have no network there, e.g. {keys[0]}"):
        spread(video, tmp_path / "b", *TINY, checkpoint=model, unseen=table)
    table.write_text("frame,network\na,b\n")
    with pytest.raises(ConfigError, match="columns key and model"):
        spread(video, tmp_path / "c", *TINY, checkpoint=model, unseen=table)
    with pytest.raises(ConfigError, match="warp asks none"):
        spread(video, tmp_path / "d", unseen=model)
    assert read_unseen(model) == {EVERY: str(model)}


def test_networks_whose_features_refinement_reads_are_of_one_kind(video: Path, model: Path, tmp_path: Path) -> None:
    from frugalseg.models.build import build
    from frugalseg.models.store import save_model

    height, width = SIZE_HW
    other = tmp_path / "other"
    other.mkdir()
    save_model(other, build("fcn8s:vgg11_fc32", CLASSES, seed=0), {"input_height": height, "input_width": width})
    with pytest.raises(ConfigError, match="it is fcn8s:vgg11_fc32, and the network.*is shuffle_lite.*deep=false"):
        spread(video, tmp_path / "a", *TINY, checkpoint=model, unseen=other)
    assert spread(video, tmp_path / "b", *TINY, "deep=false", checkpoint=model, unseen=other)["spread"] == 12


def test_a_network_of_other_classes_is_refused(video: Path, tmp_path: Path) -> None:
    from frugalseg.models.build import build
    from frugalseg.models.store import save_model

    other = class_sets.find("cityscapes19")
    save_model(tmp_path / "m", build("shuffle_lite", other, seed=0), {"input_height": 32, "input_width": 32})
    with pytest.raises(ConfigError, match="this network predicts"):
        spread(video, tmp_path / "a", "method=warp_inpaint", checkpoint=tmp_path / "m")


def test_the_page_beside_the_labels(video: Path, tmp_path: Path) -> None:
    found = spread(video, tmp_path / "out", "recursion=paper")
    page = (tmp_path / "out" / "propagate.html").read_text(encoding="utf-8")
    assert "12 frames got a label from 4 labelled ones" in page and "<script" not in page
    assert all(f"<h3>{one}</h3>" in page for one in found["label_next"])
    assert (
        "What to label next" in page
        and "doubt" in page
        and page.count("data:image") >= 4 * (4 + len(found["label_next"]))
    )
    rows = list(csv.DictReader((tmp_path / "out" / "frames.csv").read_text().splitlines()))
    near = [float(row["known"]) for row in rows if 1 in (int(row["before_k"] or 9), int(row["after_k"] or 9))]
    assert f"<td>{len(near)}</td><td>{100 * np.mean(near):.1f}</td>" in page.replace("\n", "")


@pytest.mark.slow
def test_processes_give_the_same_files_and_end_with_their_parent(video: Path, tmp_path: Path) -> None:
    spread(video, tmp_path / "here")
    spread(video, tmp_path / "apart", jobs=2)
    assert contents(tmp_path / "here") == contents(tmp_path / "apart")
    words = ["propagate", f"folder:{video}", "--out", str(tmp_path / "cut")]
    program = f"from frugalseg.cli.main import main; main({words!r})"
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "cut").glob("frames/*.log")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.terminate()
    assert process.wait(60) == 143
    spread(video, tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "here")


def test_a_stretch_that_fails_does_not_stop_the_next_of_its_process(video: Path, tmp_path: Path) -> None:
    write_label_png(video / "labels" / f"{key(0, 5)}.png", np.full(SIZE_HW, 99, np.uint8))
    with pytest.raises(DataError, match=rf"1 of 2 stretches failed:\n  {key(0, 0)} …: .*{key(0, 5)}"):
        spread(video, tmp_path / "out", "calibration_frames=0", jobs=1)
    done = {path.stem for path in (tmp_path / "out" / "labels").iterdir()}
    assert {key(1, index) for index in range(FRAMES) if index not in LABELLED} <= done
    assert key(0, 5) in (tmp_path / "out" / "frames" / "0.log").read_text()
    assert not (tmp_path / "out" / "frames" / "1.log").read_text()


def test_a_process_that_dies_is_told_for_its_stretch_and_another_takes_the_next(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    failed = run_stretches(tmp_path, [3, 4], 2, 1, Options(quiet=True))
    assert set(failed) == {3, 4}
    assert all("propagate.json" in why and f"exit code 1, see {tmp_path}" in why for why in failed.values())


@pytest.mark.parametrize(
    ("settings", "points", "kept"),
    [
        ({}, False, True),
        ({"calibration_frames": 0}, False, False),
        ({"calibration_frames": 0}, True, True),
        ({"calibration_frames": 0, "joint": True, "anchors": 1}, True, False),
        ({"calibration_frames": 0, "method": "warp_refine"}, False, True),
        ({"calibration_frames": 0, "motion": "sdc"}, False, True),
        ({"calibration_frames": 0, "cache": True}, False, True),
        ({"cache": False}, True, False),
    ],
)
def test_flows_are_kept_where_they_are_needed_again(tmp_path: Path, settings, points: bool, kept: bool) -> None:
    if points:
        (tmp_path / "provenance").mkdir()
    assert keeps_flows(PropagateConfig(**settings), tmp_path / "labels") is kept


def test_what_is_done_has_its_row_when_work_ends_for_whatever_reason(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "7.jsonl").write_text('{"key": "a"}\n{"key": "b')  # cut off by a kill
    with pytest.raises(DataError), opened_log(tmp_path, 7) as log:
        for one in ("b", "deep/c"):
            log.write(one, {"labels": np.eye(3, dtype=np.uint8)})
            log.add({"key": one})
        raise DataError("a label that does not fit")
    assert read_rows(tmp_path, 7) == [{"key": one} for one in ("a", "b", "deep/c")]
    assert (read_label_png(tmp_path / "labels" / "deep" / "c.png") == np.eye(3)).all()


def test_a_frame_whose_file_cannot_be_written_stops_the_work_and_has_no_row(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "labels").write_text("in the way of a folder")
    with pytest.raises(OSError), opened_log(tmp_path, 0) as log:
        log.write("a", {"origin": np.eye(3, dtype=np.uint8)})
        log.add({"key": "a"})
        log.settle()
        log.write("b", {"labels": np.eye(3, dtype=np.uint8)})
        log.add({"key": "b"})
        log.settle()
    assert read_rows(tmp_path, 0) == [{"key": "a"}]


def test_on_the_command_line(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--jobs", "0", "--set", "calibration_frames=0", "--json", "--quiet"]
    assert cli(["propagate", f"folder:{video}", "--out", str(tmp_path / "out"), "--dry-run", *flags]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["dry_run"] and (said["frames"], said["labelled"], said["stretches"]) == (16, 4, 2)
    assert not (tmp_path / "out").exists()
    assert cli(["propagate", f"folder:{video}", "--out", str(tmp_path / "out"), "--anchors", "1", *flags]) == 0
    assert json.loads(capsys.readouterr().out)["spread"] == 12
    assert cli(["propagate", f"folder:{video}"]) == 2
    assert "--out DIR" in capsys.readouterr().err


def test_in_a_project_it_is_a_stage(city: Path, video: Path, tmp_path: Path) -> None:
    project = init_project(tmp_path / "project", {"source": f"folder:{city}", "target": f"folder:{video}"}, None)
    options = Options(overrides=("calibration_frames=0", "cache=true"), quiet=True)
    with pytest.raises(StageOrderError, match="frugalseg label"):
        propagate_project(project, None, None, 0, options)
    result = propagate_project(project, video / "labels", None, 0, options)
    assert result.where.name.startswith("0001-propagate-warp-") and result.found["spread"] == 12
    assert read_label_png(result.where / "labels" / f"{key(1, 3)}.png").shape == SIZE_HW
    assert list((project.folder / "cache" / "flows").iterdir()) and not (result.where / "flows").exists()
    assert propagate_project(project, video / "labels", None, 0, options).done_before


def spread_file(path: Path, labelled: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], **labels):
    """Spread class 1 from some frames of a video file; return keys, what is found, and what is said."""
    frames = read_spec(f"video:{path}").frames
    for number in labelled:
        size_HW = (frames[number].height, frames[number].width)
        write_label_png_at(tmp_path / "labels" / f"{frames[number].key}.png", np.full(size_HW, 1, np.uint8))
    options = Options(overrides=("calibration_frames=0", *labels.get("settings", ())))
    found = propagate_video(f"video:{path}", tmp_path / "labels", CLASSES, None, tmp_path / "out", 0, options)
    return [frame.key for frame in frames], found, capsys.readouterr().err


def test_a_video_that_was_cut_off_is_spread_as_far_as_it_goes_and_that_is_said(videos, tmp_path: Path, capsys) -> None:
    path = videos.write(tmp_path / "a.mp4", options=videos.BFRAMES, container={"movflags": "faststart"})
    videos.cut(path, 0.6)
    keys, found, said = spread_file(path, (0,), tmp_path, capsys, settings=("cut_share=0.0", "reach=40"))
    assert 3 < len(keys) < 35 and found["spread"] == len(keys) - 1
    assert len(found["left_out"]) == 2 and "the file was cut off: it lists 40 frames" in found["left_out"][-1]
    assert all(f"left out: {text}" in said for text in found["left_out"])


def test_a_damaged_frame_inside_a_video_ends_the_track_there(videos, tmp_path: Path, capsys) -> None:
    jpegs = {"codec": "mjpeg", "pixels": "yuvj444p", "tick": videos.TICK, "times": tuple(range(7))}
    path = videos.spoil(videos.write(tmp_path / "a.avi", **jpegs), 3)
    keys, found, said = spread_file(path, (0,), tmp_path, capsys, settings=("cut_share=0.0",))
    assert len(keys) == 6 and (found["spread"], found["unreached"]) == (2, 3)
    assert "1 of 7 frames are damaged" in found["left_out"][0]
    assert "frame 3 is missing" in found["tracks_ended"][keys[3]] and f"{keys[3]}: a new track begins" in said


def test_a_change_of_size_inside_a_video_ends_the_track_there(videos, tmp_path: Path, capsys) -> None:
    path = videos.write_size_change(tmp_path / "a.avi")
    keys, found, said = spread_file(path, (0,), tmp_path, capsys, settings=("cut_share=0.0",))
    assert len(keys) == 6 and (found["spread"], found["unreached"]) == (2, 3)
    assert "the size changes from 48x64 to 64x80" in found["tracks_ended"][keys[3]] and "a new track begins" in said


def test_no_label_crosses_a_scene_cut_from_either_side(city: Path, tmp_path: Path) -> None:
    film = tmp_path / "film"
    for kind in ("images", "labels"):
        (film / kind).mkdir(parents=True)
    shutil.copy(city / "classes.toml", film)
    other = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)  # another scene: large flat patches
    scene = Image.fromarray(other).resize(SIZE_HW[::-1], Image.Resampling.NEAREST)
    for number in range(8):
        image = film / "images" / f"film_{number:05d}.png"
        if number < 4:
            shutil.copy(city / "images" / f"{key(0, number)}.png", image)
        else:
            scene.save(image)
    shutil.copy(city / "labels" / f"{key(0, 0)}.png", film / "labels" / "film_00000.png")
    write_label_png(film / "labels" / "film_00007.png", np.full(SIZE_HW, 2, np.uint8))
    found = spread(film, tmp_path / "out", "calibration_frames=0")
    assert "a scene cut" in found["tracks_ended"]["film_00004"] and found["spread"] == 6
    rows = {row.split(",")[0]: row.split(",") for row in (tmp_path / "out" / "frames.csv").read_text().splitlines()[1:]}
    assert {rows[f"film_{n:05d}"][1] + rows[f"film_{n:05d}"][3] for n in (1, 2, 3)} == {"film_00000"}
    assert {rows[f"film_{n:05d}"][1] + rows[f"film_{n:05d}"][3] for n in (4, 5, 6)} == {"film_00007"}


SMALL_SDC = ("motion=sdc", "sdc_steps=2", "sdc_channels=4", "sdc_levels=2", "sdc_crop_px=32", "sdc_pairs=3")


def test_motion_is_learned_on_the_video_once_and_can_be_used_again(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = spread(video, out, "calibration_frames=1", *SMALL_SDC)
    assert (found["spread"], found["tracks_ended"]) == (12, {})
    (weights,) = (out / "flows").glob("sdc-*/sdc.safetensors")
    before = (weights.read_bytes(), weights.stat().st_mtime_ns, contents(out))
    shutil.rmtree(out / "labels")
    (out / "frames" / "0.jsonl").unlink()
    (out / "frames" / "1.jsonl").unlink()
    spread(video, out, "calibration_frames=1", *SMALL_SDC)
    assert (weights.read_bytes(), weights.stat().st_mtime_ns, contents(out)) == before
    spread(video, tmp_path / "kept", "calibration_frames=1", "cache=false", *SMALL_SDC)
    assert (tmp_path / "kept" / "sdc" / "sdc.safetensors").read_bytes() == before[0]
    given = f"sdc_weights={weights.parent}"
    spread(video, tmp_path / "again", "calibration_frames=1", *SMALL_SDC, given)
    assert contents(tmp_path / "again") == before[2] and not list((tmp_path / "again" / "flows").glob("sdc-*"))


def test_a_video_of_scene_cuts_alone_has_no_motion_to_learn(video: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no two neighbouring frames"):
        spread(video, tmp_path / "out", "calibration_frames=0", "cut_share=1.0", *SMALL_SDC)


def test_a_video_file_and_labels_beside_it(videos, tmp_path: Path) -> None:
    path = videos.write(tmp_path / "drive.mp4", times=tuple(range(0, 240, 40)))
    frames = read_spec(f"video:{path}").frames
    labels = tmp_path / "labels"
    write_label_png_at(labels / f"{frames[2].key}.png", np.full((videos.HEIGHT, videos.WIDTH), 1, np.uint8))
    options = Options(overrides=("calibration_frames=0", "cut_share=0.0"), quiet=True)
    found = propagate_video(f"video:{path}", labels, CLASSES, None, tmp_path / "out", 0, options)
    assert (found["frames"], found["labelled"], found["spread"]) == (6, 1, 5)
    for frame in (*frames[:2], *frames[3:]):
        label = read_label_png(tmp_path / "out" / "labels" / f"{frame.key}.png")
        assert set(np.unique(label)) <= {1, IGNORE} and (label == 1).any()


def write_label_png_at(path: Path, label: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_label_png(path, label)


@pytest.mark.parametrize("more", [(), ("calibration_frames=0",)])
def test_a_run_that_only_warps_loads_neither_torch_nor_matplotlib(
    video: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    """In no process: with jobs 0 this one does what the parent does, what workers do, and the page."""
    words = ["propagate", f"folder:{video}", "--out", str(tmp_path / "out"), "--jobs", "0", "--quiet"]
    words += [word for setting in more for word in ("--set", setting)]
    whole = f"import sys; from frugalseg.cli.main import run; assert run({words!r}) == 0; "
    whole += (
        "print([name for name in ('torch', 'torchvision', 'lightning', 'timm', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["[]"]), done.stderr


# --- partial labels: points of some frames, whole labels of others


def partial(folder: Path, city: Path, frames: dict[str, str]) -> Path:
    """Write a label stage's partial labels: 'mask' of a frame, 'points' (one in 60 pixels), or nothing."""
    for drive in (0, 1):
        for index in range(FRAMES):
            truth = read_label_png(city / "labels" / f"{key(drive, index)}.png")
            kind = frames.get(key(drive, index), "")
            answered = np.full(SIZE_HW, kind == "mask")
            if kind == "points":
                answered.ravel()[7::60] = True
            answered &= truth != IGNORE
            label = np.where(answered, truth, np.uint8(IGNORE))
            source = Provenance.HUMAN_MASK if kind == "mask" else Provenance.HUMAN_POINT
            write_partial(folder, PartialLabel(key(drive, index), label, (answered * source).astype(np.uint8)))
    return folder / "labels"


def test_points_are_followed_and_frames_that_nobody_answered_are_no_labelled_ones(city: Path, tmp_path: Path) -> None:
    labels = partial(tmp_path / "partial", city, {key(0, 3): "points"})
    found = spread(city, tmp_path / "out", labels=labels)
    assert (found["frames"], found["labelled"], found["spread"], found["unreached"]) == (16, 1, 7, 8)
    assert found["label_next"] and key(0, 3) not in found["label_next"]
    assert not (tmp_path / "out" / "confidence.json").exists()
    right, total = 0, 0
    for index in set(range(FRAMES)) - {3}:
        label, provenance, confidence, origin = (
            read_label_png(tmp_path / "out" / kind / f"{key(0, index)}.png")
            for kind in ("labels", "provenance", "confidence", "origin")
        )
        known = label != IGNORE
        assert set(np.unique(provenance)) == {Provenance.UNKNOWN, Provenance.PROPAGATED_POINT}
        assert ((provenance != 0) == known).all() and ((confidence > 0) == known).all()
        assert set(np.unique(origin)) == {0, ORIGINS.index("before" if index > 3 else "after")}
        right += int((label == read_label_png(city / "labels" / f"{key(0, index)}.png"))[known].sum())
        total += int(known.sum())
    assert right > 0.9 * total > 0 and found["points"] == total
    rows = (tmp_path / "out" / "frames.csv").read_text().splitlines()
    assert len(rows) == 8 and rows[1].startswith(f"{key(0, 0)},,,,,0.0")


def test_points_lie_over_labels_of_whole_frames_and_a_killed_run_goes_on(city: Path, tmp_path: Path) -> None:
    labels = partial(tmp_path / "partial", city, {key(0, 2): "mask", key(0, 4): "points", key(1, 0): "points"})
    found = spread(city, tmp_path / "out", "calibration_frames=0", labels=labels)
    assert (found["labelled"], found["spread"], found["unreached"]) == (3, 15, 0)
    provenance = read_label_png(tmp_path / "out" / "provenance" / f"{key(0, 3)}.png")
    assert set(np.unique(provenance)) <= {0, Provenance.PROPAGATED, Provenance.PROPAGATED_POINT}
    assert (provenance == Provenance.PROPAGATED).mean() > 0.5 and (provenance == Provenance.PROPAGATED_POINT).any()
    files = {
        path: path.read_bytes() for kind in ("labels", "confidence") for path in (tmp_path / "out" / kind).iterdir()
    }
    log = tmp_path / "out" / "frames" / "0.jsonl"
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:-3]))  # killed before the last two frames' points were written down
    assert spread(city, tmp_path / "out", "calibration_frames=0", labels=labels)["points"] == found["points"]
    assert all(path.read_bytes() == content for path, content in files.items())


def test_a_kill_between_the_files_of_a_frame_that_only_points_came_to(city: Path, tmp_path: Path) -> None:
    labels = partial(tmp_path / "partial", city, {key(0, 3): "points"})
    spread(city, tmp_path / "out", labels=labels)
    files = contents(tmp_path / "out")
    log = tmp_path / "out" / "frames" / "0.jsonl"
    lines = log.read_text().splitlines()
    last = json.loads(lines[-2])["key"]
    log.write_text("\n".join(lines[:-2]) + "\n")
    for kind in ("provenance", "origin", "confidence"):  # only labels/ was written
        (tmp_path / "out" / kind / f"{last}.png").unlink()
    spread(city, tmp_path / "out", labels=labels)
    assert contents(tmp_path / "out") == files


def test_baselines_the_guess_alone_the_truth_and_a_picture_warped_with_its_label(
    city: Path, video: Path, model: Path, tmp_path: Path
) -> None:
    quick = "calibration_frames=0"
    spread(video, tmp_path / "guess", "method=semantic", "sure=0.3", quick, checkpoint=model)
    origin = read_label_png(tmp_path / "guess" / "origin" / f"{key(0, 2)}.png")
    assert set(np.unique(origin)) <= {0, ORIGINS.index("semantic")}
    found = spread(video, tmp_path / "none", "method=semantic", "sure=1.0", quick, checkpoint=model)
    assert found["known"] < 0.01  # an untrained network is never sure
    labels = tmp_path / "some"
    labels.mkdir()
    shutil.copy(city / "labels" / f"{key(0, 3)}.png", labels)
    found = spread(city, tmp_path / "truth", "method=oracle", "reach=2", labels=labels)
    assert found["spread"] == 4
    for index in (1, 2, 4, 5):
        name = f"{key(0, index)}.png"
        truth = read_label_png(city / "labels" / name)
        assert np.array_equal(read_label_png(tmp_path / "truth" / "labels" / name), truth)
    with pytest.raises(ConfigError, match="joint = true warps one"):
        spread(video, tmp_path / "joint", "joint=true", quick)
    with pytest.raises(ConfigError, match="mends composed flows"):
        spread(video, tmp_path / "both", "quality=true", "recursion=paper", quick)
    spread(video, tmp_path / "joint", "joint=true", "anchors=1", quick)
    name = f"{key(0, 1)}.png"
    picture, label = (tmp_path / "joint" / kind / name for kind in ("images", "labels"))
    seen = read_label_png(label) != IGNORE
    own = np.abs(read_image(picture).astype(int) - read_image(city / "images" / name)).mean(axis=2)[seen].mean()
    still = np.abs(
        read_image(city / "images" / f"{key(0, 0)}.png").astype(int) - read_image(city / "images" / name)
    ).mean(axis=2)[seen].mean()  # fmt: skip
    assert own < still
