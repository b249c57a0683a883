"""Array files (.npz) that are looked at before numpy gives them memory."""

import math
import zipfile
import zlib
from pathlib import Path

from numpy.lib import format as npy

TOTAL_CAP = 8_000_000_000  # bytes of all arrays in a file; ours stay far below
PACKING_CAP = 1100  # deflate cannot pack tighter than 1032 : 1
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def check_npz(path: Path) -> None:
    """Check that an .npz is whole and holds plain arrays of the size it says; numpy would first make room for them.

    Raises:
        ValueError: a damaged file, an array of Python objects, or a header that claims more than the file holds.
        OSError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            total = sum(entry.file_size for entry in entries)
            if total > TOTAL_CAP:
                raise ValueError(f"its arrays claim {total:,} bytes; expected at most {TOTAL_CAP:,}")
            for entry in entries:
                _check_array(archive, entry)
            damaged = archive.testzip()
    except (
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
        EOFError,
    ) as error:  # RuntimeError: encrypted, unknown packing
        raise ValueError(f"damaged: {error}") from error
    if damaged:
        raise ValueError(f"damaged: the checksum of {damaged} differs")


def _check_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    if entry.file_size > PACKING_CAP * entry.compress_size + PACKING_CAP:
        raise ValueError(f"{entry.filename} claims {entry.file_size:,} bytes, packed into {entry.compress_size:,}")
    with archive.open(entry) as file:
        version = npy.read_magic(file)
        if version not in HEADERS:
            raise ValueError(
                f"{entry.filename} is of version {version}; expected one of {', '.join(map(str, HEADERS))}"
            )
        shape, _, dtype = HEADERS[version](file)
        claimed = file.tell() + math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        raise ValueError(f"{entry.filename} holds Python objects, and reading them could run code; nothing was run")
    if claimed != entry.file_size:
        raise ValueError(f"{entry.filename} claims an array of {claimed:,} bytes and has {entry.file_size:,}")
