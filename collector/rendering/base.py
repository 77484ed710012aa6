"""What a page is: a question with an answer in plain facts, which a template draws and programs read as JSON.

A page is one module in ``collector.pages`` that holds a ``PAGE``. Its ``answer`` asks the database, at most five times,
and returns what JSON can carry; its ``draw`` adds what only the template needs. ``PATH.json``, or an ``Accept`` that
asks for JSON, gives the facts alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from collector import formatting
from collector.auth.visibility import Visibility, visibility_of
from collector.clock import now_ms
from collector.errors import Problem
from collector.outcomes import WORD
from collector.rendering import markup
from collector.rendering.plots import figure
from collector.web.context import Ask, linker, server_of

Facts = dict[str, Any]
JSON = ".json"


@dataclass(frozen=True)
class Question:
    """One asking of a page: what is looked at, by whom, and how links are written."""

    connection: Connection
    visibility: Visibility
    now: int
    path: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    link: Callable[..., str] = formatting.plain_link
    private: bool = False
    static: bool = False  # drawn into a file: nothing that needs a server, such as filters, is offered


@dataclass(frozen=True)
class Page:
    """``path`` is written as the routes are, with each name in braces; ``section`` is its place in the navigation."""

    path: str
    template: str
    answer: Callable[[Question], Facts]
    draw: Callable[[Question, Facts], Facts] = lambda question, facts: {}
    section: str = ""


def draw(page: Page, question: Question) -> bytes:
    """Return the page for a person."""
    facts = page.answer(question)
    values = {"facts": facts, "link": question.link, "now": question.now, "question": question, "page": page}
    return templates().get_template(page.template).render(values | page.draw(question, facts)).encode()


def tell(page: Page, question: Question) -> bytes:
    """Return the page for a program."""
    return msgspec.json.encode({"drawn": formatting.at(question.now)} | page.answer(question))


def handler(page: Page) -> HTTPRouteHandler:
    """Return what serves a page."""
    named = page.path.endswith("}")
    paths = [page.path.replace("}", ":str}")]
    if not named:
        paths.append(page.path + JSON if page.path != "/" else "/index" + JSON)

    @get(paths, name=page.template)
    async def serve(request: Ask) -> Response[bytes]:
        server = server_of(request)
        bearer = await server.bearer(request, "read")
        path = {name: str(value) for name, value in request.path_params.items()}
        last = list(path)[-1] if named else None
        query, link = dict(request.query_params.items()), linker(request)

        def ask(way: Callable[[Page, Question], bytes], path: dict[str, str]) -> bytes:
            with server.store.reading() as connection:
                visibility = visibility_of(bearer)
                return way(page, Question(connection, visibility, now_ms(), path, query, link, server.private))

        def work() -> tuple[bytes, str]:
            if last is not None and path[last].endswith(JSON):
                try:
                    return ask(tell, {**path, last: path[last][: -len(JSON)]}), "application/json"
                except Problem as problem:  # or it is a name that ends so
                    if problem.status != 404:
                        raise
            if request.url.path.endswith(JSON) and last is None:
                return ask(tell, path), "application/json"
            if prefers_json(request.headers.get("accept", "")):
                return ask(tell, path), "application/json"
            return ask(draw, path), "text/html"

        body, kind = await asyncio.to_thread(work)
        headers = {"Cache-Control": "no-store", "Vary": "Accept, Authorization"}
        return Response(content=body, media_type=kind, headers=headers)

    return serve


def prefers_json(accept: str) -> bool:
    """Tell whether a program asks: it names JSON and does not take a page as readily."""
    taken: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            taken[kind] = float(weight)
        except ValueError:
            taken[kind] = 0.0
    return taken.get("application/json", 0.0) > taken.get("text/html", 0.0)


def not_here(what: str, name: str) -> Problem:
    """Say that there is no such thing, or that this reader must not know of it: the two are not told apart."""
    return Problem(404, f"no-such-{what}", f"No {what} {name[:128]!r} is known here.")


@lru_cache(maxsize=1)
def templates() -> Environment:
    """Return the templates, with everything escaped that does not say it is markup."""
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals.update(WORD=WORD, GLYPH=formatting.GLYPH, bars=markup.bar)
    made.filters.update(
        figure=figure,
        ago=formatting.ago,
        iso=formatting.iso,
        seconds=formatting.seconds,
        anchor=formatting.anchor,
        subject=formatting.subject,
        day=formatting.day,
    )
    return made
