"""Series of real measurements with known changes, and how well the detection of changes finds them.

python -m benchmarks.series --record FILE      # measure again, about a minute and a half
python -m benchmarks.series [FILE]             # precision and recall on recorded series

A series has 36 measurements of one figure. In three of four series, the work behind the figure changes at a known place
by a known factor: more or fewer rounds of the same work, so the figure moves as it does when a component becomes slower
or faster. The scatter is that of the machine with whatever else it does. Figures are in processor time, because elapsed
times of milliseconds on a busy machine show the other programs alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.load import Watch, machine
from benchmarks.results import Cell, publish
from collector.store.trends import FEWEST, LAST, judge

FILE = Path(__file__).resolve().parents[1] / "tests" / "collector" / "store" / "recorded_series.json"
LENGTH = 36
FACTORS = (1.0, 1.0, 0.7, 0.85, 1.1, 1.2, 1.5, 2.0)
"""By how much the work of a series grows at its change; 1 is no change."""
NEAR = 2
"""Values by which the reported place may differ from the known one."""


@dataclass(frozen=True)
class Series:
    """figure: what was measured. better: ``lower`` or ``higher``. place: index of the first value after the change."""

    figure: str
    better: str
    factor: float
    place: int | None
    values: tuple[float, ...]

    @property
    def truth(self) -> str | None:
        """The change that must be reported: more work is always worse."""
        return None if self.place is None else "worse" if self.factor > 1 else "better"


@dataclass(frozen=True)
class Score:
    """How many series had a change, how many changes were reported, and how many of these were right.

    delays: for each change that was found, how many values after it the detection first reported it.
    """

    series: int
    changed: int
    reported: int
    right: int
    delays: tuple[int, ...] = ()

    @property
    def precision(self) -> float:
        return self.right / self.reported if self.reported else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.changed if self.changed else 1.0


def score(every: Sequence[Series]) -> Score:
    """Judge each series at its end, as a page does."""
    reported = right = 0
    delays = []
    for each in every:
        found = _reported(each, LENGTH)
        reported += found is not None
        if found is not None and found == each.truth:
            right += 1
            delays.append(_delay(each))
    return Score(len(every), sum(each.place is not None for each in every), reported, right, tuple(delays))


def false_alarms(every: Sequence[Series]) -> tuple[int, int]:
    """Return how many judgements before a change, or without one, reported a change; and of how many judgements."""
    alarms = judged = 0
    for each in every:
        for length in range(FEWEST + LAST, (each.place if each.place is not None else LENGTH) + 1):
            judged += 1
            trend = judge(each.values[:length], each.better)
            alarms += trend is not None and trend.change is not None
    return alarms, judged


def _reported(series: Series, length: int) -> str | None:
    """Return the reported change of the first values of a series; one at a wrong place is reported as ``elsewhere``."""
    trend = judge(series.values[:length], series.better)
    if trend is None or trend.change is None or trend.place is None:
        return None
    near = series.place is not None and abs(trend.place - series.place) <= NEAR
    return trend.change if near else "elsewhere"


def _delay(series: Series) -> int:
    assert series.place is not None
    first = next(n for n in range(series.place, LENGTH + 1) if _reported(series, n) == series.truth)
    return first - series.place


def read(path: Path = FILE) -> list[Series]:
    stored = json.loads(path.read_text(encoding="utf-8"))["series"]
    return [Series(**{**each, "values": tuple(each["values"])}) for each in stored]


HEADERS = ("change", "series", "changes reported", "found", "values until reported, median")


def table(every: Sequence[Series]) -> list[list[Cell]]:
    """Return a row for each size of change, and one for all."""
    rows: list[list[Cell]] = []
    for factor in sorted(set(FACTORS)):
        chosen = [each for each in every if each.factor == factor]
        result = score(chosen)
        name = "no change" if factor == 1 else f"work x {factor:g}"
        recall = f"{result.right} of {result.changed}" if factor != 1 else "-"
        rows.append([name, result.series, result.reported, recall, _median(result.delays)])
    whole = score(every)
    recall = f"{whole.right} of {whole.changed}: {whole.recall:.0%}"
    rows.append(["all", whole.series, whole.reported, recall, _median(whole.delays)])
    return rows


def notes(every: Sequence[Series]) -> list[str]:
    """Return precision and recall in words."""
    whole, (alarms, judged) = score(every), false_alarms(every)
    return [
        f"Precision {whole.precision:.2f}: {whole.right} of {whole.reported} reported changes are real, in the right "
        f"direction and place. Recall {whole.recall:.2f}: {whole.right} of {whole.changed} changes are reported. If a "
        f"series without a change so far is judged after each value, {alarms} of {judged} judgements report one."
    ]


def _median(delays: Sequence[int]) -> int | str:
    return sorted(delays)[len(delays) // 2] if delays else "-"


def record() -> list[Series]:
    """Measure all series, value by value in turns, so that each has the scatter of the whole time."""
    chance = random.Random(1)
    planned = []
    for name, (better, measure) in FIGURES.items():
        for factor in FACTORS:
            place = None if factor == 1 else chance.randrange(FEWEST + 4, LENGTH - 8)
            planned.append((name, better, factor, place, measure))
    values: list[list[float]] = [[] for _ in planned]
    for turn in range(LENGTH):
        for index, (_, _, factor, place, measure) in enumerate(planned):
            values[index].append(float(f"{measure(factor if place is not None and turn >= place else 1.0):.5g}"))
    return [
        Series(name, better, factor, place, tuple(measured))
        for (name, better, factor, place, _), measured in zip(planned, values, strict=True)
    ]


def _rate(step: Callable[[], object], count: int, factor: float) -> float:
    """Return how many of ``count`` tasks a processor second are done if each takes ``factor`` times the work."""
    began = _processor_seconds()
    for _ in range(round(count * factor)):
        step()
    return count / (_processor_seconds() - began)


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _programs(factor: float) -> float:
    return _rate(lambda: subprocess.run(["/bin/true"], check=True), 20, factor)


def _files(factor: float) -> float:
    with tempfile.TemporaryFile() as file:

        def write() -> None:
            file.write(b"0" * 4096)
            file.flush()
            os.fsync(file.fileno())

        return 1000 / _rate(write, 20, factor)


def _rows(factor: float) -> float:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("create table t (a integer primary key, b text)")
        return _rate(lambda: connection.execute("insert into t (b) values ('x')"), 5000, factor)


def _hashes(factor: float) -> float:
    return 1000 / _rate(lambda: hashlib.pbkdf2_hmac("sha256", b"a", b"b", 1000), 20, factor)


FIGURES: dict[str, tuple[str, Callable[[float], float]]] = {
    "programs a second": ("higher", _programs),
    "ms to write a file": ("lower", _files),
    "rows a second": ("higher", _rows),
    "ms a hash": ("lower", _hashes),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--record", type=Path, metavar="FILE", help="measure again and store the series there")
    options = parser.parse_args()
    if options.record:
        stored = {"machine": machine(), "load": os.getloadavg()[0], "series": [asdict(each) for each in record()]}
        options.record.write_text(json.dumps(stored).replace('{"figure"', '\n{"figure"') + "\n", encoding="utf-8")
    every = read(options.record or options.file)
    publish("series", HEADERS, table(every), Watch().load(), notes=notes(every))


if __name__ == "__main__":
    main()
