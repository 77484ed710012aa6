"""Waivers: failures that somebody looked at and lets stand until a day, from a site's file or from an administrator.

Those of site files come with every manifest and are read from the newest one of a system. Those of administrators are
kept here; they change how a failure is listed, never its outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from collector.auth.visibility import Visibility
from collector.clock import now_ms
from collector.errors import Problem
from collector.formatting import at, ms
from collector.store.tables import runs, systems, waivers
from dashboard_client.schema import Waiver

LONGEST = 512


@dataclass(frozen=True)
class Standing:
    """A waiver that applies to a system, wherever it comes from; ``system`` is None for all of the site."""

    site: str
    system: str | None
    cases: str
    reason: str
    owner: str | None
    expires: datetime
    source: str
    id: int | None = None

    def covers(self, site: str, system: str, case_id: str) -> bool:
        return self.site == site and self.system in (None, system) and fnmatchcase(case_id, self.cases)

    def valid(self, now: int) -> bool:
        return ms(self.expires) > now


class About(msgspec.Struct, frozen=True):
    """What a manifest tells of its system beside the plan; decoding skips the rest."""

    owner: str | None = None
    cadence: str | None = None
    stale_after: str | None = None
    redaction: str = "full"
    waivers: list[Waiver] = []


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A waiver as an administrator asks for it; ``expires`` is the last day on which it counts."""

    site: str
    cases: str
    reason: str
    expires: str
    system: str | None = None
    owner: str | None = None


def standing(connection: Connection, visibility: Visibility, now: int) -> list[Standing]:
    """Return the administrators' waivers that a reader may know of, the ones that ran out in the last 90 days too."""
    allowed = select(systems.c.site).where(*visibility.limits())
    query = select(waivers).where(
        waivers.c.ended.is_(None), waivers.c.expires > now - 90 * 86_400_000, waivers.c.site.in_(allowed)
    )
    return [
        Standing(row.site, row.system, row.cases, row.reason, row.owner, at(row.expires), "administrator", row.id)
        for row in connection.execute(query.order_by(waivers.c.expires, waivers.c.id))
    ]


def about_systems(connection: Connection, visibility: Visibility) -> dict[tuple[str, str], About]:
    """Return what the newest manifest of each system says of it."""
    newest = (
        select(runs.c.id)
        .where(runs.c.system == systems.c.id, runs.c.digest.is_not(None))
        .order_by(runs.c.started.desc(), runs.c.run_id.desc())
        .limit(1)
        .correlate(systems)
        .scalar_subquery()
    )
    query = select(systems.c.site, systems.c.system, runs.c.manifest).join(runs, runs.c.id == newest)
    return {(row.site, row.system): _about(bytes(row.manifest)) for row in connection.execute(visibility.of(query))}


def of_site_files(about: dict[tuple[str, str], About]) -> list[Standing]:
    """Return the waivers that the systems' own files declare."""
    found = []
    for (site, system), told in about.items():
        for waiver in told.waivers:
            expires = last_day(waiver.expires)
            if expires is not None:
                found.append(Standing(site, system, waiver.cases, waiver.reason, waiver.owner, expires, "site file"))
    return found


def covering(all_: Sequence[Standing], site: str, system: str, case_id: str, now: int) -> Standing | None:
    """Return the waiver that covers a case: the one that lasts longest; one that ran out only where no other is."""
    those = [each for each in all_ if each.covers(site, system, case_id)]
    return max(those, key=lambda each: each.expires) if those else None


def last_day(said: str) -> datetime | None:
    """Return the end of the day that an ISO date names, in UTC; None where it is no date."""
    try:
        return datetime.strptime(said, "%Y-%m-%d").replace(tzinfo=timezone.utc) + timedelta(days=1)
    except ValueError:
        return None


def add_waiver(connection: Connection, asked: Asked, token: str | None) -> int:
    """Keep a waiver and return its number.

    Raises:
        Problem: 422, a field does not hold what it should.
    """
    expires = last_day(asked.expires)
    if expires is None:
        raise Problem(422, "invalid", f"{asked.expires[:40]!r} is not a day such as 2027-01-31.", "expires")
    if ms(expires) <= now_ms():
        raise Problem(422, "invalid", f"{asked.expires} is over.", "expires")
    for name in ("site", "cases", "reason", "system", "owner"):
        value = getattr(asked, name)
        if value is not None and (not value.strip() or len(value) > (LONGEST if name in ("cases", "reason") else 128)):
            raise Problem(422, "invalid", "must hold something, and not be too long.", name)
        if value is not None and "\0" in value:
            raise Problem(422, "invalid", "must not hold a NUL.", name)
    values = {name: getattr(asked, name) for name in ("site", "system", "cases", "reason", "owner")}
    made = insert(waivers).values(**values, expires=ms(expires), made=now_ms(), token=token).returning(waivers.c.id)
    key: int = connection.execute(made).scalar_one()
    return key


def end_waiver(connection: Connection, key: int, sites: str | None) -> bool:
    """End a waiver at once; False where there is none, or it is another site's."""
    statement = update(waivers).where(waivers.c.id == key, waivers.c.ended.is_(None))
    if sites is not None:
        statement = statement.where(waivers.c.site == sites)
    return bool(connection.execute(statement.values(ended=now_ms())).rowcount)


def described(these: Iterable[Standing], now: int) -> list[dict[str, Any]]:
    """Return waivers as facts."""
    return [describe(each, now) for each in these]


def describe(waiver: Standing, now: int) -> dict[str, Any]:
    """Return a waiver as facts."""
    names = ("id", "site", "system", "cases", "reason", "owner", "expires", "source")
    told = {name: getattr(waiver, name) for name in names}
    return told | {"valid": waiver.valid(now), "last_day": (waiver.expires - timedelta(days=1)).date()}


@lru_cache(maxsize=256)
def _about(manifest: bytes) -> About:
    return msgspec.json.decode(manifest, type=About)
