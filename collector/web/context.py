"""What the request handlers share: the store, the server's key, authentication, and links."""

from __future__ import annotations

import asyncio
import hmac
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from litestar import Request
from litestar.datastructures import State
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, OperationalError

from collector.auth.rates import PREFIX, Buckets, Guesses
from collector.auth.sessions import SESSION, Sessions
from collector.auth.tokens import ANY_SITE, ANYONE, GRANTS, Bearer, check_token, note_use
from collector.clock import now_ms
from collector.errors import Problem, SettingsError
from collector.formatting import plain_link
from collector.limits import Body
from collector.settings import Settings
from collector.status.metrics import Counters
from collector.store.database import Store
from collector.store.log import Entry
from collector.web.addresses import group_of
from collector.web.bodies import Bodies
from collector.web.readiness import Readiness
from collector.web.refusals import Refusals

if TYPE_CHECKING:
    from collector.auth.oidc import Verifier

T = TypeVar("T")
HttpRequest = Request[None, None, State]

WRITE_TRIES = 4

AUTHENTICATED = "collector.authenticated"
"""The key in the scope of a request whose token is valid. Its connection is never closed to make room for others."""

WRITER = "collector.writer"
"""The key in the scope of a request for its sender, as the audit log names it."""

FORM = "/triage"
"""The path to which the triage page sends its form; a browser cannot send a header with it."""

LARGE_BODY = 256 * 1024
"""Bodies with more bytes than this, as they were sent, are decoded and stored one at a time."""


