"""The responses to errors: a problem document (RFC 9457) for programs, a page for browsers."""

from __future__ import annotations

import html
import logging
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException
from sqlalchemy.exc import DBAPIError, OperationalError

from collector.clock import now_ms
from collector.errors import Problem
from collector.limits import MAX_BODY
from collector.rendering.base import prefers_json, templates
from collector.store.condition import reason_of, unavailable
from collector.web.context import WRITER, HttpRequest, address_of, linker, server_of

log = logging.getLogger("collector")

NOTED = (400, 401, 403, 429)
"""The statuses with which also a refused request for reading is noted in the audit log."""

WITH_NAVIGATION = (403, 404, 405, 409)
"""The statuses whose pages lead to the other pages."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="/static/style.css"><link rel="icon" href="/static/mark.svg">
</head><body><main class="lost"><h1>{title}</h1><p>{detail}</p></main></body></html>
"""

PRIVATE = "This dashboard is private. Open the whole address that was printed when it started, including the token."


def answer_problem(request: HttpRequest, problem: Problem) -> Response[bytes]:
    """Respond with a problem, in the form that the client accepts; a refused request is noted for the audit log."""
    if 400 <= problem.status < 500 and (request.method not in ("GET", "HEAD") or problem.status in NOTED):
        writer = cast(dict[str, Any], request.scope).get(WRITER)
        server = server_of(request)
        server.refusals.note(f"{request.method} {request.url.path}", address_of(request), writer, problem)
    headers: dict[str, str] = {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="collector"'
    if problem.status == 503:
        headers["Retry-After"] = "2"
    if problem.status == 429:
        headers["Retry-After"] = str(problem.more.get("retry_after", 1))
    path = request.url.path
    wants_json = path.endswith(".json") or prefers_json(request.headers.get("accept", ""))
    if wants_json or path.startswith(("/api/", "/healthz", "/readyz", "/metrics", "/result")):
        body, kind = msgspec.json.encode(problem.document()), "application/problem+json"
    else:
        detail = PRIVATE if problem.status == 401 else problem.detail
        title = str(problem.document()["title"])
        body, kind = _page(request, problem.status, title, detail), "text/html"
    return Response(content=body, status_code=problem.status, media_type=kind, headers=headers)


def _page(request: HttpRequest, status: int, title: str, detail: str) -> bytes:
    """Return a page for people; with navigation, unless the reader may not see anything or the server is at fault."""
    if status not in WITH_NAVIGATION:
        return PAGE.format(title=html.escape(title), detail=html.escape(detail)).encode()
    question = SimpleNamespace(static=False, query=dict(request.query_params), private=server_of(request).private)
    values = {"title": title, "detail": detail, "now": now_ms(), "question": question, "link": linker(request)}
    page = SimpleNamespace(section="")
    return templates().get_template("problem.html").render(**values, page=page).encode()


def answer_framework(request: HttpRequest, error: HTTPException) -> Response[bytes]:
    """Respond to what the framework refuses: an unknown path or method, or a body that is too large."""
    kinds = {404: "not-found", 405: "method", 413: "too-large"}
    kind = kinds.get(error.status_code, "bad-request" if error.status_code < 500 else "internal")
    details: dict[str, Any] = {
        "not-found": f"There is no page at {request.url.path[:200]!r}.",
        "method": f"{request.url.path[:200]} does not accept {request.method}.",
        "too-large": f"The body is larger than {MAX_BODY} bytes. Send smaller batches.",
    }
    return answer_problem(request, Problem(error.status_code, kind, details.get(kind, "The request cannot be read.")))


def answer_database(request: HttpRequest, error: DBAPIError) -> Response[bytes]:
    """Respond that the database is not available, and why; nothing was stored, and the request should be sent again."""
    reason = reason_of(error)
    if reason is None and not isinstance(error, OperationalError):
        return answer_bug(request, error)
    log.error("database: %s", error.orig)
    return answer_problem(request, unavailable(*(reason or ("unavailable", "the database does not answer"))))


def answer_bug(request: HttpRequest, error: Exception) -> Response[bytes]:
    """Respond to an unexpected error without its details, which are in the log."""
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return answer_problem(request, Problem(500, "internal", "The collector failed. Its log shows the error."))
