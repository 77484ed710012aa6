"""How fast the dashboard draws its two biggest pages, on a small history and on a big one.

    python benchmarks/dashboard.py [--big 2000000] [--times 200] [--keep FOLDER]

"Now" is drawn for 40 systems of nine components, and the history grid for 100 runs of 300 cases, each from a database
of about 20,000 records and from the big one. The figures are the server's time for one drawing, reading included; the
ratio says what the size of the history costs. A folder given with --keep is used again, so that a history is generated
once, about a thousand records a second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event, func, select

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.history import SUBJECTS, Shape, fill
from collector.clock import now_ms
from collector.database import Store, database_url, open_store
from collector.page import Question, draw
from collector.pages import all_pages
from collector.seen import EVERYTHING
from collector.tables import runs

PAGES = {page.path: page for page in all_pages()}
SYSTEMS, CASES = 40, 300
GRID = ("/systems/{site}/{system}", {"site": "alcf", "system": "system00"})
WARM_UP = 5


def opened(folder: Path, name: str, shape: Shape) -> Store:
    """Open a history, generating it where it is not there yet."""
    file = folder / f"{name}.db"
    fresh = not file.exists()
    store = open_store(database_url(str(file), folder))
    if fresh:
        began = time.perf_counter()
        count = fill(store, shape)
        print(f"generated {name}: {count:,} records in {time.perf_counter() - began:.0f} s", flush=True)
    return store


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

    def count(*_: object) -> None:
        nonlocal asked
        asked += 1

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
    return took[len(took) // 2], took[min(len(took) * 99 // 100, len(took) - 1)], size, asked - 1  # BEGIN is none


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--big", type=int, default=2_000_000, help="records of the big history")
    parser.add_argument("--times", type=int, default=200, help="drawings of each page")
    parser.add_argument("--keep", type=Path, help="a folder for the databases, used again where they are there")
    options = parser.parse_args()
    nights = max(options.big // (SYSTEMS * CASES), 1)
    shapes = {
        "small-now": Shape(SYSTEMS, len(SUBJECTS), 20_000 // (SYSTEMS * len(SUBJECTS))),
        "small-grid": Shape(1, CASES, 20_000 // CASES),
        "big": Shape(SYSTEMS, CASES, nights),
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        stores = {name: opened(folder, name, shape) for name, shape in shapes.items()}
        print(f"{'page':<22} {'records':>10} {'p50 ms':>8} {'p99 ms':>8} {'queries':>8} {'kB':>6} {'p50 ratio':>10}")
        same = shapes["small-grid"].nights
        for page, path, names, columns, small in (
            ("Now", "/", {}, 0, "small-now"),
            (f"grid, {same} runs", *GRID, same, "small-grid"),
            ("grid, 100 runs", *GRID, 100, None),
        ):
            before = None
            for name in (small, "big"):
                if name is None:
                    continue
                store = stores[name]
                p50, p99, size, queries = measured(store, drawer(store, path, names, columns), options.times)
                ratio = f"{p50 / before:.2f}" if before else "-"
                before = p50
                records = stored(store)
                print(f"{page:<22} {records:>10,} {p50:>8.1f} {p99:>8.1f} {queries:>8} {size // 1000:>6} {ratio:>10}")
        for store in stores.values():
            store.close()


if __name__ == "__main__":
    main()
