"""Tests of the kinds for LSF, PBS, Cobalt and Flux: how they parse documented output, and the commands they return."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from sdk_tests.schedulers import (
    CommandFailed,
    CommandResult,
    JobSpec,
    JobState,
    SchedulerKind,
    cobalt,
    flux,
    lsf,
    pbs,
)
from sdk_tests.schedulers.registry import kinds
from site_configs.schema import Queue, SchedulerSpec

NOWHERE = {"PATH": "/nowhere"}


def kind(name: str, **spec: object) -> SchedulerKind:
    return kinds()[name](SchedulerSpec(kind=name, **spec), NOWHERE)  # type: ignore[arg-type]


def job(**changes: object) -> JobSpec:
    fields = {"name": "x y/1", "script": Path("/j.sh"), "output": Path("/j.out"), "nodes": 2, "walltime": 61.0}
    return JobSpec(**{**fields, **changes})  # type: ignore[arg-type]


def result(out: str, *argv: str, code: int | None = 0, err: str = "") -> CommandResult:
    return CommandResult(argv or ("status",), code, out, err)


def bjobs(**fields: str) -> CommandResult:
    row = {"JOBID": "7", "STAT": "RUN", "EXIT_CODE": "", "EXIT_REASON": "", "PEND_REASON": "", "SUSPEND_REASON": ""}
    row = {**row, "PEND_TIME": "12", "EXEC_HOST": "40*lassen1:40*lassen2", **fields}
    return result(json.dumps({"COMMAND": "bjobs", "JOBS": 1, "RECORDS": [row]}))


def qstat(**fields: object) -> CommandResult:
    attributes = {"job_state": "R", "ctime": "Tue Nov 10 12:00:00 2026", "exec_host": "x1/0*64+x2/0*64", **fields}
    return result(json.dumps({"pbs_version": "2022.1", "Jobs": {"7.pbs": attributes}}))


# -- states -----------------------------------------------------------------------------------------------------------


def test_every_documented_state_of_lsf_is_known() -> None:
    assert set(lsf.STATES) == {
        *("PEND", "PROV", "PSUSP", "RUN", "USUSP", "SSUSP", "DONE", "EXIT", "UNKWN", "WAIT", "ZOMBI")
    }


def test_every_documented_state_of_pbs_is_known() -> None:
    assert set(pbs.STATES) == set("BEFHMQRSTUWX")


def test_every_state_of_cobalts_queue_manager_is_known() -> None:
    states = "queued user_hold dep_hold dep_fail admin_hold maxrun_hold starting running killing preempting preempted"
    assert set(cobalt.STATES) == {*states.split(), "exiting", "done"}


def test_every_state_and_result_of_flux_is_known() -> None:
    assert set(flux.STATES) == {"NEW", "DEPEND", "PRIORITY", "SCHED", "RUN", "CLEANUP", "INACTIVE"}
    assert set(flux.RESULTS) == {"COMPLETED", "FAILED", "CANCELED", "TIMEOUT"}


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("", JobState.FAILED),
        ("TERM_RUNLIMIT: job killed after reaching LSF run time limit", JobState.TIMEOUT),
        ("TERM_OWNER: job killed by owner", JobState.CANCELLED),
        ("TERM_ZOMBIE: job exited while LSF was not available", JobState.NODE_FAIL),
        ("TERM_PREEMPT: job killed after preemption", JobState.PREEMPTED),
    ],
)
def test_the_exit_reason_of_lsf_states_who_ended_a_job(reason: str, state: JobState) -> None:
    status = kind("lsf").parse_status(bjobs(STAT="EXIT", EXIT_CODE="130", EXIT_REASON=reason))["7"]
    assert (status.state, status.signal, status.exit_code) == (state, 2, None)
    assert status.reason == (reason or None)


def test_a_job_on_a_host_that_lsf_has_lost_has_not_ended() -> None:
    status = kind("lsf").parse_status(bjobs(STAT="UNKWN"))["7"]
    assert (status.state, status.state.ended) == (JobState.UNKNOWN, False)


def test_lsf_reports_the_queue_wait_and_each_host_is_listed_once() -> None:
    status = kind("lsf").parse_status(bjobs())["7"]
    assert (status.queue_wait, status.nodes) == (12.0, ("lassen1", "lassen2"))
    assert kind("lsf").parse_status(bjobs(STAT="PEND", EXEC_HOST=""))["7"].queue_wait is None


@pytest.mark.parametrize(
    ("fields", "state", "code", "signal"),
    [
        ({"Exit_status": 0, "substate": 92}, JobState.DONE, 0, None),
        ({"Exit_status": 3, "substate": 93}, JobState.FAILED, 3, None),
        ({"Exit_status": 271, "substate": 91}, JobState.CANCELLED, None, 15),
        ({"Exit_status": 265, "substate": 93}, JobState.FAILED, None, 9),
        ({"Exit_status": 139, "substate": 93}, JobState.FAILED, None, 11),
        ({"Exit_status": 0, "substate": 91}, JobState.CANCELLED, 0, None),
        ({"Exit_status": -29, "substate": 93}, JobState.TIMEOUT, -29, None),
        ({"Exit_status": 271, "comment": "Job run and exceeded resource walltime"}, JobState.TIMEOUT, None, 15),
        ({"Exit_status": -4}, JobState.NODE_FAIL, -4, None),
        ({"Exit_status": -20, "substate": 93}, JobState.NODE_FAIL, -20, None),
        ({"substate": 91}, JobState.CANCELLED, None, None),
    ],
)
def test_the_exit_status_and_substate_of_pbs_state_how_a_job_ended(
    fields: dict[str, object], state: JobState, code: int | None, signal: int | None
) -> None:
    status = kind("pbs").parse_status(qstat(job_state="F", **fields))["7.pbs"]
    assert (status.state, status.exit_code, status.signal) == (state, code, signal)


def test_pbs_reports_the_times_of_submission_and_start() -> None:
    status = kind("pbs").parse_status(qstat(stime="Tue Nov 10 12:00:07 2026"))["7.pbs"]
    assert status.started is not None
    assert status.submitted is not None
    assert status.started - status.submitted == 7
    assert status.nodes == ("x1", "x2")


def test_pbs_reports_the_jobs_it_knows_although_it_fails_for_another() -> None:
    output = qstat().stdout
    mixed = result(output, code=153, err="qstat: Unknown Job Id 8.pbs\n")
    assert set(kind("pbs").parse_status(mixed)) == {"7.pbs"}
    assert set(kind("pbs").parse_status(result(output, code=111, err="qstat: Connection reset\n"))) == {"7.pbs"}
    with pytest.raises(CommandFailed, match="cannot connect"):
        kind("pbs").parse_status(result("", code=111, err="qstat: cannot connect to server pbs\n"))


def test_flux_reports_times_results_and_a_lost_node() -> None:
    statuses = kind("flux").parse_status(
        result(
            "fA1|RUN|||1700000000.25|1700000003.5||n[1-2]|||fA1\n"
            "fB2|INACTIVE|FAILED|3|1700000000|1700000001|1700000002|n1|||fB2\n"
            "fC3|INACTIVE|CANCELED||1700000000|||||cancel||fC3\n"
            "fD4|INACTIVE|TIMEOUT|142|1700000000|1700000001|1700000009|n1|timeout|resource allocation\nexpired|fD4\n"
            "fE5|INACTIVE|FAILED|-9|1700000000|1700000001|1700000009|n1|node-failure|n1 (rank 1) lost|fE5\n"
        )
    )
    assert (statuses["fA1"].state, statuses["fA1"].nodes) == (JobState.RUNNING, ("n1", "n2"))
    assert (statuses["fA1"].submitted, statuses["fA1"].started) == (1700000000.25, 1700000003.5)
    ends = {name: (status.state, status.exit_code, status.signal) for name, status in statuses.items()}
    assert ends["fB2"] == (JobState.FAILED, 3, None)
    assert ends["fC3"] == (JobState.CANCELLED, None, None)
    assert ends["fD4"] == (JobState.TIMEOUT, None, 14)
    assert ends["fE5"] == (JobState.NODE_FAIL, None, 9)


BLOCK = """JobID: 501
    State      : running
    SubmitTime : Tue Nov 10 12:00:00 2026 +0000 (UTC)
    StartTime  : Tue Nov 10 12:00:09 2026 +0000 (UTC)
    Location   : nid00001,nid00002

