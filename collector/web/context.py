"""What a request needs of the server: the store, the key, who may do what, and how a link is written."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode

from litestar import Request
from litestar.datastructures import State
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, OperationalError

from collector.auth.rates import Buckets
from collector.auth.tokens import ANY_SITE, ANYONE, GRANTS, Bearer, check_token, note_use
from collector.clock import now_ms
from collector.errors import Problem, SettingsError
from collector.limits import Body
from collector.settings import Settings
from collector.status.metrics import Counters
from collector.store.database import Store

if TYPE_CHECKING:
    from collector.auth.oidc import Verifier

T = TypeVar("T")
Ask = Request[None, None, State]

TRIES = 4

BIG = 256 * 1024
"""Of a body as it was sent: such are decoded and stored one at a time."""


class Server:
    """The one object that handlers share.

    ``process_token`` is accepted for uploading and reading by this process only; ``private`` asks readers for a token
    too; ``hosts`` are the names by which a loopback server may be asked, None for any.
    """

    def __init__(
        self,
        store: Store,
        key: bytes,
        process_token: str | None = None,
        private: bool = False,
        hosts: frozenset[str] | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.store = store
        self.key = key
        self.process_token = process_token
        self.private = private
        self.hosts = hosts
        self.settings = settings or Settings()
        self.rates = Buckets(self.settings.rates.per_second, self.settings.rates.burst)
        self.counters = Counters()
        self.guesses = Buckets(self.settings.rates.guesses_per_second, self.settings.rates.guesses)
        self.oidc = _verifier(self.settings)
        self._gate = asyncio.Semaphore(2)  # how many bodies are decoded and stored at once, which bounds memory
        self._big = asyncio.Semaphore(1)  # and how many big ones

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do work in a transaction, again from the start where another writer on the same database came between."""
        for left in range(TRIES - 1, -1, -1):
            try:
                with self.store.writing() as connection:
                    return work(connection)
            except (IntegrityError, OperationalError):
                if self.store.file is not None or not left:
                    raise
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def room(self, body: Body) -> AsyncIterator[None]:
        """Wait until there is room for decoding and storing a body."""
        async with AsyncExitStack() as stack:
            if len(body) > BIG:
                await stack.enter_async_context(self._big)
            await stack.enter_async_context(self._gate)
            yield

    async def bearer(self, request: Ask, need: str) -> Bearer:
        """Find out who asks, and that they may.

        Raises:
            Problem: 401 without a token that holds, 403 where it does not permit this, 429 where it asks too often.
        """
        token = token_of(request)
        if token is None:
            if need == "read" and not self.private:
                return ANYONE
            raise Problem(401, "token-needed", "Send a token: Authorization: Bearer TOKEN.")
        if self._is_process(token):
            bearer = self.known(token)
        else:
            asker = request.client.host if request.client is not None else ""
            self.guesses.look(asker)
            try:
                bearer = await asyncio.to_thread(self.known, token)
            except Problem as problem:
                if problem.status == 401:
                    self.guesses.take(asker)
                raise
        self.rates.take(bearer.token or "")
        if need not in bearer.grants:
            raise Problem(403, "scope", f"The token does not permit {need}.")
        return bearer

    def _is_process(self, token: str) -> bool:
        return self.process_token is not None and hmac.compare_digest(token.encode(), self.process_token.encode())

    def known(self, token: str) -> Bearer:
        """Find out whose token it is, of whichever kind.

        Raises:
            Problem: 401 where it does not hold, 403 where no rule is for an identity token.
        """
        if self._is_process(token):
            return Bearer(site=ANY_SITE, grants=GRANTS["process"], token="process")  # noqa: S106
        if self.oidc is not None and looks_like_jwt(token):
            return self.oidc.bearer(token)
        now = now_ms()
        with self.store.reading() as connection:
            bearer, due = check_token(connection, self.key, token, now)
        if due and bearer.token is not None:
            with self.store.writing() as connection:
                note_use(connection, bearer.token, now)
        return bearer


def looks_like_jwt(token: str) -> bool:
    """Tell an identity token from one of the collector's own."""
    return token.count(".") == 2 and token.startswith("ey")


def _verifier(settings: Settings) -> Verifier | None:
    """Return what checks identity tokens; its libraries are asked for only where the configuration names an issuer."""
    if not settings.oidc:
        return None
    try:
        from collector.auth.oidc import Verifier
    except ImportError as error:
        raise SettingsError("identity tokens need PyJWT and cryptography: pip install 'exaworks-sdk[oidc]'") from error
    return Verifier(settings.oidc)


def server_of(request: Ask) -> Server:
    """Return the server object of the application that was asked."""
    server: Server = request.app.state.server
    return server


def token_of(request: Ask) -> str | None:
    """Return the token a request bears: in its header, or for a reader in the address."""
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Problem(401, "token-needed", "Send a token as Authorization: Bearer TOKEN.")
        return token.strip()
    if request.method in ("GET", "HEAD"):
        said = request.query_params.get("token")
        return str(said) if said else None
    return None


def linker(request: Ask) -> Callable[..., str]:
    """Return how pages write links, so that a token in the address goes along; no cookie is ever set."""
    token = request.query_params.get("token")

    def link(*parts: str, **query: str) -> str:
        path = "/" + "/".join(quote(part, safe="") for part in parts)
        asked = {**query, **({"token": str(token)} if token else {})}
        return f"{path}?{urlencode(asked)}" if asked else path

    return link
