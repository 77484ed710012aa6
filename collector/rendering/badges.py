"""Badges: the state of one component on one system, as an image for a README or a wiki of another site."""

from __future__ import annotations

import asyncio

from litestar import Response, get
from markupsafe import escape
from sqlalchemy import Connection

from collector.auth.visibility import Visibility, visibility_of
from collector.clock import now_ms
from collector.rendering.base import not_found
from collector.rendering.health import health, health_query
from collector.store.overdue import viewing
from collector.store.tables import board, systems
from collector.web.context import HttpRequest, server_of

ALL = "all"
SVG = ".svg"
COLOURS = {
    "pass": "#19704a",
    "fail": "#b3261e",
    "error": "#a34a09",
    "infra": "#7440ab",
    "skip": "#5b6574",
    "xfail": "#1f6480",
    "xpass": "#7a5f00",
    "missing": "#5b6574",
    "pending": "#5b6574",
}
GREY = "#4d5b70"
CHARACTER, PADDING = 6.6, 12


@get("/badge/{site:str}/{system:str}/{component:str}")
async def badge(request: HttpRequest) -> Response[bytes]:
    """Draw the state of a component on a system; ``all`` means every component."""
    server = server_of(request)
    bearer = await server.bearer(request, "read")
    site, system, component = (str(request.path_params[name]) for name in ("site", "system", "component"))

    def work() -> bytes:
        if not component.endswith(SVG):
            raise not_found("badge", component)
        now = now_ms()
        with viewing(server.store, now, server.write) as connection:
            return draw_badge(connection, visibility_of(bearer), site, system, component[: -len(SVG)], now)

    headers = {"Cache-Control": "max-age=60", "Cross-Origin-Resource-Policy": "cross-origin"}
    return Response(content=await asyncio.to_thread(work), media_type="image/svg+xml", headers=headers)


def draw_badge(
    connection: Connection, visibility: Visibility, site: str, system: str, component: str, now: int
) -> bytes:
    """Return the badge as SVG.

    Raises:
        Problem: 404, the component never reported on this system, or the reader may not see the site.
    """
    query = health_query().where(systems.c.site == site, systems.c.system == system)
    if component != ALL:
        query = query.where(board.c.subject == component)
    rows = connection.execute(visibility.of(query)).all()
    if not rows:
        raise not_found("badge", f"{site}/{system}/{component}")
    state = health(list(rows), now)
    outcome: str = state["outcome"]
    qualifiers = [name for name, holds in (("stale", state["stale"]), ("emulated", state["only_emulated"])) if holds]
    colour = GREY if outcome == "pass" and qualifiers else COLOURS[outcome]
    left = f"{component} on {system}" if component != ALL else f"{site}/{system}"
    return _svg(left, ", ".join([outcome, *qualifiers]), colour).encode()


def _svg(left: str, right: str, colour: str) -> str:
    first, second = (round(len(text) * CHARACTER + PADDING) for text in (left, right))
    total, label = first + second, escape(f"{left}: {right}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="20" role="img" aria-label="{label}">'
        f'<title>{label}</title><rect width="{total}" height="20" rx="4" fill="#3b4350"/>'
        f'<path d="M{first} 0H{total - 4}a4 4 0 0 1 4 4v12a4 4 0 0 1 -4 4H{first}z" fill="{colour}"/>'
        f'<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{first / 2:g}" y="14">{escape(left)}</text>'
        f'<text x="{first + second / 2:g}" y="14">{escape(right)}</text></g></svg>'
    )


HANDLERS = [badge]
