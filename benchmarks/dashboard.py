"""Measure the time in which the dashboard renders its two biggest pages, with a small and with a big history.

    python benchmarks/dashboard.py [--big 2000000] [--times 200] [--database sqlite|postgresql]
    python benchmarks/dashboard.py --keep FOLDER [--fill-seconds 200]
    python benchmarks/dashboard.py --existing sqlite:////var/tmp/history.db

"Now" is rendered for 40 systems with nine components, and the history grid for 100 runs of 300 cases, each from a
database with about 20,000 records and from the big one. The figures are the server's time to read and render a page
once; the ratio shows the cost of a bigger history. Then a real server with the big database gets requests for both
pages, and its peak memory is printed. With --keep the histories are generated only once, in that folder; --fill-seconds
limits one call, and the next one continues. The folder of ``ingest.py`` can be used: its big database is the same.
With --existing, views of the first page and the triage page are rendered from a database that ``benchmarks.history``
has filled, such as one of 10,000 systems.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event, func, select

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.databases import KINDS, Databases
from benchmarks.history import fill, is_complete
from benchmarks.ingest import memory
from benchmarks.load import Watch
from benchmarks.results import Cell, publish
from benchmarks.spells import SUBJECTS, Shape
from collector.auth.visibility import EVERYTHING
from collector.clock import now_ms
from collector.pages import all_pages
from collector.rendering.base import Question, render_html
from collector.server.serve import GC_THRESHOLD
from collector.store.database import Store, database_url, open_store
from collector.store.tables import runs, systems
from tests.collector.process import Collector

PAGES = {page.path: page for page in all_pages()}
GRID = ("/systems/{site}/{system}", {"site": "alcf", "system": "system00"})
WARM_UP = 5


def open_history(databases: Databases, name: str, shape: Shape, seconds: float) -> Store | None:
    """Open a history and generate its missing records; return None if it is not complete after ``seconds``."""
    store = open_store(database_url(databases.url(name), databases.folder))
    began = time.perf_counter()
    count = 0 if is_complete(store, shape) else fill(store, shape, seconds)
    if count:
        duration = time.perf_counter() - began
        print(f"generated {databases.kind} {name}: {count:,} records in {duration:.0f} s", flush=True)
    if is_complete(store, shape):
        return store
    store.close()
    return None


def record_count(store: Store) -> int:
    """Return the number of records of a history."""
    with store.reading() as connection:
        return int(connection.execute(select(func.sum(runs.c.records))).scalar() or 0)


def page_renderer(store: Store, path: str, names: dict[str, str], columns: int) -> Callable[[], int]:
    """Return a function that renders the page once and returns its size in bytes."""

    def render_once() -> int:
        with store.reading() as connection:
            question = Question(connection, EVERYTHING, now_ms(), names, {"runs": str(columns)})
            return len(render_html(PAGES[path], question))

    return render_once


def measure(store: Store, render_once: Callable[[], int], times: int) -> tuple[float, float, int, int]:
    """Return the median and the 99th percentile in milliseconds, the size in bytes and the number of queries."""
    queries = 0

    def count(*arguments: object) -> None:
        nonlocal queries
        queries += not str(arguments[2]).startswith("BEGIN")

    size = [render_once() for _ in range(WARM_UP)][-1]
    event.listen(store.reader, "before_cursor_execute", count)
    render_once()
    event.remove(store.reader, "before_cursor_execute", count)
    durations = []
    for _ in range(times):
        began = time.perf_counter()
        render_once()
        durations.append(1000 * (time.perf_counter() - began))
    durations.sort()
    p99 = durations[min(len(durations) * 99 // 100, len(durations) - 1)]
    return durations[len(durations) // 2], p99, size, queries


def collect_as_a_server() -> None:
    """Collect garbage as often as the server does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


VIEWS = (("/", {}), ("/", {"view": "dense"}), ("/", {"sort": "site"}), ("/", {"class": "site"}), ("/triage", {}))


