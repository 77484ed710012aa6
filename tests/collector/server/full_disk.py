"""A collector on a disk that becomes full: run in a mount namespace of its own, it prints what happened as JSON.

unshare --mount sh -c 'mount -t tmpfs -o size=48m tmpfs "$1" && exec python full_disk.py "$1"' sh FOLDER
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.collector.process import Collector, environment, wait_until
from tests.collector.samples import CASES, manifest, record


def main(folder: Path) -> dict[str, Any]:
    """Fill the disk beside the database, and try everything; then free the space and try again."""
    home = folder / "home"
    home.mkdir()
    served = Collector(home)
    seen: dict[str, Any] = {"ready": served.get("/readyz").status_code}
    output = "x" * 200_000
    for number in range(8):
        day = f"2024-01-{number + 10}"
        served.open(manifest(f"old-{number}", started=f"{day}T08:00:00Z"))
        served.add(record(f"old-{number}", CASES[0], output=output, at=f"{day}T08:01:"))
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        block = b"x" * 4096
        try:
            while True:
                ballast.write(block)
        except OSError:
            pass
    refused = next(
        answer
        for number in range(2000)
        if (answer := served.add(record(f"new-{number}", CASES[0], output=output))).status_code != 200
    )
    seen["upload"] = [refused.status_code, refused.json()["type"], refused.json()["detail"]]
    seen["alive"] = served.get("/healthz").status_code
    wait_until(lambda: served.get("/readyz").status_code != 200)  # the answer is kept for a moment
    not_ready = served.get("/readyz")
    seen["not ready"] = [not_ready.status_code, not_ready.json()["type"], not_ready.json()["detail"]]
    seen["page"] = served.get("/api/v1/runs").status_code
    seen["prune"] = tool(home, "prune", "--bodies-days", "90")
    seen["export"] = tool(home, "export", "--to", str(folder / "out"))
    seen["token"] = tool(home, "token", "new", "ornl")
    (folder / "ballast").unlink()
    seen["prune with room"] = tool(home, "prune", "--bodies-days", "90")
    seen["verify"] = tool(home, "verify")
    seen["upload with room"] = served.add(record("after", CASES[0])).status_code
    served.stop()
    return seen


def tool(home: Path, *arguments: str) -> list[Any]:
    """Run a command in a process of its own, as an administrator does; return its exit code and its last words."""
    import subprocess

    from tests.collector.process import command

    done = subprocess.run(
        command(home, *arguments), env=environment(), capture_output=True, text=True, timeout=120, check=False
    )
    return [done.returncode, (done.stderr or done.stdout)[-600:]]


if __name__ == "__main__":
    os.chdir("/")
    print(json.dumps(main(Path(sys.argv[1]))))
