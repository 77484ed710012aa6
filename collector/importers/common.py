"""What importers share: names that fit, instants in their many forms, and a finding made into a record."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from dashboard_client.schema import (
    Case,
    Cause,
    CauseClass,
    Closing,
    Component,
    Context,
    Deployment,
    Evidence,
    Harness,
    Manifest,
    Origin,
    Outcome,
    Phase,
    PlannedCase,
    Record,
    Retries,
    Scheduler,
    Selection,
    Software,
    Span,
    Stack,
    Timing,
    Verdict,
    record_id,
)

TAIL = 16_000
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Finding:
    """One test of another tool, read but not yet anybody's."""

    case_id: str
    component: str
    outcome: Outcome
    evidence: str = ""
    phase: Phase = Phase.RUN
    scheduler: str = "local"
    launcher: str | None = None
    started: str | None = None
    ended: str | None = None
    seconds: float | None = None
    output: str | None = None
    version: str | None = None
    dag_hash: str | None = None
    attempt: int = 1
    extras: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Where findings come from: whose they are, which run they make up, and by which tool."""

    site: str
    system: str
    run_id: str
    origin: Origin
    tool: str
    version: str = "unknown"


def record_of(source: Source, found: Finding, attempt: int | None = None) -> Record:
    """Make the record of a finding."""
    number = found.attempt if attempt is None else attempt
    cause = None
    if found.outcome is not Outcome.PASS:
        evidence = one_line(found.evidence) or f"{source.tool} says {found.outcome.value} and nothing more"
        cause = Cause(phase=found.phase, cls=CauseClass.UNKNOWN, rule=source.tool, evidence=evidence)
    component = Component(name=found.component, version=found.version, dag_hash=found.dag_hash)
    return Record(
        record_id=record_id(source.site, source.system, source.run_id, found.case_id, number),
        run_id=source.run_id,
        case_id=found.case_id,
        origin=source.origin,
        case=Case(component=found.component),
        context=Context(site=source.site, system=source.system, harness=_harness(source)),
        stack=Stack(components=[component] if found.version or found.dag_hash else []),
        scheduler=Scheduler(
            outer=Software(name=found.scheduler),
            launcher=Software(name=found.launcher) if found.launcher else None,
        ),
        timing=Timing(
            started=found.started,
            ended=found.ended,
            run=Span(seconds=found.seconds, source="harness") if found.seconds is not None else None,
        ),
        verdict=Verdict(outcome=found.outcome, cause=cause),
        retries=Retries(attempt=number),
        evidence=Evidence(output_tail=tail(found.output), redaction="none"),
        extras=found.extras,
    )


def manifest_of(
    source: Source,
    started: str,
    findings: Sequence[Finding] | None,
    deployments: Sequence[Deployment] = (),
    owner: str | None = None,
) -> Manifest:
    """Make the manifest of a run: of all that was found, or of one whose plan nobody knows."""
    planned = {found.case_id: found for found in findings or ()}
    return Manifest(
        run_id=source.run_id,
        site=source.site,
        system=source.system,
        started=started,
        trigger="import",
        harness=_harness(source),
        selection=Selection(partial=True),
        planned=[
            PlannedCase(case_id=case_id, component=found.component, scheduler=found.scheduler)
            for case_id, found in planned.items()
        ],
        deployments=list(deployments),
        redaction="none",
        owner=owner,
    )


def closing_of(outcomes: Sequence[Outcome], ended: str, sequence: int = 1) -> Closing:
    """Close a run of so many cases."""
    counts = {outcome.value: outcomes.count(outcome) for outcome in Outcome if outcome in outcomes}
    bad = any(outcome in (Outcome.FAIL, Outcome.ERROR) for outcome in outcomes) or Outcome.PASS not in outcomes
    told = {"planned": len(outcomes), "recorded": len(outcomes), "missing": 0}
    return Closing(sequence=sequence, state="complete", ended=ended, counts=counts, exit_code=int(bad), **told)


def case_of(text: str) -> str:
    """Make the part of a case id that names the test: a name in which parameters may be given by ``=``."""
    return name_of(text.replace("@", "-"), 300, "=")


def name_of(text: str, longest: int = 128, more: str = "") -> str:
    """Make a name of any text; one that had to be changed ends in a checksum, so that two never become one."""
    fits = re.sub(rf"[^A-Za-z0-9._+@:{more}-]+", "-", text).strip("-").lstrip("._+@:")
    if fits == text and len(fits) <= longest:
        return fits
    return f"{fits[: longest - 9] or 'x'}-{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"


def instant(text: object) -> str | None:
    """Read an instant in any form of ISO 8601 or of RFC 5322; one without a zone is taken for UTC, as nothing tells."""
    if not isinstance(text, str) or not text.strip():
        return None
    said = text.strip()
    if said.endswith("Z"):
        said = f"{said[:-1]}+00:00"
    try:
        found = parsedate_to_datetime(said) if said[:1].isalpha() else datetime.fromisoformat(said)
        known = found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)
        return known.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return None


def seconds_between(started: str | None, ended: str | None) -> float | None:
    """Return the seconds between two instants as ``instant`` writes them."""
    if started is None or ended is None:
        return None
    first, last = (datetime.fromisoformat(each.replace("Z", "+00:00")) for each in (started, ended))
    return max(0.0, round((last - first).total_seconds(), 3))


def plain(text: object) -> str:
    """Return text without terminal colours."""
    return _ESCAPES.sub("", text) if isinstance(text, str) else ""


def one_line(text: str) -> str:
    """Return the line that says most: the last of pytest's, else the last that is not empty."""
    lines = [line.strip() for line in plain(text).splitlines() if line.strip()]
    errors = [line[1:].strip() for line in lines if line.startswith("E  ")]
    chosen = next((line for line in errors if line), lines[-1] if lines else "")
    return chosen[:500]


def tail(text: str | None) -> str | None:
    """Return the end of an output, None of none."""
    return plain(text)[-TAIL:] or None if text else None


def _harness(source: Source) -> Harness:
    return Harness(version=f"{source.tool} {source.version}")
