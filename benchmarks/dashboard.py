"""How fast the dashboard draws its two biggest pages, on a small history and on a big one.

    python benchmarks/dashboard.py [--big 2000000] [--times 200] [--database sqlite|postgresql]
    python benchmarks/dashboard.py --keep FOLDER [--fill-seconds 200]

"Now" is drawn for 40 systems of nine components, and the history grid for 100 runs of 300 cases, each from a database
of about 20,000 records and from the big one. The figures are the server's time for one drawing, reading included; the
ratio says what the size of the history costs. Then a real server on the big one is asked for both pages, and tells its
peak memory. Histories are generated once in a folder given with --keep, by --fill-seconds piece by piece; it may be the
folder of ``ingest.py``, whose big database is the same.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event, func, select

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.databases import KINDS, Databases
from benchmarks.history import SUBJECTS, Shape, fill, whole
from benchmarks.ingest import memory
from collector.clock import now_ms
from collector.database import Store, database_url, open_store
from collector.page import Question, draw
from collector.pages import all_pages
from collector.seen import EVERYTHING
from collector.serve import GC_THRESHOLD
from collector.tables import runs
from tests.collector.server import Collector

PAGES = {page.path: page for page in all_pages()}
GRID = ("/systems/{site}/{system}", {"site": "alcf", "system": "system00"})
WARM_UP = 5


def opened(made: Databases, name: str, shape: Shape, seconds: float) -> Store | None:
    """Open a history, making what of it is not there yet; None where it is not whole in time."""
    store = open_store(database_url(made.url(name), made.folder))
    began = time.perf_counter()
    count = 0 if whole(store, shape) else fill(store, shape, seconds)
    if count:
        print(f"generated {made.kind} {name}: {count:,} records in {time.perf_counter() - began:.0f} s", flush=True)
    if whole(store, shape):
        return store
    store.close()
    return None


def stored(store: Store) -> int:
    """Return how many records a history has."""
    with store.reading() as connection:
        return int(connection.execute(select(func.sum(runs.c.records))).scalar() or 0)


def drawer(store: Store, path: str, names: dict[str, str], columns: int) -> Callable[[], int]:
    """Return what draws the page once and gives its size."""

    def once() -> int:
        with store.reading() as connection:
            question = Question(connection, EVERYTHING, now_ms(), names, {"runs": str(columns)})
            return len(draw(PAGES[path], question))

    return once


def measured(store: Store, once: Callable[[], int], times: int) -> tuple[float, float, int, int]:
    """Return the median and the 99th percentile in milliseconds, the size in bytes and the queries of one drawing."""
    asked = 0

    def count(*given: object) -> None:
        nonlocal asked
        asked += not str(given[2]).startswith("BEGIN")

    size = [once() for _ in range(WARM_UP)][-1]
    event.listen(store.reader, "before_cursor_execute", count)
    once()
    event.remove(store.reader, "before_cursor_execute", count)
    took = []
    for _ in range(times):
        began = time.perf_counter()
        once()
        took.append(1000 * (time.perf_counter() - began))
    took.sort()
    return took[len(took) // 2], took[min(len(took) * 99 // 100, len(took) - 1)], size, asked


def served(made: Databases, times: int) -> str:
    """Ask a real server for both pages, and return how long that takes and its peak memory."""
    with tempfile.TemporaryDirectory() as home:
        server = Collector(Path(home), "--database", made.url("big"))
        took = []
        for _ in range(times):
            for path in ("/", GRID[0].format(**GRID[1])):
                began = time.perf_counter()
                server.get(path).raise_for_status()
                took.append(1000 * (time.perf_counter() - began))
        peak = memory(server.process.pid)
        server.stop()
    took.sort()
    return f"{made.kind}: both by HTTP, p99 {took[len(took) * 99 // 100]:.1f} ms; the server's peak is {peak:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--big", type=int, default=2_000_000, help="records of the big history")
    parser.add_argument("--times", type=int, default=200, help="drawings of each page")
    parser.add_argument("--database", choices=KINDS, action="append", help="may be given again; both if not said")
    parser.add_argument("--keep", type=Path, help="a folder for the databases, used again where they are there")
    parser.add_argument("--fill-seconds", type=float, default=math.inf, help="end a filling after so long")
    options = parser.parse_args()
    big = Shape.of(options.big)
    shapes = {
        "small_now": Shape(big.systems, len(SUBJECTS), 20_000 // (big.systems * len(SUBJECTS))),
        "small_grid": Shape(1, big.cases, 20_000 // big.cases),
        "big": big,
    }
    same = shapes["small_grid"].nights
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"{'page':<28} {'records':>10} {'p50 ms':>8} {'p99 ms':>8} {'queries':>8} {'kB':>6} {'p50 ratio':>10}")
    for kind in options.database or KINDS:
        with Databases(kind, options.keep) as made:
            stores = {name: opened(made, name, shape, options.fill_seconds) for name, shape in shapes.items()}
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLD)
            for page, path, names, columns, places in (
                ("Now", "/", {}, 0, ("small_now", "big")),
                (f"grid, {same} runs", *GRID, same, ("small_grid", "big")),
                ("grid, 100 runs", *GRID, 100, ("big",)),
            ):
                before = None
                for name in places:
                    store = stores[name]
                    if store is None:
                        print(f"{kind} {name} is not whole yet: run this again")
                        continue
                    p50, p99, size, queries = measured(store, drawer(store, path, names, columns), options.times)
                    ratio, before = f"{p50 / before:.2f}" if before else "-", p50
                    figures = f"{p50:>8.1f} {p99:>8.1f} {queries:>8} {size // 1000:>6} {ratio:>10}"
                    print(f"{kind + ' ' + page:<28} {stored(store):>10,} {figures}", flush=True)
            for store in stores.values():
                if store is not None:
                    store.close()
            if stores["big"] is not None:
                print(served(made, options.times), flush=True)


if __name__ == "__main__":
    main()
