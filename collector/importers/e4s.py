"""The JSON of the E4S testsuite: a list of ``{"test": NAME, "test_stages": {STAGE: pass|fail|skipped|missing|…}}``.

The shell version of the testsuite does not close the list, or ends it with an empty entry; both are accepted.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from collector.errors import Problem
from collector.importers.attempts import numbered
from collector.importers.common import IMPORTED, ImportedTest, valid_case_name
from collector.importers.junit import MAX_CASES
from dashboard_client.schema import Outcome, Phase

PHASES = {"setup": Phase.PROBE, "clean": Phase.SUBMIT, "compile": Phase.LAUNCH, "run": Phase.RUN}


def read_e4s(body: bytes, scheduler: str, component: str | None = None) -> list[ImportedTest]:
    """Return the tests of a result file. Without ``component``, that of all of them is ``imported``.

    Raises:
        Problem: the file has another format, or too many tests.
    """
    try:
        entries: Any = msgspec.json.decode(_closed_list(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "not-json", f"The file is not valid JSON: {error}.") from error
    if not isinstance(entries, list):
        raise Problem(422, "not-e4s", "The file is not a JSON list of tests.")
    if len(entries) > MAX_CASES:
        raise Problem(413, "too-many-records", f"The file has more than {MAX_CASES} tests. Split it.")
    tests: list[ImportedTest] = []
    for place, entry in enumerate(entries):
        if entry in ({}, None):
            continue
        test, stages = (entry.get("test"), entry.get("test_stages")) if isinstance(entry, dict) else (None, None)
        if test is None and isinstance(entry, dict) and "test" in entry:
            continue
        if not isinstance(test, str) or not test or not isinstance(stages, dict):
            raise Problem(422, "not-e4s", f"[{place}]: must be an object with test and test_stages.", f"[{place}]")
        tests.append(_imported_test(test, stages, scheduler, component or IMPORTED))
    if not tests:
        raise Problem(422, "not-e4s", "The file contains no test.")
    return list(numbered(tests))


def _closed_list(body: bytes) -> bytes:
    """Close a list whose closing bracket is missing."""
    text = re.sub(rb",\s*\]?\s*$", b"", body.strip())
    return text if text.endswith(b"]") or not text.startswith(b"[") else text + b"]"


def _imported_test(test: str, stages: dict[str, Any], scheduler: str, component: str) -> ImportedTest:
    outcome, stage = _verdict(stages)
    summary = ", ".join(f"{name} {value}" for name, value in stages.items())
    return ImportedTest(
        case_id=f"{component}/e4s.{valid_case_name(test.strip('/'))}@{scheduler}",
        component=component,
        outcome=outcome,
        evidence=summary,
        phase=PHASES.get(stage, Phase.RUN),
        scheduler=scheduler,
        extras={"e4s": {"test": test, "test_stages": stages}},
    )


def _verdict(stages: dict[str, Any]) -> tuple[Outcome, str]:
    """Return the outcome and the stage that decided it. A component that is not installed is skipped."""
    for stage, value in stages.items():
        result = str(value).lower()
        if result in ("missing", "skipped", "spacktest"):
            return Outcome.SKIP, stage
        if result not in ("pass", "success"):
            return (Outcome.ERROR if stage in ("setup", "clean") else Outcome.FAIL), stage
    return (Outcome.PASS, "run") if "run" in stages else (Outcome.ERROR, "run")
