"""Example runs: builders of manifests and records, and one run in which every state occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from dashboard_client.schema import (
    Case,
    Cause,
    CauseClass,
    Closing,
    Component,
    Context,
    Deployment,
    Evidence,
    Harness,
    Manifest,
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
    Timing,
    Verdict,
    Waiver,
    record_id,
)
from sdk_tests.report.html import report_html

RUN = "20260704T101500Z-7f3a"
HARNESS = Harness(version="0.1.0", commit="5c0ffee1234567890abcdef1234567890abcdef1", dirty=False)
DEPLOYMENT = Deployment(name="release", kind="venv", digest="sha256:9b1f0c55aa37")
COMPONENTS = [
    Component(
        name="psij", version="0.9.11", provider="pip", location="/opt/exaworks/lib/python3.11/site-packages/psij"
    ),
    Component(name="parsl", version="2026.10.26", provider="pip"),
    Component(name="radical.pilot", version="1.103.2", provider="pip"),
    Component(name="flux", version="0.88.0", provider="spack", spec="flux-core@0.88.0", dag_hash="k3v7qz2hnd5e"),
]
SOFTWARE = {
    "local": Software(name="local"),
    "slurm": Software(name="slurm", version="22.05.8"),
    "lsf": Software(name="lsf", version="10.1", emulated=True),
}
BROKE = Cause(
    phase=Phase.RUN,
    cls=CauseClass.COMPONENT,
    rule="answer-asserted",
    evidence="assert outcome.answer['blocks'] == 2: the payload answered 1",
)
ABSENT = Cause(
    phase=Phase.PROBE,
    cls=CauseClass.UNKNOWN,
    rule="not-promised",
    evidence="no `swift-t` on PATH of deployment release, and neither release nor site file promises it",
)


def planned(case_id: str) -> PlannedCase:
    """Return the planned case that an id names."""
    stem, _, rest = case_id.partition("@")
    component, *partners = stem.partition("/")[0].split("+")
    return PlannedCase(case_id=case_id, component=component, partners=partners, scheduler=rest.partition("/")[0])


def record(
    case_id: str,
    outcome: str = "pass",
    *,
    cause: Cause | None = None,
    tail: str | None = None,
    attempt: int = 1,
    final: bool = True,
    run: float | None = 1.25,
    queue_wait: float | None = 2.5,
    scheduler: Scheduler | None = None,
    reproduce: str | None = "exaworks validate --case 'CASE'",
    stack: Stack | None = None,
) -> Record:
    """Build one record; an outcome other than pass without a cause gets a typical one."""
    cell = planned(case_id)
    result = Outcome(outcome)
    if cause is None and result is not Outcome.PASS:
        cause = ABSENT if result is Outcome.SKIP else BROKE
    ran = cause is None or cause.phase not in (Phase.PROBE, Phase.PLAN)
    batch = cell.scheduler != "local"
    source = "scheduler" if batch else "harness"
    return Record(
        record_id=_name("local", "workstation", case_id, attempt),
        run_id=RUN,
        case_id=case_id,
        case=Case(component=cell.component, partners=cell.partners, payload=f"{cell.component}/hello.py"),
        context=Context(
            site="local",
            system="workstation",
            queue="debug" if batch else None,
            nodes=["n1", "n2"] if batch and ran else [],
            architecture="x86_64",
            harness=HARNESS,
        ),
        stack=stack
        or Stack(
            deployment=DEPLOYMENT,
            components=COMPONENTS,
            python="3.11.7",
            mpi="MPICH 4.0.2",
            modules=["gcc/13.2", "cray-python/3.11.7"],
        ),
        scheduler=scheduler
        or Scheduler(
            outer=SOFTWARE.get(cell.scheduler, Software(name=cell.scheduler)),
            launcher=Software(name="srun", version="22.05.8") if batch else None,
            job_ids=["4711"] if batch and ran else [],
        ),
        timing=Timing(
            submitted="2026-07-04T10:15:02Z" if ran else None,
            started="2026-07-04T10:15:04Z" if ran else None,
            ended="2026-07-04T10:15:06Z" if ran else None,
            queue_wait=Span(seconds=queue_wait, source=source) if ran and batch and queue_wait is not None else None,
            launch=Span(seconds=0.12, source="harness") if ran else None,
            run=Span(seconds=run, source="harness") if ran and run is not None else None,
        ),
        verdict=Verdict(outcome=result, cause=cause),
        retries=Retries(attempt=attempt, final=final),
        evidence=Evidence(
            output_tail=tail, reproduce=reproduce.replace("CASE", case_id) if reproduce else None, redaction="full"
        ),
    )


def moved(original: Record, site: str, system: str, run_id: str = RUN) -> Record:
    """Return the same record of another system or another run."""
    return msgspec.structs.replace(
        original,
        run_id=run_id,
        record_id=record_id(site, system, run_id, original.case_id, original.retries.attempt),
        context=msgspec.structs.replace(original.context, site=site, system=system),
    )


def _name(site: str, system: str, case_id: str, attempt: int) -> str:
    """Return the id of a record as the harness computes it, also for a case id that cannot be encoded."""
    return record_id(site, system, RUN, case_id.encode(errors="backslashreplace").decode(), attempt)


def effective(records: Iterable[Record]) -> dict[str, Record]:
    """Return the record of the last attempt of each case."""
    return {each.case_id: each for each in sorted(records, key=lambda each: each.retries.attempt)}


def manifest(
    case_ids: Sequence[str],
    records: Sequence[Record] | None = None,
    *,
    exit_code: int | None = None,
    state: str = "complete",
    site: str = "local",
    system: str = "workstation",
    waivers: Sequence[Waiver] = (),
) -> Manifest:
    """Build a manifest; with records it is closed with their counts, and with exit code 1 if there is a problem."""
    closed = None
    if records is not None:
        counts = Counter(each.verdict.outcome.value for each in effective(records).values())
        missing = len(case_ids) - sum(counts.values())
        bad = missing or counts["fail"] or counts["error"] or counts["infra"] or not counts["pass"] + counts["xpass"]
        closed = Closing(
            sequence=1,
            state=state,
            ended="2026-07-04T10:21:40Z",
            planned=len(case_ids),
            recorded=sum(counts.values()),
            missing=missing,
            counts=dict(counts),
            exit_code=exit_code if exit_code is not None else int(bool(bad)),
        )
    return Manifest(
        run_id=RUN,
        site=site,
        system=system,
        started="2026-07-04T10:15:00Z",
        harness=HARNESS,
        release="2026.7",
        selection=Selection(),
        planned=[planned(case_id) for case_id in case_ids],
        deployments=[DEPLOYMENT],
        waivers=list(waivers),
        closed=closed,
    )


TRACEBACK = """\
2026-07-04 10:18:31 parsl.dataflow.dflow:1120 [INFO]  Starting DataFlowKernel with config
2026-07-04 10:18:33 parsl.jobs.strategy:214 [DEBUG]  Executor htex has 1 active block(s) of 2
Traceback (most recent call last):
  File "sdk_tests/payloads/parsl/htex.py", line 61, in workload
    return {"blocks": len(managers), "hosts": sorted(hosts)}
