"""The base of every page: a question is answered with plain facts, which a template draws and programs read as JSON.

A page is one module in ``collector.pages`` that defines ``PAGE``. Its ``answer`` queries the database a few times and
returns values that JSON can hold. Its ``draw`` adds what only the template needs. A request for ``PATH.json``, or one
whose ``Accept`` prefers JSON, gets the facts alone; ``PATH.csv`` is the list of the page, ``PATH.atom`` its feed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from collector import formatting
from collector.auth.visibility import Visibility, visibility_of
from collector.clock import now_ms
from collector.errors import Problem
from collector.outcomes import OUTCOME_NAMES
from collector.rendering import markup
from collector.rendering.forms import ATOM, CSV, JSON, MEDIA_TYPES, Entry, write_atom, write_csv, write_json
from collector.rendering.plots import figure
from collector.store.overdue import viewing
from collector.web.context import HttpRequest, linker, server_of

Facts = dict[str, Any]
Renderer = Callable[["Page", "Question"], bytes]


@dataclass(frozen=True)
class Question:
    """One request for a page: the names in its path, its query, what the reader may see, and how links are written."""

    connection: Connection
    visibility: Visibility
    now: int
    path: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    link: Callable[..., str] = formatting.plain_link
    private: bool = False
    static: bool = False  # the page is written to a file: leave out what needs a server, such as filters
    base: str = ""  # the address of the server, for feeds
    triage_site: str | None = None  # the site, or "*", about whose failures the reader may note something


@dataclass(frozen=True)
class Page:
    """One page. ``path`` has each name in braces, as routes do; ``section`` is its entry in the navigation.

    ``rows`` returns the list of the page, for CSV; ``entries`` what its feed contains. A page may have neither.
    """

    path: str
    template: str
    answer: Callable[[Question], Facts]
    draw: Callable[[Question, Facts], Facts] = lambda question, facts: {}
    section: str = ""
    rows: Callable[[Facts], Sequence[Facts]] | None = None
    entries: Callable[[Question, Facts], Sequence[Entry]] | None = None
    exported: bool = True  # whether the static copy contains it

    @property
    def forms(self) -> list[str]:
        """The suffixes of the forms that the page has besides HTML."""
        return [JSON, *([CSV] if self.rows else []), *([ATOM] if self.entries else [])]

    def form(self, question: Question, suffix: str) -> str:
        """Return the link of a form of the page, with the query of the page."""
        parts = [question.path[part[1:-1]] if part.startswith("{") else part for part in self.path[1:].split("/")]
        parts[-1] = (parts[-1] or "index") + suffix
        return question.link(*parts, **{name: value for name, value in question.query.items() if name != "token"})


def render_html(page: Page, question: Question) -> bytes:
    """Return the page as HTML, for people."""
    facts = page.answer(question)
    values = {"facts": facts, "link": question.link, "now": question.now, "question": question, "page": page}
    values["forms"] = [(suffix[1:], page.form(question, suffix)) for suffix in page.forms]
    return templates().get_template(page.template).render(values | page.draw(question, facts)).encode()


def render_json(page: Page, question: Question) -> bytes:
    """Return the facts of the page as JSON, for programs."""
    return write_json({"drawn": formatting.at(question.now)} | page.answer(question))


def render_csv(page: Page, question: Question) -> bytes:
    """Return the list of the page as CSV, for spreadsheets and programs."""
    if page.rows is None:
        raise not_found("page", page.path + CSV)
    return write_csv(page.rows(page.answer(question)))


def render_atom(page: Page, question: Question) -> bytes:
    """Return what changed as a feed."""
    if page.entries is None:
        raise not_found("page", page.path + ATOM)
    entries = page.entries(question, page.answer(question))
    path = page.form(question, ATOM)
    return write_atom("ExaWorks status", question.base, path, formatting.at(question.now), entries)


RENDERERS: dict[str, Renderer] = {JSON: render_json, CSV: render_csv, ATOM: render_atom}


def handler(page: Page) -> HTTPRouteHandler:
    """Return the route handler of a page."""
    named = page.path.endswith("}")
    paths = [page.path.replace("}", ":str}")]
    if not named:
        paths += [(page.path if page.path != "/" else "/index") + suffix for suffix in page.forms]

    @get(paths, name=page.path)
    async def serve(request: HttpRequest) -> Response[bytes]:
        server = server_of(request)
        bearer = await server.bearer(request, "read")
        path = {name: str(value) for name, value in request.path_params.items()}
        last = list(path)[-1] if named else None
        query, link = dict(request.query_params.items()), linker(request)

        base = server.public_url or str(request.base_url).rstrip("/")

        def render(renderer: Renderer, path: dict[str, str]) -> bytes:
            now = now_ms()
            with viewing(server.store, now, server.write) as connection:
                visibility = visibility_of(bearer)
                question = Question(connection, visibility, now, path, query, link, server.private, base=base)
                if "triage" in bearer.grants:
                    question = replace(question, triage_site=bearer.site)
                return renderer(page, question)

        def work() -> tuple[bytes, str]:
            address = request.url.path
            suffix = next((each for each in page.forms if address.endswith(each)), None)
            if suffix is not None and last is not None:
                try:
                    named = {**path, last: path[last].removesuffix(suffix)}
                    return render(RENDERERS[suffix], named), MEDIA_TYPES[suffix]
                except Problem as problem:  # perhaps the name itself ends like this
                    if problem.status != 404:
                        raise
            elif suffix is not None:
                return render(RENDERERS[suffix], path), MEDIA_TYPES[suffix]
            if prefers_json(request.headers.get("accept", "")):
                return render(render_json, path), MEDIA_TYPES[JSON]
            return render(render_html, path), "text/html"

        body, kind = await asyncio.to_thread(work)
        headers = {"Cache-Control": "no-store", "Vary": "Accept, Authorization"}
        return Response(content=body, media_type=kind, headers=headers)

    return serve


def prefers_json(accept: str) -> bool:
    """Return whether an ``Accept`` header names JSON and prefers it to HTML."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            weights[kind] = float(weight)
        except ValueError:
            weights[kind] = 0.0
    return weights.get("application/json", 0.0) > weights.get("text/html", 0.0)


def not_found(what: str, name: str) -> Problem:
    """Return the problem for something that does not exist or that this reader may not see; the two look the same."""
    return Problem(404, f"no-such-{what}", f"This collector has no {what} {name[:128]!r}.")


@lru_cache(maxsize=1)
def templates() -> Environment:
    """Return the templates; they escape everything that is not marked as markup."""
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(OUTCOME_NAMES=OUTCOME_NAMES, GLYPH=formatting.GLYPH, bars=markup.bar)
    environment.filters.update(
        figure=figure,
        ago=formatting.ago,
        iso=formatting.iso,
        seconds=formatting.seconds,
        anchor=formatting.anchor,
        subject=formatting.subject,
        day=formatting.day,
    )
    return environment
