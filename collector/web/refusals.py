"""The refused requests of a process, until they are stored in the audit log."""

from __future__ import annotations

import threading
from dataclasses import replace

from collector.errors import Problem
from collector.store.log import REFUSED, Entry

MAX_KINDS = 100
"""The number of different refusals that are noted one by one between two writes; the others are counted together."""


class Refusals:
    """The refused requests of this process that are not in the audit log yet; equal ones are one entry with a count."""

    def __init__(self) -> None:
        self._counts: dict[Entry, int] = {}
        self._lock = threading.Lock()

    def note(self, request: str, address: str, writer: str | None, problem: Problem) -> None:
        """Note a refused request. ``request``: its method and path; ``writer``: the sender, as far as it is known."""
        fields = {"writer": writer, "address": address, "subject": request, "status": problem.status}
        entry = Entry(REFUSED, detail=f"{problem.kind}: {problem.detail}"[:200], **fields)  # type: ignore[arg-type]
        with self._lock:
            if entry not in self._counts and len(self._counts) >= MAX_KINDS:
                entry = Entry(REFUSED, detail="many different requests")
            self._counts[entry] = self._counts.get(entry, 0) + 1

    def take(self) -> list[Entry]:
        """Return the entries that were noted since the last call."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return [replace(entry, count=count) for entry, count in counts.items()]
