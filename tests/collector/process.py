"""A real collector process for the tests, and the few requests that they make of it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import requests
from click.testing import CliRunner

from collector.cli.main import collector
from dashboard_client.schema import Closing, Manifest, Record, encode

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "token-of-this-process"

START = """
import sys
from pathlib import Path
from types import SimpleNamespace
from collector.cli.main import collector
home = Path(sys.argv[1])
places = SimpleNamespace(home=home, collector=home / "collector")
collector.main(sys.argv[2:], obj=places, prog_name="exaworks collector")
"""


def command(home: Path, *words: str) -> list[str]:
    """Return the command line of ``exaworks collector`` for a home of its own."""
    return [sys.executable, "-c", START, str(home), *words]


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which the rooms are found and no proxy is."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def tool(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the collector to its end, a short one in this process: Python takes longer to start."""
    if words[0] == "serve":
        return subprocess.run(command(home, *words), env=environment(), capture_output=True, text=True, timeout=60)
    places = SimpleNamespace(home=home, collector=home / "collector")
    done = CliRunner().invoke(collector, words, obj=places, prog_name="exaworks collector", catch_exceptions=False)
    return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


class Collector:
    """A served collector; ``stop`` and ``kill`` end it, and it can be started again on the same home."""

    def __init__(self, home: Path, *words: str, token: str | None = TOKEN) -> None:
        self.home = home
        self.words = words
        self.session = requests.Session()
        self.session.trust_env = False
        self.token = token
        self.start()

    def start(self) -> None:
        ready = self.home / "ready.json"
        ready.unlink(missing_ok=True)
        words = ["serve", "--port", "0", "--ready-file", str(ready), "--exit-with", str(os.getpid()), *self.words]
        more = {"EXAWORKS_COLLECTOR_EPHEMERAL_TOKEN": self.token} if self.token else {}
        self.process = subprocess.Popen(
            command(self.home, *words), env=environment(**more), stderr=subprocess.PIPE, start_new_session=True
        )
        said = self._line()
        while "collector at http" not in said:
            said = self._line()
        self.said = said
        self.url: str = json.loads(ready.read_text())["url"]

    def _line(self) -> str:
        assert self.process.stderr is not None
        answered, _, _ = select.select([self.process.stderr], [], [], 30)
        line = self.process.stderr.readline().decode() if answered else ""
        if not line:
            self.process.kill()
            raise AssertionError(f"the collector did not start: {self.process.communicate()[1]!r}")
        return line

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code

    def get(self, path: str, token: str | None = None, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.session.get(self.url + path, headers=headers, timeout=30, **more)

    def post(self, path: str, body: bytes, token: str | None = TOKEN, **headers: str) -> requests.Response:
        given = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.post(self.url + path, data=body, headers=given | sent, timeout=60)

    def open(self, manifest: Manifest, **more: Any) -> requests.Response:
        return self.post("/api/v1/runs", encode(manifest), **more)

    def add(self, *records: Record, **more: Any) -> requests.Response:
        return self.post("/api/v1/records", batch(records), **more)

    def close(self, run_id: str, closing: Closing, **more: Any) -> requests.Response:
        return self.post(f"/api/v1/runs/{run_id}/close", encode(closing), **more)


def batch(records: Iterable[Record]) -> bytes:
    """Put records into the envelope."""
    return b'{"records":[' + b",".join(encode(record) for record in records) + b"]}"


def raw_batch(*records: Any) -> bytes:
    """Put anything into the envelope, right or wrong."""
    return msgspec.json.encode({"records": list(records)})


def wait_until(holds: Any, seconds: float = 10.0) -> bool:
    """Wait for something another process does, where there is no event to wait on."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return bool(holds())
