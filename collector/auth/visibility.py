"""Which sites a reader sees: all, all that are not hidden, or one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, column, select, table

from collector.auth.tokens import ANY_SITE, Bearer
from collector.store.tables import systems

_hidden = table("hidden_sites", column("site"))


@dataclass(frozen=True)
class Visibility:
    """``only`` limits a reader to one site; ``hidden`` says that sites hidden from the public are seen too."""

    only: str | None = None
    hidden: bool = False

    def limits(self) -> list[ColumnElement[bool]]:
        """Return the conditions on a query over systems."""
        if self.only is not None:
            own = [systems.c.site == self.only]
            return own if self.hidden else [*own, _public()]
        return [] if self.hidden else [_public()]

    def of(self, query: Select[Any]) -> Select[Any]:
        """Limit a query over systems to what is seen."""
        return query.where(*self.limits())

    def within(self, site: str) -> Visibility:
        """Return what of one site is seen; who is limited to another sees nothing of it."""
        return Visibility(site if self.only in (None, site) else "", self.hidden)


EVERYTHING = Visibility(hidden=True)


def visibility_of(bearer: Bearer) -> Visibility:
    """Return what a reader sees: who has no token sees the public sites, and a token of a site that site alone."""
    return Visibility(only=None if bearer.site == ANY_SITE else bearer.site, hidden=bearer.token is not None)


def _public() -> ColumnElement[bool]:
    return systems.c.site.not_in(select(_hidden.c.site))
