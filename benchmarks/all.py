"""Run the benchmarks one after the other on an idle machine, and write their tables into docs/performance.md.

python -m benchmarks.all --list                     # what there is, and how long it takes
python -m benchmarks.all                            # run everything, print the tables
python -m benchmarks.all --write                    # and write them into docs/performance.md
python -m benchmarks.all --only harness slurm       # some of them
python -m benchmarks.all --only ingest-onto-sqlite dashboard-sqlite --history 10000000 --keep FOLDER --write

The big history has a million records; --history takes another number. With --keep its databases stay in the folder, so
that it is generated once: a million records take 4.4 GB on SQLite, 2.2 GB on PostgreSQL, and some minutes.

The machine is watched before and during each benchmark. If other programs use more than a tenth of its cores before
the start, nothing is run (exit code 3). If they do so meanwhile, the ratios and times of that benchmark are not shown,
the page keeps its earlier table, and the exit code is 1. ``--at-load`` runs all the same, for a test of the benchmarks
themselves; it never writes the page.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.databases import KINDS
from benchmarks.load import LIMIT, Watch, before, machine, pace
from benchmarks.pages import PageError, names, replaced
from benchmarks.results import VARIABLE, Table, stored

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
HISTORY = "RECORDS"
"""Stands in the arguments of a benchmark for the number of records of its big history."""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: its command after ``python -m``, the tables that it publishes, and its usual minutes.

    timed: whether its results depend on the load of the machine. needs: a program without which it is left out.
    """

    name: str
    arguments: tuple[str, ...]
    tables: tuple[str, ...]
    minutes: int
    what: str
    timed: bool = True
    needs: str = ""

    def with_history(self, records: int, keep: Path | None) -> Benchmark:
        """Return this benchmark with a number of records and a folder for its big history, if it has one."""
        if HISTORY not in self.arguments:
            return self
        arguments = tuple(str(records) if each == HISTORY else each for each in self.arguments)
        return replace(self, arguments=arguments + (("--keep", str(keep.resolve())) if keep else ()))

    @property
    def lacking(self) -> str:
        """Return what is absent on this machine, if it cannot run."""
        if (
            not self.needs
            or shutil.which(self.needs)
            or Path(os.environ.get("SPACK_ROOT", "/"), "bin", self.needs).exists()
        ):
            return ""
        return f"{self.needs} is not on PATH"


