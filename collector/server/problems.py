"""What a client is told when something cannot be done: a problem document, or a page for a person's browser."""

from __future__ import annotations

import html
import logging
from typing import Any

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException
from sqlalchemy.exc import OperationalError

from collector.errors import Problem
from collector.rendering.base import prefers_json
from collector.web.context import Ask

log = logging.getLogger("collector")

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="/static/style.css"><link rel="icon" href="/static/mark.svg">
</head><body><main class="lost"><h1>{title}</h1><p>{detail}</p></main></body></html>
"""

PRIVATE = "This dashboard is private. Open it by the whole address that was printed when it started, token included."


def answer_problem(request: Ask, problem: Problem) -> Response[bytes]:
    """Answer with the problem in the form that the asker reads."""
    headers: dict[str, str] = {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="collector"'
    if problem.status == 503:
        headers["Retry-After"] = "2"
    if problem.status == 429:
        headers["Retry-After"] = str(problem.more.get("retry_after", 1))
    path = request.url.path
    reads = path.endswith(".json") or prefers_json(request.headers.get("accept", ""))
    if reads or path.startswith(("/api/", "/healthz", "/readyz", "/metrics", "/result")):
        body, kind = msgspec.json.encode(problem.document()), "application/problem+json"
    else:
        detail = PRIVATE if problem.status == 401 else problem.detail
        title = str(problem.document()["title"])
        body, kind = PAGE.format(title=html.escape(title), detail=html.escape(detail)).encode(), "text/html"
    return Response(content=body, status_code=problem.status, media_type=kind, headers=headers)


def answer_framework(request: Ask, error: HTTPException) -> Response[bytes]:
    """Answer what the framework refuses by itself: no such path or method, a body over its limit."""
    kinds = {404: "not-found", 405: "method", 413: "too-large"}
    kind = kinds.get(error.status_code, "bad-request" if error.status_code < 500 else "internal")
    details: dict[str, Any] = {
        "not-found": f"Nothing is at {request.url.path[:200]!r}.",
        "method": f"{request.method} is not possible here.",
        "too-large": "The body is over 33554432 bytes as sent.",
    }
    return answer_problem(request, Problem(error.status_code, kind, details.get(kind, "The request cannot be read.")))


def answer_database(request: Ask, error: OperationalError) -> Response[bytes]:
    """Answer that the database cannot take it now; what was sent was not stored and should be sent again."""
    log.error("database: %s", error.orig)
    return answer_problem(request, Problem(503, "database", "The database did not take it now. Send it again."))


def answer_bug(request: Ask, error: Exception) -> Response[bytes]:
    """Answer without telling what broke; the log has it."""
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return answer_problem(request, Problem(500, "internal", "The collector failed; its log says how."))
