"""Waivers: failures that are accepted until a given day, by a site file or by an administrator of the collector.

Waivers of site files are read from the newest manifest of each system. Waivers of administrators are stored in the
database; they change where a failure is listed, never its outcome.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from collector.auth.visibility import Visibility
from collector.clock import now_ms
from collector.errors import Problem
from collector.formatting import at, ms
from collector.remembered import remembered
from collector.store.bulk import among
from collector.store.tables import runs, systems, waivers
from dashboard_client.schema import Waiver, case_matches

LONGEST = 512
MANIFESTS = 16_000_000
"""The length in bytes of all manifests whose waivers are remembered."""


@dataclass(frozen=True)
class SystemWaiver:
    """A waiver from either source; ``system`` is None if it applies to all systems of the site."""

    site: str
    system: str | None
    cases: str
    reason: str
    owner: str | None
    expires: datetime
    source: str
    id: int | None = None

    def covers(self, site: str, system: str, case_id: str) -> bool:
        return self.site == site and self.system in (None, system) and case_matches(case_id, self.cases)

    def valid(self, now: int) -> bool:
        return ms(self.expires) > now


class ManifestFacts(msgspec.Struct, frozen=True):
    """The facts about a system in a manifest, without the plan; decoding skips all other keys."""

    owner: str | None = None
    cadence: str | None = None
    stale_after: str | None = None
    redaction: str = "full"
    waivers: list[Waiver] = []


class WaiverRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A waiver as an administrator requests it; ``expires`` is the last day on which it is valid."""

    site: str
    cases: str
    reason: str
    expires: str
    system: str | None = None
    owner: str | None = None


def administrator_waivers(connection: Connection, visibility: Visibility, now: int) -> list[SystemWaiver]:
    """Return the waivers of administrators that a reader may see, also those that expired within the last 90 days."""
    allowed = select(systems.c.site).where(*visibility.limits())
    query = select(waivers).where(
        waivers.c.ended.is_(None), waivers.c.expires > now - 90 * 86_400_000, waivers.c.site.in_(allowed)
    )
    return [
        SystemWaiver(row.site, row.system, row.cases, row.reason, row.owner, at(row.expires), "administrator", row.id)
        for row in connection.execute(query.order_by(waivers.c.expires, waivers.c.id))
    ]


def manifest_facts(
    connection: Connection, visibility: Visibility, places: Collection[tuple[str, str]] | None = None
) -> dict[tuple[str, str], ManifestFacts]:
    """Return the facts in the newest manifest of each system, by site and system; ``places``: only of these systems."""
    newest = (
        select(runs.c.id)
        .where(runs.c.system == systems.c.id, runs.c.digest.is_not(None))
        .order_by(runs.c.started.desc(), runs.c.run_id.desc())
        .limit(1)
        .correlate(systems)
        .scalar_subquery()
    )
    query = select(systems.c.site, systems.c.system, runs.c.manifest).join(runs, runs.c.id == newest)
    if places is not None:
        query = query.where(among(connection, systems.c.system, sorted({system for _, system in places})))
    rows = connection.execute(visibility.of(query))
    return {
        (row.site, row.system): _decode(bytes(row.manifest))
        for row in rows
        if places is None or (row.site, row.system) in places
    }


def site_file_waivers(manifests: dict[tuple[str, str], ManifestFacts]) -> list[SystemWaiver]:
    """Return the waivers that the site files of the systems declare."""
    declared = []
    for (site, system), manifest in manifests.items():
        for waiver in manifest.waivers:
            expires = end_of_day(waiver.expires)
            if expires is not None:
                declared.append(
                    SystemWaiver(site, system, waiver.cases, waiver.reason, waiver.owner, expires, "site file")
                )
    return declared


def covering_waiver(
    all_: Sequence[SystemWaiver], site: str, system: str, case_id: str, now: int
) -> SystemWaiver | None:
    """Return the waiver that covers a case and lasts longest, even if it has expired; None if no waiver covers it."""
    matching = [each for each in all_ if each.covers(site, system, case_id)]
    return max(matching, key=lambda each: each.expires) if matching else None


def end_of_day(text: str) -> datetime | None:
    """Return the end of the day that an ISO date names, in UTC; None if the text is not such a date."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc) + timedelta(days=1)
    except (ValueError, OverflowError):  # the day after the last day of the year 9999 does not exist
        return None


def add_waiver(connection: Connection, request: WaiverRequest, token: str | None) -> int:
    """Store a waiver and return its number.

    Raises:
        Problem: 422, a field is not valid.
    """
    expires = end_of_day(request.expires)
    if expires is None:
        raise Problem(422, "invalid", f"{request.expires[:40]!r} is not a date. Write it as 2027-01-31.", "expires")
    if ms(expires) <= now_ms():
        raise Problem(422, "invalid", f"{request.expires} has passed. Give a later day.", "expires")
    for name in ("site", "cases", "reason", "system", "owner"):
        value = getattr(request, name)
        most = LONGEST if name in ("cases", "reason") else 128
        if value is not None and (not value.strip() or len(value) > most):
            raise Problem(422, "invalid", f"must not be empty, and must have at most {most} characters.", name)
        if value is not None and "\0" in value:
            raise Problem(422, "invalid", "must not contain a NUL character.", name)
    values = {name: getattr(request, name) for name in ("site", "system", "cases", "reason", "owner")}
    statement = (
        insert(waivers).values(**values, expires=ms(expires), made=now_ms(), token=token).returning(waivers.c.id)
    )
    key: int = connection.execute(statement).scalar_one()
    return key


def end_waiver(connection: Connection, key: int, site: str | None) -> bool:
    """End a waiver now; return False if no such waiver is valid, or if it belongs to another site.

    ``site`` is the one site whose waivers may be ended; None for every site.
    """
    statement = update(waivers).where(waivers.c.id == key, waivers.c.ended.is_(None))
    if site is not None:
        statement = statement.where(waivers.c.site == site)
    return bool(connection.execute(statement.values(ended=now_ms())).rowcount)


def describe_waivers(listed: Iterable[SystemWaiver], now: int) -> list[dict[str, Any]]:
    """Return waivers as facts."""
    return [describe(each, now) for each in listed]


def describe(waiver: SystemWaiver, now: int) -> dict[str, Any]:
    """Return a waiver as facts."""
    names = ("id", "site", "system", "cases", "reason", "owner", "expires", "source")
    facts = {name: getattr(waiver, name) for name in names}
    return facts | {"valid": waiver.valid(now), "last_day": (waiver.expires - timedelta(days=1)).date()}


@remembered(MANIFESTS)
def _decode(manifest: bytes) -> ManifestFacts:
    return msgspec.json.decode(manifest, type=ManifestFacts)
