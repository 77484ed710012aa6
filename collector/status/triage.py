"""What people note about failures with the same cause: an owner, a note, a link to a bug, and until when it is hidden.

A note belongs to a cause key at one site, or at every site (``*``). A person may change the notes of the sites that the
token allows. Each change is an entry of the audit log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Connection, delete, insert, select

from collector.auth.tokens import ANY_SITE
from collector.auth.visibility import Visibility
from collector.clock import now_ms
from collector.errors import Problem
from collector.formatting import at_or_none, ms
from collector.status.waivers import end_of_day
from collector.store.tables import attention, systems, triage_entries

LONGEST = {"owner": 128, "note": 1024, "link": 1024}
LONGEST_SNOOZE_DAYS = 366


class TriageRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person notes; an absent or empty field removes what was noted. ``until`` is the last day of a snooze."""

    cause_key: str
    site: str = ANY_SITE
    owner: str | None = None
    note: str | None = None
    link: str | None = None
    until: str | None = None


@dataclass(frozen=True)
class TriageNote:
    """What is noted about a cause at a site; ``snoozed_until`` in milliseconds since 1970."""

    site: str
    owner: str | None
    note: str | None
    link: str | None
    snoozed_until: int | None
    changed: int
    changed_by: str

    def facts(self, now: int) -> dict[str, Any]:
        """Return the note as facts; a snooze that has expired is none."""
        snoozed = self.snoozed_until if self.is_snoozed(now) else None
        facts = {name: getattr(self, name) for name in ("site", "owner", "note", "link", "changed_by")}
        last_day = None if snoozed is None else (at_or_none(snoozed) or date.max) - timedelta(days=1)
        return facts | {"changed": at_or_none(self.changed), "snoozed_until": last_day and str(last_day)[:10]}

    def is_snoozed(self, now: int) -> bool:
        return self.snoozed_until is not None and self.snoozed_until > now


Notes = Mapping[tuple[str, str], TriageNote]
"""Notes by site and cause key."""


def triage_notes(connection: Connection, visibility: Visibility) -> Notes:
    """Return the notes about the sites that a reader may see, and about every site."""
    visible = select(systems.c.site).where(*visibility.limits())
    table = triage_entries.c
    query = select(triage_entries).where(table.site.in_(visible) | (table.site == ANY_SITE))
    return {
        (row.site, row.cause_key): TriageNote(
            row.site, row.owner, row.note, row.link, row.snoozed_until, row.changed, row.changed_by
        )
        for row in connection.execute(query)
    }


def note_of(notes: Notes, site: str, cause_key: str) -> TriageNote | None:
    """Return the note about a cause at a site; one for the site comes before one for every site."""
    return notes.get((site, cause_key)) or notes.get((ANY_SITE, cause_key))


def set_note(connection: Connection, request: TriageRequest, writer: str) -> bool:
    """Store a note in place of the one before; return whether it is one: a request without fields removes it.

    Raises:
        Problem: 422, a field is not valid; 404, no present failure has this cause at the site.
    """
    values = {name: _text(request, name) for name in LONGEST}
    link = values["link"]
    if link is not None and (urlsplit(link).scheme not in ("http", "https") or not urlsplit(link).hostname):
        raise Problem(422, "invalid", f"{link[:80]!r} is no address. Write https://… or http://…", "link")
    until = _snooze(request.until)
    listed = select(attention.c.cell).where(attention.c.cause_key == request.cause_key, attention.c.outcome != "p")
    if request.site != ANY_SITE:
        listed = listed.join(systems, systems.c.id == attention.c.system).where(systems.c.site == request.site)
    same = (triage_entries.c.site == request.site, triage_entries.c.cause_key == request.cause_key)
    known = (
        connection.execute(listed.limit(1)).first() or connection.execute(select(triage_entries).where(*same)).first()
    )
    if known is None or not request.cause_key:
        detail = (
            f"No failure with the cause {request.cause_key[:128]!r} at site {request.site[:128]}: GET /triage.json."
        )
        raise Problem(404, "no-such-cause", detail, "cause_key")
    connection.execute(delete(triage_entries).where(*same))
    if not any(values.values()) and until is None:
        return False
    key = {"site": request.site, "cause_key": request.cause_key}
    stored = {"snoozed_until": until, "changed": now_ms(), "changed_by": writer[:256]}
    connection.execute(insert(triage_entries).values(**key, **values, **stored))
    return True


def _text(request: TriageRequest, name: str) -> str | None:
    value: str | None = getattr(request, name)
    value = value.strip() if value else None
    if value and (len(value) > LONGEST[name] or "\0" in value):
        raise Problem(422, "invalid", f"must have at most {LONGEST[name]} characters, and no NUL character.", name)
    return value or None


def _snooze(text: str | None) -> int | None:
    if not text:
        return None
    end = end_of_day(text)
    if end is None or not 0 < ms(end) - now_ms() <= LONGEST_SNOOZE_DAYS * 86_400_000:
        detail = f"{text[:40]!r} is no day within the next {LONGEST_SNOOZE_DAYS} days. Write it as 2027-01-31."
        raise Problem(422, "invalid", detail, "until")
    return ms(end)
