"""A real collector process for the tests, and the requests that they send to it."""

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


def command(home: Path, *arguments: str) -> list[str]:
    """Return the command line of ``exaworks collector`` with the given home."""
    return [sys.executable, "-c", START, str(home), *arguments]


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which Python finds this project and no proxy is set."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def tool(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the collector to its end; ``serve`` in a process, the others in this process to save time."""
    if arguments[0] == "serve":
        return subprocess.run(command(home, *arguments), env=environment(), capture_output=True, text=True, timeout=60)
    places = SimpleNamespace(home=home, collector=home / "collector")
    done = CliRunner().invoke(collector, arguments, obj=places, prog_name="exaworks collector", catch_exceptions=False)
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


class Collector:
    """A collector process. After ``stop``, ``start`` starts it again with the same home."""

    def __init__(self, home: Path, *arguments: str, token: str | None = TOKEN) -> None:
        self.home = home
        self.arguments = arguments
        self.session = requests.Session()
        self.session.trust_env = False
        self.token = token
        self.start()

    def start(self) -> None:
        ready = self.home / "ready.json"
        ready.unlink(missing_ok=True)
        options = ["--port", "0", "--ready-file", str(ready), "--exit-with", str(os.getpid()), *self.arguments]
        more = {"EXAWORKS_COLLECTOR_EPHEMERAL_TOKEN": self.token} if self.token else {}
        self.process = subprocess.Popen(
            command(self.home, "serve", *options),
            env=environment(**more),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        printed = ""
        while "collector at http" not in printed:
            printed += self._line(printed)
        self.url: str = json.loads(ready.read_text())["url"]

    def _line(self, printed: str) -> str:
        assert self.process.stderr is not None
        readable, _, _ = select.select([self.process.stderr], [], [], 30)
        line = self.process.stderr.readline().decode() if readable else ""
        if not line:
            self.process.kill()
            raise AssertionError(f"the collector did not start: {printed}{self.process.communicate()[1].decode()}")
        return line

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it with a signal and return its exit code."""
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
        defaults = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.post(self.url + path, data=body, headers=defaults | sent, timeout=60)

    def open(self, manifest: Manifest, **more: Any) -> requests.Response:
        return self.post("/api/v1/runs", encode(manifest), **more)

    def add(self, *records: Record, **more: Any) -> requests.Response:
        return self.post("/api/v1/records", batch(records), **more)

    def close(self, run_id: str, closing: Closing, **more: Any) -> requests.Response:
        return self.post(f"/api/v1/runs/{run_id}/close", encode(closing), **more)


def batch(records: Iterable[Record]) -> bytes:
    """Return the body of a request that adds records."""
    return b'{"records":[' + b",".join(encode(record) for record in records) + b"]}"


def raw_batch(*records: Any) -> bytes:
    """Return the body of a request that adds any values, valid or not."""
    return msgspec.json.encode({"records": list(records)})


def wait_until(condition: Any, seconds: float = 10.0) -> bool:
    """Wait until a condition on another process is true; return whether it became true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())
