"""Flux's payloads by hand, on the real Flux of this machine: what they start ends with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sdk_tests

pytestmark = pytest.mark.needs("flux")

PAYLOADS = Path(sdk_tests.__file__).parent / "payloads" / "flux"


def at_work_in(folder: Path) -> list[str]:
    """Return the processes whose working directory is this folder, a broker's among them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder:
                found.append((entry / "comm").read_text().strip())
        except OSError:
            continue
    return found


def until(what: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    assert callable(what)
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_a_payload_starts_an_instance_of_its_own_whatever_its_caller_is_in(tmp_path: Path) -> None:
    given = json.dumps({"scratch": str(tmp_path), "params": {"brokers": 2}})
    environ = {**os.environ, "FLUX_URI": "local:///no/such/instance", "FLUX_JOB_ID": "1"}
    argv = [sys.executable, str(PAYLOADS / "instance.py"), given]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["size"], answer["tasks"]) == (2, ["0 of 2", "1 of 2"])
    assert at_work_in(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_instance_ends_with_the_payload_that_started_it(number: int, tmp_path: Path) -> None:
    given = json.dumps({"scratch": str(tmp_path), "params": {"tasks": 10, "probes": 1000}})
    argv = [sys.executable, str(PAYLOADS / "throughput.py"), given]
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: (tmp_path / "probe0.out").exists())
    assert "flux-broker" in " ".join(at_work_in(tmp_path))
    child.send_signal(number)
    child.wait(timeout=60)
    until(lambda: at_work_in(tmp_path) == [])
