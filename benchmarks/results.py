"""The results of a benchmark: tables, printed for people and stored for ``benchmarks.all``.

A column of ratios is printed only if other programs left the machine alone while it was measured.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tabulate import tabulate

from benchmarks.load import LIMIT, Load

VARIABLE = "EXAWORKS_BENCHMARK_RESULTS"
"""Names a file to which each table is appended as one line of JSON."""
REFUSED = "not measured"

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """One table. name: of its place in docs/performance.md. times: columns that load makes meaningless.

    others: the share of all cores that other programs used, 0 to 1. cpu: processor seconds of what was measured.
    """

    name: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    times: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    others: float = 0.0
    cpu: float = 0.0

    @property
    def meaningful(self) -> bool:
        return self.others <= LIMIT

    def shown(self) -> list[list[str]]:
        """Return the cells as text; without the times if the load makes them meaningless."""
        hidden = set() if self.meaningful else {self.headers.index(name) for name in self.times}
        return [
            [REFUSED if index in hidden and cell not in ("", None) else _text(cell) for index, cell in enumerate(row)]
            for row in self.rows
        ]

    def text(self) -> str:
        """Return the table for a terminal."""
        lines = [tabulate(self.shown(), self.headers, disable_numparse=True), *self.notes, self.conditions()]
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return the table for a page."""
        head = ["| " + " | ".join(self.headers) + " |", "|" + "---|" * len(self.headers)]
        body = ["| " + " | ".join(row) + " |" for row in self.shown()]
        return "\n".join([*head, *body, *(f"\n{note}" for note in self.notes)])

    def conditions(self) -> str:
        """Return one line about the load, and what follows from it."""
        text = f"other programs used {self.others:.0%} of the cores; processor time {self.cpu:.1f} s"
        if self.meaningful or not self.times:
            return text
        hidden = ", ".join(self.times)
        return f"{text}. Above {LIMIT:.0%}, {hidden} are meaningless and not shown: repeat it on an idle machine"


def publish(
    name: str,
    headers: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    load: Load,
    *,
    times: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Table:
    """Print a table, and store it where ``VARIABLE`` says. times: the columns of ratios and elapsed times."""
    unknown = set(times) - set(headers)
    assert not unknown, f"{name}: no such column: {', '.join(sorted(unknown))}"
    table = Table(
        name,
        tuple(headers),
        tuple(tuple(row) for row in rows),
        tuple(times),
        tuple(notes),
        round(load.others, 3),
        round(load.own_seconds, 1),
    )
    print(table.text(), flush=True)
    path = os.environ.get(VARIABLE)
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(table)) + "\n")
    return table


def stored(path: Path) -> list[Table]:
    """Return the tables that a benchmark stored."""
    tables = []
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        values["rows"] = tuple(tuple(row) for row in values["rows"])
        tables.append(Table(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}))
    return tables


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}" if abs(cell) < 100 else f"{cell:.0f}"
    return f"{cell:,}" if isinstance(cell, int) else cell
