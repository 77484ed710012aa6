"""Group the cases of a run that did not pass by their cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from dashboard_client.schema import CauseClass, Diagnosis, Outcome, Record

BAD = (Outcome.FAIL, Outcome.ERROR, Outcome.INFRA)
"""Outcomes that need a cause."""


@dataclass(frozen=True)
class RootCause:
    """One cause and the records that it explains: first those that show it, then those that it only blocked."""

    key: str
    title: str
    cls: CauseClass
    records: tuple[Record, ...]

    @property
    def shown(self) -> Record:
        """The record that shows the cause best."""
        return self.records[0]


def diagnosis_of(record: Record) -> Diagnosis | None:
    """Return the diagnosis of a record; None for a pass and for records of schema 1."""
    return None if record.diagnosis is msgspec.UNSET else record.diagnosis


def key_of(record: Record) -> str:
    """Return what a record is grouped by: its cause key or, in schema 1, its cause as it is recorded."""
    diagnosis, cause = diagnosis_of(record), record.verdict.cause
    if diagnosis is not None:
        return diagnosis.cause_key
    if cause is None:
        return record.verdict.outcome.value
    return "\n".join((record.verdict.outcome.value, cause.phase.value, cause.cls.value, cause.rule, cause.evidence))


def root_causes(records: Iterable[Record]) -> list[RootCause]:
    """Return the causes of the records that did not pass, those with most cases first."""
    grouped: dict[str, list[Record]] = {}
    for record in records:
        if record.verdict.outcome in BAD:
            grouped.setdefault(key_of(record), []).append(record)
    causes = [_root_cause(key, members) for key, members in grouped.items()]
    return sorted(causes, key=lambda cause: -len(cause.records))


def _root_cause(key: str, members: list[Record]) -> RootCause:
    ordered = sorted(members, key=_only_blocked)
    diagnosis, cause = diagnosis_of(ordered[0]), ordered[0].verdict.cause
    title = diagnosis.title if diagnosis is not None else cause.evidence if cause is not None else "unknown"
    return RootCause(key, title, cause.cls if cause is not None else CauseClass.UNKNOWN, tuple(ordered))


def _only_blocked(record: Record) -> bool:
    diagnosis = diagnosis_of(record)
    return diagnosis is not None and diagnosis.blocked_by is not None
