"""From one attempt to one record: the results of payload, scheduler and judge, redacted once and written to disk."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import msgspec

from dashboard_client import schema
from dashboard_client.redact import redact
from dashboard_client.schema import IN, Evidence, Record, Retries, Stack, Timing, Verdict, record_id
from sdk_tests.diagnosis import completed
from sdk_tests.model.attempt import AttemptResult, Judgement
from sdk_tests.model.metrics import answer_metrics, applicable_references
from sdk_tests.model.timestamps import now
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.target import Target
from sdk_tests.recording.run import Run
from site_configs.schema import Reference

TAIL_LIMIT = 8192
"""Characters of output that a record contains; the private folder of the run keeps more."""


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
        """Create, redact and store one record; return it as stored. A ``judgement`` of None is a pass."""
        judgement = completed(judgement) if judgement is not None else None
        complete = valid_text(self._create(cell, judgement, result, attempt, final))
        stored = redact(complete, self.manifest.redaction, **self.private)
        if result is not None and result.tail:
            self._keep_output(complete.record_id, result)
        self.folder.append(stored)
        return stored

    def _keep_output(self, name: str, result: AttemptResult) -> None:
        path = self.folder.private / "output" / f"{name[:16]}.log"
        path.parent.mkdir(exist_ok=True)
        path.write_text(result.tail, encoding="utf-8", errors="replace")

    def _create(
        self, cell: Cell, judgement: Judgement | None, result: AttemptResult | None, attempt: int, final: bool
    ) -> Record:
        manifest = self.manifest
        case_id = cell.case_id

        def identity(number: int) -> str:
            return record_id(manifest.site, manifest.system, manifest.run_id, case_id, number)

        scheduler = self.preparation.schedulers.get(cell.scheduler)
        target = self.preparation.target(cell.label)
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
                queue=scheduler.outermost.kind.spec.default_queue if scheduler else None,
                nodes=list(result.nodes) if result else [],
                architecture=node.architecture or target.contents.machine,
                gpu=node.gpu,
                trigger=manifest.trigger,
                harness=manifest.harness,
            ),
            stack=_stack(target),
            scheduler=schema.Scheduler(
                outer=_software(scheduler.outermost) if scheduler else None,
                nested=_software(scheduler) if scheduler and scheduler.outer else None,
                launcher=_launcher(scheduler),
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
                output_tail=result.tail[-TAIL_LIMIT:] if result and result.tail else None,
                redaction=manifest.redaction,
                reproduce=reproduce(result),
            ),
            metrics=metrics,
            diagnosis=_named(judgement.diagnosis, manifest.run_id, case_id)
            if judgement and judgement.diagnosis
            else msgspec.UNSET,
            extras=_extras(result, applicable_references(case_id, metrics, self.preparation.system.references)),
        )


def _stack(target: Target) -> Stack:
    contents, deployment = target.contents, target.deployment
    return Stack(
        deployment=schema.Deployment(name=deployment.name, kind=deployment.kind, digest=contents.digest),
        components=list(contents.components.values()),
        python=contents.python,
        mpi=contents.mpi,
        modules=contents.modules,
    )


def _named(diagnosis: schema.Diagnosis, run_id: str, case_id: str) -> schema.Diagnosis:
    """Return the diagnosis with the names of run and case in the commands of its advice."""
    names = {"RUN": run_id, "CASE": shlex.quote(case_id), "SCHEDULER": case_id.rpartition("@")[2].partition(IN)[0]}
    advice = re.sub(r"\b(?:RUN|CASE|SCHEDULER)\b", lambda word: names[word.group()], diagnosis.advice or "")
    return msgspec.structs.replace(diagnosis, advice=advice or None)


def valid_text(record: Record) -> Record:
    """Return the record with every string valid UTF-8: other bytes, in a path or a variable, become ``\\xNN``."""

    def valid(value: Any) -> Any:
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if isinstance(value, dict):
            return {valid(name): valid(one) for name, one in value.items()}
        return [valid(one) for one in value] if isinstance(value, (list, tuple)) else value

    try:
        msgspec.json.encode(record)
    except UnicodeEncodeError:
        return msgspec.convert(valid(msgspec.to_builtins(record)), Record)
    return record


def reproduce(result: AttemptResult | None) -> str | None:
    """Return the command that runs the payload again by hand, in the current folder instead of its scratch folder."""
    if result is None or not result.argv:
        return None
    *command, request = result.argv
    try:
        payload_request = json.loads(request)
        payload_request.pop("scratch", None)
        payload_request.pop("frame", None)
        request = json.dumps(payload_request)
    except (ValueError, AttributeError):
        pass
    return " ".join(map(_word, [*command, request]))


def _word(text: str) -> str:
    """Quote a word for a shell; ``~`` in place of the home folder, as redaction writes it, stays outside of quotes."""
    home = str(Path.home())
    if home != "/" and text.startswith(f"{home}/") and len(text) > len(home) + 1:
        return f"~/{shlex.quote(text[len(home) + 1 :])}"
    return shlex.quote(text)


def _software(scheduler: AvailableScheduler) -> schema.Software:
    kind = scheduler.kind
    return schema.Software(name=kind.kind, version=scheduler.probe.version, emulated=kind.spec.emulated)


def _launcher(scheduler: AvailableScheduler | None) -> schema.Software | None:
    """Return the first launcher that the site file lists for a scheduler."""
    if scheduler is None or not scheduler.kind.spec.launchers:
        return None
    return schema.Software(name=scheduler.kind.spec.launchers[0].name)


def _job_ids(result: AttemptResult | None) -> list[str]:
    """Return the harness's own jobs, and those that the payload's answer names in ``job_ids`` or ``job_id``."""
    if result is None:
        return []
    ids = list(result.job_ids)
    for answer in result.answers:
        reported: Any = answer.get("job_ids") or answer.get("job_id") or []
        ids += [str(job_id) for job_id in (reported if isinstance(reported, list) else [reported])]
    return list(dict.fromkeys(ids))


def _metrics(result: AttemptResult | None) -> list[schema.Metric]:
    """Return the figures in the payload's answer. Figures in a wrong shape are an error that the verdict reports."""
    if result is None or len(result.answers) != 1:
        return []
    try:
        return answer_metrics(result.answers[0])
    except ValueError:
        return []


def _extras(result: AttemptResult | None, references: dict[str, Reference]) -> dict[str, Any]:
    """Return what has no field of its own.

    That is the orphan processes, the submit command as sent, what the job and its allocation went through, the fixture
    that was shared with other cases, and the references that the figures were compared with.
    """
    extras: dict[str, Any] = {}
    if result is not None:
        facts = {
            "orphan_processes": list(result.orphan_processes),
            "submit_command": shlex.join(result.submit_command),
            "requeues": result.requeues,
            "node_clock_offset_seconds": result.clock_offset and round(result.clock_offset, 1),
            "disturbed": result.disturbed,
            "waited_for_cores": result.starved,
            "fixture": result.fixture,
        }
        extras = {name: value for name, value in facts.items() if value}
    if references:
        extras["references"] = {name: msgspec.to_builtins(reference) for name, reference in references.items()}
    return extras
