"""The fixtures that cases share: each a process that is started once and then runs the payloads of cases.

Used by the supervisor and by the agent inside an allocation, so standard library only. A fixture serves one case after
another. After a case that did not end well it is ended, and the next case gets a new one; so does a case that would not
fit into its remaining time. A fixture that ends without having served a case has failed: no further one is started, and
the cases that wait for it have its end as their own.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sdk_tests.execution.process_table import ProcessEnd, ProcessTable

READY, STOP = "ready", "stop"
"""Files in the folder of a fixture, as in ``payloads/_fixture.py``."""
FAILURES = ("exited", "timeout", "unstarted")
"""Endings of a fixture by itself; the others are those of a run or a job that was stopped."""
END_LIMIT = 30.0
"""Seconds that a fixture has to end when no case needs it any more; then it is ended as a case is."""


@dataclass
class _Running:
    """A fixture that runs. Instants are monotonic seconds.

    usable_for: seconds after ``ready`` that it may be used. guest: whether a case uses it. served: its cases so far.
    stop_by: it ends by then; None while it may be used.
    """

    key: str
    folder: str
    begun: float
    start_by: float
    usable_for: float
    ready: float | None = None
    guest: bool = False
    served: int = 0
    stop_by: float | None = None
    ending: bool = False


class Fixtures:
    """The fixtures of one supervisor or agent, by name; ``tick`` must be called regularly.

    failed: how a fixture ended that could not serve any case.
    """

    def __init__(self, processes: ProcessTable) -> None:
        self._processes = processes
        self._running: dict[str, _Running] = {}
        self._starts: dict[str, int] = {}
        self.failed: dict[str, ProcessEnd] = {}

    def __contains__(self, name: str) -> bool:
        """Return whether a fixture runs, ready or not."""
        return name in self._running

    def prepare(self, name: str, folder: str) -> tuple[str, str]:
        """Return the key of the process of the next start of a fixture, and its own new folder below ``folder``."""
        self._starts[name] = self._starts.get(name, 0) + 1
        own = os.path.join(folder, str(self._starts[name]))  # noqa: PTH118
        while os.path.exists(own):  # noqa: PTH110  # of an agent whose job was requeued
            self._starts[name] += 1
            own = os.path.join(folder, str(self._starts[name]))  # noqa: PTH118
        os.makedirs(own, mode=0o700)  # noqa: PTH103
        return f"{name}#{self._starts[name]}", own

    def folders(self) -> list[str]:
        return [each.folder for each in self._running.values()]

    def start(
        self,
        name: str,
        key: str,
        folder: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        seconds: tuple[float, float, float],
        mark: str,
        ended: Callable[[ProcessEnd], None] | None = None,
    ) -> None:
        """Start a fixture that was prepared.

        seconds: until it must be ready, that it may exist, and that its process may take. The last two differ by the
        time that its job may be in a queue.
        """
        start, usable, limit = seconds
        now = time.monotonic()
        self._running[name] = _Running(key, folder, now, now + start + max(0.0, limit - usable), usable - start)

        def done(end: ProcessEnd) -> None:
            fixture = self._running.pop(name)
            if not fixture.served and fixture.stop_by is None and end.ending in FAILURES:
                self.failed[name] = end
            if ended is not None:
                ended(end)

        self._processes.spawn(key, argv, env, folder, limit, done, mark=mark)

    def admits(self, name: str, walltime: float) -> bool:
        """Return whether a case can use a fixture now. One that ends too soon for it is stopped."""
        fixture = self._running.get(name)
        if fixture is None or fixture.ready is None or fixture.guest or fixture.stop_by is not None:
            return False
        if time.monotonic() + walltime > fixture.ready + fixture.usable_for and fixture.served:
            self._stop(fixture)
            return False
        return True

    def enter(self, name: str) -> tuple[str, float]:
        """Note that a case uses a fixture from now on.

        Returns the file that names the fixture's socket, and when the fixture was started, in seconds since the epoch.
        """
        fixture = self._running[name]
        fixture.guest = True
        fixture.served += 1
        return os.path.join(fixture.folder, READY), time.time() - (time.monotonic() - fixture.begun)  # noqa: PTH118

    def leave(self, name: str, clean: bool) -> None:
        """Note that a case has left a fixture. clean: it ended well, so that the next one can use the fixture."""
        fixture = self._running.get(name)
        if fixture is None:  # it ended while the case used it
            return
        fixture.guest = False
        if not clean:
            fixture.stop_by = fixture.stop_by or time.monotonic()

    def tick(self, needed: Collection[str]) -> None:
        """Notice which fixtures are ready, and end those that are not ready in time or not ``needed`` any more."""
        now = time.monotonic()
        for name, fixture in list(self._running.items()):
            if fixture.ready is None:
                if os.path.exists(os.path.join(fixture.folder, READY)):  # noqa: PTH110, PTH118
                    fixture.ready = now
                elif now > fixture.start_by:
                    self._end(fixture, "timeout")
            if name not in needed and not fixture.guest and fixture.stop_by is None:
                self._stop(fixture)
            if fixture.stop_by is not None and now >= fixture.stop_by:
                self._end(fixture, "stopped")

    def _stop(self, fixture: _Running) -> None:
        """Ask a fixture that no case uses to end."""
        fixture.stop_by = time.monotonic() + (END_LIMIT if fixture.ready is not None else 0.0)
        with contextlib.suppress(OSError), open(os.path.join(fixture.folder, STOP), "w"):  # noqa: PTH118, PTH123
            pass

    def _end(self, fixture: _Running, ending: str) -> None:
        if not fixture.ending:
            fixture.ending = True
            self._processes.cancel(fixture.key, ending)
