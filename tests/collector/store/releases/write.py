"""Write a database file with the collector of an earlier release, as a fixture of the tests of migrations.

    git worktree add --detach /tmp/release COMMIT
    python tests/collector/store/releases/write.py /tmp/release tests/collector/store/releases/0008.db.gz

The server of that release receives the requests below; its command line creates the rest. With a third argument, the
URL of an empty PostgreSQL database, it writes the statements of ``pg_dump --inserts`` instead.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

TOKEN = "token-of-this-process"

START = """
import sys, importlib
from pathlib import Path
from types import SimpleNamespace
try:
    from collector.cli.main import collector
except ImportError:
    from collector.cli import collector
home = Path(sys.argv[1])
collector.main(sys.argv[2:], obj=SimpleNamespace(home=home, collector=home / "collector"), prog_name="collector")
"""

CASES = ("control/hello@slurm", "parsl/htex@slurm", "psij/hello@slurm")


def manifest(run: str, day: int, system: str = "frontier") -> dict[str, Any]:
    """Return a manifest of schema 1."""
    planned = [
        {"case_id": case, "component": case.partition("/")[0], "scheduler": "slurm", "tier": "smoke"} for case in CASES
    ]
    return {
        "schema": 1,
        "run_id": run,
        "site": "ornl",
        "system": system,
        "started": f"2026-11-{day:02d}T08:00:00Z",
        "trigger": "nightly",
        "release": "2026.11",
        "harness": {"version": "2026.11.0"},
        "selection": {"tier": "smoke"},
        "deployments": [{"name": "spack", "kind": "spack", "digest": "9c1e" * 16}],
        "stale_after": "36:00:00",
        "cadence": "24:00:00",
        "planned": planned,
    }


def record(run: str, case: str, day: int, outcome: str, system: str = "frontier") -> dict[str, Any]:
    """Return a record of schema 1 with the digest of its names as its id."""
    import hashlib

    names = json.dumps(["ornl", system, run, case, 1], separators=(",", ":"))
    verdict: dict[str, Any] = {"outcome": outcome}
    if outcome != "pass":
        verdict["cause"] = {
            "phase": "run",
            "class": "component",
            "rule": "assertion",
            "evidence": "greeting was 'Hello'",
        }
    return {
        "schema": 1,
        "record_id": hashlib.sha256(names.encode()).hexdigest(),
        "run_id": run,
        "case_id": case,
        "case": {"component": case.partition("/")[0], "tier": "smoke"},
        "context": {"site": "ornl", "system": system, "nodes": ["n1"], "harness": {"version": "2026.11.0"}},
        "stack": {"components": [{"name": case.partition("/")[0], "version": f"1.{day}"}]},
        "scheduler": {"outer": {"name": "slurm", "version": "22.05.8"}},
        "timing": {
            "started": f"2026-11-{day:02d}T08:01:00Z",
            "ended": f"2026-11-{day:02d}T08:02:00Z",
            "run": {"seconds": 60.0, "source": "harness"},
        },
        "verdict": verdict,
        "metrics": [{"name": "rate", "value": 10.0 + day, "unit": "1/s", "better": "higher"}],
        "evidence": {"output_tail": "Hello World!"},
    }


def closing(day: int, missing: int = 0) -> dict[str, Any]:
    """Return a closing of schema 1."""
    counts = {"sequence": 1, "planned": 3, "recorded": 3 - missing, "missing": missing, "counts": {}, "exit_code": 0}
    return counts | {"state": "complete", "ended": f"2026-11-{day:02d}T08:30:00Z"}


def send(url: str, path: str, body: Any) -> None:
    """Send one request to the server."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.post(url + path, json=body, headers=headers, timeout=30)
    assert answer.status_code < 300, (path, answer.text)
    assert '"rejected":[{' not in answer.text, answer.text


def fill(url: str) -> None:
    """Send runs that passed, failed, lack a case, are open, or have no manifest, and messages of an old client."""
    for day in range(10, 22):
        outcome = "fail" if day == 21 else "pass"
        run = f"night-{day}"
        send(url, "/api/v1/runs", manifest(run, day))
        reported = CASES[:2] if day == 20 else CASES
        outcomes = {CASES[1]: outcome}
        records = [record(run, case, day, outcomes.get(case, "pass")) for case in reported]
        send(url, "/api/v1/records", {"records": records})
        send(url, f"/api/v1/runs/{run}/close", closing(day, missing=3 - len(reported)))
    send(url, "/api/v1/runs", manifest("open-run", 22, system="summit"))
    send(url, "/api/v1/records", {"records": [record("open-run", CASES[0], 22, "pass", system="summit")]})
    send(url, "/api/v1/records", {"records": [record("no-manifest", CASES[0], 9, "pass", system="summit")]})
    common = {"run_id": "ci-1", "branch": "main", "cls": None, "log": "", "test_start_time": "2026-11-20T08:00:00Z"}
    for module, function, results in (
        ("_conftest", "_discover_environment", {}),
        ("test_executor", "test_simple_job", {"call": {"passed": True, "exception": None, "report": None}}),
    ):
        data = {**common, "module": module, "function": function, "test_name": function, "results": results}
        send(url, "/result", {"id": "login1.example.org", "key": "secret-of-login1", "data": data})


def main() -> None:
    """Start the server of the release, fill its database, and write the file."""
    release, target = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    database = ["--database", sys.argv[3]] if len(sys.argv) > 3 else []
    with tempfile.TemporaryDirectory() as folder:
        home, ready = Path(folder), Path(folder, "ready.json")
        environment = {**os.environ, "PYTHONPATH": str(release), "EXAWORKS_COLLECTOR_EPHEMERAL_TOKEN": TOKEN}

        def command(*arguments: str) -> list[str]:
            return [sys.executable, "-c", START, str(home), *arguments, *database]

        def run(*arguments: str, text: str | None = None) -> str:
            done = subprocess.run(
                command(*arguments),
                env=environment,
                cwd=release,
                input=text,
                check=True,
                capture_output=True,
                text=True,
            )
            return done.stdout.strip()

        server = subprocess.Popen(
            command("serve", "--port", "0", "--ready-file", str(ready)), env=environment, cwd=release
        )
        while not ready.exists():
            assert server.poll() is None
            time.sleep(0.1)
        sender = ("sender", "add", "login1.example.org", "ornl", "--system", "login1", "--key-file", "-")
        run(*sender, text="secret-of-login1")
        fill(json.loads(ready.read_text())["url"])
        token = run("token", "new", "ornl")
        run("hook", "new", "https://chat.example.org/hooks/1")
        run("site", "hide", "llnl")
        run("waiver", "add", "ornl", "parsl/*", "--reason", "known", "--until", "2099-12-31")
        server.terminate()
        server.wait()
        (key,) = home.rglob("token.key")
        if database:
            dump = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", "--dbname", sys.argv[3]]
            content = b"\n".join(
                line
                for line in subprocess.run(dump, check=True, capture_output=True).stdout.splitlines()
                if not line.startswith((b"--", b"\\")) and line
            )
        else:
            content = (home / "collector" / "collector.db").read_bytes()
        target.write_bytes(gzip.compress(content, 9, mtime=0))
        secrets = json.dumps({"token": token, "key": key.read_bytes().hex()})
        target.with_name(target.name.split(".")[0] + (".sql" if database else ".db") + ".json").write_text(
            secrets + "\n"
        )


if __name__ == "__main__":
    main()
