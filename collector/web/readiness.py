"""Whether the server can store what it receives; the answer is kept for a moment, because finding out is a write."""

from __future__ import annotations

import threading
import time

from collector.errors import Problem
from collector.store.condition import check_writable
from collector.store.database import Store

KEPT_SECONDS = 2.0


class Readiness:
    """The newest answer, shared by all requests; at most one request at a time asks the database."""

    def __init__(self, kept: float = KEPT_SECONDS) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._asked: float | None = None
        self._problem: Problem | None = None

    def check(self, store: Store) -> None:
        """Return if the database can be written.

        Raises:
            Problem: 503, with the reason.
        """
        with self._lock:
            if self._asked is None or time.monotonic() - self._asked > self._kept:
                self._problem = None
                try:
                    check_writable(store)
                except Problem as problem:
                    self._problem = problem
                self._asked = time.monotonic()
            if self._problem is not None:
                raise self._problem
