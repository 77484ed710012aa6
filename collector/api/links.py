"""One-time links to a private dashboard: create one with the token of the process, and exchange it for a session."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec
from litestar import Response, get, post

from collector.auth.tokens import ANY_SITE
from collector.errors import Problem
from collector.store.decoding import is_name
from collector.web.context import HttpRequest, server_of

MAX_BYTES = 4096


class LinkRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The site that the reader may see; every site by default."""

    site: str = ANY_SITE


@post("/api/v1/links")
async def create_link(request: HttpRequest) -> Response[bytes]:
    """Create a link that opens the dashboard once, for reading only."""
    server = server_of(request)
    bearer = await server.bearer(request, "upload")
    if bearer.token != "process":  # noqa: S105
        detail = "Only the token of the server process creates links. It is in the file that the ready file names."
        raise Problem(403, "scope", detail)
    async with server.bodies.receive(request, MAX_BYTES) as body:
        try:
            requested = msgspec.json.decode(body, type=LinkRequest) if body else LinkRequest()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Problem(422, "invalid", f"{error}.") from error
    if requested.site != ANY_SITE and not is_name(requested.site):
        raise Problem(422, "invalid", "site: must be 1 to 128 letters, digits and . _ : + @ -.", "site")
    path = f"/open/{server.sessions.new_link(requested.site)}"
    return Response(content=msgspec.json.encode({"path": path}), media_type="application/json", status_code=201)


@get("/open/{code:str}")
async def open_link(request: HttpRequest) -> Response[bytes]:
    """Exchange a link for a session, and lead to the dashboard; the session reads only and ends with the process."""
    token = server_of(request).sessions.exchange(str(request.path_params["code"]))
    if token is None:
        detail = (
            "This link was already used, is too old, or is of a collector that has ended. "
            "Print a new link on the machine where the collector runs: exaworks collector link"
        )
        raise Problem(404, "link-used", detail)
    headers = {"Location": f"/?{urlencode({'token': token})}", "Cache-Control": "no-store"}
    return Response(content=b"", media_type="text/plain", status_code=303, headers=headers)


HANDLERS = [create_link, open_link]