parsl.executors.errors.ExecutorError: Executor htex failed due to: Error 1:
\tsbatch: error: Batch job submission failed: Requested node configuration is not available
"""


def everything() -> tuple[Manifest, list[Record]]:
    """Return a run in which every state occurs, with a flaky case, an emulated scheduler and two failed attempts."""
    node_failed = Cause(
        phase=Phase.RUN,
        cls=CauseClass.SITE,
        rule="node-fail",
        evidence="slurm: job 4718 NODE_FAIL on n2 (Reason=NodeFail)",
    )
    absent = Cause(
        phase=Phase.PROBE,
        cls=CauseClass.DISTRIBUTION,
        rule="promised-absent",
        evidence="release 2026.7 promises radical.entk 1.103.0; deployment release (venv) has none",
    )
    interrupted = Cause(
        phase=Phase.RUN, cls=CauseClass.UNKNOWN, rule="no-answer", evidence="exit 0, but no JSON object on stdout"
    )
    no_slurm = Cause(
        phase=Phase.PLAN,
        cls=CauseClass.UNKNOWN,
        rule="no-submitter",
        evidence="turbine 1.5.2 has no submitter for lsf (looked in turbine-*.sh of its prefix)",
    )
    known = Cause(
        phase=Phase.RUN,
        cls=CauseClass.COMPONENT,
        rule="waiver",
        evidence="PSI/J on RADICAL-Pilot hangs at exit (waived until 2026-12-31)",
    )
    records = [
        record("control/hello@local", run=0.02),
        record("control/hello@slurm", run=1.01, queue_wait=0.4),
        record("control/hello@lsf", run=0.31, queue_wait=0.1),
        record("psij/hello@local", run=0.02),
        record("psij/hello@slurm", run=1.04, queue_wait=0.9),
        record("psij/hello@lsf", run=0.7, queue_wait=0.2),
        record("psij/bulk:jobs=50@slurm", run=4.2, queue_wait=0.9),
        record("psij/walltime@slurm", run=87.4, queue_wait=1.4),
        record("psij/multinode@slurm/srun/2n", "infra", cause=node_failed, attempt=1, final=False),
        record("psij/multinode@slurm/srun/2n", attempt=2, run=1.4, queue_wait=31.0),
        record("parsl/python_app@local", run=2.2),
        record("parsl/python_app@slurm", run=2.6, queue_wait=0.5),
        record("parsl/htex:blocks=1@slurm", run=8.9, queue_wait=1.1),
        record("parsl/htex:blocks=2@slurm", "fail", tail=TRACEBACK, run=13.4, queue_wait=2.2),
        record("parsl/diamond@slurm", "error", cause=interrupted, tail="done\n", run=3.0),
        record("parsl/python_app@lsf", run=2.9, queue_wait=0.4),
        record("radical.pilot/pilot@local", run=39.8),
        record("radical.pilot/pilot@slurm", "infra", cause=node_failed, attempt=1, final=False, tail="srun: error: n2"),
        record(
            "radical.pilot/pilot@slurm", "infra", cause=node_failed, attempt=2, tail="srun: error: Node failure on n2\n"
        ),
        record("radical.entk/ensemble@local", "fail", cause=absent, run=None),
        record("radical.entk/ensemble@slurm", "fail", cause=absent, run=None),
        record("psij+radical.pilot/hello@slurm", "xfail", cause=known, run=29.1, queue_wait=3.0),
        record("parsl+flux/hello@slurm", "xpass", cause=known, run=1.6, queue_wait=3.0),
        record("swift-t/hello@local", "skip"),
        record("swift-t/hello@slurm", "skip"),
        record("swift-t/hello@lsf", "skip", cause=no_slurm),
    ]
    case_ids = list(dict.fromkeys(each.case_id for each in records))
    case_ids.insert(12, "parsl/files@slurm")
    waiver = Waiver(
        cases="psij+radical.pilot/*", reason="hangs at exit", expires="2026-12-31", owner="workflow team of the site"
    )
    records = [moved(each, "llnl", "tuolumne") for each in records]
    return manifest(case_ids, records, site="llnl", system="tuolumne", waivers=[waiver]), records


def passing() -> tuple[Manifest, list[Record]]:
    """Return a run in which everything promised works and one component is skipped."""
    records = [
        record("control/hello@local", run=0.02),
        record("control/hello@slurm", run=1.01),
        record("psij/hello@local", run=0.02),
        record("psij/hello@slurm", run=1.04),
        record("parsl/python_app@slurm", run=2.6),
        record("swift-t/hello@slurm", "skip"),
    ]
    return manifest([each.case_id for each in records], records), records


HOSTILE = (
    "\x1b[31mred\x1b[0m \x1b]0;owned\x07title \x1b]8;;https://evil.invalid\x1b\\link\x1b]8;;\x1b\\ "
    "nul\x00 bell\x07 back\x08 \x9b2Jc1 lone\udc80surrogate \ufffe\uffff \u202egnp.exe "
    "]]> <!-- --> <script>alert(1)</script> <img src=x onerror=alert(1)> \"'&amp; {{ 7*7 }} {% raw %}\r\nend\rof line"
)
"""Text that a component might print, by accident or on purpose."""


def whole_page(manifest: Manifest, records: Sequence[Record], **rest: Any) -> str:
    """Return all of report.html."""
    return "".join(report_html(manifest, records, **rest))
