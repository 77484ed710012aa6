"""PSI/J: jobs submitted, followed, redirected, cancelled and attached to, through the scheduler itself."""

from __future__ import annotations

from typing import Any

import pytest

from sdk_tests.model.attempt import Outcome
from sdk_tests.model.case import EVERY, case

OVERWRITTEN: list[list[Any]] = [[], [["FAILED", 137]]]
"""What PSI/J 0.9.11 may say after CANCELED on ``local``.

It kills a job's children before the launcher's shell, which now and then reaches its own exit first; that 137 then
overwrites the end. Seen in 4 of 5 cancels with a slow ``date``, which the launcher calls; whoever waits for the job is
told CANCELED all the same.
"""


UPSTREAM = "https://github.com/ExaWorks/psij-python/blob/0.9.11/src"
"""Where psij's code stands that a known failure is about."""

NO_WALLTIME = {
    "cobalt": "psij 0.9.11 leaves the walltime of a Cobalt job empty, which Cobalt's qsub refuses: "
    f"{UPSTREAM}/psij/executors/batch/cobalt/cobalt.mustache#L17"
}

NOTHING_HANDED_ON = {
    "flux": "psij 0.9.11's executor for Flux hands on neither a job's environment nor its directory: "
    f"{UPSTREAM}/psij/executors/flux.py#L147"
}

UNCANCELLED = {
    "pbs": "psij 0.9.11 takes only a job that died of SIGKILL for cancelled; qdel sends SIGTERM first: "
    f"{UPSTREAM}/psij/executors/batch/pbs_base.py#L136",
}


CANCELLING = ("local", "slurm", "flux", "pbs", "cobalt")
"""Not LSF: psij 0.9.11 cannot read what bjobs says once a job was ended by somebody, and waits for it for ever."""


def ended(outcome: Outcome, state: str, exit_code: int | None) -> dict[str, Any]:
    """Assert how PSI/J says the job ended, and that it has a native id; return the answer."""
    answer = outcome.answer
    assert answer["state"] == state, answer["message"]
    if outcome.scheduler == "flux" and exit_code == 0:
        exit_code = None  # psij 0.9.11's executor for Flux tells no exit code of 0
    assert answer["exit_code"] == exit_code
    assert answer["native_id"].split(".")[0].strip("[]").isalnum()
    return answer


@case(
    payload="psij/hello.py",
    component="psij",
    schedulers=EVERY,
    where="login",
    jobs=1,
    tier="smoke",
    walltime=120,
    broken_on=NO_WALLTIME,
)
def test_a_job_runs_on_a_node_and_knows_its_id(outcome: Outcome) -> None:
    answer = ended(outcome, "COMPLETED", 0)
    assert answer["greeting"] == "Hello World!"
    assert not outcome.nodes or answer["node"] in outcome.nodes
    if outcome.scheduler != "local":
        assert answer["job_id"] == answer["native_id"]


@case(
    payload="psij/redirect.py",
    component="psij",
    where="login",
    jobs=1,
    walltime=120,
    params={
        "arguments": ["two words", "$HOME", "it's", 'a "quote"', "*", "back\\slash", ""],
        "variable": "of two words; and $HOME",
        "stdin": "first line\nsecond line, with an umlaut: ü\n",
    },
    broken_on={**NO_WALLTIME, **NOTHING_HANDED_ON},
)
def test_arguments_environment_and_streams_reach_a_job_unchanged(outcome: Outcome) -> None:
    answer = ended(outcome, "COMPLETED", 0)
    assert {key: answer[key] for key in ("arguments", "variable", "stdin")} == outcome.params
    assert answer["in_directory"]
    assert answer["stderr"] == "this is stderr\n"


@case(
    payload="psij/exit_code.py",
    component="psij",
    where="login",
    jobs=1,
    walltime=120,
    params={"code": 7},
    broken_on=NO_WALLTIME,
)
def test_a_job_that_exits_with_7_has_failed_with_7(outcome: Outcome) -> None:
    assert ended(outcome, "FAILED", 7)["file"] == "ran"


