"""Tests of what the emulated LSF has in common with a real one, as measured with OpenLava 2.2."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sdk_tests.emulators.lsf import REPORT_DELAY
from sdk_tests.schedulers import JobState
from sdk_tests.schedulers.lsf import LsfKind
from sdk_tests.testbeds import manage
from site_configs.values import Dialect
from tests.sdk_tests.emulators.conftest import Cluster, bring_up
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def lsf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a testbed with the emulated LSF."""
    folder = tmp_path_factory.mktemp("lsf")
    started = bring_up("lsf", folder)
    yield started
    manage.down(folder, started.testbed.id)


def test_lsf_writes_its_report_before_the_output_and_after_the_end_of_bsub(lsf: Cluster) -> None:
    report = lsf.folder / "late.out"
    began = time.monotonic()
    done = lsf.run("bsub", "-K", "-o", str(report), "echo printed; exit 4")
    there = report.exists()
    assert not there or time.monotonic() - began > REPORT_DELAY
    assert done.exit_code == 4
    wait_until(report.exists)
    text = report.read_text()
    assert text.startswith("Sender: LSF System")
    assert "Exited with exit code 4." in text
    assert text.endswith("The output (if any) follows:\n\nprinted\n")


@pytest.mark.parametrize(
    ("arguments", "script", "message"),
    [
        (["-x", "true"], None, "debug: Queue does not accept EXCLUSIVE jobs. Job not submitted."),
        (["-R", "span[foo", "true"], None, "Bad resource requirement syntax. Job not submitted."),
        (["-R", "nonsense", "true"], None, "Bad resource requirement syntax. Job not submitted."),
        (["-R", "span[tile=2]", "true"], None, "Bad resource requirement syntax. Job not submitted."),
        ([""], None, "Empty job. Job not submitted."),
        ([], "#!/bin/sh\n#BSUB -n 1\n\n", "No command is specified in the script file. Job not submitted."),
        (["-J", "a[3-1]", "true"], None, "Bad job name. Job not submitted."),
        (["-n", "0", "true"], None, "The number of processors must be a positive integer. Job not submitted."),
    ],
)
def test_lsf_refuses_what_the_real_one_refuses(
    lsf: Cluster, arguments: list[str], script: str | None, message: str
) -> None:
    done = lsf.run("bsub", *arguments, text=script)
    assert done.exit_code != 0
    assert message in done.stderr


@pytest.mark.parametrize(
    "requirement",
    ["span[ptile=2]", "select[mem>1 && type==any] span[hosts=1]", "rusage[mem=1]", "mem > 10 && ut < 0.5"],
)
def test_lsf_accepts_valid_resource_requirements_and_limits(lsf: Cluster, requirement: str) -> None:
    done = lsf.run("bsub", "-n", "1,2", "-R", requirement, "-c", "10", "-sp", "1", "-o", "/dev/null", "true")
    assert lsf.ended(lsf.kind.parse_submit(done)).state is JobState.DONE


def test_each_element_of_an_array_of_lsf_is_a_job(lsf: Cluster) -> None:
    output = f"{lsf.folder}/array.%J.%I"
    done = lsf.run(
        "bsub", "-J", "many[1-5:2,8]", "-o", output, 'echo "$LSB_JOBID $LSB_JOBINDEX $LSB_JOBNAME"; sleep 300'
    )
    array = lsf.kind.parse_submit(done)
    listing = lsf.run("bjobs", "-o", "jobid job_name", "-noheader", array).stdout.split()
    assert listing == [word for index in (1, 3, 5, 8) for word in (array, f"many[{index}]")]
    assert lsf.run("bkill", f"{array}[3]").exit_code == 0
    wait_until(lambda: lsf.run("bjobs", "-noheader", "-o", "stat", f"{array}[3]").stdout.strip() == "EXIT")
    assert lsf.run("bkill", array).stdout == f"Job <{array}> is being terminated\n"
    wait_until(lambda: "RUN" not in lsf.run("bjobs", array).stdout)
    again = lsf.run("bkill", array)
    assert (again.exit_code, again.stderr) == (255, f"Job <{array}>: Job has already finished\n")
    printed = Path(output.replace("%J", array).replace("%I", "5"))
    wait_until(printed.exists)
    assert printed.read_text().endswith(f"\n{array} 5 many[1-5:2,8]\n")


def test_a_control_whose_files_are_late_is_waited_for_and_one_that_is_refused_is_not(lsf: Cluster) -> None:
    folder = lsf.folder / "slow"
    folder.mkdir()
    slow = "sleep 1; mv"  # the folder shows the files a second after the program has ended
    job = lsf.job("")
    spec = type(job)(job.name, folder, folder, 1, 60.0, job.queue)
    argv = [word.replace("mv ", f"{slow} ") for word in lsf.kind.control_argv(["sh", "-c", "echo x; exit 3"], spec)]
    done = lsf.run(*argv)
    assert (done.exit_code, done.stdout) == (3, "x\n")
    refused = type(job)(job.name, folder / "no", folder / "no", 1, 60.0, "nowhere")
    done = lsf.run(*lsf.kind.control_argv(["true"], refused), limit=8.0)
    assert (done.exit_code, done.stdout) == (255, "")
    assert done.evidence == "bsub: exit 255: nowhere: No such queue. Job not submitted."


@pytest.fixture
def slots(lsf: Cluster) -> LsfKind:
    """Return the kind for an LSF that counts job slots, as most do: without the Cluster System Manager."""
    return LsfKind(msgspec.structs.replace(lsf.kind.spec, dialect=Dialect.SLOTS), lsf.kind.env)


def test_an_lsf_without_csm_gives_each_node_of_a_job_its_slots(lsf: Cluster, slots: LsfKind) -> None:
    job = lsf.job("echo $LSB_MCPU_HOSTS; sleep 1", nodes=2, cores=3)
    argv = slots.submit_argv(job)
    assert "-nnodes" not in argv
    job_id = slots.parse_submit(lsf.run(*argv))
    status = lsf.ended(job_id)
    assert (status.state, len(set(status.nodes))) == (JobState.DONE, 2)
    first, second = status.nodes
    assert lsf.output(job).split() == [first, "3", second, "3"]


def test_an_lsf_without_csm_runs_a_control_on_one_slot(lsf: Cluster, slots: LsfKind) -> None:
    folder = lsf.folder / "control-slots"
    job = lsf.job("", queue=lsf.testbed.scheduler.default_queue)
    spec = type(job)(job.name, folder, folder, 1, 60.0, job.queue)
    done = lsf.run(*slots.control_argv(["sh", "-c", "echo $LSB_DJOB_NUMPROC; exit 4"], spec))
    assert (done.exit_code, done.stdout) == (4, "1\n")
