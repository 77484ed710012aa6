"""Find the newest upstream version of a component: on pip's index, or among the tags of its repository."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass

from exaworks_sdk.release import ReleaseComponent

NUMBER = re.compile(r"v?(\d+(?:\.\d+)+)")
TIMEOUT = 60.0
"""Seconds after which a query of an index or repository is given up."""


@dataclass(frozen=True)
class Upstream:
    """A component's version and the newest upstream version; ``reason`` explains why that is unknown."""

    name: str
    version: str
    newest: str | None
    reason: str | None = None

    @property
    def behind(self) -> bool | None:
        return None if self.newest is None else numbers(self.newest) > numbers(self.version)


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def upstream(component: ReleaseComponent) -> Upstream:
    """Query the newest version of a component: in pip's index if it is on PyPI, else in the repository's tags."""
    if component.pypi:
        command = [sys.executable, "-m", "pip", "index", "versions", "--disable-pip-version-check", component.pypi]
    elif _shares_a_repository(component):
        return Upstream(
            component.name, component.version, None, "unknown: its repository has no tags for this component"
        )
    else:
        command = ["git", "ls-remote", "--tags", component.url]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Upstream(component.name, component.version, None, f"unknown: {error}")
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        error_line = next((line for line in lines if line.lower().startswith(("error", "fatal"))), lines[-1])
        return Upstream(component.name, component.version, None, f"unknown: {error_line}")
    published = versions(done.stdout, component)
    if not published:
        return Upstream(component.name, component.version, None, "unknown: no version is published")
    return Upstream(component.name, component.version, max(published, key=numbers))


def _shares_a_repository(component: ReleaseComponent) -> bool:
    """Return whether the repository's tags count another product: Swift/T is tagged as a whole, not by its parts."""
    return component.url.endswith("/swift-t")


def versions(output: str, component: ReleaseComponent) -> list[str]:
    """Return the versions in the output of pip or git, without pre-releases."""
    if component.pypi:
        match = re.search(r"Available versions: (.*)", output)
        names = match[1].split(", ") if match else []
    else:
        names = [line.rpartition("refs/tags/")[2].removesuffix("^{}") for line in output.splitlines()]
    return [number[1] for name in names if (number := NUMBER.fullmatch(name.strip()))]
