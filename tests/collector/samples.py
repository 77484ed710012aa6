"""Sample data as a site sends it: a manifest, its records and its closing."""

from __future__ import annotations

from typing import Any

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
    Tier,
    Timing,
    Verdict,
    record_id,
)

HARNESS = Harness(version="2026.11.0", commit="0f3c9a7d5e21", dirty=False)
CASES = ["control/hello@local", "control/hello@slurm", "psij/hello@local", "psij/hello@slurm", "parsl/htex@slurm"]


def planned(case_id: str, tier: Tier = Tier.INTEGRATION) -> PlannedCase:
    """Return a planned case with the component and scheduler in its id."""
    component, *partners = case_id.partition("/")[0].split("+")
    scheduler = case_id.rpartition("@")[2].partition("/")[0]
    return PlannedCase(case_id=case_id, component=component, partners=partners, scheduler=scheduler, tier=tier)


def manifest(run_id: str, cases: list[str] | None = None, **changes: Any) -> Manifest:
    """Return the manifest of a run of system frontier at site ornl."""
    values: dict[str, Any] = {
        "site": "ornl",
        "system": "frontier",
        "started": "2026-11-20T08:00:00Z",
        "trigger": "nightly",
    }
    values |= {"release": "2026.11"}
    tier = changes.pop("tier", Tier.INTEGRATION)
    selection = Selection(tier=tier, partial=changes.pop("partial", False))
    plan = [planned(case_id, tier) for case_id in (CASES if cases is None else cases)]
    values |= {"deployments": [Deployment(name="spack", kind="spack", digest="9c1e" * 16)]}
    return Manifest(run_id=run_id, harness=HARNESS, selection=selection, planned=plan, **(values | changes))


def cause(outcome: Outcome) -> Cause | None:
    """Return a cause that fits an outcome; None for a pass."""
    if outcome is Outcome.PASS:
        return None
    causes = {
        Outcome.FAIL: (Phase.JUDGE, CauseClass.COMPONENT, "assertion", "greeting was 'Hello', not 'Hello World!'"),
        Outcome.SKIP: (Phase.PROBE, CauseClass.SITE, "absent", "no `flux` on PATH of deployment spack"),
        Outcome.INFRA: (Phase.QUEUE, CauseClass.SCHEDULER, "queue-wait", "waited 1800 s in queue batch"),
        Outcome.XFAIL: (Phase.RUN, CauseClass.COMPONENT, "waiver", "KeyError: 'reason', known upstream"),
        Outcome.XPASS: (Phase.JUDGE, CauseClass.HARNESS, "waiver", "passes although waived"),
    }
    unclassified = (Phase.RUN, CauseClass.UNKNOWN, "unclassified", "the payload ended with signal 9")
    phase, cls, rule, evidence = causes.get(outcome, unclassified)
    return Cause(phase=phase, cls=cls, rule=rule, evidence=evidence)


def record(
    run_id: str,
    case_id: str,
    outcome: Outcome = Outcome.PASS,
    attempt: int = 1,
    site: str = "ornl",
    system: str = "frontier",
    output: str | None = None,
    emulated: bool = False,
    at: str = "2026-11-20T08:01:",
    **changes: Any,
) -> Record:
    """Return the record of one attempt, with all the values that a real one has."""
    component, *partners = case_id.partition("/")[0].split("+")
    scheduler = case_id.rpartition("@")[2].partition("/")[0]
    versions = {"psij": "0.9.11", "parsl": "2026.10.26", "radical.pilot": "1.103.2", "flux": "0.88.0"}
    components = [Component(name=name, version=version, provider="spack") for name, version in versions.items()]
    values: dict[str, Any] = {
        "record_id": record_id(site, system, run_id, case_id, attempt),
        "run_id": run_id,
        "case_id": case_id,
        "case": Case(component=component, partners=partners, payload=f"{component}/hello.py", params={"blocks": 1}),
        "context": Context(
            site=site, system=system, queue="batch", nodes=["n1", "n2"], architecture="x86_64", harness=HARNESS
        ),
        "stack": Stack(
            deployment=Deployment(name="spack", kind="spack", digest="9c1e" * 16),
            components=components,
            python="3.11.7",
            mpi="mpich 4.0.2",
            modules=["gcc/12.2", "cray-mpich/8.1"],
        ),
        "scheduler": Scheduler(
            outer=Software(name=scheduler, version="22.05.8", emulated=emulated),
            launcher=Software(name="srun", version="22.05.8"),
            job_ids=["4711"],
            native_state="COMPLETED",
            exit_code=0,
        ),
        "timing": Timing(
            submitted=f"{at}00Z",
            started=f"{at}04Z",
            ended=f"{at}11Z",
            setup=Span(seconds=0.21, source="harness"),
            queue_wait=Span(seconds=4.0, source="scheduler"),
            launch=Span(seconds=0.6, source="harness"),
            run=Span(seconds=6.1, source="harness"),
            collect=Span(seconds=0.3, source="harness"),
        ),
        "verdict": Verdict(outcome=outcome, cause=cause(outcome)),
        "retries": Retries(attempt=attempt),
        "evidence": Evidence(
            output_tail=output if output is not None else "Hello World!\n" * 12,
            reproduce=f"exaworks validate --case '{case_id}'",
        ),
    }
    return Record(**(values | changes))


def closing(records: int, missing: int = 0, sequence: int = 1, **changes: Any) -> Closing:
    """Return the closing of a run."""
    values: dict[str, Any] = {
        "state": "complete",
        "ended": "2026-11-20T08:20:00Z",
        "planned": records + missing,
        "recorded": records,
        "missing": missing,
        "counts": {"pass": records},
        "exit_code": 0,
    }
    return Closing(sequence=sequence, **(values | changes))
