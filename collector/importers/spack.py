"""What Spack's JUnit reports mean: they name a package by its hash alone, and tell as passed what was not tested.

The form is that of ``share/spack/templates/reports/junit.xml`` in Spack 1: a suite for each spec that was asked for, in
it a case for each package that it needed, whose class name is the package and whose name is its DAG hash. A build that
several specs needed is told with each of them; a package that was there already is skipped. ``spack test run`` writes
the same, and a package without tests has no mark there but a line in its output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from collector.importers.common import Finding, case_of
from collector.outcomes import CHAR, ORDER
from dashboard_client.schema import Outcome, Phase

_HASH = re.compile(r"[a-z2-7]{32}")
_TESTED = "==> Testing package "
_SAYS = re.compile(r"^\s*((?:==> )?[\w.]*Error: .+)$", re.MULTILINE)
_UNTESTED = re.compile(r"^NO_TESTS: |No tests to run$", re.MULTILINE)


def is_spack(package: str, name: str) -> bool:
    """Tell whether a case is a package of Spack's by its class name and name."""
    return bool(package) and _HASH.fullmatch(name) is not None


def read_package(found: Finding, package: str, dag_hash: str) -> Finding:
    """Return what a case says of a package: ``NAME/test`` where its tests ran or should have, else ``NAME/build``."""
    output = (found.output or "").lstrip()
    tested = output.startswith(_TESTED)
    what = ("test" if tested else "build") + (f":package={package}" if package != found.component else "")
    outcome, evidence = found.outcome, found.evidence
    if outcome is Outcome.SKIP:
        evidence = "Spack did not build it: it was there already, is external, or was not needed"
    elif tested and outcome is Outcome.PASS and _UNTESTED.search(output):
        outcome, evidence = Outcome.SKIP, "the package has no tests that Spack can run"
    elif outcome is not Outcome.PASS and (says := _SAYS.search(output)):
        evidence = says[1]
    return replace(
        found,
        case_id=f"{found.component}/{case_of(what)}@{found.scheduler}",
        version=_version(output.removeprefix(_TESTED), package, dag_hash) if tested else None,
        dag_hash=dag_hash,
        outcome=outcome,
        phase=Phase.PLAN if outcome is Outcome.SKIP else found.phase,
        evidence=evidence,
    )


def once(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield what a report says of one package: each hash once, and the worst last, as that is what counts."""
    builds: dict[str | None, Finding] = {}
    for found in sorted(findings, key=_rank):
        builds[found.dag_hash] = found
    yield from sorted(builds.values(), key=_rank)


def _rank(found: Finding) -> int:
    return -ORDER.index(CHAR[found.outcome])


def _version(output: str, package: str, dag_hash: str) -> str | None:
    """Read NAME-VERSION-HASH, of whose hash seven characters are written."""
    said = output.partition("\n")[0].strip()
    begin, end = f"{package}-", f"-{dag_hash[:7]}"
    return said[len(begin) : -len(end)] or None if said.startswith(begin) and said.endswith(end) else None
