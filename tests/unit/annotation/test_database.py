import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from frugalseg.annotation import database as database_module
from frugalseg.annotation.database import Database, backup, refuse_network_file_system, restore
from frugalseg.annotation.models import Base
from frugalseg.annotation.store import Store
from frugalseg.core.errors import StoreError

WORKER = Path(__file__).with_name("store_worker.py")


def test_the_migrations_make_the_tables_of_the_models(where) -> None:
    database = Database(where)
    with database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    database.close()


def test_a_sqlite_store_syncs_every_commit(tmp_path) -> None:
    database = Database(tmp_path / "answers.db")
    with database.read() as session:
        found = {name: session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
                 for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")}  # fmt: skip
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_a_failed_write_leaves_nothing_behind(store, person) -> None:
    with pytest.raises(ZeroDivisionError), store.database.write() as session:
        store.accounts.note(session, "x", "y", {})
        session.flush()
        raise ZeroDivisionError
    assert store.accounts.audit() == []


def test_two_that_open_a_new_store_together_make_one(tmp_path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(Store(tmp_path / "a.db").project)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1


def test_a_store_of_a_newer_version_is_refused(tmp_path) -> None:
    path = tmp_path / "answers.db"
    Database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(StoreError, match="newer version"):
        Database(path)


def test_a_file_that_is_no_database_is_refused(tmp_path) -> None:
    path = tmp_path / "answers.db"
    path.write_bytes(b"no database" * 500)
    with pytest.raises(StoreError, match=f"{path}: this store cannot be opened: file is not a database"):
        Database(path)
    assert path.read_bytes() == b"no database" * 500


@pytest.mark.parametrize("url", ["mysql://x/y", "no url", "sqlite:///x"])
def test_other_databases_are_refused(url) -> None:
    with pytest.raises(StoreError):
        Database(url)


MOUNTS = """\
21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 0:40 / /mnt/team\\040share rw shared:1 - nfs4 server:/x rw
31 30 8:2 / /mnt/team\\040share/local rw - xfs /dev/sdb rw
32 21 0:41 / /mnt/team rw - ext4 /dev/sdc rw
"""


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("/mnt/team share/p/answers.db", True),
        ("/mnt/team share/local/answers.db", False),
        ("/mnt/team/answers.db", False),
        ("/mnt/team share2/answers.db", False),
        ("/srv/answers.db", False),
    ],
)
def test_a_network_file_system_is_refused(path, refused) -> None:
    if refused:
        with pytest.raises(StoreError, match=r"network file system \(nfs4, mounted at /mnt/team share\)"):
            refuse_network_file_system(Path(path), lambda: MOUNTS)
    else:
        refuse_network_file_system(Path(path), lambda: MOUNTS)


def test_where_nothing_tells_the_file_system_a_store_is_accepted() -> None:
    def missing() -> str:
        raise FileNotFoundError

    refuse_network_file_system(Path("/srv/answers.db"), missing)


def test_the_refusal_is_part_of_opening(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(database_module, "NETWORK_FILE_SYSTEMS", ("ext4", "xfs", "btrfs", "overlay", "tmpfs", "zfs"))
    if not Path("/proc/self/mountinfo").exists():
        pytest.skip("only Linux tells the kind of a file system")
    with pytest.raises(StoreError, match="network file system"):
        Database(tmp_path / "answers.db")
    assert not (tmp_path / "answers.db").exists()


def test_backup_and_restore(file_store, ask, person, said, tmp_path, clock) -> None:
    selection, ann = ask(file_store, 4), person(file_store, "ann")
    one, two = file_store.lease(selection, ann, 2)
    file_store.put(str(uuid4()), said(one), ann, selection)
    saved = tmp_path / "saved" / "answers.db"
    backup(file_store.database.file, saved)  # while the store is open
    file_store.put(str(uuid4()), said(two), ann, selection)
    with pytest.raises(StoreError, match="overwrites nothing"):
        backup(file_store.database.file, saved)
    file_store.close()
    restore(saved, file_store.database.file)
    again = Store(file_store.database.file, clock)
    assert (again.project, again.progress(selection).answered) == (file_store.project, 1)
    again.close()
    kept = Store(tmp_path / "answers.db.before-restore-1", clock)
    assert kept.progress(selection).answered == 2
    kept.close()
    assert saved.is_file() and sorted(path.name for path in saved.parent.iterdir()) == ["answers.db"]


def test_only_whole_stores_are_restored(file_store, tmp_path) -> None:
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE x (y)")
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"x" * 5000)
    for saved in (other, broken, tmp_path / "absent.db"):
        with pytest.raises(StoreError):
            restore(saved, file_store.database.file)
    assert file_store.accounts.people() == []


@pytest.mark.parametrize("kills", [3])
def test_acknowledged_answers_survive_being_killed(file_store, ask, person, kills) -> None:
    """SIGKILL in the middle of answering, again and again: what was acknowledged is there once."""
    selection, path = ask(file_store, 400), file_store.database.file
    person(file_store, "ann")
    file_store.close()
    acknowledged: list[str] = []
    for _ in range(kills):
        worker = subprocess.Popen([sys.executable, str(WORKER), str(path)], stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None
        for _ in range(25):
            acknowledged.append(worker.stdout.readline().strip())
        os.kill(worker.pid, signal.SIGKILL)
        acknowledged += [line.strip() for line in worker.stdout if line.endswith("\n")]
        worker.wait()
    assert "" not in acknowledged and len(set(acknowledged)) == len(acknowledged)
    store = Store(path)
    applied = [event.uuid for h in store.histories(selection) for line in h.lines.values() for event in line.applied]
    assert len(applied) == len(set(applied))
    assert set(acknowledged) <= set(applied)
    assert len(applied) - len(acknowledged) <= kills  # stored, but killed before saying so
    with store.database.read() as session:
        assert session.connection().exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    store.close()
