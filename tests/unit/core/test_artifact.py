import dataclasses
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import frugalseg
from frugalseg.core import artifact
from frugalseg.core.artifact import Stage, content_hash, verify
from frugalseg.core.errors import ArtifactError, ImageFileError
from frugalseg.core.files import file_hash, write_atomic
from frugalseg.core.runs import find_done, list_runs


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "project" / "runs"


def stage(runs, name="adapt", inputs=None, config=None, seed=0):
    return Stage(runs, name, inputs or {}, config or {"rows": 8}, ["frugalseg", name], seed)


def finish(runs, content=b"weights", found=None, **arguments):
    with stage(runs, **arguments) as work:
        (work.folder / "model").mkdir(exist_ok=True)
        (work.folder / "model" / "w.bin").write_bytes(content)
        return work.commit(found or {})


def in_another_process(code, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(Path(frugalseg.__file__).parents[1])}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


# What a finished stage says


def test_a_finished_stage_says_what_was_done(runs, tmp_path):
    (tmp_path / "data.txt").write_text("data")
    run = finish(runs, found={"miou": 0.5}, inputs={"data": tmp_path / "data.txt"}, seed=3)
    assert run.folder.name == f"0001-adapt-{run.fingerprint[:8]}"
    assert sorted(path.name for path in run.folder.iterdir()) == ["model", "run.json"]
    assert (run.ordinal, run.name, run.seed, run.config) == (1, "adapt", 3, {"rows": 8})
    assert (run.command, run.extra) == (["frugalseg", "adapt"], {"miou": 0.5})
    assert run.files == {"model/w.bin": {"sha256": file_hash(run.folder / "model" / "w.bin"), "bytes": 7}}
    assert run.versions["frugalseg"] == frugalseg.__version__
    assert run.wall_s >= 0
    assert run.device_s >= 0
    content = json.loads((run.folder / "run.json").read_text())
    assert content["inputs"]["data"]["sha256"] == file_hash(tmp_path / "data.txt")
    assert content["started"] <= content["finished"]


def test_stages_are_numbered_in_the_order_they_finish(runs):
    names = [finish(runs, name=name).folder.name[:9] for name in ("adapt", "select", "label")]
    assert names == ["0001-adap", "0002-sele", "0003-labe"]
    assert [run.name for run in list_runs(runs)] == ["adapt", "select", "label"]
    assert list_runs(runs / "none") == []


# Fingerprints


def test_a_fingerprint_changes_with_everything_the_result_depends_on(runs, tmp_path, monkeypatch):
    path = tmp_path / "in.txt"
    path.write_text("one")

    def fingerprint(**changes):
        return stage(
            runs, **{"name": "adapt", "inputs": {"in": path}, "config": {"a": 1}, "seed": 0, **changes}
        ).fingerprint

    first = fingerprint()
    assert first == fingerprint()
    assert first == fingerprint(config=dict(reversed({"a": 1}.items())))
    others = [
        fingerprint(name="select"),
        fingerprint(seed=1),
        fingerprint(config={"a": 2}),
        fingerprint(config={"a": 1, "b": None}),
        fingerprint(inputs={"other": path}),
        fingerprint(inputs={}),
    ]
    path.write_text("two")
    others.append(fingerprint())
    path.write_text("one")
    monkeypatch.setattr(frugalseg, "__version__", "999")
    others.append(fingerprint())
    assert len({first, *others}) == len(others) + 1


def test_the_order_of_settings_makes_no_difference(runs):
    assert stage(runs, config={"a": 1, "b": 2}).fingerprint == stage(runs, config={"b": 2, "a": 1}).fingerprint


def test_a_missing_input_is_named(runs, tmp_path):
    with pytest.raises(ArtifactError, match=r"gone\.txt: this input does not exist"):
        stage(runs, inputs={"in": tmp_path / "gone.txt"})


def test_a_folders_hash_covers_names_and_contents(tmp_path):
    seen = set()
    for name, content in (("a", "1"), ("a", "2"), ("b", "1"), ("sub/a", "1")):
        folder = tmp_path / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(content)
        seen.add(content_hash(folder))
    assert len(seen) == 4