@case(
    payload="psij/cancel_running.py",
    component="psij",
    schedulers=CANCELLING,
    where="login",
    jobs=1,
    walltime=120,
    broken_on={**NO_WALLTIME, **UNCANCELLED},
)
def test_a_running_job_that_is_cancelled_stops_working(outcome: Outcome) -> None:
    answer = ended(outcome, "CANCELED", None)
    assert answer["before"] == "ACTIVE"
    assert answer["steps"] > 0, "the job had not begun to work"
    assert answer["stopped"], "the job is told cancelled and still writes"
    heard, later = answer["heard"][:3], answer["heard"][3:]
    assert [state for state, _ in heard] == ["QUEUED", "ACTIVE", "CANCELED"]
    assert later in (OVERWRITTEN if outcome.scheduler == "local" else [[]]), "CANCELED was followed by another state"


@case(payload="psij/cancel_queued.py", component="psij", schedulers=("slurm",), where="login", jobs=1, walltime=120)
def test_a_queued_job_that_is_cancelled_never_runs(outcome: Outcome) -> None:
    answer = ended(outcome, "CANCELED", None)
    assert (answer["before"], answer["native_before"]) == ("QUEUED", "PENDING")
    assert answer["native_after"].startswith("CANCELLED")
    assert not answer["ran"]


@case(
    payload="psij/walltime.py",
    component="psij",
    schedulers=("slurm", "flux", "pbs", "cobalt"),
    where="login",
    jobs=1,
    walltime=300,
    params={"duration": 60},
    broken_on=NO_WALLTIME,
)
def test_a_job_that_outlives_its_duration_is_ended_and_failed(outcome: Outcome) -> None:
    answer = outcome.answer
    assert answer["state"] == "FAILED"
    if outcome.scheduler == "slurm":
        assert "time limit" in answer["message"]
    assert answer["lasted"] > outcome.params["duration"] / 2, "ended long before its time was up"
    assert not answer["ended_by_itself"]


@case(
    payload="psij/multi_node.py",
    component="psij",
    schedulers=("slurm", "lsf"),
    where="login",
    jobs=1,
    nodes=2,
    walltime=120,
    broken_on={
        "lsf": "psij 0.9.11 has its launcher for jsrun under the name of jrun: "
        f"{UPSTREAM}/psij-descriptors/jsrun_descriptor.py#L5"
    },
)
def test_the_sites_launcher_puts_one_process_on_each_node(outcome: Outcome) -> None:
    answer = ended(outcome, "COMPLETED", 0)
    processes = answer["processes"]
    assert len(processes) == len({each["node"] for each in processes}) == outcome.case.nodes
    assert not outcome.nodes or {each["node"] for each in processes} <= set(outcome.nodes)
    assert {each["job_id"] for each in processes} == {answer["native_id"]}


@case(
    payload="psij/bulk.py",
    component="psij",
    where="login",
    jobs=50,
    walltime=180,
    params={"count": 50, "failing_every": 10},
    broken_on=NO_WALLTIME,
)
def test_fifty_jobs_each_pass_through_their_states_in_legal_order(outcome: Outcome) -> None:
    jobs = outcome.answer["jobs"]
    assert [each["square"] for each in jobs] == [number * number for number in range(outcome.params["count"])]
    assert len({each["native_id"] for each in jobs}) == len(jobs)
    for number, each in enumerate(jobs):
        fails = (number + 1) % outcome.params["failing_every"] == 0
        # PSI/J infers from a completed job that it was active; a failed one may have been too quick for its polls
        legal = [["QUEUED", "ACTIVE", "FAILED"], ["QUEUED", "FAILED"]] if fails else [["QUEUED", "ACTIVE", "COMPLETED"]]
        assert each["states"] in legal, f"job {number}"
        good = None if outcome.scheduler == "flux" else 0  # see ended()
        assert each["exit_code"] == (3 if fails else good), f"job {number}"


@case(payload="psij/attach.py", component="psij", where="login", jobs=1, walltime=120, broken_on=NO_WALLTIME)
def test_a_second_executor_follows_a_job_by_its_native_id(outcome: Outcome) -> None:
    answer = ended(outcome, "COMPLETED", 0)
    assert answer["before"] == "ACTIVE"
    assert answer["file"] == "done"


@case(
    payload="psij/attach.py",
    component="psij",
    name="attach_failing",
    schedulers=("slurm", "flux", "pbs", "lsf", "cobalt"),
    where="login",
    jobs=1,
    walltime=120,
    params={"code": 7},
    broken_on=NO_WALLTIME,
)
def test_a_second_executor_learns_the_exit_code_of_a_job_it_did_not_submit(outcome: Outcome) -> None:
    """Not on ``local``, where PSI/J documents that an attached job always ends with 0."""
    answer = ended(outcome, "FAILED", 7)
    assert answer["before"] == "ACTIVE"


