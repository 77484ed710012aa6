"""A generated history: systems that run the same cases every night, with failures that last for some nights.

The collector's own functions store it, roll-ups included, so that measurements on it are realistic. Two histories with
the same shape are equal.
"""

from __future__ import annotations

import gc
import hashlib
import math
import random
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache

import msgspec
from sqlalchemy import Connection, func, select

from collector.clock import now_ms
from collector.store.database import Store
from collector.store.decoding import DecodedRecord, read_closing, read_manifest
from collector.store.records import store_records
from collector.store.runs import store_closing, store_manifest
from collector.store.tables import runs
from dashboard_client.schema import (
    Cause,
    CauseClass,
    Closing,
    Component,
    Deployment,
    Harness,
    Manifest,
    Metric,
    Outcome,
    Phase,
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

SUBJECTS = ("control", "psij", "parsl", "flux", "swift-t", "radical.pilot", "radical.entk", "parsl+psij", "parsl+flux")
SITES = ("alcf", "llnl", "nersc", "olcf", "csc", "jsc", "riken", "cscs")
FAILURES = (
    (Outcome.FAIL, CauseClass.COMPONENT, Phase.JUDGE, "assertion", "greeting was 'Hello', not 'Hello World!'"),
    (
        Outcome.FAIL,
        CauseClass.DISTRIBUTION,
        Phase.PROBE,
        "version",
        "found parsl 2026.02.16, the release has 2026.10.26",
    ),
    (Outcome.ERROR, CauseClass.UNKNOWN, Phase.RUN, "unclassified", "the payload ended with signal 9"),
    (Outcome.INFRA, CauseClass.SCHEDULER, Phase.QUEUE, "queue-wait", "waited 1800 s in queue debug"),
    (Outcome.INFRA, CauseClass.SITE, Phase.LAUNCH, "node-failure", "node nid001234 went down"),
    (Outcome.XFAIL, CauseClass.COMPONENT, Phase.RUN, "waiver", "KeyError: 'reason', known upstream"),
    (Outcome.SKIP, CauseClass.SITE, Phase.PROBE, "absent", "no flux on PATH of deployment spack"),
)
HARNESS = Harness(version="2026.11.0", commit="0f3c9a7d5e21", dirty=False)

MEASURES = 50
"""One case in so many has metrics; their values are worse in the last twelve nights."""


@dataclass(frozen=True)
class Shape:
    """The size of a history, and the time of its last night."""

    systems: int = 40
    cases: int = 300
    nights: int = 167
    ends: datetime = field(default_factory=lambda: datetime.now(timezone.utc).replace(microsecond=0))

    @classmethod
    def of(cls, records: int) -> Shape:
        """Return a shape with about ``records`` records, by the number of nights."""
        return cls(nights=max(records // (cls.systems * cls.cases), 1))


def fill(store: Store, shape: Shape, seconds: float = math.inf) -> int:
    """Store a history from the oldest to the newest night, one transaction each, and return the number of new records.

    Existing runs are skipped, so that a history can be filled in several calls of some ``seconds``, on the same day.
    """
    gc.set_threshold(50_000, 20, 100)
    ends, count = time.monotonic() + seconds, 0
    with store.reading() as connection:
        existing = set(connection.execute(select(runs.c.run_id)).scalars())
    spells = [_spells(random.Random(number), shape) for number in range(shape.systems)]
    for night in range(shape.nights):
        day = shape.ends - timedelta(days=shape.nights - 1 - night, hours=16)
        begins = [(number, day + timedelta(minutes=11 * number)) for number in range(shape.systems)]
        missing = [(number, began) for number, began in begins if _run_id(number, began) not in existing]
        if time.monotonic() > ends:
            break
        if missing:
            with store.writing() as connection:
                for number, began in missing:
                    count += _store(connection, make_run(shape, number, night, began, spells[number]))
    return count


def is_complete(store: Store, shape: Shape) -> bool:
    """Return whether a history has all its runs."""
    with store.reading() as connection:
        count: int = connection.execute(select(func.count()).select_from(runs)).scalar_one()
    return count >= shape.systems * shape.nights


def _store(connection: Connection, run: tuple[Manifest, list[DecodedRecord], Closing]) -> int:
    now, (opening, arrivals, closing) = now_ms(), run
    store_manifest(connection, read_manifest(encode(opening), now), now)
    store_records(connection, arrivals, now)
    store_closing(connection, opening.run_id, read_closing(encode(closing), now), "*", now)
    return len(arrivals)


def _run_id(number: int, began: datetime) -> str:
    return f"system{number:02}-{began:%Y%m%d}"


def _spells(chance: random.Random, shape: Shape) -> list[list[tuple[int, int, int]]]:
    """Return the failures of each case: the first night, the night after the last one, and the index in FAILURES."""
    cases = []
    for _ in range(shape.cases):
        spells = []
        for _ in range(chance.choice((0, 0, 0, 1, 2))):
            start = chance.randrange(shape.nights)
            spells.append((start, start + chance.choice((1, 1, 2, 5, 30)), chance.randrange(len(FAILURES) + 1)))
        cases.append(spells)
    return cases


def make_run(
    shape: Shape,
    number: int,
    night: int,
    began: datetime,
    spells: list[list[tuple[int, int, int]]],
    run_id: str | None = None,
) -> tuple[Manifest, list[DecodedRecord], Closing]:
    """Return the manifest, the records and the closing of one system's run in one night; ``spells``: its failures."""
    site, system = SITES[number % len(SITES)], f"system{number:02}"
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
        if failure == len(FAILURES):
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
        owner="workflow group",
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
