"""Tests of LSF's dialects: job sizes, and the long listing of an LSF whose bjobs has no ``-json``."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_tests.schedulers import CommandFailed, CommandResult, JobSpec, JobState
from sdk_tests.schedulers.lsf import LsfKind
from site_configs.schema import SchedulerSpec
from site_configs.values import Dialect
from tests.needs import need

ENV = {"PATH": "/nowhere", "HOME": "/home/me"}
PARAMETERS = """
 SCHEDULING PARAMETERS:
           r15s   r1m  r15m   ut      pg    io   ls    it    tmp    swp    mem
 loadSched   -     -     -     -       -     -    -     -     -      -      -
"""
RULER = "-" * 78 + "\n"
FAILED = f"""
Job <5>, Job Name <embed>, User <root>, Project <default>, Status <EXIT>, Queue
                     <normal>, Command <#!/bin/sh;#BSUB -J embed;#BSUB -n 2;ech
                     o A $LSB_JOBNAME; exit 3>
Sun Nov 29 02:35:45: Submitted from host <vm>, CWD <$HOME/a rather long folder{" "}
                     name that is wrapped>, Output File <s.out>, 2 Processors R
                     equested;
Sun Nov 29 02:35:47: Started on 2 Hosts/Processors <vm> <vm>, Execution Home </
                     root>, Execution CWD </tmp/lt>;
Sun Nov 29 02:35:50: Exited with exit code 3. The CPU time used is 0.0 seconds.

{PARAMETERS}"""
"""bjobs -l of OpenLava 2.2; the name of the folder is changed."""
EXPIRED = f"""
Job <14>, Job Name <wall>, User <root>, Project <default>, Status <EXIT>, Queue
                     <normal>, Command <sleep 100>
Sun Nov 29 02:37:48: Submitted from host <vm>, CWD </tmp/lt>, Output File <w.ou
                     t>;

 RUNLIMIT
 1.0 min of vm
Sun Nov 29 02:37:48: Started on <vm>, Execution Home </root>, Execution CWD </t
                     mp/lt>;
Sun Nov 29 02:38:49: Exited with exit code 140. The CPU time used is 0.0 second
                     s.
{PARAMETERS}"""
PENDING = f"""
Job <11>, User <root>, Project <default>, Status <PEND>, Queue <normal>, Comman
                     d <hostname; echo Job <66>, Job Name <x>>
Sun Nov 29 02:35:45: Submitted from host <vm>, CWD </tmp/lt>, Output File <p1.o
                     ut>, 2 Processors Requested, Requested Resources <span[pti
                     le=1]>;
 PENDING REASONS:
 Not enough job slot(s): 1 host;
{PARAMETERS}"""
ELEMENT = f"""
Job <7[2]>, Job Name <arr[2]>, User <root>, Project <default>, Status <RUN>, Qu
                     eue <normal>, Command <echo hi; sleep 8>
Sun Nov 29 02:35:45: Submitted from host <vm>, CWD </tmp/lt>, Output File <a.%J
                     .%I>;
