"""Real Redis and Postgres servers for tests, on free ports and in temporary directories.

The Debian packages `redis-server` and `postgresql` bring them; without the binaries the tests that
need them are skipped.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from serve_app.launch.environment import free_ports

START_S = 30.0
POSTGRES_HOMES = "/usr/lib/postgresql"


@dataclass(frozen=True)
class DatabaseServer:
    """A running Postgres; each `database` has a URL of its own."""

    port: int
    process: "subprocess.Popen[bytes]"

    def new_database(self, name: str) -> str:
        """The URL of a database that is empty."""
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[arg-type]
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
        return self._url(name)

    def disconnect_all(self) -> None:
        """End every connection, as a restart does."""
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> "
                "pg_backend_pid() AND backend_type = 'client backend'"
            )

    def signal_all(self, number: int) -> None:
        """Send a signal to the server and to the processes of its connections."""
        for pid in (self.process.pid, *_children(self.process.pid)):
            os.kill(pid, number)

    def _url(self, name: str) -> str:
        return f"postgresql://tests@127.0.0.1:{self.port}/{name}"


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis that keeps nothing."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed (Debian package redis-server)")
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder)
        with _running((binary, *arguments), port=port):
            yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="session")
def postgres() -> Iterator[DatabaseServer]:
    """A Postgres that trusts this machine. It refuses to run as root, so that `nobody` runs it."""
    with _cluster() as cluster, cluster.running() as process:
        yield DatabaseServer(cluster.port, process)


@pytest.fixture(scope="module")
def stoppable_postgres() -> Iterator["StoppablePostgres"]:
    """A Postgres of its own, which is running."""
    with _cluster() as cluster:
        server = StoppablePostgres(cluster)
        server.start()
        yield server
        server.stop()


@dataclass(frozen=True)
class Cluster:
    """The files of a Postgres, and how it is started."""

    port: int
    command: Sequence[str]
    user: str | None
    folder: str

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        with _running(self.command, port=self.port, user=self.user, cwd=self.folder) as process:
            _until_it_answers(self.port)
            yield process


class StoppablePostgres:
    """A Postgres that goes away and comes back with everything it had."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._running = ExitStack()
        self._server: DatabaseServer | None = None

    def start(self) -> None:
        """Returns when it answers."""
        process = self._running.enter_context(self._cluster.running())
        self._server = DatabaseServer(self._cluster.port, process)

    def stop(self, *, at_once: bool = False) -> None:
        """Returns when it has ended: with its connections cut, or without any order (`at_once`)."""
        if self._server is not None and at_once:
            self._server.process.send_signal(signal.SIGQUIT)
        self._running.close()
        self._server = None

    def new_database(self, name: str) -> str:
        """See DatabaseServer."""
        assert self._server is not None
        return self._server.new_database(name)


@contextmanager
def _cluster() -> Iterator[Cluster]:
    homes = sorted(Path(POSTGRES_HOMES).glob("*/bin/initdb"))
    if not homes:
        pytest.skip("Postgres is not installed (Debian package postgresql)")
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="postgres-", dir="/tmp") as folder:
        home, data = homes[-1].parent, f"{folder}/data"
        user = _unprivileged_user()
        if user is not None:
            shutil.chown(folder, user)
        create = (str(home / "initdb"), "-D", data, "-U", "tests", "-A", "trust", "--no-sync")
        subprocess.run(create, check=True, capture_output=True, user=user, cwd=folder)
        settings = (
            f"port={port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={folder}",
            "fsync=off",
        )
        options = [part for setting in settings for part in ("-c", setting)]
        yield Cluster(port, (str(home / "postgres"), "-D", data, *options), user, folder)


@contextmanager
def _running(
    command: Sequence[str], *, port: int, user: str | None = None, cwd: str | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, cwd=cwd
    )
    try:
        _until_it_listens(port, process)
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        # For Postgres: end the connections and stop.
        process.send_signal(signal.SIGINT)
        process.wait(timeout=START_S)


def _until_it_listens(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, "the server ended while it started"
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.05)


def _until_it_answers(port: int) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(f"postgresql://tests@127.0.0.1:{port}/postgres").close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "Postgres does not answer"
            time.sleep(0.05)


def _unprivileged_user() -> str | None:
    return pwd.getpwnam("nobody").pw_name if os.getuid() == 0 else None


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]
