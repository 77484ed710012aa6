"""Tests of the Slurm and local kinds without a scheduler: states, node lists, times, arguments."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_tests.errors import HarnessError
from sdk_tests.schedulers import CommandFailed, CommandResult, JobSpec, JobState
from sdk_tests.schedulers.hostlist import expand
from sdk_tests.schedulers.local import LocalKind
from sdk_tests.schedulers.registry import answering_schedulers, kinds
from sdk_tests.schedulers.slurm import STATES, SlurmKind, minutes
from site_configs.schema import Queue, SchedulerSpec


def slurm(**spec: object) -> SlurmKind:
    return SlurmKind(SchedulerSpec(kind="slurm", **spec), {"PATH": "/nowhere"})  # type: ignore[arg-type]


def job(**changes: object) -> JobSpec:
    fields = {"name": "x", "script": Path("/j.sh"), "output": Path("/j.out"), "nodes": 1, "walltime": 60.0}
    return JobSpec(**{**fields, **changes})  # type: ignore[arg-type]


def result(*lines: str) -> CommandResult:
    return CommandResult(("squeue",), 0, "".join(line + "\n" for line in lines), "")


def test_every_documented_state_is_known() -> None:
    # squeue(1), JOB STATE CODES, of Slurm 22.05, and those of slurm.schedmd.com/job_state_codes.html since.
    documented = """BOOT_FAIL CANCELLED COMPLETED CONFIGURING COMPLETING DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PENDING
        PREEMPTED RUNNING RESV_DEL_HOLD REQUEUE_FED REQUEUE_HOLD REQUEUED RESIZING REVOKED SIGNALING SPECIAL_EXIT
        STAGE_OUT STOPPED SUSPENDED TIMEOUT LAUNCH_FAILED POWER_UP_NODE RECONFIG_FAIL UPDATE_DB"""
    assert set(documented.split()) == set(STATES)


@pytest.mark.parametrize(
    "state", [state for state, known in STATES.items() if known in (JobState.QUEUED, JobState.RUNNING)]
)
def test_a_job_that_is_queued_or_running_has_not_ended(state: str) -> None:
    status = slurm().parse_status(result(f"7|{state}|0|1|2|3|n1|None|7|"))["7"]
    assert not status.state.ended
    assert status.ended is None


def test_a_state_of_a_later_slurm_is_unknown_and_reported_unchanged() -> None:
    status = slurm().parse_status(result("7|TELEPORTED|0|1|N/A|N/A|||7|"))["7"]
    assert (status.state, status.native_state, status.state.ended) == (JobState.UNKNOWN, "TELEPORTED", False)


def test_a_reason_may_contain_bars_spaces_and_commas() -> None:
    line = "7|PENDING|0|1700000000|N/A|N/A||Nodes required for job are DOWN, DRAINED or | reserved|7|"
    status = slurm().parse_status(result(line))["7"]
    assert status.reason == "Nodes required for job are DOWN, DRAINED or | reserved"
    assert status.submitted == 1700000000.0


def test_an_exit_code_is_parsed_in_both_notations_of_slurm() -> None:
    lines = ["1|FAILED|768|1|2|3|n1|None|1|", "2|FAILED|9|1|2|3|n1|None|2|", "3|FAILED|3:0|1|2|3|n1|None|3|"]
    lines += ["4|FAILED|0:9|1|2|3|n1|None|4|", "5|COMPLETED|0|1|2|3|n1|None|5|", "6|FAILED||1|2|3|n1|None|6|"]
    statuses = slurm().parse_status(result(*lines))
    ends = {job_id: (status.exit_code, status.signal) for job_id, status in statuses.items()}
    assert ends == {"1": (3, None), "2": (None, 9), "3": (3, None), "4": (None, 9), "5": (0, None), "6": (None, None)}


def test_a_line_that_cannot_be_read_is_a_failure() -> None:
    with pytest.raises(CommandFailed, match="cannot be read"):
        slurm().parse_status(result("7|PENDING"))


def test_a_job_id_is_found_after_the_lines_of_a_submit_filter_and_keeps_the_name_of_its_cluster() -> None:
    assert slurm().parse_submit(CommandResult(("sbatch",), 0, "Welcome, 2 jobs left\n4711\n", "")) == "4711"
    assert slurm().parse_submit(CommandResult(("sbatch",), 0, "4711;north\nbye 7\n", "")) == "4711;north"
    with pytest.raises(CommandFailed, match="printed no job id but 'Maintenance'"):
        slurm().parse_submit(CommandResult(("sbatch",), 0, "Maintenance\n", ""))
    with pytest.raises(CommandFailed, match="sbatch: did not answer in time"):
        slurm().parse_submit(CommandResult(("/usr/bin/sbatch",), None, "", ""))


@pytest.mark.parametrize(("walltime", "whole"), [(0.5, 1), (60, 1), (60.1, 2), (3600, 60)])
def test_a_walltime_is_rounded_up_to_minutes(walltime: float, whole: int) -> None:
    assert minutes(walltime) == whole


def test_a_submit_command_contains_everything_that_the_site_file_requests() -> None:
    kind = slurm(
        directives=["--constraint=cpu", "--comment 'two words'"],
        exclusive=True,
        queues=[Queue(name="debug", qos="short"), Queue(name="other", qos="long")],
    )
    argv = kind.submit_argv(job(queue="debug", account="m123", nodes=2, walltime=100.0))
    for option in ("--partition=debug", "--qos=short", "--account=m123", "--nodes=2", "--time=2", "--exclusive"):
        assert option in argv
    for option in ("--no-requeue", "--output=/j.out", "--constraint=cpu"):
        assert option in argv
    assert argv[argv.index("--comment") + 1] == "two words"
    assert "--qos=long" not in argv
    assert argv[-1] == "/j.sh"
    assert "--mincpus=6" in slurm().submit_argv(job(cores=6))


def test_missing_commands_are_named_with_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk_tests.schedulers.slurm._SBIN", ("/nowhere",))
    probe = slurm().probe()
    assert not probe.available
    assert probe.reason is not None
    assert probe.reason.startswith(
        "sbatch, squeue, scancel, srun, scontrol, sinfo: not on PATH nor in /nowhere; install "
    )


def test_a_command_that_hangs_does_not_hang_the_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk_tests.schedulers.slurm._PROBE_LIMIT", 0.2)
    for name in ("sbatch", "squeue", "scancel", "srun", "scontrol", "sinfo"):
        (tmp_path / name).write_text("#!/bin/sh\nexec /bin/sleep 30\n")
        (tmp_path / name).chmod(0o755)
    probe = SlurmKind(SchedulerSpec(kind="slurm"), {"PATH": str(tmp_path)}).probe()
    assert (probe.available, probe.reason) == (False, "scontrol: did not answer in time")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("n1", ("n1",)),
        ("n[1-3,5],login", ("n1", "n2", "n3", "n5", "login")),
        ("nid[000998-001001]", ("nid000998", "nid000999", "nid001000", "nid001001")),
        ("r[1-2]n[0-1]-ib", ("r1n0-ib", "r1n1-ib", "r2n0-ib", "r2n1-ib")),
        ("", ()),
        ("(null)", ()),
        ("None assigned", ()),
    ],
)
def test_a_node_list_is_expanded(text: str, names: tuple[str, ...]) -> None:
    assert expand(text) == names


@pytest.mark.parametrize("text", ["n[1-", "n[a-b]", "n[3-1]", "n]1[", "n[[1]]"])
def test_a_text_that_is_no_node_list_is_returned_unchanged(text: str) -> None:
    assert expand(text) == (text,)


_stem = st.from_regex(r"[a-z][a-z0-9-]{0,5}[a-z]", fullmatch=True)


@given(st.lists(st.tuples(_stem, st.sets(st.integers(0, 9999), min_size=1), st.booleans()), max_size=4))
def test_expanding_a_shortened_list_returns_the_original_names(groups: list[tuple[str, set[int], bool]]) -> None:
    names: list[str] = []
    short: list[str] = []
    for stem, numbers, padded in groups:
        width = 4 if padded else 0
        names += [f"{stem}{number:0{width}d}" for number in sorted(numbers)]
        short.append(f"{stem}[{','.join(_ranges(sorted(numbers), width))}]")
    assert expand(",".join(short)) == tuple(names)


def _ranges(numbers: list[int], width: int) -> list[str]:
    runs: list[list[int]] = []
    for number in numbers:
        # Without padding, 9-10 and 09-10 would mean the same names, so a run ends where the width increases.
        if runs and runs[-1][-1] == number - 1 and (width or len(str(runs[-1][-1])) == len(str(number))):
            runs[-1].append(number)
        else:
            runs.append([number])
    return [f"{run[0]:0{width}d}-{run[-1]:0{width}d}" if len(run) > 1 else f"{run[0]:0{width}d}" for run in runs]


@given(st.text(alphabet="ab1[]-,", max_size=12))
def test_expanding_any_text_raises_nothing(text: str) -> None:
    assert isinstance(expand(text), tuple)


def test_the_local_kind_runs_a_control_command_unchanged_and_grants_no_allocation() -> None:
    kind = LocalKind(SchedulerSpec(kind="local"), os.environ)
    assert kind.probe().available
    assert not kind.batch
    assert kind.control_argv(["true"], job()) == ["true"]
    assert subprocess.run(kind.ping_argv(), check=False).returncode == 0
    for refused in (
        lambda: kind.submit_argv(job()),
        lambda: kind.status_argv(["1"]),
        lambda: kind.cancel_argv(["1"]),
        lambda: kind.parse_submit(result()),
        lambda: kind.parse_status(result()),
    ):
        with pytest.raises(HarnessError, match="grants no allocations"):
            refused()


def test_the_kinds_are_registered_as_entry_points() -> None:
    assert {name: kinds()[name] for name in ("local", "slurm")} == {"local": LocalKind, "slurm": SlurmKind}


def test_no_scheduler_answers_on_a_machine_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdk_tests.schedulers.slurm._SBIN", ("/nowhere",))
    assert answering_schedulers({"PATH": "/nowhere"}) == []
