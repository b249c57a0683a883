"""Files that are there whole or not at all, files we do not trust, and hashes."""

import hashlib
import os
import secrets
import stat
from pathlib import Path

from frugalseg.core.errors import ArtifactError, ImageFileError, NotFoundError
from frugalseg.core.limits import BYTE_CAP

TEMPORARY = ".writing-"  # how the names of files begin that are not whole yet; what a kill leaves may be removed


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever happens in between, and there when this returns.

    As `write_whole`; then the folder is synced.

    Raises:
        ArtifactError: the disk gave back other bytes than were written.
        OSError: the folder cannot be written to.
    """
    write_whole(path, content)
    sync_folder(path.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all; which of the two, after a power cut, `sync_folder` settles.

    A temporary file in the same folder is written, flushed, synced, read back, compared and renamed.

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


def read_regular(path: Path) -> bytes:
    """Return the bytes of a regular file; a pipe or device is refused before it is opened, or at once when open.

    Raises:
        ImageFileError: it is no regular file, cannot be read, is too large, or grows meanwhile.
    """
    try:
        _check_regular(path, os.stat(path))
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(handle, "rb") as file:
            state = os.fstat(handle)
            _check_regular(path, state)
            content = file.read(state.st_size + 1)  # room for as many bytes is made before one is read
    except (OSError, ValueError) as error:
        raise ImageFileError(f"{path}: cannot be read: {getattr(error, 'strerror', error)}.") from error
    if len(content) > state.st_size:
        raise ImageFileError(f"{path}: it grows while it is read. Wait until it is written.")
    return content


def _check_regular(path: Path, state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise ImageFileError(f"{path}: not a regular file (a folder, pipe or device).")
    if state.st_size > BYTE_CAP:
        raise ImageFileError(f"{path}: {state.st_size / 1e6:.0f} MB; the limit is {BYTE_CAP / 1e6:.0f} MB.")


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


def safe_join(root: Path, name: str) -> Path:
    """Return `root / name` with links followed, if it lies below `root`.

    Raises:
        NotFoundError: it lies elsewhere, or the name is none that a file can have.
    """
    try:
        base = Path(os.path.realpath(root))
        path = Path(os.path.realpath(base / name))
    except (OSError, ValueError) as error:  # a NUL byte, a loop of links, too long
        raise NotFoundError("There is no such file.") from error
    if path == base or not path.is_relative_to(base):
        raise NotFoundError("There is no such file.")
    return path