Sun Nov 29 02:35:45: [2] started on <vm>, Execution Home </root>, Execution CWD
                     </tmp/lt>;
{PARAMETERS}"""
SPECTRUM = f"""
Job <8>, Job Name <ours>, Job Group </g>, User <me>, Project <default>, Status <EXIT>, Queue <normal>, Command <x>
Sun Nov 29 02:35:45: Submitted from host <login1>, CWD <$HOME>;
Sun Nov 29 02:35:46: Started 4 Task(s) on Host(s) <2*n1> <2*n2>, Allocated 4 Slot(s) on Host(s) <2*n1> <2*n2>, \
Execution Home </home/me>, Execution CWD </home/me>;
Sun Nov 29 02:35:50: Exited by signal 9. The CPU time used is 0.1 seconds;
Sun Nov 29 02:35:50: Completed <exit>; TERM_OWNER: job killed by owner.
{PARAMETERS}"""


def kind(dialect: Dialect | None = Dialect.CLASSIC, **spec: object) -> LsfKind:
    return LsfKind(SchedulerSpec(kind="lsf", dialect=dialect, **spec), ENV)  # type: ignore[arg-type]


def job(**changes: object) -> JobSpec:
    fields = {"name": "x", "script": Path("/j.sh"), "output": Path("/j.out"), "nodes": 2, "walltime": 61.0, "cores": 3}
    return JobSpec(**{**fields, **changes})  # type: ignore[arg-type]


def listing(out: str, *ids: str, code: int | None = 0, err: str = "") -> CommandResult:
    return CommandResult(("env", "LSB_NTRIES=1", "bjobs", "-a", "-l", *ids), code, out, err)


# -- the commands of each dialect -------------------------------------------------------------------------------------


def test_each_dialect_requests_the_size_of_a_job_in_its_own_way() -> None:
    lines = {dialect: " ".join(kind(dialect).submit_argv(job())) for dialect in Dialect}
    assert "-nnodes 2" in lines[Dialect.CSM]
    assert "-rn -o /j.out /j.sh" in lines[Dialect.CSM]
    for dialect in (Dialect.SLOTS, Dialect.CLASSIC):
        assert "-n 6 -R span[ptile=3]" in lines[dialect]
        assert "nnodes" not in lines[dialect]
        assert 'SCRIPT=/j.sh sh -c exec "$@" < "$SCRIPT"' in lines[dialect]
    assert "-rn" in lines[Dialect.SLOTS]
    assert "-rn" not in lines[Dialect.CLASSIC]


def test_the_requirements_of_a_site_join_the_size_in_a_single_option() -> None:
    argv = kind(directives=["-R rusage[mem=1]", "-R 'select[mem>2]'", "-M 5"], exclusive=True).submit_argv(job())
    assert argv.count("-R") == 1
    assert argv[argv.index("-R") + 1] == "rusage[mem=1] select[mem>2] span[ptile=3]"
    assert argv.count("-x") == 1
    own = kind(directives=["-R span[hosts=1]", "-x"], exclusive=True).submit_argv(job())
    assert own[own.index("-R") + 1] == "span[hosts=1]"
    assert own.count("-x") == 1


def test_only_the_classic_dialect_asks_for_the_long_listing() -> None:
    assert kind().status_argv(["7"])[-4:] == ["bjobs", "-a", "-l", "7"]
    for dialect in (Dialect.CSM, Dialect.SLOTS):
        assert "-json" in kind(dialect).status_argv(["7"])


def test_the_views_of_payloads_state_the_dialect_and_name_what_cannot_work() -> None:
    views = {dialect: kind(dialect).view(1) for dialect in Dialect}
    assert {dialect: (view["job_size"], view["json"]) for dialect, view in views.items()} == {
        Dialect.CSM: ("nodes", True),
        Dialect.SLOTS: ("slots", True),
        Dialect.CLASSIC: ("slots", False),
    }
    unable = {dialect: [kind(dialect).unable(name) for name in ("psij", "maestro", "parsl")] for dialect in Dialect}
    assert unable[Dialect.CSM] == [None, None, None]
    assert "bjobs -json" in (unable[Dialect.CLASSIC][0] or "")
    assert all("-nnodes" in (reason or "") for reason in unable[Dialect.SLOTS][:2])
    assert (unable[Dialect.SLOTS][2], unable[Dialect.CLASSIC][2]) == (None, None)


# -- the long listing -------------------------------------------------------------------------------------------------


def test_a_long_listing_states_ends_times_hosts_and_reasons() -> None:
    text = RULER.join((FAILED, EXPIRED, PENDING, ELEMENT, SPECTRUM))
    statuses = kind().parse_status(listing(text))
    assert set(statuses) == {"5", "14", "11", "7[2]", "8"}
    failed, expired, pending = statuses["5"], statuses["14"], statuses["11"]
    assert (failed.state, failed.exit_code, failed.nodes) == (JobState.FAILED, 3, ("vm",))
    assert failed.submitted is not None
    assert (failed.started, failed.ended) == (failed.submitted + 2, failed.submitted + 5)
    assert (expired.state, expired.signal) == (JobState.TIMEOUT, 12)
    assert "run limit" in (expired.reason or "")
    assert (pending.state, pending.reason) == (JobState.QUEUED, "Not enough job slot(s): 1 host")
    assert (statuses["7[2]"].state, statuses["7[2]"].nodes) == (JobState.RUNNING, ("vm",))
    assert (statuses["8"].state, statuses["8"].signal, statuses["8"].nodes) == (JobState.CANCELLED, 9, ("n1", "n2"))


def test_names_and_wrapped_folders_of_own_jobs_are_complete() -> None:
    jobs = kind().parse_own_jobs(listing(RULER.join((FAILED, PENDING, SPECTRUM))))
    assert {job_id: own.name for job_id, own in jobs.items()} == {"5": "embed", "11": "", "8": "ours"}
    assert jobs["5"].folder == "/home/me/a rather long folder name that is wrapped"
    assert jobs["8"].folder == "/home/me"


def test_a_space_that_a_line_break_of_bjobs_has_lost_is_restored(tmp_path: Path) -> None:
    folder = tmp_path / "with space" / "x"
    folder.mkdir(parents=True)
    broken = str(folder).replace("with space", "with\n" + " " * 21 + "space")
    (own,) = kind().parse_own_jobs(listing(PENDING.replace("/tmp/lt", broken))).values()
    assert own.folder == str(folder)


def test_only_jobs_that_were_asked_about_are_reported() -> None:
    assert set(kind().parse_status(listing(RULER.join((FAILED, EXPIRED)), "14"))) == {"14"}


@pytest.mark.parametrize(
    ("out", "code", "err"),
    [
        ("", 255, "Job <9> is not found\n"),
        ("", 254, "No unfinished job found\n"),
        ("", 0, ""),
        ("", 255, "No job found"),
    ],
)
def test_an_answer_that_no_job_is_known_is_an_answer(out: str, code: int, err: str) -> None:
    assert kind().parse_status(listing(out, "9", code=code, err=err)) == {}


@pytest.mark.parametrize(
    ("out", "code", "err"),
    [
        ("", 255, "batch system daemon not responding ... still trying\n"),
        ("", 255, "Job <9> is not found\nlsid: internal error\n"),
        ("Job <9>, garbled", 0, ""),
        ("", None, ""),
    ],
)
def test_any_other_answer_without_jobs_is_a_failure(out: str, code: int | None, err: str) -> None:
    with pytest.raises(CommandFailed):
        kind().parse_status(listing(out, "9", code=code, err=err))


def test_a_job_that_cannot_be_read_costs_only_its_own_row() -> None:
    broken = FAILED.replace("Status <EXIT>", "Stat").replace("<5>", "<6>")
    odd = EXPIRED.replace("Nov 29", "Xyz 99").replace("<14>", "<15>")
    assert set(kind().parse_status(listing(RULER.join((broken, odd, FAILED))))) == {"5"}


@given(st.text(alphabet=st.characters(max_codepoint=300), max_size=60), st.integers(0, 900), st.integers(0, 900))
def test_no_answer_raises_anything_but_a_failure_and_none_adds_a_job(noise: str, begin: int, end: int) -> None:
    text = RULER.join((FAILED, EXPIRED, PENDING))
    for out in (text[:begin] + noise + text[end:], noise):
        try:
            statuses = kind().parse_status(listing(out, "5", "14"))
        except CommandFailed:
            continue
        assert set(statuses) <= {"5", "14"}


# -- a real scheduler of this dialect ---------------------------------------------------------------------------------


@pytest.fixture
def openlava() -> LsfKind:
    need("openlava")
    return LsfKind(SchedulerSpec(kind="lsf"), dict(os.environ))


def run(lsf: LsfKind, argv: list[str], folder: Path) -> CommandResult:
    done = subprocess.run(argv, env=lsf.env, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return CommandResult(tuple(argv), done.returncode, done.stdout, done.stderr)


def test_openlava_is_recognised_and_runs_a_control(openlava: LsfKind, tmp_path: Path) -> None:
    assert openlava.probe().available
    assert openlava.spec.dialect is Dialect.CLASSIC
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        argv = openlava.control_argv(
            ["sh", "-c", "echo out; echo err >&2; exit 4"], job(output=folder, nodes=1, cores=1)
        )
        done = run(openlava, argv, folder)
        assert (done.exit_code, done.stdout) == (4, "out\n")
        assert done.stderr.endswith("err\n")


def test_openlava_runs_lists_and_cancels_a_job(openlava: LsfKind, tmp_path: Path) -> None:
    assert openlava.probe().available
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\nsleep 100\n")
    spec = job(name="test-ours", script=script, output=tmp_path / "out", nodes=1, cores=2)
    job_id = openlava.parse_submit(run(openlava, openlava.submit_argv(spec), tmp_path))
    own = openlava.parse_own_jobs(run(openlava, openlava.own_jobs_argv() or [], tmp_path))[job_id]
    assert (own.name, own.folder) == ("test-ours", str(tmp_path))
    run(openlava, openlava.cancel_argv([job_id]), tmp_path)
    deadline = time.monotonic() + 40
    while not (
        status := openlava.parse_status(run(openlava, openlava.status_argv([job_id]), tmp_path))[job_id]
    ).state.ended:
        assert time.monotonic() < deadline, status
        time.sleep(0.2)
    assert job_id not in openlava.parse_own_jobs(run(openlava, openlava.own_jobs_argv() or [], tmp_path))
    again = run(openlava, openlava.cancel_argv([job_id]), tmp_path)
    assert again.evidence == f"bkill: exit 255: Job <{job_id}>: Job has already finished"
