"""The JUnit reports of Spack, which name a build by its hash only and report packages without tests as passed.

The format is that of ``share/spack/templates/reports/junit.xml`` in Spack 1: a suite for each requested spec, which has
a case for each package that the spec needs. The class name of a case is the package, and its name is the DAG hash. A
build that several specs need is reported with each of them. A package that was already installed is skipped.
``spack test run`` writes the same format; only a line in the output shows that a package has no tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from collector.importers.common import ImportedTest, severity, valid_case_name
from dashboard_client.schema import Outcome, Phase

_HASH = re.compile(r"[a-z2-7]{32}")
_TESTED = "==> Testing package "
_ERROR = re.compile(r"^\s*((?:==> )?[\w.]*Error: .+)$", re.MULTILINE)
_UNTESTED = re.compile(r"^NO_TESTS: |No tests to run$", re.MULTILINE)


def is_spack(package: str, name: str) -> bool:
    """Return whether class name and name of a case are those of a Spack package."""
    return bool(package) and _HASH.fullmatch(name) is not None


def read_package(test: ImportedTest, package: str, dag_hash: str) -> ImportedTest:
    """Return the test of a package: the case ``NAME/test`` if the report is about its tests, else ``NAME/build``."""
    output = (test.output or "").lstrip()
    tested = output.startswith(_TESTED)
    action = ("test" if tested else "build") + (f":package={package}" if package != test.component else "")
    outcome, evidence = test.outcome, test.evidence
    if outcome is Outcome.SKIP:
        evidence = "Spack did not build it: it was already installed, is external, or was not needed"
    elif tested and outcome is Outcome.PASS and _UNTESTED.search(output):
        outcome, evidence = Outcome.SKIP, "the package has no tests that Spack can run"
    elif outcome is not Outcome.PASS and (error := _ERROR.search(output)):
        evidence = error[1]
    return replace(
        test,
        case_id=f"{test.component}/{valid_case_name(action)}@{test.scheduler}",
        version=_version(output.removeprefix(_TESTED), package, dag_hash) if tested else None,
        dag_hash=dag_hash,
        outcome=outcome,
        phase=Phase.PLAN if outcome is Outcome.SKIP else test.phase,
        evidence=evidence,
    )


def unique_builds(tests: Sequence[ImportedTest]) -> Iterator[ImportedTest]:
    """Yield one test for each hash of a package, the worst one last, because the last attempt counts."""
    builds: dict[str | None, ImportedTest] = {}
    for test in sorted(tests, key=severity):
        builds[test.dag_hash] = test
    yield from sorted(builds.values(), key=severity)


def _version(output: str, package: str, dag_hash: str) -> str | None:
    """Parse the version from the first line, NAME-VERSION-HASH; it contains seven characters of the hash."""
    line = output.partition("\n")[0].strip()
    begin, end = f"{package}-", f"-{dag_hash[:7]}"
    return line[len(begin) : -len(end)] or None if line.startswith(begin) and line.endswith(end) else None