def measure_existing(url: str, times: int) -> None:
    """Print the time, the size and the number of queries of some views, from a database that is already filled."""
    store = open_store(database_url(url, Path()))
    with store.reading() as connection:
        number = connection.execute(select(func.count()).select_from(systems)).scalar_one()
    print(f"{store.url.get_backend_name()}, {number:,} systems, {record_count(store):,} records")
    for path, query in VIEWS:

        def render_once(path: str = path, query: dict[str, str] = query) -> int:
            with store.reading() as connection:
                return len(render_html(PAGES[path], Question(connection, EVERYTHING, now_ms(), {}, query)))

        began = time.process_time()
        p50, p99, size, queries = measure(store, render_once, times)
        cpu = 1000 * (time.process_time() - began) / (times + WARM_UP + 1)
        name = path + "&".join(f"?{key}={value}" for key, value in query.items())
        print(f"{name:<20} p50 {p50:.1f} ms, p99 {p99:.1f} ms, CPU {cpu:.1f} ms, {queries} queries, {size // 1000} kB")
    store.close()


def measure_http(databases: Databases, times: int) -> tuple[float, float, float]:
    """Request both pages from a real server; return median, 99th percentile (ms) and its peak memory (MB)."""
    server = Collector(databases.home("big"), "--database", databases.url("big"))
    durations = []
    for _ in range(times):
        for path in ("/", GRID[0].format(**GRID[1])):
            began = time.perf_counter()
            server.get(path).raise_for_status()
            durations.append(1000 * (time.perf_counter() - began))
    peak = memory(server.process.pid)
    server.stop()
    durations.sort()
    return durations[len(durations) // 2], durations[len(durations) * 99 // 100], peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--big", type=int, default=2_000_000, help="records of the big history")
    parser.add_argument("--times", type=int, default=200, help="renderings of each page")
    parser.add_argument("--database", choices=KINDS, action="append", help="can be repeated; default: both")
    parser.add_argument("--keep", type=Path, help="a folder for the databases; existing ones are used again")
    parser.add_argument("--fill-seconds", type=float, default=math.inf, help="time limit of filling one database")
    parser.add_argument("--existing", metavar="URL", help="a filled database: only some views of it are measured")
    options = parser.parse_args()
    if options.existing:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        collect_as_a_server()
        measure_existing(options.existing, options.times)
        return
    big = Shape.of(options.big)
    shapes = {
        "small_now": Shape(big.systems, len(SUBJECTS), 20_000 // (big.systems * len(SUBJECTS))),
        "small_grid": Shape(1, big.cases, 20_000 // big.cases),
        "big": big,
    }
    same = shapes["small_grid"].nights
    watch = Watch()
    rows: list[list[Cell]] = []
    notes = []
    for kind in options.database or KINDS:
        with Databases(kind, options.keep) as databases:
            stores = {
                name: open_history(databases, name, shape, options.fill_seconds) for name, shape in shapes.items()
            }
            collect_as_a_server()
            for page, path, names, columns, histories in (
                ("first page", "/", {}, 0, ("small_now", "big")),
                (f"grid, {same} runs", *GRID, same, ("small_grid", "big")),
                ("grid, 100 runs", *GRID, 100, ("big",)),
            ):
                before = None
                for name in histories:
                    store = stores[name]
                    if store is None:
                        print(f"{kind} {name} is not complete yet: run this again")
                        continue
                    p50, p99, size, queries = measure(store, page_renderer(store, path, names, columns), options.times)
                    ratio, before = p50 / before if before else None, p50
                    rows.append([kind, page, record_count(store), p50, p99, ratio, queries, size // 1000])
            history = stores["big"]
            count = record_count(history) if history is not None else 0
            for store in stores.values():
                if store is not None:
                    store.close()
            if history is not None:
                p50, p99, peak = measure_http(databases, options.times)
                rows.append([kind, "both, by HTTP", count, p50, p99, None, None, None])
                notes.append(f"Peak memory of the server on {kind}: {peak:.0f} MB.")
    headers = ("database", "page", "records", "p50 ms", "p99 ms", "p50, ratio to the small history", "queries", "kB")
    name = "-".join(["dashboard", *(options.database or [])])
    publish(name, headers, rows, watch.load(), times=headers[3:6], notes=notes)


if __name__ == "__main__":
    main()
