"""The counters and the state of all server processes of a database, so that ``/metrics`` of any of them is complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from collector.store.tables import counters, processes

ENDED_MS = 60_000
"""A process that has not written for this time has ended."""


@dataclass(frozen=True)
class ProcessState:
    """A server process. ``name``: host:pid; ``started``: milliseconds since 1970; ``memory``: resident bytes."""

    name: str
    started: int
    memory: int | None


def add_counters(connection: Connection, amounts: Mapping[tuple[str, str], float]) -> None:
    """Add amounts to the counters with these names and labels, in a fixed order, so that processes cannot deadlock."""
    for (name, labels), amount in sorted(amounts.items()):
        of_counter = (counters.c.name == name, counters.c.labels == labels)
        added = update(counters).where(*of_counter).values(value=counters.c.value + amount)
        if not connection.execute(added).rowcount:
            connection.execute(insert(counters).values(name=name, labels=labels, value=amount))


def read_counters(connection: Connection) -> dict[tuple[str, str], float]:
    """Return the stored value of each counter."""
    rows = connection.execute(select(counters))
    return {(row.name, row.labels): row.value for row in rows}


def note_process(connection: Connection, process: ProcessState, now: int) -> None:
    """Store the state of a running process, and remove those that have ended."""
    connection.execute(delete(processes).where(processes.c.seen < now - ENDED_MS))
    values = {"started": process.started, "memory": process.memory, "seen": now}
    known = update(processes).where(processes.c.name == process.name).values(**values)
    if not connection.execute(known).rowcount:
        connection.execute(insert(processes).values(name=process.name, **values))


def forget_process(connection: Connection, name: str) -> None:
    """Remove a process that ends."""
    connection.execute(delete(processes).where(processes.c.name == name))


def running_processes(connection: Connection, now: int) -> list[ProcessState]:
    """Return the processes that serve this database."""
    rows = connection.execute(select(processes).where(processes.c.seen >= now - ENDED_MS).order_by(processes.c.name))
    return [ProcessState(row.name, row.started, row.memory) for row in rows]
