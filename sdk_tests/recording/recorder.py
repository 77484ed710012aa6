"""From one attempt to one record: what the payload, the scheduler and the judge said, redacted once, then on disk."""

from __future__ import annotations

import json
import shlex
from typing import Any

import msgspec

from dashboard_client import schema
from dashboard_client.redact import redact
from dashboard_client.schema import Evidence, Record, Retries, Stack, Timing, Verdict, record_id
from sdk_tests.model.attempt import AttemptResult, Judgement
from sdk_tests.model.metrics import applying, measured
from sdk_tests.model.timestamps import now
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import Cell
from sdk_tests.recording.run import Run
from site_configs.schema import Reference

TAIL = 8192
"""Characters of output a record carries; the private folder keeps more."""


class Recorder:
    """Writes the records of one run."""

    def __init__(self, run: Run) -> None:
        self.preparation, self.manifest, self.folder, self.private = (
            run.preparation,
            run.manifest,
            run.folder,
            run.private,
        )

    def record(
        self, cell: Cell, judgement: Judgement | None, result: AttemptResult | None, *, attempt: int, final: bool
    ) -> Record:
        """Make, redact and store one record; returns it as stored. ``preset`` None is a pass."""
        made = self._make(cell, judgement, result, attempt, final)
        stored = redact(made, self.manifest.redaction, **self.private)
        if result is not None and result.tail:
            self._keep(made.record_id, result)
        self.folder.append(stored)
        return stored

    def _keep(self, name: str, result: AttemptResult) -> None:
        path = self.folder.private / "output" / f"{name[:16]}.log"
        path.parent.mkdir(exist_ok=True)
        path.write_text(result.tail, encoding="utf-8", errors="replace")

    def _make(
        self, cell: Cell, judgement: Judgement | None, result: AttemptResult | None, attempt: int, final: bool
    ) -> Record:
        manifest = self.manifest
        case_id = cell.case_id

        def identity(number: int) -> str:
            return record_id(manifest.site, manifest.system, manifest.run_id, case_id, number)

        ready = self.preparation.schedulers.get(cell.scheduler)
        node = self.preparation.system.node
        outcome = judgement.outcome if judgement else schema.Outcome.PASS
        metrics = _metrics(result)
        return Record(
            record_id=identity(attempt),
            run_id=manifest.run_id,
            case_id=case_id,
            case=schema.Case(
                component=cell.case.component,
                partners=list(cell.case.partners),
                payload=cell.case.payload,
                params=json.loads(json.dumps(dict(cell.case.params))),
                tier=cell.case.tier,
            ),
            context=schema.Context(
                site=manifest.site,
                system=manifest.system,
                queue=ready.outermost.kind.spec.default_queue if ready else None,
                nodes=list(result.nodes) if result else [],
                architecture=node.architecture or self.preparation.contents.machine,
                gpu=node.gpu,
                trigger=manifest.trigger,
                harness=manifest.harness,
            ),
            stack=self._stack(),
            scheduler=schema.Scheduler(
                outer=_scheduler(ready.outermost) if ready else None,
                nested=_scheduler(ready) if ready and ready.outer else None,
                launcher=_launcher(ready.kind.spec.launchers[0].name) if ready and ready.kind.spec.launchers else None,
                job_ids=_job_ids(result),
                native_state=result.native_state if result else None,
                native_reason=result.native_reason if result else None,
                exit_code=result.exit_code if result else None,
                signal=result.signal if result else None,
            ),
            timing=result.timing if result else Timing(ended=now()),
            verdict=Verdict(outcome=outcome, cause=judgement.cause if judgement else None),
            retries=Retries(attempt=attempt, final=final, supersedes=identity(attempt - 1) if attempt > 1 else None),
            evidence=Evidence(
                output_tail=result.tail[-TAIL:] if result and result.tail else None,
                redaction=manifest.redaction,
                reproduce=reproduce(result),
            ),
            metrics=metrics,
            extras=_extras(result, applying(case_id, metrics, self.preparation.system.references)),
        )

    def _stack(self) -> Stack:
        contents, deployment = self.preparation.contents, self.preparation.deployment
        return Stack(
            deployment=schema.Deployment(name=deployment.name, kind=deployment.kind, digest=contents.digest),
            components=list(contents.components.values()),
            python=contents.python,
            mpi=contents.mpi,
            modules=contents.modules,
        )


def reproduce(result: AttemptResult | None) -> str | None:
    """The command that runs the payload again by hand: its request without the scratch folder, then the current one."""
    if result is None or not result.argv:
        return None
    *command, request = result.argv
    try:
        given = json.loads(request)
        given.pop("scratch", None)
        request = json.dumps(given)
    except (ValueError, AttributeError):
        pass
    return shlex.join([*command, request])


def _scheduler(ready: AvailableScheduler) -> schema.Software:
    return schema.Software(name=ready.kind.kind, version=ready.probe.version, emulated=ready.kind.spec.emulated)


def _launcher(name: str) -> schema.Software:
    return schema.Software(name=name)


def _job_ids(result: AttemptResult | None) -> list[str]:
    """The harness's own jobs, and those the payload says it had: ``job_ids`` or ``job_id`` of its answer."""
    if result is None:
        return []
    ids = list(result.job_ids)
    for answer in result.answers:
        said: Any = answer.get("job_ids") or answer.get("job_id") or []
        ids += [str(one) for one in (said if isinstance(said, list) else [said])]
    return list(dict.fromkeys(ids))


def _metrics(result: AttemptResult | None) -> list[schema.Metric]:
    """Figures a payload measured. Those not in the schema's shape are the case's own error, in its verdict."""
    if result is None or len(result.answers) != 1:
        return []
    try:
        return measured(result.answers[0])
    except ValueError:
        return []


def _extras(result: AttemptResult | None, used: dict[str, Reference]) -> dict[str, Any]:
    """What stayed behind, and the references that figures were held against."""
    found: dict[str, Any] = {}
    if result is not None and result.leftovers:
        found["leftovers"] = list(result.leftovers)
    if used:
        found["references"] = {name: msgspec.to_builtins(reference) for name, reference in used.items()}
    return found
