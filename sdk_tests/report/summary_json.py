"""The summary of a run as one JSON object, for ``exaworks validate --json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dashboard_client.schema import Manifest, Record
from sdk_tests.model.timeline import PRIVATE, Timeline
from sdk_tests.report.critical_path import critical_path
from sdk_tests.report.text import clean
from sdk_tests.report.view import EXIT_CODES, Line, view


def summary_json(manifest: Manifest, effective: Mapping[str, Record], folder: Path) -> dict[str, Any]:
    """Return the summary of a run for programs.

    run_id, site, system, release, deployments (their names), started, ended: from the manifest; ``ended`` is null while
    the run is open.
    verdict: ``passed``, ``failed``, ``infra``, ``interrupted``, ``nothing-passed``, ``not-judged``, ``unfinished`` or
    ``inconsistent`` (the manifest's counts and the records disagree; ``message`` names where). Only ``passed`` is a
    success.
    message: the verdict as text. exit_code: of the process, null while the run is open. meaning: that code as text.
    planned: number of planned cases. counts: how many are ``pass``, ``fail``, ``error``, ``infra``, ``missing``,
    ``xpass``, ``xfail``, ``skip``; every key is present and they add up to ``planned``. emulated_passes: how many of
    the passes ran on an emulated scheduler.
    cases: one object per planned case, in planned order: case_id, component, partners, scheduler, deployment (null
    without a record), outcome (or ``missing``), cause (null, or phase, class, rule, evidence), attempts, emulated,
    seconds (queue_wait, launch, run; unknown is null), diagnosis (null, or title, cause_key, expected, got, line,
    source, advice, blocked_by), reproduce.
    causes: one object per cause of failures, those with most cases first: cause_key, title, class, cases.
    time: null, or seconds (of the command), set_up (seconds of it before the first case), critical_path (its length in
    seconds), ratio (of the two, with set-up), ratio_of_cases (without), bound (no order is shorter),
    chain (the case ids of the critical path, first to last).
    paths: folder, and the files in it: manifest, records, junit, report; null for a file that does not exist.
    """
    run = view(manifest, effective)
    verdict = run.verdict
    files = {"manifest": "manifest.json", "records": "records.jsonl", "junit": "junit.xml", "report": "report.html"}
    paths = {key: str(folder / name) if (folder / name).is_file() else None for key, name in files.items()}
    return {
        "run_id": manifest.run_id,
        "site": manifest.site,
        "system": manifest.system,
        "release": manifest.release,
        "deployments": [deployment.name for deployment in manifest.deployments],
        "started": manifest.started,
        "ended": manifest.closed.ended if manifest.closed else None,
        "verdict": verdict.name,
        "message": f"{verdict.title}. {verdict.detail}".strip(),
        "exit_code": verdict.exit_code,
        "meaning": EXIT_CODES.get(verdict.exit_code) if verdict.exit_code is not None else None,
        "planned": len(run.lines),
        "counts": dict(run.counts),
        "emulated_passes": run.emulated_passes,
        "causes": [
            {
                "cause_key": cause.key,
                "title": clean(cause.title),
                "class": cause.cls.value,
                "cases": [record.case_id for record in cause.records],
            }
            for cause in run.causes
        ],
        "cases": [_case(line) for line in run.lines],
        "time": _time(folder),
        "paths": {"folder": str(folder), **paths},
    }


def _time(folder: Path) -> dict[str, Any] | None:
    """Return how long the command took, and how long it had to take."""
    timeline = Timeline.read(folder / PRIVATE)
    path = critical_path(timeline) if timeline is not None else None
    if timeline is None or path is None:
        return None
    return {
        "seconds": round(timeline.seconds, 3),
        "critical_path": round(path.seconds, 3),
        "set_up": round(path.set_up, 3),
        "ratio": round(path.ratio, 3) if path.ratio is not None else None,
        "ratio_of_cases": round(path.ratio_of_cases, 3) if path.ratio_of_cases is not None else None,
        "bound": round(path.bound, 3),
        "chain": list(path.chain),
    }


def _diagnosis(line: Line) -> dict[str, Any] | None:
    """Return the parts of a diagnosis that a script needs; `exaworks explain --json` prints all of it."""
    diagnosis = line.diagnosis
    if diagnosis is None:
        return None
    names = ("title", "cause_key", "expected", "got", "line", "source", "advice", "blocked_by")
    values = {name: getattr(diagnosis, name) for name in names}
    return {name: clean(value) if value is not None else None for name, value in values.items()}


def _case(line: Line) -> dict[str, Any]:
    record, cause = line.record, line.cause
    timing = record.timing if record else None
    spans = {name: getattr(timing, name, None) for name in ("queue_wait", "launch", "run")}
    return {
        "case_id": line.case_id,
        "component": line.planned.component,
        "partners": list(line.planned.partners),
        "scheduler": line.planned.scheduler,
        "deployment": line.deployment,
        "outcome": line.state,
        "cause": cause
        and {
            "phase": cause.phase.value,
            "class": cause.cls.value,
            "rule": cause.rule,
            "evidence": clean(cause.evidence),
        },
        "attempts": record.retries.attempt if record else 0,
        "emulated": line.emulated,
        "seconds": {name: span.seconds if span else None for name, span in spans.items()},
        "diagnosis": _diagnosis(line),
        "reproduce": clean(record.evidence.reproduce) if record and record.evidence.reproduce else None,
    }