@case(
    payload="psij/hello.py",
    component="psij",
    variants={"executor=pbs_classic": {"executor": "pbs_classic"}},
    schedulers=("pbs",),
    where="login",
    jobs=1,
    walltime=120,
)
def test_a_job_runs_through_the_executor_for_classic_pbs(outcome: Outcome) -> None:
    test_a_job_runs_on_a_node_and_knows_its_id(outcome)


@case(
    payload="psij/exit_code.py",
    component="psij",
    variants={"executor=pbs_classic": {"executor": "pbs_classic"}},
    schedulers=("pbs",),
    where="login",
    jobs=1,
    walltime=120,
    params={"code": 7},
)
def test_a_job_that_exits_with_7_has_failed_with_7_for_classic_pbs_too(outcome: Outcome) -> None:
    assert ended(outcome, "FAILED", 7)["file"] == "ran"


@case(
    payload="psij/serialize.py",
    component="psij",
    where="login",
    jobs=1,
    walltime=120,
    params={"arguments": ["two words", "$HOME", "it's", "ü"], "word": "a 'word' and $HOME"},
    broken_on={**NO_WALLTIME, **NOTHING_HANDED_ON},
)
def test_a_specification_read_back_from_json_equals_the_first_and_runs(outcome: Outcome) -> None:
    assert outcome.answer["differ"] == []
    answer = ended(outcome, "COMPLETED", 0)
    assert {key: answer[key] for key in ("arguments", "word")} == outcome.params
    assert answer["in_directory"]


@case(
    payload="psij/serialize.py",
    component="psij",
    name="serialize_duration",
    schedulers=("local",),
    where="login",
    walltime=60,
    params={"duration": 300},
    xfail="psij 0.9.11 writes a duration as '300.0 s' and reads back none: 0 s; its own default of 10 minutes alone "
    f"survives, since it is left out: {UPSTREAM}/psij/job_attributes.py#L149",
)
def test_a_duration_survives_being_written_as_json(outcome: Outcome) -> None:
    assert outcome.answer["durations"] == [outcome.params["duration"]] * 2


def started(outcome: Outcome) -> list[dict[str, Any]]:
    """Assert that a launcher's job ended well and its failing twin did not; return what its processes said."""
    if "absent" in outcome.answer:
        pytest.skip(outcome.answer["absent"])
    failing = outcome.answer["failing"]
    assert (failing["state"], failing["exit_code"]) == ("FAILED", 1)
    answer = outcome.answer
    assert (answer["state"], answer["exit_code"]) == ("COMPLETED", 0), answer["message"]
    processes: list[dict[str, Any]] = answer["processes"]
    assert len({each["pid"] for each in processes}) == len(processes)
    assert {each["slots"] for each in processes} == {outcome.params["processes"]}
    return processes


@case(
    payload="psij/launcher.py",
    component="psij",
    variants={"launcher=single": {"launcher": "single"}},
    walltime=120,
    params={"processes": 2},
)
def test_the_launcher_single_starts_one_process_whatever_was_asked_for(outcome: Outcome) -> None:
    assert len(started(outcome)) == 1


@case(
    payload="psij/launcher.py",
    component="psij",
    variants={"launcher=multiple": {"launcher": "multiple"}, "launcher=mpirun": {"launcher": "mpirun"}},
    cores=2,
    walltime=120,
    params={"processes": 2},
)
def test_a_launcher_of_several_processes_starts_each_with_its_own_number(outcome: Outcome) -> None:
    processes = started(outcome)
    first = 1 if outcome.params["launcher"] == "multiple" else 0
    assert sorted(int(each["rank"]) for each in processes) == [first, first + 1]


@case(
    payload="psij/launcher.py",
    component="psij",
    variants={"launcher=srun": {"launcher": "srun"}},
    schedulers=("slurm",),
    where="login",
    jobs=1,
    walltime=120,
    params={"processes": 2},
)
def test_the_launcher_srun_starts_each_process_with_its_own_rank(outcome: Outcome) -> None:
    """In a job of PSI/J's own: the launcher leaves the number of processes to srun, which takes the allocation's."""
    assert sorted(int(each["rank"]) for each in started(outcome)) == [0, 1]
