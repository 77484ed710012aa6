"""The Flux payloads, run by hand on the real Flux of this machine: everything they start ends with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sdk_tests
from tests.needs import need
from tests.waiting import wait_until

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


@pytest.fixture(scope="module")
def shared() -> Iterator[dict[str, str]]:
    """Return the environment of a Flux instance, as cases share it in an allocation."""
    program = ["sh", "-c", 'echo "$FLUX_URI"; exec cat']
    child = subprocess.Popen(["flux", "start", *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    yield {**os.environ, "FLUX_URI": child.stdout.readline().strip(), "FLUX_F58_FORCE_ASCII": "1"}
    child.stdin.close()
    child.wait(timeout=60)
    child.stdout.close()


@pytest.mark.needs("components")
@pytest.mark.parametrize(
    ("payload", "params"),
    [
        ("flux/bulk.py", {"jobs": 100, "failing_every": 10}),
        ("flux/dependencies.py", {}),
        ("flux/psij_jobs.py", {}),
        ("flux/parsl_apps.py", {}),
        ("psij/walltime.py", {"duration": 60}),
    ],
)
def test_a_terminated_payload_cancels_its_jobs_in_a_flux_that_it_shares(
    payload: str, params: dict[str, object], shared: dict[str, str], tmp_path: Path
) -> None:
    """Some of them have no working directory in Flux, so that nobody else can find them."""
    python = Path(need("components"), "bin", "python")
    lacking = subprocess.run(
        [python, PAYLOADS.parent / "_probe.py", "--bindings"], env=shared, capture_output=True, text=True, check=True
    )
    if lacking.stdout:
        pytest.skip(lacking.stdout.strip())

    def jobs() -> str:
        listing = ["flux", "jobs", "--no-header", "--format={id} {status} {name}"]
        return subprocess.run(listing, env=shared, capture_output=True, text=True, check=True).stdout

    scheduler = {"kind": "flux", "component_names": {"psij": "flux"}}
    given = {"scratch": str(tmp_path), "params": params, "scheduler": scheduler, "nodes": 1, "walltime": 200}
    argv = [str(python), str(PAYLOADS.parent / payload), json.dumps({**given, "limit": 200, "where": "allocation"})]
    child = subprocess.Popen(argv, env=shared, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: bool(jobs()) or child.poll() is not None)
    assert child.poll() is None, child.communicate()[1]
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 1, errors
    wait_until(lambda: jobs() == "", 30.0)
