"""A stage that a pod submits runs as a batch job of a real Slurm, and its results are those of the batch job."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.results import read_stage
from ci.stage import StageRequest
from ci.submit import Submission, batch_options, batch_script
from sdk_tests.testbeds import processes
from sdk_tests.testbeds.slurm import SlurmTestbed
from site_configs.load import load_text
from tests.ci.pipeline import EXAWORKS, LIMIT, environ
from tests.ci.test_scripts import shellcheck
from tests.ci.test_unattended import HUT

SITE = """
system: test/box
description: A machine with pods
schedulers:
  - kind: slurm
    queues: [{name: debug, max_walltime: 00:20:00}]
    default_queue: debug
    account_env: BOX_ACCOUNT
    status_interval: 0.5
    result_grace: 2
deployment: path
cadence: 24:00:00
"""
SECRETS = {"EXAWORKS_COLLECTOR_TOKEN": "s3cret", "EXAWORKS_ID_TOKEN": "s3cret", "CI_JOB_JWT": "s3cret"}


def submission(site: str, stage: str, *command: str, folder: Path = Path("/work")) -> Submission:
    system = load_text(site, "test")
    request = StageRequest(stage, system.system, command, folder / "results")
    return Submission(request, system, (stage, "--site", system.system, "--", *command), folder)


@pytest.mark.needs("shellcheck")
def test_the_batch_script_has_the_pipelines_variables_and_no_secret() -> None:
    given = {"EXAWORKS_TIER": "smoke", "EXAWORKS_CI_OPTIONS": "--case 'a b'", "TEST_ACCOUNT": "m42", **SECRETS}
    text = batch_script(submission(HUT, "smoke", "validate", "--case", "a b"), {**given, "EXAWORKS": "./exaworks"})
    assert "s3cret" not in text
    assert "export EXAWORKS_CI_OPTIONS='--case '\"'\"'a b'\"'\"''" in text
    assert "export TEST_ACCOUNT=m42" in text
    assert text.splitlines()[-1] == """exec "$EXAWORKS" ci stage smoke --site test/batch -- validate --case 'a b'"""
    assert shellcheck(text) == ""


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        ("smoke", ["-N", "1", "-t", "00:30:00", "-p", "debug", "-A", "m42"]),
        ("integration", ["-N", "2", "-t", "02:00:00", "-p", "batch", "-A", "m42"]),
        ("setup", ["-N", "1", "-t", "00:15:00", "-p", "debug", "-A", "m42"]),
    ],
)
def test_the_options_of_the_batch_job_are_those_of_the_queue(stage: str, options: list[str]) -> None:
    assert batch_options(submission(HUT, stage, "x"), {"TEST_ACCOUNT": "m42"}) == options


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    kind = SlurmTestbed()
    testbed = kind.up(tmp_path_factory.mktemp("testbed"), 1, 2, processes.identify(os.getpid()))
    try:
        extra = dict(testbed.env)
        if "PATH+" in extra:
            extra["PATH"] = os.pathsep.join((extra.pop("PATH+"), os.environ["PATH"]))
        yield extra
    finally:
        kind.down(testbed)


class Pod:
    """A folder that pod and machine share, and what a pod starts there."""

    def __init__(self, folder: Path, slurm: dict[str, str]) -> None:
        self.folder, self.home = folder, folder / "home"
        (folder / "sites" / "test").mkdir(parents=True)
        (folder / "sites" / "test" / "box.yaml").write_text(SITE)
        program = folder / "exaworks"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -m exaworks_sdk "$@"\n')
        program.chmod(0o700)
        home = {"EXAWORKS_MACHINE_HOME": str(self.home), "EXAWORKS_HOME": str(self.home / "pod")}
        # A login shell reads the files in HOME.
        own = {
            "HOME": str(folder),
            "EXAWORKS": str(program),
            "EXAWORKS_SITES": str(folder / "sites"),
            "BOX_ACCOUNT": "m42",
        }
        self.environ = environ(**slurm, **home, **own, **SECRETS)

    def start(self, stage: str, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*EXAWORKS, "ci", "submit", stage, "--site", "test/box", "--", *command],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, stage: str, *command: str) -> tuple[int, str]:
        process = self.start(stage, *command)
        output, _ = process.communicate(timeout=LIMIT)
        return process.returncode, output

    def queue(self) -> str:
        command = ["squeue", "--noheader", "--format=%i %T"]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def pod(tmp_path: Path, slurm: dict[str, str]) -> Pod:
    return Pod(tmp_path, slurm)


@pytest.mark.needs("slurm", "munge")
def test_a_stage_of_a_pod_runs_as_a_batch_job_and_its_exit_code_comes_back(pod: Pod) -> None:
    code, output = pod.run("setup", "sites", "show", "test/box")
    stage = read_stage(pod.folder / "results" / "setup")
    assert code == 0, output
    assert stage is not None
    assert (stage.state, stage.exit_code) == ("ended", 0)
    assert "system: test/box" in output, "the log of the job shows what the batch job printed"
    code, output = pod.run("setup", "sites", "show", "test/none")
    assert code == 2, output
    assert "s3cret" not in "".join(path.read_text() for path in pod.folder.glob("exaworks-*"))


@pytest.mark.needs("slurm", "munge")
def test_the_run_of_a_pods_stage_is_in_the_folder_of_the_machine(pod: Pod) -> None:
    code, output = pod.run("smoke", "validate", "--component", "control", "--tier", "smoke")
    stage = read_stage(pod.folder / "results" / "smoke")
    assert stage is not None
    (run,) = stage.runs
    assert code == stage.exit_code == 1, output
    assert "the harness itself runs inside a job of slurm" in output, "why this form has no control stage"
    assert (pod.home / "runs" / run / "manifest.json").is_file()
    assert (pod.folder / "results" / "smoke" / run / "records.jsonl").is_file()


@pytest.mark.needs("slurm", "munge")
def test_the_end_of_a_pod_cancels_its_batch_job(pod: Pod) -> None:
    process = pod.start("setup", "collector", "serve", "--port", "0", "--database", str(pod.folder / "c.db"))
    assert process.stdout is not None
    job = next(line for line in process.stdout if line.startswith("batch job ")).split()[-1]
    assert job in pod.queue()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert f"batch job {job}: cancelled" in output
    subprocess.run(["scancel", job], env=pod.environ, check=False)


@pytest.mark.needs("slurm", "munge")
def test_a_refused_job_and_a_folder_that_the_machine_does_not_see_are_named(pod: Pod, tmp_path: Path) -> None:
    pod.environ["BOX_ACCOUNT"] = ""
    code, output = pod.run("setup", "sites", "show", "test/box")
    assert code == 2
    assert "$BOX_ACCOUNT is not set" in output
    site = pod.folder / "sites" / "test" / "box.yaml"
    site.write_text(SITE.replace("name: debug", "name: nowhere").replace("queue: debug", "queue: nowhere"))
    pod.environ["BOX_ACCOUNT"] = "m42"
    code, output = pod.run("setup", "sites", "show", "test/box")
    assert code == 2
    assert "Invalid partition" in output
    assert "sbatch did not accept the batch job" in output
