"""Which sites a reader may see: all sites, all sites that are not hidden, or one site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, column, select, table

from collector.auth.tokens import ANY_SITE, Bearer
from collector.store.tables import systems

_hidden = table("hidden_sites", column("site"))


@dataclass(frozen=True)
class Visibility:
    """Which sites a reader may see.

    ``only`` limits the reader to one site. ``hidden`` includes sites that are hidden from anonymous readers.
    """

    only: str | None = None
    hidden: bool = False

    def limits(self) -> list[ColumnElement[bool]]:
        """Return the conditions on a query over systems."""
        if self.only is not None:
            own = [systems.c.site == self.only]
            return own if self.hidden else [*own, _public()]
        return [] if self.hidden else [_public()]

    def of(self, query: Select[Any]) -> Select[Any]:
        """Limit a query over systems to the visible sites."""
        return query.where(*self.limits())

    def within(self, site: str) -> Visibility:
        """Return this visibility limited to one site; it is empty for a reader who is limited to another site."""
        return Visibility(site if self.only in (None, site) else "", self.hidden)


EVERYTHING = Visibility(hidden=True)


def visibility_of(bearer: Bearer) -> Visibility:
    """Return the visibility of a reader.

    Without a token, the reader sees the public sites. With the token of a site, the reader sees that site only.
    """
    return Visibility(only=None if bearer.site == ANY_SITE else bearer.site, hidden=bearer.token is not None)


def _public() -> ColumnElement[bool]:
    return systems.c.site.not_in(select(_hidden.c.site))