def test_a_finished_stages_hash_depends_on_its_files_only(runs, tmp_path):
    first = finish(runs)
    second = finish(tmp_path / "elsewhere", seed=5)
    third = finish(runs, name="other", content=b"other weights")
    assert content_hash(first.folder) == content_hash(second.folder) != content_hash(third.folder)


# Again, and after a crash


def test_the_same_again_is_the_same_folder(runs):
    assert stage(runs).done() is None
    run = finish(runs)
    assert stage(runs).done() == run
    assert find_done(runs, "adapt", run.fingerprint) == run
    assert find_done(runs, "select", run.fingerprint) is None
    assert stage(runs, seed=1).done() is None


def test_work_survives_an_exception_and_goes_on(runs):
    with pytest.raises(ZeroDivisionError), stage(runs) as work:
        (work.folder / "checkpoint").write_text("step 5")
        raise ZeroDivisionError
    assert list_runs(runs) == []
    with stage(runs) as again:
        assert again.folder == work.folder
        assert (again.folder / "checkpoint").read_text() == "step 5"
        run = again.commit({})
    assert list(run.files) == ["checkpoint"]
    assert not work.folder.exists()


def test_seconds_add_up_over_attempts(runs, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(artifact.time, "monotonic", lambda: float(next(clock)))
    with pytest.raises(KeyboardInterrupt), stage(runs):
        raise KeyboardInterrupt
    with stage(runs) as work:
        assert work.commit({}).wall_s == 20


KILLED = """
import os, sys
from pathlib import Path
from frugalseg.core.artifact import Stage
with Stage(Path(sys.argv[1]), "adapt", {}, {"rows": 8}, [], 0) as stage:
    (stage.folder / "checkpoint").write_text("step 5")
    os.kill(os.getpid(), 9)
"""


def test_a_killed_process_leaves_no_lock(runs):
    assert in_another_process(KILLED, runs).returncode == -9
    with stage(runs) as work:
        assert (work.folder / "checkpoint").read_text() == "step 5"
        assert list(work.commit({}).files) == ["checkpoint"]


def test_a_time_record_cut_by_a_power_failure_does_no_harm(runs):
    with pytest.raises(KeyboardInterrupt), stage(runs) as work:
        raise KeyboardInterrupt
    (record,) = work.folder.glob("*spent.json")
    record.write_text("")
    with stage(runs) as again:
        assert again.commit({}).files == {}


def test_temporary_files_of_a_killed_attempt_are_no_part_of_the_result(runs, monkeypatch):
    whole = finish(runs, seed=1)
    monkeypatch.setattr(artifact.os, "rename", lambda *_: os._exit(9))
    with stage(runs) as work:
        child = os.fork()
        if child == 0:
            write_atomic(work.folder / "model" / "w.bin", b"half")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        monkeypatch.undo()
        (work.folder / "model" / "w.bin").write_bytes(b"weights")
        assert work.commit({}).files == whole.files


def test_an_interrupted_commit_can_be_done_again(runs, monkeypatch):
    def fail(self, target):
        raise OSError("no power")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="no power"), stage(runs) as work:
        (work.folder / "a").write_text("1")
        work.commit({})
    assert list_runs(runs) == []
    monkeypatch.undo()
    with stage(runs) as work:
        assert list(work.commit({}).files) == ["a"]


def test_settings_json_does_not_know_cost_no_training(runs):
    run = finish(runs, config={"file": Path("a.toml")}, found={"where": Path("b")})
    assert run.config == {"file": "a.toml"}
    assert run.extra == {"where": "b"}


# Several processes

SECOND = """
import sys
from pathlib import Path
from frugalseg.core.artifact import Stage
from frugalseg.core.errors import ArtifactError
try:
    with Stage(Path(sys.argv[1]), "adapt", {}, {"rows": 8}, [], 0):
        print("entered")
except ArtifactError as error:
    print(error)
"""


def test_a_second_process_is_refused_by_pid(runs):
    with stage(runs) as work:
        said = in_another_process(SECOND, runs).stdout
        assert f"{work.folder}: process {os.getpid()} is at work here" in said
        with pytest.raises(ArtifactError, match=f"process {os.getpid()} is at work here"), stage(runs):
            pass
    assert in_another_process(SECOND, runs).stdout == "entered\n"


