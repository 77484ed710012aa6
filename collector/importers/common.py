"""What the importers share: valid names, instants in several formats, and the record of an imported test."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from collector.errors import Problem
from collector.outcomes import CHAR, ORDER
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

IMPORTED = "imported"
"""The component of imported tests if the importer names none: their own names must not become columns of the board."""

IMPORT_VERSION = 1
"""The schema version of imported runs: their records need nothing newer, and the same file imported again must give the
same bytes as the version of the collector that imported it first."""

TAIL = 16_000
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_NOISE = re.compile(
    r"(?i)fail(ed|ure)?|error|=== (RUN|PAUSE|CONT) .*|--- (FAIL|SKIP|PASS): .*|FAIL\t.*|exit status \d+"
)
"""Lines that say only that a test did not pass: a general message, and the frame of Go's own output."""
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class ImportedTest:
    """One test in the report of another tool, not yet assigned to a site, system and run.

    ``further_runs``: outcome and evidence of the other runs that the tool made of it, which do not count.
    """

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
    further_runs: tuple[tuple[Outcome, str], ...] = ()


@dataclass(frozen=True)
class Source:
    """Where imported tests come from: site, system and run, and the tool that ran them."""

    site: str
    system: str
    run_id: str
    origin: Origin
    tool: str
    version: str = "unknown"


def make_record(source: Source, test: ImportedTest, attempt: int | None = None) -> Record:
    """Return the record of an imported test."""
    number = test.attempt if attempt is None else attempt
    cause = None
    if test.outcome is not Outcome.PASS:
        evidence = one_line(test.evidence) or f"{source.tool} reports {test.outcome.value} without a message"
        cause = Cause(phase=test.phase, cls=CauseClass.UNKNOWN, rule=source.tool, evidence=evidence)
    component = Component(name=test.component, version=test.version, dag_hash=test.dag_hash)
    return Record(
        schema=IMPORT_VERSION,
        record_id=record_id(source.site, source.system, source.run_id, test.case_id, number),
        run_id=source.run_id,
        case_id=test.case_id,
        origin=source.origin,
        case=Case(component=test.component),
        context=Context(site=source.site, system=source.system, harness=_harness(source)),
        stack=Stack(components=[component] if test.version or test.dag_hash else []),
        scheduler=Scheduler(
            outer=Software(name=test.scheduler),
            launcher=Software(name=test.launcher) if test.launcher else None,
        ),
        timing=Timing(
            started=test.started,
            ended=test.ended,
            run=Span(seconds=test.seconds, source="harness") if test.seconds is not None else None,
        ),
        verdict=Verdict(outcome=test.outcome, cause=cause),
        retries=Retries(attempt=number),
        evidence=Evidence(output_tail=tail(test.output), redaction="none"),
        extras=test.extras,
    )


def make_manifest(
    source: Source,
    started: str,
    tests: Sequence[ImportedTest] | None,
    deployments: Sequence[Deployment] = (),
    owner: str | None = None,
    stale_after: str | None = None,
) -> Manifest:
    """Return the manifest of a run. ``tests``: all its tests, or None if they are not known yet."""
    planned = {test.case_id: test for test in tests or ()}
    return Manifest(
        schema=IMPORT_VERSION,
        run_id=source.run_id,
        site=source.site,
        system=source.system,
        started=started,
        trigger="import",
        harness=_harness(source),
        selection=Selection(partial=True),
        planned=[
            PlannedCase(case_id=case_id, component=test.component, scheduler=test.scheduler)
            for case_id, test in planned.items()
        ],
        deployments=list(deployments),
        redaction="none",
        owner=owner,
        stale_after=stale_after,
    )


def make_closing(outcomes: Sequence[Outcome], ended: str, sequence: int = 1) -> Closing:
    """Return the closing of a run with these outcomes."""
    counts = {outcome.value: outcomes.count(outcome) for outcome in Outcome if outcome in outcomes}
    bad = any(outcome in (Outcome.FAIL, Outcome.ERROR) for outcome in outcomes) or Outcome.PASS not in outcomes
    return Closing(
        sequence=sequence,
        state="complete",
        ended=ended,
        planned=len(outcomes),
        recorded=len(outcomes),
        missing=0,
        counts=counts,
        exit_code=int(bad),
    )


def valid_case_name(text: str) -> str:
    """Return the part of a case id that names the test; it may contain parameters written with ``=``."""
    return valid_name(text.replace("@", "-"), 300, "=")


def valid_name(text: str, longest: int = 128, more: str = "") -> str:
    """Convert any text to a valid name.

    A name that had to be changed ends in a CRC-32 of the text, so that two texts do not get the same name.
    """
    name = re.sub(rf"[^A-Za-z0-9._+@:{more}-]+", "-", text).strip("-").lstrip("._+@:")
    if name == text and len(name) <= longest:
        return name
    return f"{name[: longest - 9] or 'x'}-{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"


def instant(text: object, zone: tzinfo | None = timezone.utc) -> str | None:
    """Parse an instant in ISO 8601 or RFC 5322, and return it as the schema writes it; None if it is neither.

    ``zone``: the time zone of an instant that has none; None for the zone of this machine.
    """
    if not isinstance(text, str) or not text.strip():
        return None
    text = text.strip()
    if text.endswith("Z"):
        text = f"{text[:-1]}+00:00"
    try:
        parsed = parsedate_to_datetime(text) if text[:1].isalpha() else datetime.fromisoformat(text)
        zoned = parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=zone)
        return zoned.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return None


def read_zone(text: str) -> tzinfo:
    """Return a time zone by its offset from UTC, such as ``-06:00``, or by its name in the IANA database.

    Raises:
        Problem: this machine does not know the zone.
    """
    offset = _OFFSET.fullmatch(text)
    if text.upper() in ("Z", "UTC"):
        return timezone.utc
    if offset is not None and int(offset[2]) <= 14 and int(offset[3]) < 60:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        known = "an offset such as -06:00, or a name such as America/Denver"
        detail = f"timezone: {text[:60]!r} is not known to this collector. Use {known}."
        raise Problem(422, "invalid", detail, "timezone") from error


def severity(test: ImportedTest) -> int:
    """Return how bad an outcome is; of several results of one case, the worst is displayed."""
    return -ORDER.index(CHAR[test.outcome])


def seconds_between(started: str | None, ended: str | None) -> float | None:
    """Return the seconds between two instants in the format of ``instant``; None if that is not a duration."""
    if started is None or ended is None:
        return None
    first, last = (datetime.fromisoformat(each.replace("Z", "+00:00")) for each in (started, ended))
    seconds = round((last - first).total_seconds(), 3)
    return seconds if seconds >= 0 else None


def plain(text: object) -> str:
    """Return text without terminal colours."""
    return _ESCAPES.sub("", text) if isinstance(text, str) else ""


def one_line(text: str) -> str:
    """Return the most informative line: the first error line of pytest, else the last line that states something."""
    lines = [line.strip() for line in plain(text).splitlines() if line.strip()]
    lines = [line for line in lines if _NOISE.fullmatch(line) is None] or lines
    errors = [line[1:].strip() for line in lines if line.startswith("E  ")]
    chosen = next((line for line in errors if line), lines[-1] if lines else "")
    return chosen[:500]


def tail(text: str | None) -> str | None:
    """Return the end of an output, or None if there is no output."""
    return plain(text)[-TAIL:] or None if text else None


def _harness(source: Source) -> Harness:
    return Harness(version=f"{source.tool} {source.version}")