"""


@pytest.mark.parametrize(
    "text", ["JobID: 501\n    St\x1b[1;31m\nlost\ufffdconnection", "connection lost", "JobID: 501\n"]
)
def test_an_answer_of_cobalts_qstat_without_a_state_is_no_answer(text: str) -> None:
    with pytest.raises(CommandFailed, match="qstat: printed"):
        kind("cobalt").parse_status(result(text, "qstat", "501"))


def test_the_block_of_a_running_cobalt_job_is_parsed() -> None:
    status = kind("cobalt").parse_status(result(BLOCK, "qstat", "501"))["501"]
    assert (status.state, status.nodes) == (JobState.RUNNING, ("nid00001", "nid00002"))
    assert status.submitted is not None
    assert status.started == status.submitted + 9


@pytest.mark.parametrize(
    ("line", "state", "code"),
    [
        ("Info: task completed normally with an exit code of 0; initiating job cleanup", JobState.DONE, 0),
        ("Info: task completed normally with an exit code of 5; initiating job cleanup", JobState.FAILED, 5),
        ("Info: maximum execution time exceeded; initiating job termination", JobState.TIMEOUT, None),
        ("Info: user delete with signal SIGTERM requested by user x;", JobState.CANCELLED, None),
        ("Error: execution failure; initiating job cleanup and removal", JobState.NODE_FAIL, None),
    ],
)
def test_the_status_of_a_job_that_cobalt_has_forgotten_comes_from_its_log(
    tmp_path: Path, line: str, state: JobState, code: int | None
) -> None:
    scheduler = kind("cobalt")
    argv = scheduler.submit_argv(job(output=tmp_path / "job.out"))
    assert scheduler.parse_submit(result("501\n", *argv)) == "501"
    running = scheduler.parse_status(result(BLOCK, "qstat", "501"))["501"]
    unknown_job = result("", "qstat", "501", code=1)
    assert scheduler.parse_status(unknown_job) == {}, "a job whose log does not contain its end has vanished"
    (tmp_path / "job.cobaltlog").write_text(f"Jobid: 501\nTue Nov 10 12:01:00 2026 +0000 (UTC) {line}\n")
    status = scheduler.parse_status(unknown_job)["501"]
    assert (status.state, status.exit_code) == (state, code)
    assert (status.nodes, status.started) == (running.nodes, running.started)


# -- output that cannot be trusted ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lsf", "pbs", "cobalt", "flux"])
@pytest.mark.parametrize("out", ['{"JOBS": 1, "RECO', "lost\x1b[1;31m connection", "  7|RUN"])
def test_truncated_or_garbled_output_is_a_failure(name: str, out: str) -> None:
    with pytest.raises(CommandFailed):
        kind(name).parse_status(result(out, "status", "7"))


@pytest.mark.parametrize("name", ["lsf", "pbs", "cobalt", "flux"])
def test_a_status_command_that_hangs_is_a_failure(name: str) -> None:
    with pytest.raises(CommandFailed, match="did not answer in time"):
        kind(name).parse_status(result("", "status", "7", code=None))


# -- submission -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "out", "job_id"),
    [
        ("lsf", "Welcome to Lassen\nJob <4711> is submitted to queue <pdebug>.\n", "4711"),
        ("pbs", "Allocation: 100 node hours left\n4711.aurora-pbs-0001\n", "4711.aurora-pbs-0001"),
        ("cobalt", "Auto project set to x\n501\n", "501"),
        ("flux", "fG5XKMUb\n", "fG5XKMUb"),
    ],
)
def test_a_job_id_is_found_after_other_lines_of_the_site(name: str, out: str, job_id: str) -> None:
    assert kind(name).parse_submit(result(out, "submit")) == job_id
    with pytest.raises(CommandFailed, match="printed no job id but 'Maintenance'"):
        kind(name).parse_submit(result("Maintenance\n", "submit"))
    with pytest.raises(CommandFailed, match="no such queue"):
        kind(name).parse_submit(result("", "submit", code=1, err="no such queue\n"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lsf", ["-nnodes 2", "-W 2", "-q debug", "-P m1", "-alloc_flags smt1", "-J x-y-1"]),
        ("pbs", ["select=2:ncpus=3", "walltime=00:01:01", "-q debug", "-A m1", "-r n", "filesystems=home", "-N x-y-1"]),
        ("cobalt", ["-n 2", "-t 2", "-q debug", "-A m1", "--attrs x=1", "--jobname x-y-1"]),
        ("flux", ["--nodes=2", "--time-limit=61s", "--queue=debug", "--bank=m1", "--cores-per-slot=3"]),
    ],
)
def test_a_submit_command_contains_everything_that_the_site_file_requests(name: str, options: list[str]) -> None:
    directives = {
        "lsf": "-alloc_flags smt1",
        "pbs": "-l filesystems=home",
        "cobalt": "--attrs x=1",
        "flux": "--urgency=20",
    }
    argv = kind(name, directives=[directives[name]]).submit_argv(job(queue="debug", account="m1", cores=3))
    line = " ".join(argv)
    for text in [*options, directives[name]]:
        assert text in line
    assert argv[-1] == "/j.sh"


def test_lsf_gets_a_control_command_as_one_quoted_argument() -> None:
    command = ["python", "-c", "print('a b', \"$HOME\")", '{"x": 1}']
    argv = kind("lsf").control_argv(command, job())
    assert shlex.split(argv[-1].partition(" >/j.out/")[0]) == command


def test_a_walltime_stays_within_the_limits_of_its_queue() -> None:
    queue = Queue(name="debug", min_walltime="00:05:00", max_walltime="01:00:00")
    pbs_kind = kind("pbs", queues=[queue], default_queue="debug")
    assert [pbs_kind.walltime("debug", 1, wanted) for wanted in (60.0, 600.0, 9000.0)] == [300.0, 600.0, 3600.0]
    assert pbs_kind.walltime("elsewhere", 1, 9000.0) == 9000.0


def test_a_queue_that_is_a_qos_is_requested_as_a_qos() -> None:
    slurm = kind("slurm", queues=[Queue(name="debug", by_qos=True, qos="dbg")], default_queue="debug")
    view = slurm.view(1)
    assert (view["queue"], view["queue_name"], view["directives"]) == (None, "debug", ["--qos=dbg"])
    argv = slurm.submit_argv(job(queue="debug"))
    assert "--qos=dbg" in argv
    assert not any(word.startswith("--partition") for word in argv)


@pytest.mark.parametrize(
    ("name", "options", "queue", "lines"),
    [
        ("slurm", ["--reservation=maint"], "debug", ["--reservation=maint"]),
        ("lsf", ["-U", "maint"], "debug", ["-U maint"]),
        ("pbs", ["-q", "maint"], "maint", []),
        ("cobalt", ["-q", "maint"], "maint", []),
    ],
)
def test_the_harness_and_the_payloads_submit_to_the_reservation(
    name: str, options: list[str], queue: str, lines: list[str]
) -> None:
    for reservation in ("maint", "$SITE_RESERVATION"):
        reserved = kind(
            name, queues=[Queue(name="debug")], default_queue="debug", directives=["-x"], reservation=reservation
        )
        reserved.env["SITE_RESERVATION"] = "maint"
        for argv in (reserved.submit_argv(job(queue="debug")), reserved.control_argv(["true"], job(queue="debug"))):
            assert "-x" in argv
            assert any(argv[start : start + len(options)] == options for start in range(len(argv))), argv
        view = reserved.view(1)
        assert (view["queue"], view["queue_name"]) == (queue, "debug")
        assert (view["directives"], view["reservation"]) == (["-x", *lines], "maint")


@pytest.mark.parametrize("name", ["slurm", "lsf", "pbs", "cobalt"])
def test_a_reservation_whose_variable_is_not_set_changes_nothing(name: str) -> None:
    spec = {"queues": [Queue(name="debug")], "default_queue": "debug"}
    plain, reserved = kind(name, **spec), kind(name, **spec, reservation="$SITE_RESERVATION")
    assert reserved.submit_argv(job(queue="debug")) == plain.submit_argv(job(queue="debug"))
    assert reserved.view(2) == plain.view(2)


def test_a_place_in_the_site_file_replaces_the_place_of_the_harness() -> None:
    kinds_ = kind("pbs", exclusive=True), kind("pbs", exclusive=True, directives=["-l place=pack"])
    places = [[word for word in pbs_kind.submit_argv(job()) if "place=" in word] for pbs_kind in kinds_]
    assert places == [["place=scatter:excl"], ["place=pack"]]


@pytest.mark.parametrize(
    ("name", "ignored", "kept"),
    [
        (
            "slurm",
            "SBATCH_HOLD SBATCH_WAIT SQUEUE_STATES SCANCEL_STATE SINFO_FORMAT SACCT_FORMAT SRUN_LABEL SALLOC_PARTITION",
            "SBATCH_ACCOUNT SLURM_CONF SLURM_CLUSTERS SLURM_JWT PATH",
        ),
        ("lsf", "BSUB_QUIET BSUB_BLOCK LSB_BJOBS_FORMAT LSB_DEFAULTQUEUE", "LSF_ENVDIR LSB_DEFAULTPROJECT LSF_BINDIR"),
        ("flux", "FLUX_JOBS_FORMAT_DEFAULT FLUX_RESOURCE_LIST_FORMAT_DEFAULT", "FLUX_URI FLUX_CONF_DIR"),
        ("pbs", "", "PBS_SERVER PBS_CONF_FILE"),
    ],
)
def test_a_users_defaults_of_commands_are_ignored_and_what_names_the_scheduler_is_kept(
    name: str, ignored: str, kept: str
) -> None:
    variables = dict.fromkeys([*ignored.split(), *kept.split()], "1")
    assert sorted(kinds()[name](SchedulerSpec(kind=name), variables).env) == sorted(kept.split())