class Server:
    """The object that all handlers share.

    ``process_token``: a token that only this process accepts, for uploading and reading. ``private``: readers need a
    token too. ``hosts``: the host names under which the server may be requested; None for any. ``public_url``: the
    address with which links in feeds and messages begin.
    """

    def __init__(
        self,
        store: Store,
        key: bytes,
        process_token: str | None = None,
        private: bool = False,
        hosts: frozenset[str] | None = None,
        settings: Settings | None = None,
        public_url: str | None = None,
    ) -> None:
        self.store = store
        self.key = key
        self.process_token = process_token
        self.private = private
        self.hosts = hosts
        self.public_url = public_url
        self.settings = settings or Settings()
        self.rates = Buckets(self.settings.rates.per_second, self.settings.rates.burst)
        self.name = f"{socket.gethostname()[:100]}:{os.getpid()}"
        self.started = now_ms()
        self.counters = Counters()
        self.refusals = Refusals()
        self.readiness = Readiness()
        self.guesses = Guesses(self.settings.rates.guesses_per_second, self.settings.rates.guesses)
        self.sessions = Sessions()
        self.bodies = Bodies()
        self.oidc = _verifier(self.settings)
        self._gate = asyncio.Semaphore(2)  # at most two bodies are decoded and stored at once, to limit memory
        self._large = asyncio.Semaphore(1)  # and at most one large body

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction; repeat it if another writer on the same database caused a conflict."""
        for tries_left in range(WRITE_TRIES - 1, -1, -1):
            try:
                with self.store.writing() as connection:
                    return work(connection)
            except (IntegrityError, OperationalError):
                if self.store.file is not None or not tries_left:
                    raise
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def decoding_slot(self, body: Body) -> AsyncIterator[None]:
        """Wait until this body may be decoded and stored."""
        async with AsyncExitStack() as stack:
            if len(body) > LARGE_BODY:
                await stack.enter_async_context(self._large)
            await stack.enter_async_context(self._gate)
            yield

    async def bearer(self, request: HttpRequest, need: str) -> Bearer:
        """Authenticate a request and check that it is permitted. ``need``: read, upload or admin.

        Raises:
            Problem: 401 without a valid token, 403 if the token does not permit this, 429 after too many requests.
        """
        token = token_of(request)
        if token is None:
            if need == "read" and not self.private:
                return ANYONE
            raise Problem(401, "token-needed", "A token is needed. Send the header Authorization: Bearer TOKEN.")
        if self._is_process(token) or token.startswith(SESSION):
            bearer = self._identify(request, token)
        else:
            bearer = await asyncio.to_thread(self._identify, request, token)
        scope: dict[str, Any] = request.scope  # type: ignore[assignment]
        scope[AUTHENTICATED], scope[WRITER] = True, bearer.writer
        self.rates.take(bearer.token or "")
        if need not in bearer.grants:
            raise Problem(403, "scope", f"The token does not permit {need}. Use a token with another scope.")
        return bearer

    def _identify(self, request: HttpRequest, token: str) -> Bearer:
        """Return the bearer of a token, and count the token if it is not valid."""
        try:
            return self.identify(token)
        except Problem as problem:
            if problem.status == 401:
                request.scope[WRITER] = writer_of(token)  # type: ignore[literal-required]
                self.guesses.count(address_of(request), token)
            raise

    def _is_process(self, token: str) -> bool:
        return self.process_token is not None and hmac.compare_digest(token.encode(), self.process_token.encode())

    def identify(self, token: str) -> Bearer:
        """Return the bearer of a token of any kind.

        Raises:
            Problem: 401 if the token is not valid, 403 if no rule matches an identity token.
        """
        if self._is_process(token):
            return Bearer(site=ANY_SITE, grants=GRANTS["process"], token="process")  # noqa: S106
        if token.startswith(SESSION):
            session = self.sessions.bearer(token)
            if session is None:
                raise Problem(401, "session-ended", "This session has ended. Open a new link: exaworks collector link.")
            return session
        if self.oidc is not None and looks_like_jwt(token):
            return self.oidc.bearer(token)
        now = now_ms()
        with self.store.reading() as connection:
            bearer, due = check_token(connection, self.key, token, now)
        if due and bearer.token is not None:
            with self.store.writing() as connection:
                note_use(connection, bearer.token, now)
        return bearer


def address_of(request: HttpRequest) -> str:
    """Return the address under which a client is counted."""
    return group_of(request.client.host) if request.client is not None else ""


def writer_of(token: str) -> str | None:
    """Return what the audit log may name of an invalid token: the id of a token of a collector, and nothing else."""
    return f"invalid token:{token[4:PREFIX]}" if token.startswith("exw_") and token[4:PREFIX].isalnum() else None


def entry_of(request: HttpRequest, action: str, bearer: Bearer, **fields: Any) -> Entry:
    """Return the entry of the audit log for an accepted request."""
    return Entry(action, writer=bearer.writer, address=address_of(request), **fields)


def looks_like_jwt(token: str) -> bool:
    """Return whether a token is an identity token rather than one of the collector's own."""
    return token.count(".") == 2 and token.startswith("ey")


def _verifier(settings: Settings) -> Verifier | None:
    """Return the verifier of identity tokens; its libraries are needed only if the configuration names an issuer."""
    if not settings.oidc:
        return None
    try:
        from collector.auth.oidc import Verifier
    except ImportError as error:
        message = "the configuration file names an issuer of identity tokens, which needs PyJWT and cryptography"
        raise SettingsError(f"{message}. Run: pip install 'exaworks-sdk[oidc]'") from error
    return Verifier(settings.oidc)


def server_of(request: HttpRequest) -> Server:
    """Return the server object of the application that received the request."""
    server: Server = request.app.state.server
    return server


def token_of(request: HttpRequest) -> str | None:
    """Return the token of a request: from its header, or for a read and for the form of a page from the address."""
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Problem(401, "token-needed", "The Authorization header is wrong. Send Authorization: Bearer TOKEN.")
        return token.strip()
    if request.method in ("GET", "HEAD") or request.url.path == FORM:
        parameter = request.query_params.get("token")
        return str(parameter) if parameter else None
    return None


def linker(request: HttpRequest) -> Callable[..., str]:
    """Return the function that writes links; it keeps a token of the address, because no cookie is ever set."""
    token = request.query_params.get("token")
    if not token:
        return plain_link
    return lambda *parts, **query: plain_link(*parts, **query, token=str(token))
