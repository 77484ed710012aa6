"""The embedded collector: a collector on the loopback interface that runs only during a run."""

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
"""Seconds within which the collector must accept connections."""

SERVED = "is already served"
"""Part of the message of a collector whose database another one serves."""


@dataclass
class EmbeddedCollector:
    """A running collector: its address, and a token for reading and writing that is valid as long as it runs.

    process: None if the collector was running before; then ``close`` does not stop it. log: of the process.
    """

    url: str
    token: str
    process: subprocess.Popen[bytes] | None = None
    log: Path | None = None

    def page(self, site: str) -> str:
        """Return an address to open in a browser. It is valid once, and it lets its reader see one site only.

        The address is printed, and other users of a login node or readers of a CI log may see it. It therefore does
        not contain the token of the collector, which permits uploads.
        """
        import requests

        with requests.Session() as session:
            session.trust_env = False
            try:
                answer = session.post(
                    f"{self.url}/api/v1/links",
                    json={"site": site},
                    headers={"Authorization": f"Bearer {self.token}"},
                    timeout=5,
                )
                answer.raise_for_status()
                return f"{self.url}{answer.json()['path']}"
            except (requests.RequestException, ValueError, KeyError):
                return f"{self.url}/"

    def close(self) -> None:
        """Stop the collector if this run started it; its database file stays."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.log is not None:
            self.log.unlink(missing_ok=True)


def running_collector(places: Places) -> EmbeddedCollector | None:
    """Return the collector that serves the results in ``places``; None if there is none or it does not answer."""
    import requests

    try:
        ready = json.loads((places.collector / "ready.json").read_text(encoding="utf-8"))
        token = Path(ready["token_file"]).read_text(encoding="utf-8").strip()
        answer = requests.get(f"{ready['url']}/healthz", timeout=2)
    except (OSError, ValueError, KeyError, TypeError, requests.RequestException):
        return None
    return EmbeddedCollector(str(ready["url"]), token) if answer.ok else None


def still_there(collector: EmbeddedCollector, places: Places) -> EmbeddedCollector:
    """Return a collector that answers: this one, or a new one if it was that of another run, which has ended."""
    if collector.process is not None or running_collector(places) == collector:
        return collector
    try:
        return start(places)
    except RunError:
        return collector  # the upload at the end of the run reports that it does not answer


def start(places: Places) -> EmbeddedCollector:
    """Return the running collector, or else start one on the results in ``places``; it accepts connections then.

    Raises:
        RunError: it did not start; the message contains its last line (another server may have locked the database).
    """
    existing = running_collector(places)
    if existing is not None:
        return existing
    places.collector.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(32)
    log = places.collector / f"embedded-{os.getpid()}-{secrets.token_hex(3)}.log"  # two may be started at the same time
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
            return EmbeddedCollector(address, token, process, log)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            break
    if process.poll() is None:
        process.kill()
        process.wait()
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    while SERVED in text and time.monotonic() < deadline:  # another run has started one, which may not be ready yet
        existing = running_collector(places)
        if existing is not None:
            log.unlink(missing_ok=True)
            return existing
        time.sleep(0.1)
    lines = text.splitlines()
    raise RunError(f"the collector of this run did not start: {lines[-1] if lines else 'no output'}; its log is {log}")


def _address(ready_file: Path, pid: int) -> str | None:
    try:
        ready = json.loads(ready_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(ready["url"]) if ready["pid"] == pid else None
