"""A real PostgreSQL server of the tests' own."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Cluster:
    """A server in a folder; it listens on a socket there and nowhere else. PostgreSQL refuses to run as root."""

    programs: Path
    folder: Path
    port: int
    user: str | None

    @property
    def url(self) -> str:
        return f"postgresql://tester@/postgres?host={self.folder}&port={self.port}"

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -p {self.port}"
        self.run("pg_ctl", "-w", "-o", options, "-l", str(self.folder / "log"), "start")

    def crash(self) -> None:
        """Stop without a checkpoint and without a word to those who are connected."""
        self.run("pg_ctl", "-m", "immediate", "stop")

    def run(self, program: str, *options: str) -> None:
        command = [self.programs / program, "-D", self.folder / "data", *options]
        subprocess.run(command, check=True, user=self.user, cwd="/", capture_output=True)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    program = shutil.which("initdb") or (str(found[-1]) if found else None)
    if program is None:
        pytest.skip("needs PostgreSQL's server programs (initdb); on Debian: apt-get install postgresql")
    user = None
    if os.geteuid() == 0:
        try:
            user = pwd.getpwnam("postgres").pw_name
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    # not below pytest's own folder: the next pytest that starts closes that to other users, in the middle of our tests
    folder = Path(tempfile.mkdtemp(prefix="frugalseg-pg-"))
    if user:
        shutil.chown(folder, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = Cluster(Path(program).parent, folder, port, user)
    try:
        made.run("initdb", "-A", "trust", "-U", "tester")
        made.start()
        yield made
        made.crash()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def postgres(cluster: Cluster) -> str:
    """URL of the server, emptied."""
    import psycopg

    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public;")
    return cluster.url
