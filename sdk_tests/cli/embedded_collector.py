"""The collector of a run on a machine without one: a process of our own on loopback, gone when the run ends."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdk_tests.errors import RunError

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places

READY_LIMIT = 20.0


@dataclass
class Embedded:
    """A running collector: its address, and the token that reads and writes it as long as it lives.

    ``process`` is None where it ran before: such a one is not ours to end.
    """

    url: str
    token: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def page(self) -> str:
        """The address to open; a login node is shared, so it carries the token."""
        return f"{self.url}/?token={self.token}"

    def close(self) -> None:
        """End it, if the run started it; its file stays."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def running(places: Places) -> Embedded | None:
    """Return the collector that already serves the results kept in ``places``, if one does and answers."""
    import requests

    try:
        said = json.loads((places.collector / "ready.json").read_text(encoding="utf-8"))
        token = Path(said["token_file"]).read_text(encoding="utf-8").strip()
        answer = requests.get(f"{said['url']}/healthz", timeout=2)
    except (OSError, ValueError, KeyError, TypeError, requests.RequestException):
        return None
    return Embedded(str(said["url"]), token) if answer.ok else None


def start(places: Places) -> Embedded:
    """Take the one that runs, else start one on the results kept in ``places``; return when it accepts connections.

    Raises:
        RunError: it did not come up; carries its own last line (another server may hold the file).
    """
    found = running(places)
    if found is not None:
        return found
    places.collector.mkdir(parents=True, exist_ok=True)
    log = places.collector / "embedded.log"
    token = secrets.token_urlsafe(32)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-m", "exaworks_sdk", "collector", "serve", "--port", "0", "--private"),
                *("--exit-with", str(os.getpid())),
            ],
            env={**os.environ, "EXAWORKS_HOME": str(places.home), "EXAWORKS_COLLECTOR_EPHEMERAL_TOKEN": token},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_LIMIT
    while time.monotonic() < deadline:
        address = _address(places.collector / "ready.json", process.pid)
        if address is not None:
            return Embedded(address, token, process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            break
    if process.poll() is None:
        process.kill()
        process.wait()
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise RunError(f"the collector of this run did not start: {said[-1] if said else 'it said nothing'} ({log})")


def _address(ready: Path, pid: int) -> str | None:
    try:
        found = json.loads(ready.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(found["url"]) if found["pid"] == pid else None
