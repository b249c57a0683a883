import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from frugalseg.core.errors import CheckpointError
from frugalseg.training import checkpoint
from frugalseg.training.checkpoint import CheckpointFolder


def state(value: float) -> dict[str, object]:
    return {
        "phase": 0,
        "step": int(value),
        "method": {"w": torch.full((100,), value), "list": [{"x": torch.ones(2)}, None]},
    }


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.pt"))


def loaded_value(folder: Path) -> float | None:
    loaded = CheckpointFolder(folder).load()
    return None if loaded is None else float(loaded[1]["method"]["w"][0])


def test_nothing_saved_loads_as_none(tmp_path: Path) -> None:
    assert CheckpointFolder(tmp_path / "new").load() is None


def test_what_was_saved_comes_back_bit_for_bit(tmp_path: Path) -> None:
    saved = {
        "phase": 2,
        "text": "ü",
        "method": {"w": torch.randn(7), "half": torch.randn(3).half(), "count": torch.tensor(5), "none": None},
    }
    CheckpointFolder(tmp_path).save(12, saved)
    loaded = CheckpointFolder(tmp_path).load()
    assert loaded is not None
    step, got = loaded
    assert step == 12 and got["phase"] == 2 and got["text"] == "ü" and got["method"]["none"] is None
    for name in ("w", "half", "count"):
        assert torch.equal(got["method"][name], saved["method"][name])


def test_the_newest_two_are_kept_and_latest_names_the_newest(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for step in (1, 2, 3, 10, 200):
        path = folder.save(step, state(step))
    assert [file.name.split(".")[0] for file in files(tmp_path)] == ["step-00000010", "step-00000200"]
    assert (tmp_path / "LATEST").read_text() == path.name
    assert loaded_value(tmp_path) == 200


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_newest_one_walks_back_to_the_one_before(tmp_path: Path, damage: str) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(1, state(1))
    newest = folder.save(2, state(2))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes({"flip": bytes(content), "truncate": bytes(content[:-7]), "empty": b""}[damage])
    assert loaded_value(tmp_path) == 1


def test_a_checkpoint_with_nan_weights_is_passed_over(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(1, state(1))
    spoiled = {"w": torch.full((100,), 2.0), "deep": [{"x": torch.tensor([float("nan")])}]}
    folder.save(2, state(2) | {"method": spoiled})
    assert loaded_value(tmp_path) == 1


def test_no_whole_checkpoint_is_an_error_not_a_silent_new_start(tmp_path: Path) -> None:
    path = CheckpointFolder(tmp_path / "checkpoints").save(1, state(1))
    path.write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match="none of 1 checkpoint.*\n.*Remove the folder"):
        CheckpointFolder(tmp_path / "checkpoints").load()


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for name in ("notes.txt", "step-5.pt", "step-00000009.abc.pt"):
        (tmp_path / name).write_text("mine")
    for step in (1, 2, 3):
        folder.save(step, state(step))
    assert loaded_value(tmp_path) == 3
    assert (tmp_path / "notes.txt").exists() and (tmp_path / "step-00000009.abc.pt").exists()


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {tmp_path}/exploded",)

    CheckpointFolder(tmp_path).save(1, {"method": Bomb()})
    with pytest.raises(CheckpointError, match="no checkpoint of ours(.|\n)*Nothing in it was run"):
        CheckpointFolder(tmp_path).load()
    assert not (tmp_path / "exploded").exists()


def test_no_room_says_how_much_is_wanted_and_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = CheckpointFolder(tmp_path)
    size = folder.save(1, state(1)).stat().st_size
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, int(2.4 * size)))
    with pytest.raises(CheckpointError, match="MB free, a checkpoint wants .* MB.\nMake room"):
        folder.save(2, state(2))
    assert loaded_value(tmp_path) == 1 and len(files(tmp_path)) == 1
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, int(2.6 * size)))
    folder.save(2, state(2))
    assert loaded_value(tmp_path) == 2


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_save_that_is_interrupted_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(1, state(1))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, call, interrupted)
        with pytest.raises(KeyboardInterrupt):
            folder.save(2, state(2))
    assert loaded_value(tmp_path) == 1 and (tmp_path / "LATEST").read_text() == files(tmp_path)[0].name


def test_what_a_kill_left_behind_is_swept(tmp_path: Path) -> None:
    CheckpointFolder(tmp_path).save(1, state(1))
    (tmp_path / ".step-00000002.abc.pt.x7").write_bytes(b"half a checkpoint")
    assert loaded_value(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["LATEST", files(tmp_path)[0].name]


def test_a_kill_before_latest_is_written_still_loads_the_newest(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(1, state(1))
    latest = (tmp_path / "LATEST").read_text()
    folder.save(2, state(2))
    (tmp_path / "LATEST").write_text(latest)
    assert loaded_value(tmp_path) == 2


def test_finite_looks_into_everything() -> None:
    bad = torch.tensor([float("inf")])
    assert checkpoint._finite({"a": [1, "text", None, torch.ones(2), {"b": (torch.tensor(3),)}]})
    for state_with_it in ({"a": bad}, [bad], {"a": [{"b": (bad,)}]}):
        assert not checkpoint._finite(state_with_it)
