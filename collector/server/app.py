"""The application: its handlers, the headers of every response, and the responses to errors."""

from __future__ import annotations

from pathlib import Path

from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.types import Message, Scope
from sqlalchemy.exc import DBAPIError

from collector import pages
from collector.api import imports, ingest, links, read, triage, waivers
from collector.errors import Problem
from collector.limits import MAX_BODY
from collector.rendering import badges
from collector.server import problems
from collector.web.context import HttpRequest, Server

STATIC = Path(__file__).resolve().parents[1] / "rendering" / "static"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@get("/static/{name:str}")
async def static(request: HttpRequest) -> Response[bytes]:
    """Serve the style sheet, the script and the icon; none is private."""
    name = str(request.path_params["name"])
    file = STATIC / name
    if file.suffix not in MEDIA_TYPES or file.parent != STATIC or not file.is_file():
        raise Problem(404, "not-found", f"No file {name[:128]!r} is served under /static.")
    headers = {"Cache-Control": "max-age=300"}
    return Response(content=file.read_bytes(), media_type=MEDIA_TYPES[file.suffix], headers=headers)


async def _add_headers(message: Message, scope: Scope) -> None:
    """Add the headers to every response, also to errors."""
    if message["type"] == "http.response.start":
        counters = scope["litestar_app"].state.server.counters
        counters.add("exaworks_collector_requests_total", labels=f'status="{message["status"] // 100}xx"')
        present = {name.lower() for name, _ in message["headers"]}
        more = [(name, value) for name, value in _RAW_HEADERS if name not in present]
        message["headers"] = [*message["headers"], *more]


def make_app(server: Server) -> Litestar:
    """Create the application around a server object."""

    async def check_request(request: HttpRequest) -> None:
        """Refuse what no handler should see: a foreign host name, or a NUL character in a parameter.

        A foreign web page could use a host name of its own to read a server on the loopback interface. PostgreSQL does
        not store NUL.
        """
        if server.hosts is not None:
            host = request.headers.get("host", "")
            name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
            if name.strip("[]").lower() not in server.hosts:
                raise Problem(
                    400,
                    "host",
                    f"Host {name[:80]!r} is refused: this collector does not have that name. Use http://127.0.0.1, or "
                    f"start it with --public-url or --allowed-host if a proxy forwards requests for that name.",
                )
        texts = [
            *map(str, request.path_params.values()),
            *(text for item in request.query_params.multi_items() for text in item),
        ]
        if any("\0" in text for text in texts):
            raise Problem(400, "nul", "A name in the address contains a NUL character (%00). Remove it.")

    return Litestar(
        route_handlers=[
            *ingest.HANDLERS,
            *read.HANDLERS,
            *imports.HANDLERS,
            *waivers.HANDLERS,
            *triage.HANDLERS,
            *links.HANDLERS,
            *pages.handlers(),
            *badges.HANDLERS,
            static,
        ],
        state=State({"server": server, "pages": pages.all_pages()}, deep_copy=False),
        before_request=check_request,
        exception_handlers={
            Problem: problems.answer_problem,
            HTTPException: problems.answer_framework,
            DBAPIError: problems.answer_database,
            Exception: problems.answer_bug,
        },
        before_send=[_add_headers],
        request_max_body_size=MAX_BODY,
        openapi_config=None,
        logging_config=None,
    )
