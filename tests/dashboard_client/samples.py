"""Sample records, manifests and runs for the tests of the results package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from dashboard_client.runs import RunFolder
from dashboard_client.schema import (
    Artifact,
    Case,
    Cause,
    CauseClass,
    Closing,
    Component,
    Context,
    Deployment,
    Diagnosis,
    Evidence,
    Harness,
    Log,
    Manifest,
    Metric,
    Outcome,
    Phase,
    PlannedCase,
    Record,
    Retries,
    Scheduler,
    Selection,
    Software,
    Span,
    Stack,
    Tier,
    Timing,
    Verdict,
    Waiver,
    record_id,
)

SITE, SYSTEM = "local", "workstation"
RUN_ID = "20261122T120501Z-workstation-4f2a00"
CASES = ("control/hello@local", "psij/hello@local", "parsl/hello@local")
HARNESS = Harness(version="1.0", commit="c" * 40, dirty=False, remote="https://git.example.org/sdk", config_digest="d")


def environ(**over: str) -> dict[str, str]:
    """Return an environment in which a child process can import the same modules as this one."""
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]), **over}


def manifest(cases: tuple[str, ...] = CASES, **over: Any) -> Manifest:
    planned = [
        PlannedCase(case_id=case, component=case.split("/")[0], scheduler=case.split("@")[1], tier=Tier.SMOKE)
        for case in cases
    ]
    plain: dict[str, Any] = {
        "run_id": RUN_ID,
        "site": SITE,
        "system": SYSTEM,
        "started": "2026-11-22T12:05:01Z",
        "harness": HARNESS,
        "selection": Selection(tier=Tier.SMOKE),
        "planned": planned,
    }
    return Manifest(**(plain | over))


def record(
    case_id: str = CASES[0],
    outcome: Outcome = Outcome.PASS,
    *,
    attempt: int = 1,
    final: bool = True,
    of: Manifest | None = None,
    **over: Any,
) -> Record:
    of = of or manifest()
    cause = None
    if outcome is not Outcome.PASS:
        cause = Cause(phase=Phase.RUN, cls=CauseClass.COMPONENT, rule="assertion", evidence="it did not say hello")
    plain: dict[str, Any] = {
        "record_id": record_id(of.site, of.system, of.run_id, case_id, attempt),
        "run_id": of.run_id,
        "case_id": case_id,
        "case": Case(component=case_id.split("/")[0], payload="hello.py", params={"blocks": 2}),
        "context": Context(site=of.site, system=of.system, harness=HARNESS),
        "stack": Stack(
            deployment=Deployment(name="default", kind="venv", digest="e" * 64),
            components=[Component(name="parsl", version="2026.10.26")],
            python="3.11.2",
        ),
        "scheduler": Scheduler(outer=Software(name="local", version="1")),
        "timing": Timing(submitted="2026-11-22T12:05:02Z", run=Span(seconds=1.5, source="harness")),
        "verdict": Verdict(outcome=outcome, cause=cause),
        "retries": Retries(attempt=attempt, final=final),
    }
    return Record(**(plain | over))


def full_record(text: str = "some text") -> Record:
    """Return a record in which every leaf is filled; every free text is ``text``."""
    span = Span(seconds=1.0, source=text)
    software = Software(name=text, version=text, emulated=True)
    return record(
        outcome=Outcome.FAIL,
        case=Case(component=text, partners=[text], payload=text, params={"deep": [{text: text}]}, tier=Tier.SCALE),
        context=Context(
            site=SITE,
            system=SYSTEM,
            queue=text,
            nodes=[text, text],
            architecture=text,
            gpu=text,
            runner=text,
            trigger=text,
            harness=Harness(version=text, commit=text, dirty=True, remote=text, config_digest=text),
        ),
        stack=Stack(
            deployment=Deployment(name=text, kind=text, digest=text),
            components=[
                Component(name=text, version=text, provider=text, location=text, spec=text, dag_hash=text, commit=text)
            ],
            spack_commit=text,
            packages_commit=text,
            python=text,
            mpi=text,
            modules=[text],
        ),
        scheduler=Scheduler(
            outer=software,
            nested=software,
            launcher=software,
            job_ids=[text],
            native_state=text,
            native_reason=text,
            exit_code=3,
            signal=9,
        ),
        timing=Timing(
            submitted=text,
            started=text,
            ended=text,
            setup=span,
            queue_wait=span,
            launch=span,
            run=span,
            collect=span,
            teardown=span,
        ),
        verdict=Verdict(
            outcome=Outcome.FAIL,
            cause=Cause(phase=Phase.RUN, cls=CauseClass.COMPONENT, rule=text, evidence=text),
        ),
        retries=Retries(attempt=1, final=False, supersedes="f" * 64),
        evidence=Evidence(output_tail=text, artifacts=[Artifact(name=text, digest=text)], reproduce=text),
        metrics=[Metric(name=text, value=2.5, unit=text, better=text)],
        diagnosis=Diagnosis(
            title=text,
            cause_key=text,
            expected=text,
            got=text,
            line=text,
            source=text,
            advice=text,
            blocked_by=text,
            answer=text,
            logs=[Log(component=text, path=text, size=7, lines=[text, text])],
        ),
        extras={"a": [{"b": text}, text], text: {text: text}, "number": 5},
    )


def full_manifest(text: str = "some text") -> Manifest:
    """Return a manifest in which every leaf is filled; every free text is ``text``."""
    return manifest(
        trigger=text,
        harness=Harness(version=text, commit=text, dirty=True, remote=text, config_digest=text),
        release=text,
        selection=Selection(cases=[text], components=[text], schedulers=[text], nodes=2, partial=True),
        planned=[PlannedCase(case_id=CASES[0], component=text, partners=[text], scheduler=text)],
        deployments=[Deployment(name=text, kind=text, digest=text)],
        cadence=text,
        stale_after=text,
        time_limit=text,
        waivers=[Waiver(cases=text, reason=text, expires=text, owner=text)],
        owner=text,
        closed=closing(leftover_jobs=["slurm: jobs 7 are still in the queue; cancel them by hand: scancel 7"]),
    )


def closing(sequence: int = 1, **over: Any) -> Closing:
    plain: dict[str, Any] = {
        "sequence": sequence,
        "state": "complete",
        "ended": "2026-11-22T12:06:00Z",
        "planned": 3,
        "recorded": 3,
        "missing": 0,
        "counts": {"pass": 3},
        "exit_code": 0,
    }
    return Closing(**(plain | over))


def finished_run(
    runs_dir: Path, outcomes: dict[str, Outcome] | None = None, *, exit_code: int = 0, **over: Any
) -> RunFolder:
    """Create a closed run on disk with a record of each case."""
    outcomes = outcomes if outcomes is not None else dict.fromkeys(CASES, Outcome.PASS)
    stack = over.pop("stack", None)
    opened = manifest(tuple(outcomes), **over)
    run = RunFolder.create(runs_dir, opened)
    with run.lock():
        for case_id, outcome in outcomes.items():
            stored = record(case_id, outcome, of=opened)
            run.append(stored if stack is None else msgspec.structs.replace(stored, stack=stack))
    run.close(closing(planned=len(outcomes), recorded=len(outcomes), exit_code=exit_code))
    return run
