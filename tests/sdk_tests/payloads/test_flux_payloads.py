"""The Flux payloads, run by hand on the real Flux of this machine: everything they start ends with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import sdk_tests

pytestmark = pytest.mark.needs("flux")

PAYLOADS = Path(sdk_tests.__file__).parent / "payloads" / "flux"


def processes_in(folder: Path) -> list[str]:
    """Return the names of the processes whose working directory is this folder; brokers are among them."""
    names = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder:
                names.append((entry / "comm").read_text().strip())
        except OSError:
            continue
    return names


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"the condition is not met after {seconds:.0f} s"
        time.sleep(0.05)


def test_a_payload_starts_its_own_instance_even_if_its_caller_is_in_another_one(tmp_path: Path) -> None:
    given = json.dumps({"scratch": str(tmp_path), "params": {"brokers": 2}})
    environ = {**os.environ, "FLUX_URI": "local:///no/such/instance", "FLUX_JOB_ID": "1"}
    argv = [sys.executable, str(PAYLOADS / "instance.py"), given]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["size"], answer["tasks"]) == (2, ["0 of 2", "1 of 2"])
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_instance_ends_with_the_payload_that_started_it(number: int, tmp_path: Path) -> None:
    given = json.dumps({"scratch": str(tmp_path), "params": {"tasks": 10, "probes": 1000}})
    argv = [sys.executable, str(PAYLOADS / "throughput.py"), given]
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: (tmp_path / "probe0.out").exists())
    assert "flux-broker" in " ".join(processes_in(tmp_path))
    child.send_signal(number)
    child.wait(timeout=60)
    wait_until(lambda: processes_in(tmp_path) == [])
