"""`MemoryLedger`: what the models of this machine take of its devices, over all processes.

Fractions of a GPU are only counted by the cluster's scheduler; here the bytes are. Every process
that loads models shares one small database; what a dead process held is forgotten.
"""

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

from serve_app.core.message import Message
from serve_app.family.memory.processes import is_running, started_at
from serve_app.runtime.temporary_files import machine_folder, private_folder

SCHEMA = """
CREATE TABLE IF NOT EXISTS holdings (
    pid INTEGER, started TEXT, model TEXT, device TEXT, mb REAL, is_loaded INTEGER,
    PRIMARY KEY (pid, started, model)
);
CREATE TABLE IF NOT EXISTS wants (
    pid INTEGER, started TEXT, model TEXT, device TEXT, PRIMARY KEY (pid, started, model)
);
"""
BUSY_S = 30.0


class Holding(Message):
    """What a model of some process takes, in MiB."""

    model: str
    device: str
    mb: float


class MemoryShortage(Message):
    """A model that does not fit: what it needs, what is free, and who holds the rest."""

    needed_mb: float
    free_mb: float
    holdings: tuple[Holding, ...]


class MemoryLedger:
    """The entries of one process in the machine's ledger. All methods block, for milliseconds."""

    def __init__(self, file: Path, *, pid: int | None = None) -> None:
        self._file = file
        self._pid = os.getpid() if pid is None else pid
        self._started = started_at(self._pid)
        private_folder(file.parent)
        with closing(self._connect()) as connection:
            connection.executescript(SCHEMA)

    def reserve(
        self, model: str, device: str, *, mb: float, free_mb: Callable[[], float | None]
    ) -> MemoryShortage | None:
        """Book memory for a model that is about to be loaded. A shortage books nothing but makes
        the need known; `free_mb` None means that nobody can tell, and everything fits.
        """
        with self._changing() as connection:
            holdings, loading_mb = self._others(connection, model, device)
            free = free_mb()
            # What others have booked and not loaded yet still counts as free on the device.
            left = None if free is None else free - loading_mb
            if left is not None and mb > left:
                self._write(connection, "wants", model, device)
                return MemoryShortage(needed_mb=mb, free_mb=max(0.0, left), holdings=holdings)
            self._delete(connection, "wants", model)
            self._write(connection, "holdings", model, device, mb, False)
            return None

    def settle(self, model: str, *, mb: float) -> None:
        """The model is loaded and takes this much."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE holdings SET mb = ?, is_loaded = 1 "
                "WHERE pid = ? AND started = ? AND model = ?",
                (mb, self._pid, self._started, model),
            )

    def release(self, model: str) -> None:
        """The model is gone, or is not wanted any more."""
        with self._changing() as connection:
            self._delete(connection, "holdings", model)
            self._delete(connection, "wants", model)

    def is_wanted(self, device: str) -> bool:
        """Whether a model waits for memory on this device."""
        with self._changing() as connection:
            found = connection.execute("SELECT 1 FROM wants WHERE device = ?", (device,))
            return found.fetchone() is not None

    def holdings(self) -> tuple[Holding, ...]:
        """Everything that is held, by device, largest first."""
        with self._changing() as connection:
            return self._holdings(connection)

    @contextmanager
    def _changing(self) -> Generator[sqlite3.Connection]:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            self._forget_the_dead(connection)
            yield connection
            connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=BUSY_S, isolation_level=None)

    def _others(
        self, connection: sqlite3.Connection, model: str, device: str
    ) -> tuple[tuple[Holding, ...], float]:
        """Who else is on the device, and what of that is booked and not loaded yet."""
        rows = connection.execute(
            "SELECT model, device, mb, is_loaded FROM holdings WHERE device = ? "
            "AND NOT (pid = ? AND started = ? AND model = ?) ORDER BY mb DESC",
            (device, self._pid, self._started, model),
        ).fetchall()
        held = tuple(Holding(model=name, device=where, mb=mb) for name, where, mb, _ in rows)
        return held, sum(mb for _, _, mb, is_loaded in rows if not is_loaded)

    @staticmethod
    def _holdings(connection: sqlite3.Connection) -> tuple[Holding, ...]:
        rows = connection.execute("SELECT model, device, mb FROM holdings ORDER BY device, mb DESC")
        return tuple(Holding(model=model, device=device, mb=mb) for model, device, mb in rows)

    def _write(self, connection: sqlite3.Connection, table: str, *values: object) -> None:
        marks = ", ".join("?" * (len(values) + 2))
        connection.execute(
            f"INSERT OR REPLACE INTO {table} VALUES ({marks})",
            (self._pid, self._started, *values),
        )

    def _delete(self, connection: sqlite3.Connection, table: str, model: str) -> None:
        connection.execute(
            f"DELETE FROM {table} WHERE pid = ? AND started = ? AND model = ?",
            (self._pid, self._started, model),
        )

    @staticmethod
    def _forget_the_dead(connection: sqlite3.Connection) -> None:
        found = connection.execute(
            "SELECT pid, started FROM holdings UNION SELECT pid, started FROM wants"
        ).fetchall()
        for pid, started in found:
            if not is_running(pid, started):
                for table in ("holdings", "wants"):
                    connection.execute(
                        f"DELETE FROM {table} WHERE pid = ? AND started = ?", (pid, started)
                    )


def machine_ledger() -> MemoryLedger:
    """The part of this process in the ledger that all servers of a user on a machine share."""
    return MemoryLedger(machine_folder() / "memory.sqlite")
