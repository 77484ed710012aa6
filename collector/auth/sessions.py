"""One-time links and the reading sessions that they start, for a dashboard that is opened from a terminal.

The link is printed and may end up in the log of a terminal or of a CI job. It is therefore valid once, it starts a
session that only reads, and link and session exist only in the memory of the process that created them.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from collector.auth.tokens import ANY_SITE, Bearer

LIFETIME_SECONDS = 12 * 3600.0
MAX_ENTRIES = 1000
SESSION = "exs_"


class Sessions:
    """The unused links and the sessions of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._links: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._sessions: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def new_link(self, site: str = ANY_SITE) -> str:
        """Return the code of a new link, which lets a reader see one site or, by default, every site."""
        code = secrets.token_urlsafe(24)
        self._add(self._links, code, site)
        return code

    def exchange(self, code: str) -> str | None:
        """Use up a link and return the token of a new session; None if the link is unknown, used or too old."""
        with self._lock:
            site, ends = self._links.pop(_digest(code), (None, 0.0))
        if site is None or ends <= self._clock():
            return None
        token = SESSION + secrets.token_urlsafe(32)
        self._add(self._sessions, token, site)
        return token

    def bearer(self, token: str) -> Bearer | None:
        """Return the bearer of a session, who may only read; None if there is no such session."""
        with self._lock:
            site, ends = self._sessions.get(_digest(token), (None, 0.0))
        if site is None or ends <= self._clock():
            return None
        return Bearer(site=site, grants=frozenset({"read"}), token="session")  # noqa: S106

    def _add(self, entries: OrderedDict[bytes, tuple[str, float]], secret: str, site: str) -> None:
        with self._lock:
            entries[_digest(secret)] = (site, self._clock() + LIFETIME_SECONDS)
            if len(entries) > MAX_ENTRIES:
                entries.popitem(last=False)


def _digest(secret: str) -> bytes:
    """Return the key of a secret in a table, so that a lookup does not compare the secret character by character."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
