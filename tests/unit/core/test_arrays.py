import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from frugalseg.core.arrays import check_npz


def header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"shape": shape, "fortran_order": False, "descr": kind})
    return buffer.getvalue()


def write(path: Path, entry: bytes, packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("a.npy", entry)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_passes(tmp_path: Path, save: object) -> None:
    arrays = {
        "zeros": np.zeros((500, 400), np.int64),
        "none": np.zeros((0, 3)),
        "one": np.int64(5),
        "text": np.array("é"),
    }
    save(tmp_path / "good.npz", **arrays)  # type: ignore[operator]
    check_npz(tmp_path / "good.npz")


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return open, (self.path, "w")


def test_arrays_of_objects_are_refused_and_do_not_go_off(tmp_path: Path) -> None:
    np.savez(tmp_path / "bomb.npz", a=np.array([Bomb(str(tmp_path / "exploded"))], dtype=object))
    with pytest.raises(ValueError, match="holds Python objects.*nothing was run"):
        check_npz(tmp_path / "bomb.npz")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("shape", [(100_000_000_000,), (2**40, 2**40), (3,), (-1, 4)])
def test_a_header_that_claims_more_or_less_than_is_there_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = write(tmp_path / "claim.npz", header(shape) + bytes(32))
    with pytest.raises(ValueError, match="claims an array of"):
        check_npz(path)


def test_an_archive_that_claims_more_than_can_be_packed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "lie.npz", header((4,)) + bytes(32), zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02") + 24  # the size in the archive's table of contents
    content[place : place + 4] = (2_000_000_000).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ValueError, match="claims 2,000,000,000 bytes, packed into"):
        check_npz(path)


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "text", "version"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    values = np.random.default_rng(0).random(200)
    np.savez_compressed(tmp_path / "good.npz", a=values)
    content = (tmp_path / "good.npz").read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    path = tmp_path / "bad.npz"
    path.write_bytes({"flip": bytes(flipped), "truncate": content[:-30], "text": b"keys"}.get(damage, b""))
    if damage == "version":
        write(path, b"\x93NUMPY\x09\x00" + bytes(40))
    with pytest.raises(ValueError, match="damaged|of version"):
        check_npz(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_npz(tmp_path / "none.npz")
