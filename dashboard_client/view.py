"""Runs and comparisons as text for the terminal and as JSON trees for scripts."""

from __future__ import annotations

from typing import Any

import msgspec
from tabulate import tabulate

from dashboard_client.compare import Change, Comparison
from dashboard_client.runs import RunFolder
from dashboard_client.schema import Outcome
from dashboard_client.verdict import count, missing


def run_as_tree(run: RunFolder) -> dict[str, Any]:
    """Return the tree that ``--json`` prints of a run: manifest, counts and the effective record of each case."""
    effective = run.effective()
    return {
        "path": str(run.path),
        "manifest": msgspec.to_builtins(run.manifest),
        "count": count(run.manifest, effective),
        "missing": missing(run.manifest, effective),
        "records": [msgspec.to_builtins(record) for record in effective.values()],
    }


def run_as_text(run: RunFolder) -> str:
    """Return a summary of a run: where and when it ran, its counts, and the cause of every case that did not pass."""
    manifest, effective = run.manifest, run.effective()
    counted = count(manifest, effective)
    closed = manifest.closed
    state = "open: still running, or ended without being closed"
    if closed is not None:
        state = f"{closed.state}, exit code {closed.exit_code}"
    counts = ", ".join(f"{number} {outcome}" for outcome, number in counted["counts"].items() if number) or "none"
    if counted["missing"]:
        counts += f", {counted['missing']} missing"
    facts = [
        ("run", manifest.run_id),
        ("system", f"{manifest.site}/{manifest.system}"),
        ("started", manifest.started),
        ("ended", closed.ended if closed is not None else "-"),
        ("state", state),
        ("deployments", ", ".join(f"{each.name} ({each.kind})" for each in manifest.deployments) or "-"),
        ("redaction", manifest.redaction),
        ("cases", f"{counted['planned']} planned: {counts}"),
        ("folder", str(run.path)),
    ]
    parts = [tabulate(facts, tablefmt="plain", disable_numparse=True)]
    causes = []
    for record in sorted(effective.values(), key=lambda record: record.case_id):
        if record.verdict.outcome is not Outcome.PASS and record.verdict.cause is not None:
            cause = record.verdict.cause
            evidence = _printable(f"{cause.phase.value}: {cause.evidence}")
            causes.append((record.case_id, record.verdict.outcome.value, cause.cls.value, cause.rule, evidence))
    causes += [(case_id, "missing", "-", "-", "no record") for case_id in missing(manifest, effective)]
    if causes:
        parts.append(_table(causes, ["case", "outcome", "fault", "rule", "evidence"]))
    return "\n\n".join(parts)


def comparison_as_text(comparison: Comparison) -> str:
    """Return a comparison as text, with the new failures first."""
    parts = [f"{comparison.a} -> {comparison.b}: {comparison.same} cases have the same outcome in both"]
    for title, changes in (
        ("newly failing", comparison.newly_failing),
        ("fixed", comparison.fixed),
        ("changed otherwise", comparison.changed),
        ("added", comparison.added),
        ("removed", comparison.removed),
    ):
        if changes:
            parts.append(f"{title} ({len(changes)})\n" + _table([_row(change) for change in changes], None))
    if comparison.stack:
        rows = [(each.what, each.a or "-", each.b or "-") for each in comparison.stack]
        parts.append("differences in the software stack\n" + _table(rows, ["fact", "before", "after"]))
    else:
        parts.append("The recorded software stack is the same for the cases in both runs.")
    return "\n\n".join(parts)


def _printable(text: str) -> str:
    """Replace control characters, so that the output of a payload cannot control the reader's terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _row(change: Change) -> tuple[str, str]:
    return change.case_id, f"{change.a or 'not planned'} -> {change.b or 'not planned'}"


def _table(rows: Any, headers: list[str] | None) -> str:
    if headers is None:
        return "\n".join(f"  {line}" for line in tabulate(rows, tablefmt="plain", disable_numparse=True).splitlines())
    return tabulate(rows, headers=headers, disable_numparse=True, maxcolwidths=[None] * (len(headers) - 1) + [70])
