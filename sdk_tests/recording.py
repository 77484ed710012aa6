"""From one attempt to one record: what the payload, the scheduler and the judge said, redacted once, then on disk."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

import msgspec

from dashboard_client import schema
from dashboard_client.redact import redact
from dashboard_client.runs import RunFolder
from dashboard_client.schema import Evidence, Manifest, Record, Retries, Stack, Timing, Verdict, record_id
from sdk_tests.clock import now
from sdk_tests.landing import Landing, Preset
from sdk_tests.metrics import applying, measured
from sdk_tests.plan import Cell
from sdk_tests.prepare import Prepared, Ready
from site_configs.schema import Reference

TAIL = 8192
"""Characters of output a record carries; the private folder keeps more."""


@dataclass
class Recorder:
    """Writes the records of one run."""

    prepared: Prepared
    manifest: Manifest
    folder: RunFolder
    private: dict[str, Any]

    def record(
        self, cell: Cell, preset: Preset | None, landing: Landing | None, *, attempt: int, final: bool
    ) -> Record:
        """Make, redact and store one record; returns it as stored. ``preset`` None is a pass."""
        made = self._make(cell, preset, landing, attempt, final)
        stored = redact(made, self.manifest.redaction, **self.private)
        if landing is not None and landing.tail:
            self._keep(made.record_id, landing)
        self.folder.append(stored)
        return stored

    def _keep(self, name: str, landing: Landing) -> None:
        path = self.folder.private / "output" / f"{name[:16]}.log"
        path.parent.mkdir(exist_ok=True)
        path.write_text(landing.tail, encoding="utf-8", errors="replace")

    def _make(self, cell: Cell, preset: Preset | None, landing: Landing | None, attempt: int, final: bool) -> Record:
        manifest = self.manifest
        case_id = cell.case_id

        def identity(number: int) -> str:
            return record_id(manifest.site, manifest.system, manifest.run_id, case_id, number)

        ready = self.prepared.schedulers.get(cell.scheduler)
        node = self.prepared.system.node
        outcome = preset.outcome if preset else schema.Outcome.PASS
        metrics = _metrics(landing)
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
                queue=ready.carrier.kind.spec.default_queue if ready else None,
                nodes=list(landing.nodes) if landing else [],
                architecture=node.architecture or self.prepared.found.machine,
                gpu=node.gpu,
                trigger=manifest.trigger,
                harness=manifest.harness,
            ),
            stack=self._stack(),
            scheduler=schema.Scheduler(
                outer=_scheduler(ready.carrier) if ready else None,
                nested=_scheduler(ready) if ready and ready.outer else None,
                launcher=_launcher(ready.kind.spec.launchers[0].name) if ready and ready.kind.spec.launchers else None,
                job_ids=_job_ids(landing),
                native_state=landing.native_state if landing else None,
                native_reason=landing.native_reason if landing else None,
                exit_code=landing.exit_code if landing else None,
                signal=landing.signal if landing else None,
            ),
            timing=landing.timing if landing else Timing(ended=now()),
            verdict=Verdict(outcome=outcome, cause=preset.cause if preset else None),
            retries=Retries(attempt=attempt, final=final, supersedes=identity(attempt - 1) if attempt > 1 else None),
            evidence=Evidence(
                output_tail=landing.tail[-TAIL:] if landing and landing.tail else None,
                redaction=manifest.redaction,
                reproduce=reproduce(landing),
            ),
            metrics=metrics,
            extras=_extras(landing, applying(case_id, metrics, self.prepared.system.references)),
        )

    def _stack(self) -> Stack:
        found, deployment = self.prepared.found, self.prepared.deployment
        return Stack(
            deployment=schema.Deployment(name=deployment.name, kind=deployment.kind, digest=found.digest),
            components=list(found.components.values()),
            python=found.python,
            mpi=found.mpi,
            modules=found.modules,
        )


def reproduce(landing: Landing | None) -> str | None:
    """The command that runs the payload again by hand: its request without the scratch folder, then the current one."""
    if landing is None or not landing.argv:
        return None
    *command, request = landing.argv
    try:
        given = json.loads(request)
        given.pop("scratch", None)
        request = json.dumps(given)
    except (ValueError, AttributeError):
        pass
    return shlex.join([*command, request])


def _scheduler(ready: Ready) -> schema.Software:
    return schema.Software(name=ready.kind.kind, version=ready.probe.version, emulated=ready.kind.spec.emulated)


def _launcher(name: str) -> schema.Software:
    return schema.Software(name=name)


def _job_ids(landing: Landing | None) -> list[str]:
    """The harness's own jobs, and those the payload says it had: ``job_ids`` or ``job_id`` of its answer."""
    if landing is None:
        return []
    ids = list(landing.job_ids)
    for answer in landing.answers:
        said: Any = answer.get("job_ids") or answer.get("job_id") or []
        ids += [str(one) for one in (said if isinstance(said, list) else [said])]
    return list(dict.fromkeys(ids))


def _metrics(landing: Landing | None) -> list[schema.Metric]:
    """Figures a payload measured. Those not in the schema's shape are the case's own error, in its verdict."""
    if landing is None or len(landing.answers) != 1:
        return []
    try:
        return measured(landing.answers[0])
    except ValueError:
        return []


def _extras(landing: Landing | None, used: dict[str, Reference]) -> dict[str, Any]:
    """What stayed behind, and the references that figures were held against."""
    found: dict[str, Any] = {}
    if landing is not None and landing.leftovers:
        found["leftovers"] = list(landing.leftovers)
    if used:
        found["references"] = {name: msgspec.to_builtins(reference) for name, reference in used.items()}
    return found