BENCHMARKS = (
    Benchmark("bootstrap", ("benchmarks.bootstrap",), ("bootstrap",), 1, "the start of ./exaworks"),
    Benchmark("testbed", ("benchmarks.testbed",), ("testbed-start", "testbed-jobs"), 2, "the Slurm testbed"),
    Benchmark("ci", ("benchmarks.ci",), ("ci",), 3, "the steps of a pipeline"),
    Benchmark("harness", ("benchmarks.harness",), ("harness",), 6, "cases of `true`, 100 to 10,000, beside ReFrame"),
    Benchmark("slurm", ("benchmarks.slurm",), ("slurm",), 18, "10,000 jobs on a Slurm of 64 nodes, beside ReFrame"),
    Benchmark("validation", ("benchmarks.validation",), ("validation",), 15, "runs of validate: first verdict, ratio"),
    Benchmark("series", ("benchmarks.series",), ("series",), 1, "the detection of changes, on stored series", False),
    Benchmark("spack", ("benchmarks.spack",), ("spack",), 8, "concretization of the Spack bundle", needs="spack"),
    Benchmark(
        "answers",
        ("benchmarks.campaign", "answers", "--mutations", "100"),
        ("campaign-answers",),
        15,
        "robustness: damaged answers of schedulers",
        False,
    ),
    Benchmark(
        "kills",
        ("benchmarks.campaign", "kills", "--kills", "50"),
        ("campaign-kills",),
        15,
        "robustness: killed processes",
        False,
    ),
    Benchmark("ingest", ("benchmarks.ingest",), ("ingest",), 4, "the collector's ingest into empty databases"),
    *(
        Benchmark(
            f"ingest-onto-{kind}",
            ("benchmarks.ingest", "--onto", HISTORY, "--database", kind, "--no-standin"),
            (f"ingest-onto-{kind}",),
            8,
            f"the collector's ingest into a {kind} database with a big history",
        )
        for kind in KINDS
    ),
    Benchmark("profile", ("benchmarks.ingest_profile",), ("ingest-profile",), 1, "the steps of the collector's ingest"),
    Benchmark("workers", ("benchmarks.workers",), ("workers",), 4, "one and four collectors on one PostgreSQL"),
    Benchmark("space", ("benchmarks.space",), ("space",), 5, "the collector's space on disk, and its retention"),
    *(
        Benchmark(
            f"dashboard-{kind}",
            ("benchmarks.dashboard", "--big", HISTORY, "--database", kind),
            (f"dashboard-{kind}",),
            8,
            f"the dashboard's pages with a small history and a big one on {kind}",
        )
        for kind in KINDS
    ),
    Benchmark("components", ("benchmarks.components",), ("components",), 50, "the components' cases of the scale tier"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[each.name for each in BENCHMARKS], default=[])
    parser.add_argument("--list", action="store_true", help="list the benchmarks and exit")
    parser.add_argument("--history", type=int, default=1_000_000, metavar="RECORDS", help="size of the big history")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the databases of the big history stay")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/performance.md")
    parser.add_argument("--at-load", action="store_true", help="run although the machine is busy")
    options = parser.parse_args(arguments)
    chosen = [each for each in BENCHMARKS if not options.only or each.name in options.only]
    if options.list:
        for each in chosen:
            print(f"{each.name:<22} {each.minutes:>3} min  {each.what}")
        return 0
    timed = any(each.timed for each in chosen)
    at_start = before() if timed else Watch().load()
    if timed and not at_start.idle and not options.at_load:
        print(
            f"{at_start} in the last seconds, more than {LIMIT:.0%}: ratios of times would be meaningless, so nothing "
            "was run. Repeat it on an idle machine.",
            file=sys.stderr,
        )
        return 3
    failures = []
    for each in chosen:
        if each.lacking:
            print(f"== {each.name}: left out, {each.lacking}\n")
            continue
        before_it = pace()
        tables, problem = run(each.with_history(options.history, options.keep))
        paces = f"a million additions took {before_it:.0f} ms before and {pace():.0f} ms after"
        print(f"-- {paces}\n", flush=True)
        if problem:
            failures.append(f"{each.name}: {problem}")
        if options.write and not options.at_load and not problem:
            write(PAGE, tables, paces)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def run(benchmark: Benchmark) -> tuple[list[Table], str]:
    """Run one benchmark; return its tables, and why they cannot be used, if so."""
    print(f"== {benchmark.name}: {benchmark.what} (about {benchmark.minutes} min)", flush=True)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "PYTEST", "COV"))}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        results = Path(folder, "results.jsonl")
        results.touch()
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", *benchmark.arguments], cwd=ROOT, env={**environ, VARIABLE: str(results)}, check=False
        )
        tables = stored(results)
    print(f"-- {benchmark.name}: {time.monotonic() - began:.0f} s", flush=True)
    return tables, problem_of(benchmark, done.returncode, tables)


def problem_of(benchmark: Benchmark, code: int, tables: Sequence[Table]) -> str:
    """Return why the tables of a benchmark cannot be written into the page; empty if they can."""
    if code:
        return f"ended with exit code {code}"
    absent = set(benchmark.tables) - {table.name for table in tables}
    if absent:
        return f"published no table {', '.join(sorted(absent))}"
    busy = [table for table in tables if table.times and not table.meaningful]
    return f"table {busy[0].name}: {busy[0].conditions()}" if busy else ""


def write(page: Path, tables: Sequence[Table], paces: str) -> None:
    """Write tables into their places, each with the machine, the date, the load and the pace of a core.

    Raises:
        PageError: the page has no place for one of them; nothing is written.
    """
    text = page.read_text(encoding="utf-8")
    for table in tables:
        load = f"{table.conditions()}; " if table.times or table.cpu else ""  # too short for the load to be seen
        measured = f"Measured {machine()}; {load}{paces}."
        text = replaced(text, table.name, f"{table.markdown()}\n\n{measured}")
    page.write_text(text, encoding="utf-8")


def check(page: str) -> None:
    """Check that a page has a place for each table, and no other place.

    Raises:
        PageError: names the difference.
    """
    wanted, present = [name for each in BENCHMARKS for name in each.tables], names(page)
    if sorted(wanted) != sorted(present):
        raise PageError(f"tables {sorted(wanted)}, but places {sorted(present)}")


if __name__ == "__main__":
    sys.exit(main())
