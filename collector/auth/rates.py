"""Rate limits: a token bucket for each sender, checked before the body of a request is read or parsed."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from collector.errors import Problem

MAX_NAMES = 10_000

PREFIX = 12
"""The number of characters at the beginning of a token of this collector that are not secret: exw_ and the id."""


class Buckets:
    """One bucket for each name. The least recently used names are dropped; they start again with a full bucket."""

    def __init__(
        self,
        per_second: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        advice: str = "Continue in {wait} s, with larger batches.",
        counted: str = "requests",
    ) -> None:
        self.per_second = per_second
        self.burst = burst
        self._clock = clock
        self._advice = advice
        self._counted = counted
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Take one request out of a bucket.

        Raises:
            Problem: 429 if the bucket is empty, with the seconds until the next request is accepted.
        """
        with self._lock:
            now = self._clock()
            level, since = self._levels.get(name, (float(self.burst), now))
            level = min(self.burst, level + (now - since) * self.per_second)
            enough = level >= 1
            self._levels[name] = (level - 1 if enough else level, now)
            self._levels.move_to_end(name)
            if len(self._levels) > MAX_NAMES:
                self._levels.popitem(last=False)
        if not enough:
            wait = max(1, round((1 - level) / self.per_second + 0.5))
            limit = f"More than {self.per_second:g} {self._counted} a second. "
            raise Problem(429, "too-often", limit + self._advice.format(wait=wait), retry_after=wait)

    def knows(self, name: str) -> bool:
        """Return whether a bucket of this name exists."""
        with self._lock:
            return name in self._levels


class Guesses:
    """Counts invalid tokens, by the address and by the beginning of the token.

    A token is checked before it is counted. So many invalid tokens of one address, such as that of a shared proxy, do
    not lock out the valid tokens of the same address. The beginning of a token is its public id: a client that keeps
    sending one expired token does not use up the count of its neighbours, and a client that tries many tokens does.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        advice = "Continue in {wait} s, with a valid token. Valid tokens are accepted all the time."
        self._prefixes, self._addresses = (
            Buckets(per_second, burst, clock, advice, f"invalid tokens of one {kind}")
            for kind in ("token id", "address")
        )

    def count(self, address: str, token: str) -> None:
        """Count an invalid token.

        Raises:
            Problem: 429 if there were too many.
        """
        name = f"{address} {token[:PREFIX]}"
        if not self._prefixes.knows(name):
            self._addresses.take(address)
        self._prefixes.take(name)
