"""Compare two runs: the outcomes of their cases, and the software stacks on which the cases ran."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dashboard_client.errors import ResultsError
from dashboard_client.runs import RunFolder, list_runs
from dashboard_client.schema import Outcome, Record, Software

MISSING = "missing"
"""Replaces the outcome of a planned case that has no record."""
GOOD = frozenset({Outcome.PASS.value, Outcome.XPASS.value, Outcome.XFAIL.value})
BAD = frozenset({Outcome.FAIL.value, Outcome.ERROR.value, Outcome.INFRA.value, MISSING})


@dataclass(frozen=True)
class Change:
    """A case whose outcome differs between the runs; the outcome is None in a run that did not plan the case."""

    case_id: str
    a: str | None
    b: str | None


@dataclass(frozen=True)
class Difference:
    """A fact about the software stack that differs; the value is None in a run that did not record the fact."""

    what: str
    a: str | None
    b: str | None


@dataclass(frozen=True)
class Comparison:
    """The changes from run ``a`` to run ``b``; every changed case is in one of the lists.

    ``changed`` holds the cases that are neither newly failing nor fixed, such as a pass that is now skipped.
    """

    a: str
    b: str
    newly_failing: tuple[Change, ...]
    fixed: tuple[Change, ...]
    changed: tuple[Change, ...]
    added: tuple[Change, ...]
    removed: tuple[Change, ...]
    same: int
    stack: tuple[Difference, ...]


def outcomes(run: RunFolder) -> dict[str, str]:
    """Return the outcome of every planned case: ``missing`` for a case without a record."""
    recorded = {case_id: record.verdict.outcome.value for case_id, record in run.effective().items()}
    return {planned.case_id: MISSING for planned in run.manifest.planned} | recorded


def compare(a: RunFolder, b: RunFolder) -> Comparison:
    """Compare an earlier run with a later one, case by case and fact by fact."""
    before, after = outcomes(a), outcomes(b)
    changes = [
        Change(case_id, before.get(case_id), after.get(case_id))
        for case_id in sorted(before.keys() | after.keys())
        if before.get(case_id) != after.get(case_id)
    ]
    both = [change for change in changes if change.a is not None and change.b is not None]
    failing = tuple(change for change in both if change.b in BAD and change.a not in BAD)
    fixed = tuple(change for change in both if change.a in BAD and change.b in GOOD)
    common = before.keys() & after.keys()
    return Comparison(
        a=a.manifest.run_id,
        b=b.manifest.run_id,
        newly_failing=failing,
        fixed=fixed,
        changed=tuple(change for change in both if change not in failing and change not in fixed),
        added=tuple(change for change in changes if change.a is None),
        removed=tuple(change for change in changes if change.b is None),
        same=len(common) - len(both),
        stack=_differences(a, b, common),
    )


def compare_with_last_pass(run: RunFolder, runs_dir: Path) -> Comparison | None:
    """Compare a run with the newest earlier run of its system that passed and shares a case with it.

    Return None where there is no such run.
    """
    manifest = run.manifest
    cases = {planned.case_id for planned in manifest.planned}
    for earlier in reversed(list_runs(runs_dir)):
        try:
            other = earlier.manifest
        except ResultsError:
            continue  # a damaged run is reported by `results list`, and is not known to have passed
        if (other.site, other.system) != (manifest.site, manifest.system):
            continue
        if (other.started, other.run_id) >= (manifest.started, manifest.run_id):
            continue
        if other.closed is None or other.closed.exit_code != 0:
            continue
        if cases & {planned.case_id for planned in other.planned}:
            return compare(earlier, run)
    return None


def _differences(a: RunFolder, b: RunFolder, common: Iterable[str]) -> tuple[Difference, ...]:
    """Compare the stacks that the cases of both runs recorded, so that a smaller selection is not a difference.

    If one of the runs is redacted to the minimal tier, only the facts that this tier keeps are compared: a withheld
    fact is not an absent one.
    """
    shared_cases = set(common)
    shared = [[record for case_id, record in run.effective().items() if case_id in shared_cases] for run in (a, b)]
    minimal = "minimal" in (a.manifest.redaction, b.manifest.redaction)
    several = any(len({_deployment(record) for record in records}) > 1 for records in shared)
    before, after = (_facts(records, minimal=minimal, several=several) for records in shared)
    return tuple(
        Difference(fact, before.get(fact), after.get(fact))
        for fact in sorted(before.keys() | after.keys())
        if before.get(fact) != after.get(fact)
    )


def _facts(records: Iterable[Record], *, minimal: bool, several: bool) -> dict[str, str]:
    """Return the facts about the stack in the records: several values of a fact are joined, unknown ones left out."""
    facts: dict[str, set[str]] = defaultdict(set)
    for record in records:
        suffix = f" ({_deployment(record)})" if several and not minimal else ""
        for fact, value in _minimal_facts(record, suffix) if minimal else _all_facts(record, suffix):
            if value:
                facts[fact].add(value)
    return {fact: ", ".join(sorted(values)) for fact, values in facts.items()}


def _deployment(record: Record) -> str | None:
    return record.stack.deployment.name if record.stack.deployment is not None else None


def _minimal_facts(record: Record, suffix: str) -> Iterator[tuple[str, str | None]]:
    """Yield the facts that every redaction tier keeps."""
    for component in record.stack.components:
        yield f"component {component.name}{suffix}", component.version
    for software in (record.scheduler.outer, record.scheduler.nested):
        if software is not None:
            yield f"scheduler {software.name}", _version(software)
    yield "harness", record.context.harness.commit or record.context.harness.version
    yield "site configuration", record.context.harness.config_digest


def _all_facts(record: Record, suffix: str) -> Iterator[tuple[str, str | None]]:
    stack = record.stack
    yield from _minimal_facts(record, suffix)
    if stack.deployment is not None:
        yield f"deployment {stack.deployment.name}", f"{stack.deployment.kind} {stack.deployment.digest}"
    for component in stack.components:
        yield f"component {component.name}{suffix}: DAG hash", component.dag_hash
        yield f"component {component.name}{suffix}: source commit", component.commit
    yield f"python{suffix}", stack.python
    yield f"mpi{suffix}", stack.mpi
    yield f"modules{suffix}", " ".join(stack.modules)
    yield "spack", stack.spack_commit
    yield "spack packages", stack.packages_commit
    if record.scheduler.launcher is not None:
        yield f"launcher {record.scheduler.launcher.name}", _version(record.scheduler.launcher)
    yield "architecture", record.context.architecture


def _version(software: Software) -> str:
    return (software.version or "unknown version") + (" (emulated)" if software.emulated else "")
