"""The progress of an installation with Spack: what is done, what is being built, and how long the rest may take."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from exaworks_sdk.set_up_progress import Bar

SECONDS = {
    "adlbx": 29,
    "boost": 600,
    "cmake": 600,
    "exmcutils": 20,
    "flux-core": 478,
    "flux-sched": 435,
    "gcc-runtime": 5,
    "gettext": 300,
    "mpich": 900,
    "openmpi": 900,
    "openssl": 240,
    "perl": 240,
    "python": 300,
    "stc": 17,
    "turbine": 16,
}
"""Seconds of a build on two cores: measured for the release's own packages, roughly known for the others."""

PYTHON_PACKAGE = 9
"""Seconds of a Python package: 51 of them took 7 min 42 s."""

PRIOR = 600
"""Seconds of work after which the pace of this machine counts as much as that of the table."""

OTHER = 60
"""Seconds of any other package."""

LINE = re.compile(r"\[(?P<mark>[+ ])\] (?P<hash>\S+) (?P<package>\S+)(?: (?P<state>.*))?")
"""A line of ``spack install``: the mark is ``+`` for an installed package and a space for one that is being built."""


class BuildProgress:
    """Follows the output of ``spack install``. installed: hashes of packages that were there before.

    lock: the content of ``spack.lock``. clock: a monotonic clock in seconds.
    """

    def __init__(
        self, lock: Mapping[str, Any], installed: frozenset[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        nodes: dict[str, dict[str, Any]] = lock.get("concrete_specs", {})
        own = {key: node["name"] for key, node in nodes.items() if "external" not in node}
        self._weights = {key: _seconds(name) for key, name in own.items()}
        self._done = {key for key in own if key in installed}
        self.before = len(self._done)
        self._work = sum(self._weights[key] for key in own if key not in installed)
        self._finished: set[str] = set()
        self._clock = clock
        self._started = clock()
        self.total = len(own)

    @property
    def done(self) -> int:
        return min(self.before + len(self._finished), self.total)

    @property
    def share(self) -> float:
        """The finished share of the work, between 0 and 1."""
        return min(self._built() / self._work, 1.0) if self._work else 1.0

    @property
    def left(self) -> float:
        """The seconds that the rest may take: by what is known of the packages, corrected by the time so far."""
        built, elapsed = self._built(), self._clock() - self._started
        pace = (elapsed + PRIOR) / (built + PRIOR)
        return max(self._work - built, 0.0) * pace

    def line(self, text: str) -> tuple[str, bool] | None:
        """Read a line of output. Return the package and whether it is installed now; None for another line."""
        match = LINE.match(text)
        if match is None:
            return None
        package = match["package"]
        if match["mark"] == " ":
            return f"{package} {match['state'] or ''}".strip(), False
        if match["hash"] in self._finished:
            return None
        self._finished.add(match["hash"])
        return package, True

    def _built(self) -> float:
        """Return the seconds that the finished packages stand for; the output has only the beginning of a hash."""
        return sum(self._weight(short) for short in self._finished)

    def _weight(self, short: str) -> float:
        return next((seconds for key, seconds in self._weights.items() if key.startswith(short)), 0.0)


class BuildDisplay:
    """Shows the progress: a bar on a terminal, otherwise a line for each package that is installed."""

    def __init__(self, progress: BuildProgress, bar: Bar, echo: Callable[[str], None]) -> None:
        self._progress, self._bar, self._echo = progress, bar, echo

    def start(self, log: Path) -> None:
        """Report the amount of work."""
        progress = self._progress
        before = f", {progress.before} of them are installed" if progress.before else ""
        self._echo(
            f"installing {progress.total} packages{before}; building all of them here takes {minutes(progress.left)} "
            f"on two cores; log: {log}"
        )
        self._show("starting")

    def line(self, text: str) -> None:
        """Show a line of the output of ``spack install``."""
        reported = self._progress.line(text)
        if reported is None:
            return
        package, installed = reported
        progress = self._progress
        if installed and not self._bar.enabled:
            rest = f"   {minutes(progress.left)} left" if progress.done < progress.total else ""
            self._echo(f"{progress.done}/{progress.total} {package}{rest}")
        self._show(package)

    def _show(self, what: str) -> None:
        progress = self._progress
        text = f"{progress.done}/{progress.total}, {minutes(progress.left)} left: {what}"
        self._bar.show(0.1 + 0.85 * progress.share, text)


def _seconds(name: str) -> float:
    return SECONDS.get(name, PYTHON_PACKAGE if name.startswith("py-") else OTHER)


def installed_hashes(tree: Path) -> frozenset[str]:
    """Return the hashes of the packages in an install tree of Spack; none, if its database cannot be read.

    In a tree with padded paths, the database is below folders that only make paths longer.
    """
    while not (tree / ".spack-db").exists() and (inner := next(tree.glob("__spack_path_*"), None)) is not None:
        tree = inner
    try:
        installs = json.loads((tree / ".spack-db" / "index.json").read_bytes())["database"]["installs"]
        return frozenset(key for key, entry in installs.items() if entry.get("installed"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return frozenset()


def minutes(seconds: float) -> str:
    """Write a duration roughly: ``less than a minute``, ``about 12 min``, ``about 1 h 20 min``."""
    whole = round(seconds / 60)
    if whole < 1:
        return "less than a minute"
    hours, rest = divmod(whole, 60)
    return f"about {hours} h {rest} min" if hours else f"about {rest} min"
