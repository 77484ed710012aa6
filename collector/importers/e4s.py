"""The E4S testsuite's JSON: a list of ``{"test": NAME, "test_stages": {STAGE: pass|fail|skipped|missing|…}}``.

Its shell form leaves the list open at the end, or ends it with an empty entry; both are read.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from collector.errors import Problem
from collector.importers.common import Finding, case_of, name_of
from collector.importers.junit import MAX_CASES
from dashboard_client.schema import Outcome, Phase

PHASES = {"setup": Phase.PROBE, "clean": Phase.SUBMIT, "compile": Phase.LAUNCH, "run": Phase.RUN}


def read_e4s(body: bytes, scheduler: str) -> list[Finding]:
    """Read a result file.

    Raises:
        Problem: it is not of that form, or too much.
    """
    try:
        entries: Any = msgspec.json.decode(_whole(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "not-json", f"{error}.") from error
    if not isinstance(entries, list):
        raise Problem(422, "not-e4s", "The file is no list of tests.")
    if len(entries) > MAX_CASES:
        raise Problem(413, "too-many-records", f"More than {MAX_CASES} tests.")
    findings: list[Finding] = []
    attempts: dict[str, int] = {}
    for place, entry in enumerate(entries):
        if entry in ({}, None):
            continue
        test, stages = (entry.get("test"), entry.get("test_stages")) if isinstance(entry, dict) else (None, None)
        if test is None and isinstance(entry, dict) and "test" in entry:
            continue
        if not isinstance(test, str) or not test or not isinstance(stages, dict):
            raise Problem(422, "not-e4s", f"[{place}]: has no test with test_stages.", f"[{place}]")
        findings.append(_finding(test, stages, scheduler, attempts))
    if not findings:
        raise Problem(422, "not-e4s", "The file tells of no test.")
    return findings


def _whole(body: bytes) -> bytes:
    """Close a list that its writer left open."""
    text = re.sub(rb",\s*\]?\s*$", b"", body.strip())
    return text if text.endswith(b"]") or not text.startswith(b"[") else text + b"]"


def _finding(test: str, stages: dict[str, Any], scheduler: str, attempts: dict[str, int]) -> Finding:
    component = name_of(test.strip("/").split("/")[0].split("-")[0].lower(), 64)
    case_id = f"{component}/e4s.{case_of(test.strip('/'))}@{scheduler}"
    attempts[case_id] = attempts.get(case_id, 0) + 1
    outcome, stage = _verdict(stages)
    told = ", ".join(f"{name} {value}" for name, value in stages.items())
    return Finding(
        case_id=case_id,
        component=component,
        outcome=outcome,
        evidence=told,
        phase=PHASES.get(stage, Phase.RUN),
        scheduler=scheduler,
        attempt=attempts[case_id],
        extras={"e4s": {"test": test, "test_stages": stages}},
    )


def _verdict(stages: dict[str, Any]) -> tuple[Outcome, str]:
    """Return the outcome and the stage that made it: what is not installed was not promised, and is skipped."""
    for stage, value in stages.items():
        said = str(value).lower()
        if said in ("missing", "skipped", "spacktest"):
            return Outcome.SKIP, stage
        if said not in ("pass", "success"):
            return (Outcome.ERROR if stage in ("setup", "clean") else Outcome.FAIL), stage
    return (Outcome.PASS, "run") if "run" in stages else (Outcome.ERROR, "run")
