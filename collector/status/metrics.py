"""``/metrics`` for Prometheus: counters of the processes, and the boards of the systems, without scanning history.

The format is https://prometheus.io/docs/instrumenting/exposition_formats/ (text, version 0.0.4).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from sqlalchemy import Connection, func, select

from collector.auth.visibility import Visibility
from collector.outcomes import ORDER, OUTCOME_NAMES
from collector.status.filters import OF_SYSTEMS, Filters
from collector.store.counters import read_counters, running_processes
from collector.store.silence import is_silent
from collector.store.tables import board, runs, systems

KIND = "text/plain; version=0.0.4"

HELP = {
    "exaworks_collector_requests_total": ("counter", "Requests answered, by the first digit of the status."),
    "exaworks_collector_records_total": ("counter", "Records stored or acknowledged again."),
    "exaworks_collector_rejected_total": ("counter", "Records refused."),
    "exaworks_collector_ingest_seconds_total": ("counter", "Seconds spent on storing batches of records."),
    "exaworks_collector_started_seconds": ("gauge", "When a process started, seconds since 1970."),
    "exaworks_collector_memory_bytes": ("gauge", "Resident memory of a process."),
    "exaworks_cells": ("gauge", "Cells of a system by their latest outcome; a missing cell did not report."),
    "exaworks_flaky_cells": ("gauge", "Cells of a system whose outcome changes on the same stack."),
    "exaworks_figures": ("gauge", "Figures of a system that are followed over time."),
    "exaworks_figures_worse": ("gauge", "Figures of a system that are worse than usual."),
    "exaworks_last_run_seconds": ("gauge", "When the newest run of a system began, seconds since 1970."),
    "exaworks_silent": ("gauge", "1 if no run of a system started within its cadence, else 0."),
    "exaworks_clock_ahead_seconds": (
        "gauge",
        "How far the clock of the machine that last sent results of a system was ahead; negative if behind.",
    ),
    "exaworks_last_contact_seconds": (
        "gauge",
        "When the collector last received something of a system, seconds since 1970.",
    ),
}


class Counters:
    """What this process counted since its counters were last stored; the sums of all processes are in the database."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def add(self, name: str, amount: float = 1, labels: str = "") -> None:
        with self._lock:
            self._values[name, labels] = self._values.get((name, labels), 0) + amount

    def take(self) -> dict[tuple[str, str], float]:
        """Return the amounts by name and labels, and start again from zero."""
        with self._lock:
            values, self._values = self._values, {}
        return values

    def put_back(self, values: Mapping[tuple[str, str], float]) -> None:
        """Add amounts that could not be stored."""
        for (name, label_text), amount in values.items():
            self.add(name, amount, label_text)


def process_lines(connection: Connection, now: int) -> list[tuple[str, str, float]]:
    """Return the stored counters, which are sums over all processes, and a line for each process that runs."""
    lines = [(name, label_text, value) for (name, label_text), value in sorted(read_counters(connection).items())]
    for process in running_processes(connection, now):
        named = labels(process=process.name)
        lines.append(("exaworks_collector_started_seconds", named, process.started / 1000))
        if process.memory is not None:
            lines.append(("exaworks_collector_memory_bytes", named, process.memory))
    return lines


def board_lines(
    connection: Connection, visibility: Visibility, now: int, filters: Filters | None = None
) -> list[tuple[str, str, float]]:
    """Return the lines about each system that the reader may see and the filters choose, from its board."""
    chosen = (filters or Filters()).only(*OF_SYSTEMS).systems()
    names = (systems.c.site, systems.c.system)
    lines: list[tuple[str, str, float]] = []
    counted: dict[tuple[str, str], dict[str, int]] = {}
    flaky: dict[tuple[str, str], int] = {}
    query = visibility.of(select(*names, board.c.outcomes, board.c.flaky).join(systems, systems.c.id == board.c.system))
    for site, system, outcomes, turning in connection.execute(query.where(*chosen).order_by(*names)):
        counts = counted.setdefault((site, system), dict.fromkeys(ORDER, 0))
        for char in outcomes:
            counts[char] += 1
        flaky[site, system] = flaky.get((site, system), 0) + turning
    for place, counts in counted.items():
        lines += [
            ("exaworks_cells", labels(site=place[0], system=place[1], outcome=OUTCOME_NAMES[char]), number)
            for char, number in counts.items()
        ]
        lines.append(("exaworks_flaky_cells", labels(site=place[0], system=place[1]), flaky[place]))
    newest = select(runs.c.system, func.max(runs.c.started).label("started")).group_by(runs.c.system).subquery()
    times = select(*names, systems.c.contact, newest.c.started, systems.c.trended, systems.c.worse)
    joined = times.add_columns(systems.c.silent_from, systems.c.skew)
    joined = joined.outerjoin(newest, newest.c.system == systems.c.id)
    rows = connection.execute(visibility.of(joined).where(*chosen).order_by(*names))
    for site, system, contact, started, trended, worse, silent_from, skew in rows:
        if silent_from is not None:
            lines.append(("exaworks_silent", labels(site=site, system=system), int(is_silent(silent_from, now))))
        if skew is not None:
            lines.append(("exaworks_clock_ahead_seconds", labels(site=site, system=system), skew / 1000))
        if trended:
            place_labels = labels(site=site, system=system)
            lines += [("exaworks_figures", place_labels, trended), ("exaworks_figures_worse", place_labels, worse)]
        for name, value in (("exaworks_last_run_seconds", started), ("exaworks_last_contact_seconds", contact)):
            if value is not None:
                lines.append((name, labels(site=site, system=system), value / 1000))
    return lines


def write(lines: Iterable[tuple[str, str, float]]) -> bytes:
    """Write lines in the exposition format, grouped by name under the help text of each."""
    by_name: dict[str, list[str]] = {}
    for name, label_text, value in lines:
        by_name.setdefault(name, []).append(
            f"{name}{{{label_text}}} {value:.15g}" if label_text else f"{name} {value:.15g}"
        )
    text = []
    for name, (kind, help_text) in HELP.items():
        if name in by_name:
            text += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}", *by_name[name]]
    return ("\n".join(text) + "\n").encode()


def labels(**values: str) -> str:
    """Write labels, escaped as the format requires."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def resident_memory() -> int | None:
    """Return the resident memory of this process in bytes; None where /proc does not state it."""
    try:
        fields: Mapping[str, str] = dict(
            line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        )
        return int(fields["VmRSS"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
