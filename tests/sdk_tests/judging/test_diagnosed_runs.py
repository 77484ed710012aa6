"""A whole run: what the record of a failed case contains, and that a passing case costs and leaves nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dashboard_client.schema import Diagnosis, Record
from tests.sdk_tests.bench import Bench

ANSWERS = """
import json, pathlib, sys
print("the end of the output", file=sys.stderr)
pathlib.Path("agent.log").write_text(LOG)
print(json.dumps({"state": "FAILED", "secret": "token-" + "x" * 3}))
"""
FULL = "INFO start\\nERROR OSError: [Errno 28] No space left on device\\nINFO end\\n"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def diagnosis(record: Record) -> Diagnosis:
    assert record.diagnosis is not msgspec.UNSET
    return record.diagnosis


def test_a_failed_assertion_keeps_both_values_the_answer_the_output_and_the_log_with_the_cause(bench: Bench) -> None:
    check = 'assert outcome.answer["state"] == "DONE"'
    bench.case("full", ANSWERS.replace("LOG", repr(FULL.replace("\\n", "\n"))), check)
    bench.case("other", ANSWERS.replace("LOG", "'INFO nothing\\n'"), check)
    bench.case("passes", ANSWERS.replace("LOG", repr(FULL.replace("\\n", "\n"))))
    result = bench.run()
    full, other, passed = (result.only(f"python/{name}@local") for name in ("full", "other", "passes"))

    found = diagnosis(full)
    assert result.verdict("python/full@local") == ("infra", "site", "disk-full")
    assert (found.expected, found.got) == ("'DONE'", "'FAILED'")
    assert (found.line, found.source) == ("ERROR OSError: [Errno 28] No space left on device", "agent.log")
    assert '"state": "FAILED"' in (found.answer or "")
    assert "token-xxx" not in (found.answer or ""), "the answer is redacted as everything else"
    assert "the end of the output" in (full.evidence.output_tail or "")
    (log,) = found.logs
    assert log.component == "python"
    assert (result.folder.private / log.path).read_text().startswith("INFO start")
    assert found.advice is not None

    assert result.verdict("python/other@local") == ("fail", "component", "assertion")
    assert (diagnosis(other).expected, diagnosis(other).got) == ("'DONE'", "'FAILED'")
    assert "'FAILED' == 'DONE'" in result.evidence("python/other@local")
    assert diagnosis(other).advice is not None
    assert full.run_id in (diagnosis(other).advice or ""), "the advice names the run"

    assert passed.diagnosis is msgspec.UNSET
    assert not (result.folder.private / "logs").exists(), "a passing case has no log copied"


def test_a_payload_that_raises_has_its_root_as_cause_and_the_wrapper_is_not_shown(bench: Bench) -> None:
    source = """
    try:
        raise OSError("libzmq.so.5: file too short")
    except OSError as error:
        raise RuntimeError("task became FAILED") from error
    """
    bench.case("raises", source)
    result = bench.run()
    assert result.verdict("python/raises@local") == ("fail", "distribution", "library-damaged")
    found = diagnosis(result.only("python/raises@local"))
    assert found.line == "OSError: libzmq.so.5: file too short"
    assert (found.expected, found.got) == ("exit code 0 and one answer", "exit code 1, no answer")


def test_cases_behind_a_failed_control_case_have_its_cause_and_name_it(bench: Bench) -> None:
    bench.case("control", "raise OSError(28, 'No space left on device')", component="control", where="control")
    bench.case("behind", "import sys; sys.exit('anything')")
    result = bench.run()
    control, behind = (result.only(f"{name}@local") for name in ("control/control", "python/behind"))
    assert result.verdict("control/control@local") == ("infra", "site", "disk-full")
    assert result.verdict("python/behind@local")[:2] == ("infra", "site")
    assert diagnosis(behind).cause_key == diagnosis(control).cause_key
    assert diagnosis(behind).blocked_by == diagnosis(control).cause_key
    assert diagnosis(control).blocked_by is None
