"""The store's database: SQLite beside the project, or PostgreSQL by its URL; one writer at a time on both.

An answer is acknowledged only after its transaction is on the disk: SQLite with a write-ahead log and
`synchronous=FULL`, PostgreSQL by default. Writers queue up; who waits too long gets a StoreBusyError. Who comes while
the database is gone (PostgreSQL restarts, the disk is full) gets a StoreDownError and may come again.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import Session

from frugalseg.core.errors import StoreBusyError, StoreDownError, StoreError

MIGRATIONS = Path(__file__).parent / "migrations"
WAIT_S = 5.0  # for another writer; a write takes milliseconds
WRITER_LOCK = 0x6672756761  # "fruga": PostgreSQL's advisory lock that makes writers queue up
NETWORK_FILE_SYSTEMS = (
    *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.davfs2", "fuse.glusterfs", "fuse.rclone"),
    *("fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs"),
)


class Database:
    """A migrated database. `where` is the file of a SQLite database, or a postgresql:// URL.

    Raises:
        StoreError: it lies on a network file system, cannot be opened, or was made by a newer version.
    """

    def __init__(self, where: Path | str, wait_s: float = WAIT_S) -> None:
        self.file = where if isinstance(where, Path) else None
        self._wait_s = wait_s
        self._turn = threading.Lock()  # fair among our own threads, where SQLite's waiting polls
        self._engine = self._sqlite(where) if isinstance(where, Path) else self._postgres(where)
        try:
            with self._engine.connect() as connection:
                self._migrate(connection)
        except (DBAPIError, CommandError) as error:
            self._engine.dispose()
            why = getattr(error, "orig", None) or f"{error}. Was it made by a newer version of frugalseg?"
            raise StoreError(f"{self}: this store cannot be opened: {why}") from error

    def __str__(self) -> str:
        return str(self.file) if self.file else self._engine.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a session that is alone in writing; it is committed at the end, or leaves nothing behind.

        Raises:
            StoreBusyError: others wrote for longer than one waits.
            StoreDownError: the database is gone. A commit that it did not acknowledge may yet have happened.
        """
        if not self._turn.acquire(timeout=self._wait_s):
            raise StoreBusyError(f"{self}: others are writing. Try again.")
        try:
            with self._session() as session:
                self._begin_write(session)
                yield session
                session.commit()
        finally:
            self._turn.release()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session that sees one state of the store; what it changes is thrown away."""
        with self._session() as session:
            yield session

    def close(self) -> None:
        """Close all connections; a SQLite log is folded into its file."""
        self._engine.dispose()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with Session(self._engine, expire_on_commit=False) as session:
                yield session
        except DBAPIError as error:
            if _is_busy(error):
                raise StoreBusyError(f"{self}: others are writing. Try again.") from error
            if isinstance(error, OperationalError) or error.connection_invalidated:
                raise StoreDownError(f"{self}: the database does not answer: {error.orig}") from error
            raise

    def _migrate(self, connection: Connection) -> None:
        """Bring the tables up to date, all or nothing; two servers that start together do it one after the other."""
        self._begin_write(connection)
        config = AlembicConfig()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()

    def _begin_write(self, session: Session | Connection) -> None:
        if self.file:
            session.execute(text("BEGIN IMMEDIATE"))
        else:
            session.execute(text(f"SET LOCAL lock_timeout = '{int(self._wait_s * 1000)}ms'"))
            session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": WRITER_LOCK})

    def _sqlite(self, path: Path) -> Engine:
        refuse_network_file_system(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            f"sqlite:///{path}", connect_args={"timeout": self._wait_s, "check_same_thread": False}, pool_size=16
        )

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, record: Any) -> None:
            connection.isolation_level = None  # the driver begins nothing by itself: `write` says BEGIN IMMEDIATE
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")

        return engine

    def _postgres(self, url: str) -> Engine:
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise StoreError(f"{url!r}: no database URL. Write postgresql://user@host/database.") from error
        if parsed.get_backend_name() != "postgresql":
            raise StoreError(f"{parsed.get_backend_name()}: the store is a SQLite file or a postgresql:// database.")
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)


def backup(source: Path, target: Path) -> None:
    """Copy a SQLite store to a new file while others go on using it; the copy is checked.

    Raises:
        StoreError: there is no store, the target is there already, or the copy is damaged.
    """
    if not source.is_file():
        raise StoreError(f"{source}: there is no store here.")
    if target.exists():
        raise StoreError(f"{target}: this file is there already; a backup overwrites nothing. Give another name.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".writing-{target.name}")
    part.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(part)) as new:
            old.backup(new)
            new.execute("PRAGMA journal_mode=DELETE")
            check = new.execute("PRAGMA integrity_check").fetchone()[0]
        if check != "ok":
            raise StoreError(f"{source}: the copy is damaged: {check}. Check the disk.")
        part.rename(target)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{source}: this is no store, or a damaged one: {error}.") from error
    finally:
        part.unlink(missing_ok=True)


def restore(saved: Path, target: Path) -> None:
    """Put a backup where the store was; what was there stays beside it under another name. No server may be running.

    Raises:
        StoreError: the backup is no whole store of ours.
    """
    if not saved.is_file():
        raise StoreError(f"{saved}: there is no such backup.")
    incoming = target.with_name(f"{target.name}.restoring")
    incoming.unlink(missing_ok=True)
    backup(saved, incoming)
    try:
        with closing(sqlite3.connect(incoming)) as connection:
            connection.execute("SELECT project FROM store").fetchone()
    except sqlite3.DatabaseError as error:
        incoming.unlink()
        raise StoreError(f"{saved}: this is no store of answers: {error}.") from error
    if target.exists():
        number = 1
        while (kept := target.with_name(f"{target.name}.before-restore-{number}")).exists():
            number += 1
        backup(target, kept)
        for suffix in ("-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)
    incoming.replace(target)


def refuse_network_file_system(path: Path, mounts: Callable[[], str] | None = None) -> None:
    """Refuse a place where SQLite's locks cannot be trusted. `mounts` returns the text of Linux' mountinfo.

    Raises:
        StoreError: `path` lies on a network file system.
    """
    try:
        lines = (mounts or Path("/proc/self/mountinfo").read_text)().splitlines()
    except OSError:
        return  # not Linux: nothing tells
    real, best, kind = path.resolve(), Path("/"), ""
    for line in lines:
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].encode().decode("unicode_escape"))
        if real.is_relative_to(point) and len(point.parts) >= len(best.parts):
            best, kind = point, after.split()[0]
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"{path}: this lies on a network file system ({kind}, mounted at {best}), where SQLite's locks cannot be "
            "trusted and answers could be lost.\nMove the project to a local disk, or give a PostgreSQL database: "
            "--database postgresql://user@host/database"
        )


def _is_busy(error: DBAPIError) -> bool:
    """Whether another writer is the reason: SQLITE_BUSY and SQLITE_LOCKED, or PostgreSQL's lock_not_available."""
    if isinstance(error.orig, sqlite3.OperationalError):
        code = getattr(error.orig, "sqlite_errorcode", None)
        return code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return getattr(error.orig, "sqlstate", None) in ("55P03", "40P01", "40001")