def _commit_one(runs, number, barrier):
    with stage(runs, seed=number) as work:
        barrier.wait(30)
        work.commit({})


def test_stages_that_finish_together_never_share_a_number(runs, monkeypatch):
    monkeypatch.setattr(artifact, "list_runs", lambda folder: (list_runs(folder), time.sleep(0.05))[0])
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(6)
    workers = [context.Process(target=_commit_one, args=(runs, number, barrier)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert [run.ordinal for run in list_runs(runs)] == [1, 2, 3, 4, 5, 6]


def test_a_folder_that_was_finished_meanwhile_is_not_worked_in(runs, monkeypatch):
    late = stage(runs)
    flock = artifact.fcntl.flock

    def finish_first(file, how):
        """The other process finishes between our opening of its lock file and our taking of the lock."""
        monkeypatch.setattr(artifact.fcntl, "flock", flock)
        finish(runs)
        flock(file, how)

    monkeypatch.setattr(artifact.fcntl, "flock", finish_first)
    with late as work:
        assert work.folder.is_dir()
        assert in_another_process(SECOND, runs).stdout != "entered\n"


# Changed, moved, damaged


def test_verify_names_what_changed(runs):
    run = finish(runs)
    verify(run.folder)
    path = run.folder / "model" / "w.bin"
    path.write_bytes(b"weighty")
    with pytest.raises(ArtifactError, match=r"model/w\.bin changed after"):
        verify(run.folder)
    path.unlink()
    with pytest.raises(ArtifactError, match=r"model/w\.bin changed after"):
        verify(run.folder)
    path.write_bytes(b"weights")
    verify(run.folder)
    (run.folder / "new.txt").write_text("")
    with pytest.raises(ArtifactError, match=r"new\.txt changed after"):
        verify(run.folder)


def test_a_moved_project_finds_its_inputs(runs, tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("x")
    first = finish(runs)
    inputs = {"model": first.folder / "model", "list": runs.parent / "list.txt", "far": outside}
    inputs["list"].write_text("y")
    second = finish(runs, name="select", inputs=inputs)
    moved = tmp_path / "new place"
    runs.parent.rename(moved)
    run = next(run for run in list_runs(moved / "runs") if run.name == "select")
    assert run.input("model") == moved / "runs" / first.folder.name / "model"
    assert run.input("list") == moved / "list.txt"
    assert run.input("far") == outside
    assert run.has_input("far")
    assert not run.has_input("near")
    with pytest.raises(ArtifactError, match="had no input 'near', only"):
        run.input("near")
    again = stage(
        moved / "runs", name="select", inputs={**inputs, "model": run.input("model"), "list": run.input("list")}
    )
    assert again.done() == dataclasses.replace(second, folder=run.folder)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"name": "adapt"}', '{"name": 1'])
def test_a_damaged_run_is_named(runs, content):
    path = finish(runs).folder / "run.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(ArtifactError, match=re.escape(str(path))):
        list_runs(runs)


def test_other_folders_are_left_alone(runs):
    finish(runs)
    for name in ("notes", ".part-adapt-0123456789ab", "0001-adapt", "0002-adapt-0123456g"):
        (runs / name).mkdir()
    (runs / "0003-adapt-01234567").write_text("a file")
    assert [run.ordinal for run in list_runs(runs)] == [1]


# One file


def test_a_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "a.txt"
    write_atomic(path, b"old")

    def fail(handle):
        raise OSError("no space")

    monkeypatch.setattr(artifact.os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]
    monkeypatch.undo()
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("name", ["é" * 127, "🚗" * 63, "x" * 255, ".hidden"])
def test_a_long_name_can_be_written(tmp_path, name):
    write_atomic(tmp_path / name, b"x")
    assert (tmp_path / name).read_bytes() == b"x"


def test_a_file_that_is_none_has_no_hash(tmp_path):
    from frugalseg.core.codec import file_sha256

    with pytest.raises(ImageFileError, match="not a regular file"):
        file_sha256(tmp_path)
