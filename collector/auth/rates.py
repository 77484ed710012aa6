"""Rate limits: a token bucket for each sender, checked before a request is read or parsed."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from collector.errors import Problem

MAX_NAMES = 10_000


class Buckets:
    """One bucket for each name. The least recently used names are dropped; they start again with a full bucket."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self.burst = burst
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Take one request out of a bucket.

        Raises:
            Problem: 429 if the bucket is empty, with the seconds until the next request is accepted.
        """
        self._draw(name, 1.0)

    def check(self, name: str) -> None:
        """Refuse as ``take`` does, but take nothing.

        Raises:
            Problem: 429 if the bucket is empty.
        """
        self._draw(name, 0.0)

    def _draw(self, name: str, taken: float) -> None:
        with self._lock:
            now = self._clock()
            level, since = self._levels.get(name, (float(self.burst), now))
            level = min(self.burst, level + (now - since) * self.per_second)
            enough = level >= 1
            self._levels[name] = (level - taken if enough else level, now)
            self._levels.move_to_end(name)
            if len(self._levels) > MAX_NAMES:
                self._levels.popitem(last=False)
        if not enough:
            wait = max(1, round((1 - level) / self.per_second + 0.5))
            detail = f"More than {self.per_second:g} requests a second. Continue in {wait} s, with larger batches."
            raise Problem(429, "too-often", detail, retry_after=wait)
