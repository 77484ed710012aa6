"""Receive the bodies of requests within limits of memory and time.

Memory for a body is reserved before its first byte is read. A client that sends too slowly loses its connection. So
half-sent bodies can neither fill the memory nor keep others waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from litestar import Request
from litestar.datastructures import State

from collector.errors import Problem

MEMORY = 96 * 1024 * 1024
"""Bytes of all bodies with a token that are received or decoded at one time."""

OLD_CLIENT_MEMORY = 32 * 1024 * 1024
"""The same for bodies without a token in a header: messages of old clients, whose key is inside the body."""

ADDRESS_MEMORY = 8 * 1024 * 1024
"""The part of it that one address may use at one time; further bodies of that address wait."""

WAIT_SECONDS = 60.0
"""How long a request waits for memory before it is refused with 503."""

ADDRESS_WAIT_SECONDS = 10.0
"""How long it waits for other bodies of its own address before it is refused with 429."""

GRACE_SECONDS = 15.0
OLD_CLIENT_GRACE_SECONDS = 5.0
MIN_BYTES_PER_SECOND = 8192
"""A body must arrive at this rate on average, after a grace period. Time in which the server waits is not counted."""


def _busy() -> Problem:
    detail = "The collector receives as many bodies as it has memory for. Nothing was stored; send it again."
    return Problem(503, "busy", detail)


def _too_many_of_address() -> Problem:
    detail = "Other requests of your address are still sending their bodies. Nothing was stored; send it again."
    return Problem(429, "too-many-bodies", detail, retry_after=5)


class Budget:
    """An amount that requests reserve parts of; requests that do not fit wait in the order of their arrival.

    ``refusal`` creates the problem for those that wait for too long.
    """

    def __init__(self, total: int, wait: float = WAIT_SECONDS, refusal: Callable[[], Problem] = _busy) -> None:
        self.total = total
        self.used = 0
        self._wait = wait
        self._refusal = refusal
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def idle(self) -> bool:
        """Whether nothing is reserved and nobody waits."""
        return not self.used and not self._waiting

    @asynccontextmanager
    async def reserve(self, amount: int) -> AsyncIterator[None]:
        """Reserve an amount for the duration of the context.

        Raises:
            Problem: the refusal of this budget if the amount is not available in time.
        """
        amount = min(amount, self.total)
        if self._waiting or self.used + amount > self.total:
            await self._wait_for(amount)
        else:
            self.used += amount
        try:
            yield
        finally:
            self._release(amount)

    async def _wait_for(self, amount: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        entry = (amount, turn)
        self._waiting.append(entry)
        try:
            done, _ = await asyncio.wait([turn], timeout=self._wait)
        except asyncio.CancelledError:
            self._withdraw(entry)
            raise
        if not done:
            self._withdraw(entry)
            raise self._refusal()

    def _withdraw(self, entry: tuple[int, asyncio.Future[None]]) -> None:
        amount, turn = entry
        if turn.done():
            self._release(amount)
        else:
            self._waiting.remove(entry)
            self._release(0)

    def _release(self, amount: int) -> None:
        self.used -= amount
        while self._waiting and self.used + self._waiting[0][0] <= self.total:
            following, turn = self._waiting.popleft()
            self.used += following
            turn.set_result(None)


class Bodies:
    """The budgets of a server process."""

    def __init__(self) -> None:
        self._with_token = Budget(MEMORY)
        self._without_token = Budget(OLD_CLIENT_MEMORY)
        self._addresses: dict[str, Budget] = {}

    @asynccontextmanager
    async def receive(self, request: Request[None, None, State], longest: int) -> AsyncIterator[bytearray]:
        """Receive the body of an authenticated request; its memory stays reserved for the duration of the context.

        Raises:
            Problem: 413 if the body is longer than ``longest`` bytes, 408 if it arrives too slowly, 503 if there is
                no memory for it.
        """
        async with self._with_token.reserve(announced_size(request, longest)):
            yield await receive_body(request, longest)

    @asynccontextmanager
    async def receive_unauthenticated(
        self, request: Request[None, None, State], longest: int, address: str
    ) -> AsyncIterator[bytearray]:
        """Receive a body whose sender is not known yet, as ``receive`` does; an address has a share of the memory.

        Raises:
            Problem: 429 if other bodies of the address use its share.
        """
        size = announced_size(request, longest)
        share = Budget(ADDRESS_MEMORY, ADDRESS_WAIT_SECONDS, _too_many_of_address)
        own = self._addresses.setdefault(address, share)
        try:
            async with own.reserve(size), self._without_token.reserve(size):
                yield await receive_body(request, longest, OLD_CLIENT_GRACE_SECONDS)
        finally:
            if own.idle:
                self._addresses.pop(address, None)


def announced_size(request: Request[None, None, State], longest: int) -> int:
    """Return the size of the body in the request's header, or the largest one that is permitted.

    Raises:
        Problem: 413 if it is larger than ``longest``.
    """
    length = request.headers.get("content-length", "")
    size = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else longest
    if size > longest:
        raise too_large(longest)
    return size


async def receive_body(
    request: Request[None, None, State],
    longest: int,
    grace: float = GRACE_SECONDS,
    rate: float = MIN_BYTES_PER_SECOND,
) -> bytearray:
    """Receive a body of at most ``longest`` bytes at ``rate`` bytes per second or more, after ``grace`` seconds.

    Raises:
        Problem: 413 or 408 if a limit is exceeded, 400 if the client disconnects.
    """
    clock = asyncio.get_running_loop().time
    body = bytearray()  # chunks joined at the end would need twice the memory
    started = clock()
    while True:
        left = started + grace + len(body) / rate - clock()
        try:
            message = await asyncio.wait_for(request.receive(), max(left, 0.0))
        except asyncio.TimeoutError as error:
            detail = f"The body arrives too slowly: {len(body)} bytes so far. Send at least {rate:g} bytes a second."
            raise Problem(408, "too-slow", detail) from error
        if message["type"] != "http.request":
            raise Problem(400, "disconnected", "The connection was closed before the body was complete.")
        body += message["body"]
        if len(body) > longest:
            raise too_large(longest)
        if not message.get("more_body", False):
            return body


def too_large(longest: int) -> Problem:
    """Return the problem that a body is longer than the limit."""
    return Problem(413, "too-large", f"The body is larger than {longest} bytes. Send smaller batches.")
