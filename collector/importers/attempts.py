"""Several results of a test in one file become attempts of its case. The worst one is last, because the last counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from collector.importers.common import ImportedTest, severity
from collector.importers.spack import unique_builds


def numbered(tests: Sequence[ImportedTest]) -> Iterator[ImportedTest]:
    """Yield the tests with the numbers of their attempts.

    A tool that runs a test again and reports it as one test decides which run counts; its other runs are earlier
    attempts. Of a test that a file contains several times, the worst result counts.
    """
    cases: dict[str, list[ImportedTest]] = {}
    for test in tests:
        cases.setdefault(test.case_id, []).append(test)
    for same in cases.values():
        attempts = list(unique_builds(same)) if same[0].dag_hash else [*_further_runs(same), *sorted(same, key=_weight)]
        if len(same) > 1 and not same[0].dag_hash:
            attempts[-1] = _with_all_results(attempts[-1], same)
        for attempt, test in enumerate(attempts, 1):
            yield replace(test, attempt=attempt, further_runs=())


def _further_runs(tests: Sequence[ImportedTest]) -> Iterator[ImportedTest]:
    for test in tests:
        for outcome, evidence in test.further_runs:
            yield replace(test, outcome=outcome, evidence=evidence, output=evidence or None, seconds=None)


def _weight(test: ImportedTest) -> tuple[int, int]:
    """Return how bad a result is, and of equally bad ones how much it states."""
    return severity(test), len(test.evidence)


def _with_all_results(worst: ImportedTest, same: Sequence[ImportedTest]) -> ImportedTest:
    """Add the results of all occurrences, in the order of the file, to the one that counts."""
    results = [test.outcome.value for test in same]
    note = f"The file has {len(same)} results of this test: {', '.join(results)}. The worst one counts."
    return replace(
        worst,
        output=f"{worst.output}\n{note}" if worst.output else note,
        extras=worst.extras | {"results": results, "flaky": len(set(results)) > 1},
    )
