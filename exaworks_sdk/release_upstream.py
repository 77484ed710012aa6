"""What upstream has: the newest version of a component on pip's index, or among the tags of its repository."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass

from exaworks_sdk.release import ReleaseComponent

NUMBER = re.compile(r"v?(\d+(?:\.\d+)+)")
LIMIT = 60.0
"""Seconds an index or repository may take."""


@dataclass(frozen=True)
class Upstream:
    """A component's version and the newest upstream; ``reason`` says why that is not known."""

    name: str
    version: str
    newest: str | None
    reason: str | None = None

    @property
    def behind(self) -> bool | None:
        return None if self.newest is None else order(self.newest) > order(self.version)


def order(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def upstream(component: ReleaseComponent) -> Upstream:
    """Ask for a component's newest version: pip's index where it is on PyPI, else its repository's tags."""
    if component.pypi:
        command = [sys.executable, "-m", "pip", "index", "versions", "--disable-pip-version-check", component.pypi]
    elif _shares_a_repository(component):
        return Upstream(component.name, component.version, None, "unknown: its repository has no tags for it")
    else:
        command = ["git", "ls-remote", "--tags", component.url]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Upstream(component.name, component.version, None, f"unknown: {error}")
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        said = next((line for line in lines if line.lower().startswith(("error", "fatal"))), lines[-1])
        return Upstream(component.name, component.version, None, f"unknown: {said}")
    found = versions(done.stdout, component)
    if not found:
        return Upstream(component.name, component.version, None, "unknown: no version was named")
    return Upstream(component.name, component.version, max(found, key=order))


def _shares_a_repository(component: ReleaseComponent) -> bool:
    """Say whether its repository's tags count another thing: those of Swift/T are of the whole, not of its parts."""
    return component.url.endswith("/swift-t")


def versions(said: str, component: ReleaseComponent) -> list[str]:
    """Return the final versions in what pip or git printed; pre-releases are left out."""
    if component.pypi:
        listed = re.search(r"Available versions: (.*)", said)
        words = listed[1].split(", ") if listed else []
    else:
        words = [line.rpartition("refs/tags/")[2].removesuffix("^{}") for line in said.splitlines()]
    return [match[1] for word in words if (match := NUMBER.fullmatch(word.strip()))]
