"""How often one sender may ask: a bucket each, filled at a steady rate, looked at before anything is read or parsed."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from collector.errors import Problem

KEPT = 10_000


class Buckets:
    """A bucket a name; names that were not heard of for longest are forgotten, and begin again with a full one."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self.burst = burst
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str) -> None:
        """Take one request out of a bucket.

        Raises:
            Problem: 429 where it is empty, with the seconds until there is one again.
        """
        self._draw(name, 1.0)

    def look(self, name: str) -> None:
        """Refuse as ``take`` does, but take nothing.

        Raises:
            Problem: 429 where the bucket is empty.
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
            if len(self._levels) > KEPT:
                self._levels.popitem(last=False)
        if not enough:
            wait = max(1, round((1 - level) / self.per_second + 0.5))
            said = f"More than {self.per_second:g} requests a second. Go on in {wait} s, with larger batches."
            raise Problem(429, "too-often", said, retry_after=wait)
