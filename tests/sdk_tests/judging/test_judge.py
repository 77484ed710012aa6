"""The evidence of a failed test function: what was expected and what came, never an exception's name alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sdk_tests.bench import Bench


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("assert outcome.answer['params'] == {'a': 1}", ("assert {} == {'a': 1}",)),
        ("assert outcome.exit_code == 7, 'the exit code'", ("the exit code", "assert 0 == 7")),
        ("assert outcome.exit_code == 7, '\\nfirst line\\nsecond'", ("first line", "assert 0 == 7")),
        ("assert not outcome.answer, ''", ("assert not {'params': {}}",)),
        ("raise AssertionError", ("AssertionError",)),
        ("pytest.fail('a reason')", ("a reason",)),
    ],
)
def test_the_evidence_of_a_failed_assertion_shows_the_values_compared(
    bench: Bench, tmp_path: Path, body: str, parts: tuple[str, ...]
) -> None:
    case_id = bench.case("judged", body=f"import pytest\n{body}")
    cause = bench.run().only(case_id).verdict.cause
    assert cause is not None
    assert all(part in cause.evidence for part in parts), cause.evidence
    assert cause.evidence.strip() != "AssertionError:"
