"""The Flux testbed: its version, and where its daemons have their temporary files."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sdk_tests.schedulers import JobSpec
from sdk_tests.schedulers.flux import FluxKind
from sdk_tests.testbeds import manage, processes
from sdk_tests.testbeds.flux import flux_version

FLUX_088 = """commands:    \t\t0.88.0
libflux-core:\t\t0.88.0
build-options:\t\t+systemd+hwloc.api==2.8.0+zmq==4.3.4
"""


@pytest.mark.parametrize(
    ("output", "version"),
    [
        (FLUX_088, "0.88.0"),
        ("commands: 0.49.0-12-gabcdef\nlibflux-core: 0.49.0\n", "0.49.0-12-gabcdef"),
        ("flux: command not found\n", None),
        ("", None),
    ],
)
def test_the_version_is_that_of_flux_core_and_not_of_a_build_option(output: str, version: str | None) -> None:
    assert flux_version(output) == version


@pytest.mark.needs("flux")
def test_the_brokers_of_a_flux_testbed_have_their_files_in_its_folder(tmp_path: Path) -> None:
    testbed = manage.up("flux", tmp_path, nodes=2, cores=2, owner_pid=os.getpid())
    try:
        env = manage.environment(testbed, dict(os.environ))
        printed = subprocess.run(["flux", "--version"], env=env, capture_output=True, text=True, check=True).stdout
        assert testbed.version == printed.split()[1]
        base = testbed.extras["base"]
        for name in ("rundir", "statedir"):
            value = subprocess.run(
                ["flux", "getattr", name], env=env, capture_output=True, text=True, check=True
            ).stdout
            assert value.startswith(f"{base}/"), (name, value)
    finally:
        manage.down(tmp_path, testbed.id)
    assert not Path(base).exists()
    assert not any(map(processes.alive, testbed.daemons))


@pytest.mark.needs("flux")
def test_the_instance_of_a_job_that_is_killed_leaves_its_files_only_in_the_testbed(tmp_path: Path) -> None:
    testbed = manage.up("flux", tmp_path, nodes=1, cores=2, owner_pid=os.getpid())
    try:
        env = manage.environment(testbed, {**os.environ, "KEPT": "yes"})
        script, output = tmp_path / "job.sh", tmp_path / "job.out"
        script.write_text("#!/bin/sh\necho $KEPT; flux getattr rundir; flux getattr broker.pid; exec sleep 300\n")
        spec = JobSpec("job", script, output, 1, 60.0, testbed.scheduler.default_queue)
        kind = FluxKind(testbed.scheduler, env)
        done = subprocess.run(kind.submit_argv(spec), env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.startswith("f")
        while not output.exists() or output.read_text().count("\n") < 3:
            time.sleep(0.05)
        kept, folder, broker = output.read_text().split()
        assert (kept, Path(folder).parent) == ("yes", Path(testbed.extras["base"]) / "tmp")
        os.kill(int(broker), signal.SIGKILL)
    finally:
        manage.down(tmp_path, testbed.id)
    assert not Path(folder).exists()
