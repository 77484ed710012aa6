"""Limits on connections, below the application: how many there are, and how long an unfinished request may take.

Uvicorn offers one limit of connections for everyone, and no limit of time for a request that is sent slowly. Here an
address has a share of the connections. If the share or the total is used up, the connection that deserves it least is
closed to make room for a new one: first one that never completed a request, then one that is idle between requests,
then one that is still sending a body without a valid token. A request with a valid token is never interrupted.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterable, Sequence
from typing import Any, cast

import h11
import msgspec
from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from collector.errors import Problem
from collector.web.addresses import Network, forwarded_client, group_of, is_within
from collector.web.context import AUTHENTICATED

MAX_CONNECTIONS = 512
MAX_OF_ADDRESS = 128
HEADER_SECONDS = 15.0
"""The time from the connection, or from the first byte of a later request, to the end of the request's header."""

KEEP_ALIVE_SECONDS = 30
LINGER_SECONDS = 10.0
"""How long a client may go on sending a body that is not read, so that it can read the response."""

STUCK_SECONDS = 30.0
"""After the end of a response, the connection is closed if the client reads nothing for this time."""

MAX_HEADER_BYTES = 32 * 1024
"""A header with an identity token has up to some 17 KB."""


class Connections:
    """The open connections of a server, by the group of their address. ``proxies`` are not limited by address."""

    def __init__(self, proxies: Sequence[Network] = (), total: int | None = None, share: int = MAX_OF_ADDRESS) -> None:
        open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.total = total or min(MAX_CONNECTIONS, max(open_files // 2, 16))
        self.share = min(share, max(self.total // 2, 1))
        self.proxies = proxies
        self._groups: dict[str, set[LimitedConnection]] = {}
        self._count = 0

    def admit(self, connection: LimitedConnection) -> bool:
        """Add a connection if there is room for it, or if room can be made."""
        address = connection.client[0] if connection.client else ""
        connection.group = group_of(address)
        own = self._groups.get(connection.group, set())
        if len(own) >= self.share and not is_within(address, self.proxies) and not self._make_room(own):
            return False
        if self._count >= self.total and not self._make_room(self._largest_group()):
            return False
        self._groups.setdefault(connection.group, set()).add(connection)
        self._count += 1
        return True

    def remove(self, connection: LimitedConnection) -> None:
        """Remove a connection that has ended; one that was never added is ignored."""
        own = self._groups.get(connection.group, set())
        if connection in own:
            own.remove(connection)
            self._count -= 1
            if not own:
                del self._groups[connection.group]

    def _largest_group(self) -> set[LimitedConnection]:
        return max(self._groups.values(), key=len)

    def _make_room(self, among: Iterable[LimitedConnection]) -> bool:
        """Close the connection that deserves its place least, the oldest first."""
        candidates = [(*rank, connection) for connection in among if (rank := connection.rank()) is not None]
        if not candidates:
            return False
        connection = min(candidates, key=lambda candidate: candidate[:2])[-1]
        connection.transport.abort()
        self.remove(connection)
        return True


class LimitedConnection(H11Protocol):
    """One connection to a client. ``register`` is set in a subclass for each server."""

    register: Connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.group = ""
        self.since = self.loop.time()
        self.answered = False
        self.lingering = False
        self._deadline: asyncio.TimerHandle | None = None
        super().connection_made(cast(asyncio.Transport, _Transport(transport, self)))
        if self.register.admit(self):
            self._set_deadline()
            return
        detail = "Too many connections are open. Close some, or try again."
        transport.write(_response(Problem(503, "too-many-connections", detail), b"Service Unavailable"))
        self.lingering = True
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.register.remove(self)
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.lingering:
            return
        super().data_received(data)
        if self.in_request:
            self._cancel_deadline()
        elif self._deadline is None and not self.transport.is_closing():
            self._set_deadline()

    def on_response_complete(self) -> None:
        self.answered, self.since = True, self.loop.time()
        super().on_response_complete()

    @property
    def in_request(self) -> bool:
        """Whether a request was received up to the end of its header and is not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def body_is_incomplete(self) -> bool:
        """Whether the client is still sending the body of a request."""
        return self.conn.their_state is h11.SEND_BODY

    def rank(self) -> tuple[int, float] | None:
        """Return how little this connection deserves its place, lowest first; None if it must not be closed."""
        if not self.in_request:
            return int(self.answered), self.since
        if self.body_is_incomplete and not cast(dict[str, Any], self.scope).get(AUTHENTICATED, False):
            return 2, self.since
        return None

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._end_slow_header)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_slow_header(self) -> None:
        self._deadline = None
        if self.in_request or self.transport.is_closing():
            return
        if self.conn.trailing_data[0]:
            detail = f"The header of the request was not complete after {HEADER_SECONDS:g} s. Send it at once."
            self.transport.write(_response(Problem(408, "too-slow", detail), b"Request Timeout"))
        self.transport.close()


class _Transport:
    """A transport that closes in two steps, so that a client that is still sending can read the response.

    A socket that is closed with unread data resets the connection, and the client loses the response. So this end
    first stops writing and discards what arrives. It also ends connections whose client stops reading.
    """

    def __init__(self, transport: asyncio.Transport, connection: LimitedConnection) -> None:
        self._transport = transport
        self._connection = connection
        self._closing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if self._transport.is_closing():
            return
        connection = self._connection
        connection.since = connection.loop.time()
        if (connection.lingering or connection.body_is_incomplete) and self._transport.can_write_eof():
            connection.lingering = True
            self._transport.write_eof()
            self._transport.resume_reading()
            connection.loop.call_later(LINGER_SECONDS, self._transport.abort)
            return
        self._transport.close()
        self._abort_if_stuck(self._transport.get_write_buffer_size() + 1)

    def _abort_if_stuck(self, before: int) -> None:
        waiting = self._transport.get_write_buffer_size()
        if waiting >= before:
            self._transport.abort()
        elif waiting:
            self._connection.loop.call_later(STUCK_SECONDS, self._abort_if_stuck, waiting)


def protocol(register: Connections) -> type[LimitedConnection]:
    """Return the class of the connections of one server."""
    return type("ServerConnection", (LimitedConnection,), {"register": register})


def guarded(app: ASGIApp, proxies: Sequence[Network] = ()) -> ASGIApp:
    """Return the application behind the common rules of all requests.

    HEAD is answered as GET is, without the body. The client and the scheme are those that a trusted proxy reports; the
    headers of others do not count. A request that is answered before its body was read ends its connection.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        headers = scope["headers"]
        client = scope.get("client")
        if proxies and client is not None and is_within(client[0], proxies):
            chain = ",".join(value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for")
            address = forwarded_client(chain, proxies)
            if address is not None:
                scope["client"] = (address, 0)
            schemes = [value for name, value in headers if name == b"x-forwarded-proto"]
            if schemes in ([b"https"], [b"http"]):
                scope["scheme"] = schemes[0].decode()
        unread = any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")) for name, value in headers
        )

        async def receive_part() -> Any:
            nonlocal unread
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                unread = False
            return message

        async def send_part(message: Message) -> None:
            if unread and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        if scope["method"] == "HEAD":  # as GET; uvicorn, which keeps the original scope, leaves the body out
            scope = {**scope, "method": HttpMethod.GET}
        await app(scope, receive_part, send_part)

    return serve


def _response(problem: Problem, reason: bytes) -> bytes:
    """Return a whole HTTP response, for a connection that has no request yet."""
    body = msgspec.json.encode(problem.document())
    head = b"HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n"
    return head % (problem.status, reason, len(body)) + b"Retry-After: 5\r\nConnection: close\r\n\r\n" + body
