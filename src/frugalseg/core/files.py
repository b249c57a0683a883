"""Files that are there whole or not at all, and their hashes."""

import hashlib
import os
import secrets
from pathlib import Path

from frugalseg.core.errors import ArtifactError

TEMPORARY = ".writing-"  # how the names of files begin that are not whole yet; what a kill leaves may be removed


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever happens in between.

    A temporary file in the same folder is written, flushed, synced, read back, compared and renamed; then the folder is
    synced.

    Raises:
        ArtifactError: the disk gave back other bytes than were written.
        OSError: the folder cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # the user's umask decides who may read it
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if temporary.read_bytes() != content:
            raise ArtifactError(f"{path}: the disk gave back other bytes than were written. Check the disk.")
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_hash(path: Path) -> str:
    """Return a file's sha256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
