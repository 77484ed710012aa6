"""A generated history: systems that run the same cases every night, with failures that last for some nights.

    python -m benchmarks.history --to sqlite:////var/tmp/history.db --records 2000000
    python -m benchmarks.history --to postgresql://me@127.0.0.1/history --systems 10000 --cases 32 --bad-night

The collector's own functions store it, roll-ups included, so that measurements on it are realistic. Two histories with
the same shape are equal. ``spells.py`` states what fails. A call that was interrupted is continued by the next one on
the same day; ``exaworks collector serve --database URL`` shows the result.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import math
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import msgspec
from sqlalchemy import Connection, func, select

from benchmarks.spells import FAILURES, MISSING, SUBJECTS, Shape, Spell, spells_of
from collector.clock import now_ms
from collector.store.database import Store, database_url, open_store
from collector.store.decoding import DecodedRecord, read_closing, read_manifest
from collector.store.records import store_records
from collector.store.runs import store_closing, store_manifest
from collector.store.tables import runs
from dashboard_client.schema import (
    Cause,
    Closing,
    Component,
    Deployment,
    Harness,
    Manifest,
    Metric,
    Outcome,
    PlannedCase,
    Record,
    Scheduler,
    Selection,
    Software,
    Span,
    Stack,
    Timing,
    Verdict,
    Waiver,
    encode,
    record_id,
)
from tests.collector.samples import record as sample_record

HARNESS = Harness(version="2026.11.0", commit="0f3c9a7d5e21", dirty=False)

TRANSACTION = 50
"""The number of runs that are stored in one transaction."""

OWNERS = ("workflow group", "user support", "system software", "data science")

MEASURES = 50
"""One case in so many has metrics; their values are worse in the last twelve nights."""


def fill(store: Store, shape: Shape, seconds: float = math.inf) -> int:
    """Store a history from the oldest to the newest night, one transaction each, and return the number of new records.

    Existing runs are skipped, so that a history can be filled in several calls of some ``seconds``, on the same day.
    """
    gc.set_threshold(50_000, 20, 100)
    ends, count = time.monotonic() + seconds, 0
    with store.reading() as connection:
        existing = set(connection.execute(select(runs.c.run_id)).scalars())
    spells = [spells_of(number, shape) for number in range(shape.systems)]
    for night in range(shape.nights):
        if time.monotonic() > ends:
            break
        missing = [each for each in _runs_of(shape, night) if _run_id(*each) not in existing]
        for start in range(0, len(missing), TRANSACTION):
            with store.writing() as connection:
                for number, began in missing[start : start + TRANSACTION]:
                    count += _store(connection, make_run(shape, number, night, began, spells[number]))
    return count


def _runs_of(shape: Shape, night: int) -> Iterator[tuple[int, datetime]]:
    """Yield the number of each system that runs in a night, with the time at which it starts: within seven hours."""
    day = shape.ends - timedelta(days=shape.nights - 1 - night, hours=12)
    for number in range(shape.systems):
        if not shape.is_silent(number, night):
            yield number, day + timedelta(minutes=min(11, 440 / shape.systems) * number)


def is_complete(store: Store, shape: Shape) -> bool:
    """Return whether a history has all its runs."""
    with store.reading() as connection:
        count: int = connection.execute(select(func.count()).select_from(runs)).scalar_one()
    silent = sum(shape.is_silent(number, night) for number in range(shape.systems) for night in range(shape.nights))
    return count >= shape.systems * shape.nights - silent


def _store(connection: Connection, run: tuple[Manifest, list[DecodedRecord], Closing]) -> int:
    now, (opening, arrivals, closing) = now_ms(), run
    store_manifest(connection, read_manifest(encode(opening), now), now)
    store_records(connection, arrivals, now)
    store_closing(connection, opening.run_id, read_closing(encode(closing), now), "*", now)
    return len(arrivals)


def _run_id(number: int, began: datetime) -> str:
    return f"system{number:02}-{began:%Y%m%d}"


def make_run(
    shape: Shape,
    number: int,
    night: int,
    began: datetime,
    spells: list[list[Spell]],
    run_id: str | None = None,
) -> tuple[Manifest, list[DecodedRecord], Closing]:
    """Return the manifest, the records and the closing of one system's run in one night; ``spells``: its failures."""
    site, system = shape.site_of(number), f"system{number:02}"
    emulated = number % 10 == 9
    schedulers = ("slurm", "slurm+flux", "local") if number % 3 else ("lsf", "local", "lsf+flux")
    release = "2026.11" if shape.nights - night < 20 else "2026.08"
    run_id = run_id or _run_id(number, began)
    parsl = "2026.10.26" if release == "2026.11" else "2026.07.06"
    deployment = Deployment(
        name="spack", kind="spack", digest=hashlib.sha256(f"{release}{night // 9}".encode()).hexdigest()
    )
    stack = Stack(
        deployment=deployment,
        components=[
            Component(name=name, version=parsl if name == "parsl" else "0.9.11", provider="spack")
            for name in ("psij", "parsl", "flux", "swift-t", "radical.pilot", "radical.entk", "control")
        ],
        python="3.11.7",
        modules=["gcc/12.2", f"cray-mpich/8.1.{night // 30}"],
    )
    planned: list[PlannedCase] = []
    arrivals: list[DecodedRecord] = []
    counts: dict[str, int] = {}
    for place in range(shape.cases):
        subject = SUBJECTS[place % len(SUBJECTS)]
        component, *partners = subject.split("+")
        scheduler = schedulers[place // len(SUBJECTS) % len(schedulers)]
        case_id = f"{subject}/case{place // len(SUBJECTS) // len(schedulers):02}@{scheduler}"
        planned.append(PlannedCase(case_id=case_id, component=component, partners=partners, scheduler=scheduler))
        failure = next((kind for start, end, kind in spells[place] if start <= night < end), None)
        if failure == MISSING:
            continue  # planned, but without a record
        verdict = Verdict(outcome=Outcome.PASS)
        if failure is not None:
            outcome, cls, phase, rule, evidence = FAILURES[failure]
            verdict = Verdict(outcome=outcome, cause=Cause(phase=phase, cls=cls, rule=rule, evidence=evidence))
        counts[verdict.outcome.value] = counts.get(verdict.outcome.value, 0) + 1
        metrics = _metrics(place + night, night, shape) if failure is None and place % MEASURES == 0 else []
        arrivals.append(
            _arrival(
                *(len(arrivals), run_id, case_id, site, system, scheduler, emulated, began, stack, verdict),
                place + night,
                metrics,
            )
        )
    opening = Manifest(
        run_id=run_id,
        site=site,
        system=system,
        started=_iso(began),
        trigger="nightly",
        harness=HARNESS,
        release=release,
        selection=Selection(),
        planned=planned,
        deployments=[deployment],
        cadence="1d",
        stale_after="36h" if number % 7 else "12h",
        owner=OWNERS[number % len(OWNERS)],
        waivers=[
            Waiver(cases="parsl+flux/*", reason="needs a newer libflux", expires="2027-03-01", owner="flux group")
        ],
    )
    closing = Closing(
        sequence=1,
        state="complete",
        ended=_iso(began + timedelta(minutes=35)),
        planned=len(planned),
        recorded=len(arrivals),
        missing=len(planned) - len(arrivals),
        counts=counts,
        exit_code=1 if set(counts) & {"fail", "error"} else 0,
    )
    return opening, arrivals, closing


def _arrival(
    index: int,
    run_id: str,
    case_id: str,
    site: str,
    system: str,
    scheduler: str,
    emulated: bool,
    began: datetime,
    stack: Stack,
    verdict: Verdict,
    spread: int,
    metrics: list[Metric],
) -> DecodedRecord:
    outer, _, nested = scheduler.partition("+")
    wait, run = 4.0 + spread * 37 % 400, 6.1 + spread % 11
    started = began + timedelta(seconds=wait)
    ended = started + timedelta(seconds=run)
    template = _template(case_id, site, system)
    record: Record = msgspec.structs.replace(
        template,
        record_id=record_id(site, system, run_id, case_id, 1),
        run_id=run_id,
        stack=stack,
        scheduler=Scheduler(
            outer=Software(name=outer, version="22.05.8", emulated=emulated and outer != "local"),
            nested=Software(name=nested, version="0.88.0") if nested else None,
            launcher=Software(name="srun", version="22.05.8"),
            job_ids=[str(4711 + index)],
            native_state="COMPLETED",
            exit_code=0,
        ),
        timing=Timing(
            submitted=_iso(began),
            started=_iso(started),
            ended=_iso(ended),
            setup=Span(seconds=0.2, source="harness"),
            queue_wait=Span(seconds=wait, source="scheduler"),
            run=Span(seconds=run, source="harness"),
        ),
        verdict=verdict,
        metrics=metrics,
    )
    body = encode(record)
    first, last = (round(each.timestamp() * 1000) for each in (started, ended))
    return DecodedRecord(
        index, record, body, hashlib.sha256(body).digest(), first, last, round(began.timestamp() * 1000)
    )


def _metrics(spread: int, night: int, shape: Shape) -> list[Metric]:
    slow = 0.6 if shape.nights - night <= 12 else 1.0
    rate, latency = slow * (500 + spread * 37 % 41), (40 + spread * 17 % 9) / slow
    return [
        Metric(name="tasks per second", value=rate, unit="1/s", better="higher"),
        Metric(name="launch latency p99", value=latency, unit="ms", better="lower"),
    ]


@lru_cache(maxsize=20_000)
def _template(case_id: str, site: str, system: str) -> Record:
    return sample_record("any", case_id, site=site, system=system)


def _iso(when: datetime) -> str:
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", required=True, help="the database: a path, sqlite:///PATH or postgresql://HOST/NAME")
    parser.add_argument("--records", type=int, default=2_000_000, help="about so many; decides the number of nights")
    parser.add_argument("--systems", type=int, default=40)
    parser.add_argument("--cases", type=int, default=300, help="cases of each system")
    parser.add_argument("--bad-night", action="store_true", help="much goes wrong in the last night")
    parser.add_argument("--seconds", type=float, default=math.inf, help="time limit; the next call continues")
    options = parser.parse_args()
    shape = Shape.of(options.records, options.systems, options.cases, options.bad_night)
    store = open_store(database_url(options.to, Path()))
    began = time.perf_counter()
    count = fill(store, shape, options.seconds)
    state = "complete" if is_complete(store, shape) else "not complete: run this again"
    print(f"{count:,} records in {time.perf_counter() - began:.0f} s; the history is {state}")
    store.close()


if __name__ == "__main__":
    main()
