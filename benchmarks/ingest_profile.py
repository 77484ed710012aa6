"""Measure which steps of ingest take how long for a record: decode, validate, digest, roll-up, insert.

    python -m benchmarks.ingest_profile [--records 20000] [--batch 500 --batch 5000] [--database sqlite|postgresql]
    python -m benchmarks.ingest_profile --onto 2000000 --keep FOLDER

The same runs as those of ``ingest.py`` are stored in one process by the functions of the collector, without HTTP. Each
function named in ``STEPS`` is replaced by one that measures its time without that of the steps within it. The
statements of the database count to the step that sends them. Python collects garbage as rarely as in the server.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

from benchmarks.databases import KINDS, Databases
from benchmarks.history import fill, is_complete
from benchmarks.ingest import bare, bare_copy, new_runs, newest_start
from benchmarks.load import Watch
from benchmarks.results import Cell, publish
from benchmarks.spells import Shape
from collector.api import ingest as api
from collector.clock import now_ms
from collector.server.serve import GC_THRESHOLD
from collector.store import decoding, records, rollups
from collector.store.database import Store, database_url, open_store
from collector.store.log import Entry, add_entry
from collector.store.runs import store_manifest
from dashboard_client.schema import encode
from tests.collector.process import batch

STEPS: tuple[tuple[str, ModuleType, str], ...] = (
    ("decode", decoding, "_decode"),
    ("validate", decoding, "_decode_record"),
    ("canonical form", decoding, "_encode"),
    ("find run and cells", records, "_open_runs"),
    ("compare with what is stored", records, "_stored_digests"),
    ("rows", records, "_new_records"),
    ("rows", records, "_row"),
    ("insert records", records, "insert_many"),
    ("roll-up: days", records, "add_to_days"),
    ("roll-up: figures", records, "add_points"),
    ("roll-up: cells, read", rollups, "_members"),
    ("roll-up: cells, read", rollups, "details"),
    ("roll-up: cells, write", rollups, "update_many"),
    ("roll-up: cells", records, "update_rollups"),
    ("roll-up: board", rollups, "_write_board"),
    ("roll-up: attention", rollups, "write_attention"),
)
"""The name of a step, and the module and the attribute that take it."""
REST = "other"
COMMIT = "begin and commit"
DIGEST = "digest"
TOTAL = "all steps"
BARE = "a bare insert of the same rows"


class Stopwatch:
    """Sums of seconds by step; a step's time does not contain that of the steps within it."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self._enter(name)
        try:
            yield
        finally:
            self._leave()

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, as a step."""

        def measured(*arguments: Any, **named: Any) -> Any:
            self._enter(name)
            try:
                return function(*arguments, **named)
            finally:
                self._leave()

        return measured

    def _enter(self, name: str) -> None:
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._open.append(name)
        self._since = now

    def _leave(self) -> None:
        now = time.perf_counter()
        self.seconds[self._open.pop()] += now - self._since
        self._since = now


@contextmanager
def measured_steps(watch: Stopwatch) -> Iterator[None]:
    """Replace the functions of ``STEPS`` by measuring ones."""
    sha256 = SimpleNamespace(sha256=watch.around(DIGEST, decoding.hashlib.sha256))
    with ExitStack() as stack:
        for name, module, attribute in STEPS:
            stack.enter_context(patch.object(module, attribute, watch.around(name, getattr(module, attribute))))
        stack.enter_context(patch.object(decoding, "hashlib", sha256))
        yield


@contextmanager
def garbage_as_in_the_server() -> Iterator[None]:
    """Do not search the records of the benchmark for garbage, and use the thresholds of the server."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def profile(store: Store, size: int, count: int, folder: Path, kind: str, url: str) -> dict[str, float]:
    """Store new runs in batches of a size; return the microseconds a record of each step, and of a bare insert."""
    sent = new_runs(count, newest_start(url, folder))
    all_records = [each for _, some in sent for each in some]
    with store.writing() as connection:
        for opening, _ in sent:  # each arrives later than the one before, so that none is a late run
            now = now_ms()
            store_manifest(connection, decoding.read_manifest(encode(opening), now), now)
    bodies = [batch(all_records[start : start + size]) for start in range(0, len(all_records), size)]
    watch = Stopwatch()
    with measured_steps(watch), garbage_as_in_the_server():
        for body in bodies:
            with watch.step(REST):
                store_batch(store, body, now_ms(), watch)
    steps = {name: 1e6 * seconds / len(all_records) for name, seconds in watch.seconds.items()}
    rate = bare(all_records, size, folder) if kind == "sqlite" else bare_copy(all_records, size, url)
    return {**steps, TOTAL: sum(steps.values()), BARE: 1e6 / rate}


def store_batch(store: Store, body: bytes, now: int, watch: Stopwatch) -> None:
    """Store one request as ``collector.api.ingest`` does.

    Raises:
        SystemExit: a record was refused.
    """
    for part in api.split_batch(decoding.read_batch(body, now)):
        accepted = [each for each in part if isinstance(each, decoding.DecodedRecord)]
        with watch.step(COMMIT), store.writing() as connection, watch.step(REST):
            refused = records.store_records(connection, accepted, now, "token:benchmark")
            add_entry(connection, now, Entry("records.add", count=len(accepted)))
        if refused or len(accepted) < len(part):
            raise SystemExit("a record was refused")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--batch", type=int, action="append", help="records in a batch; can be repeated")
    parser.add_argument("--onto", type=int, default=0, help="number of records to fill the databases with first")
    parser.add_argument("--database", choices=KINDS, action="append", help="can be repeated; default: both")
    parser.add_argument("--keep", type=Path, help="a folder for the databases; existing ones are used again")
    options = parser.parse_args()
    load = Watch()
    columns: dict[str, dict[str, float]] = {}
    for kind in options.database or KINDS:
        with Databases(kind, options.keep) as databases:
            for size in options.batch or [500, 5000]:
                url = databases.url("big" if options.onto else f"profile{size}")
                store = open_store(database_url(url, databases.folder))
                shape = Shape.of(options.onto)
                if options.onto and not is_complete(store, shape):
                    fill(store, shape)
                columns[f"{kind}, {size:,}"] = profile(store, size, options.records, databases.folder, kind, url)
                store.close()
    order = list(dict.fromkeys([name for name, _, _ in STEPS][:3] + [DIGEST] + [name for name, _, _ in STEPS]))
    rows: list[list[Cell]] = [
        [name, *(column.get(name) for column in columns.values())] for name in (*order, COMMIT, REST, TOTAL, BARE)
    ]
    onto = f"onto a history of {options.onto:,} records" if options.onto else "into empty databases"
    note = f"Microseconds a record, by database and batch; {options.records:,} records {onto}."
    name = "ingest-profile" + ("-onto" if options.onto else "")
    publish(name, ("step", *columns), rows, load.load(), times=tuple(columns), notes=[note])


if __name__ == "__main__":
    main()
