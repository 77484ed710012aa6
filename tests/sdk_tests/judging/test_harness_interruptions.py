"""Runs that are stopped: finished results are kept, no process stays, and the run can be resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import textwrap
import time
import zlib
from pathlib import Path

import msgspec
import pytest

from dashboard_client.runs import RunFolder
from dashboard_client.schema import encode
from sdk_tests.testbeds import processes
from tests import running as commands
from tests.sdk_tests.bench import Bench, RunResult
from tests.waiting import wait_until

SLEEPER = """
    import json, os, pathlib, subprocess, time
    pathlib.Path(FOLDER, "pid-" + str(os.getpid())).touch()
    subprocess.Popen(["setsid", "sleep", "SECONDS"])
    while not pathlib.Path(FOLDER, "go").exists():
        time.sleep(0.05)
    print("{}")
"""


def sleep_seconds(folder: Path) -> int:
    """Return the seconds that the daemons of one test sleep: unique, so that each test finds only its own daemons."""
    return 100000 + zlib.crc32(str(folder).encode()) % 900000


def sleeper(folder: Path, *first: str) -> str:
    source = (
        textwrap.dedent(SLEEPER).replace("FOLDER", repr(str(folder))).replace("SECONDS", str(sleep_seconds(folder)))
    )
    return "\n".join((*first, source))


def running(folder: Path) -> list[int]:
    """Return the ids of the sleepers of this test that are alive, and of the daemons that they started."""
    sleepers = [int(path.name[4:]) for path in folder.glob("pid-*")]
    daemons = commands.running(f"sleep {sleep_seconds(folder)}$")
    return [pid for pid in [*sleepers, *daemons] if processes.identify(pid)]


@pytest.fixture
def slow(bench: Bench) -> Bench:
    """Return a bench with a quick case and two cases that wait for a file."""
    bench.case("quick")
    bench.case("slow1", sleeper(bench.folder))
    bench.case("slow2", sleeper(bench.folder))
    return bench


def wait_for_start(bench: Bench) -> RunFolder:
    """Wait until the quick case has a record and both sleepers run; return the run."""
    wait_until(lambda: len(list(bench.folder.glob("pid-*"))) == 2)
    wait_until(lambda: any(p.stat().st_size for p in (bench.home / "runs").glob("*/records.jsonl")))
    return bench.result(0, "").run


def wait_for_end(bench: Bench, process: subprocess.Popen[str]) -> RunResult:
    output, _ = process.communicate(timeout=60)
    return bench.result(process.returncode, output)


def outcomes(result: RunResult) -> dict[str, tuple[str, bool]]:
    return {
        case_id.partition("/")[2]: (record.verdict.outcome.value, record.retries.final)
        for case_id, record in result.run.effective().items()
    }


UNFINISHED = {"quick@local": ("pass", True), "slow1@local": ("error", False), "slow2@local": ("error", False)}
DONE = {"quick@local": ("pass", True), "slow1@local": ("pass", True), "slow2@local": ("pass", True)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_keeps_finished_results_and_can_be_resumed(slow: Bench, number: int) -> None:
    process = slow.start()
    wait_for_start(slow)
    os.kill(process.pid, number)
    result = wait_for_end(slow, process)
    assert result.code == 130
    assert outcomes(result) == UNFINISHED
    assert result.verdict("python/slow1@local") == ("error", "harness", "interrupted")
    closed = result.run.manifest.closed
    assert closed is not None
    assert (closed.state, closed.missing, closed.exit_code) == ("interrupted", 0, 130)
    assert running(slow.folder) == []

    (slow.folder / "go").touch()
    again = slow.run("--resume", "last")
    assert again.code == 0
    assert outcomes(again) == DONE
    assert len(again.records("python/quick@local")) == 1
    assert [record.retries.attempt for record in again.records("python/slow1@local")] == [1, 2]
    closed = again.run.manifest.closed
    assert closed is not None
    assert (closed.sequence, closed.state) == (2, "complete")


def test_a_run_that_is_stopped_right_after_its_plan_is_written_has_a_record_of_every_planned_case(slow: Bench) -> None:
    process = slow.start()
    manifests = (slow.home / "runs").glob
    wait_until(lambda: list(manifests("*/manifest.json")))
    os.kill(process.pid, signal.SIGTERM)
    result = wait_for_end(slow, process)
    assert result.code == 130
    closed = result.run.manifest.closed
    assert closed is not None
    assert (closed.state, closed.missing, closed.recorded) == ("interrupted", 0, 3), result.output
    assert running(slow.folder) == []


def test_a_run_that_is_stopped_before_it_has_a_plan_is_not_reported_as_an_empty_selection(slow: Bench) -> None:
    slow.cases.append("raise KeyboardInterrupt")
    result = slow.run()
    assert result.code == 130, result.output
    assert result.folder is None


def test_a_second_signal_exits_at_once_and_no_process_stays(bench: Bench) -> None:
    ignoring_sigterm = sleeper(bench.folder, "import signal", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    bench.case("quick")
    bench.case("slow1", ignoring_sigterm)
    bench.case("slow2", ignoring_sigterm)
    process = bench.start()
    wait_for_start(bench)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.3)
    at = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    result = wait_for_end(bench, process)
    assert result.code == 130
    assert time.monotonic() - at < 2.5
    wait_until(lambda: running(bench.folder) == [], 10)
    assert result.only("python/quick@local").verdict.outcome.value == "pass"


def test_a_killed_harness_leaves_no_process_and_loses_no_record(slow: Bench) -> None:
    process = slow.start()
    wait_for_start(slow)
    process.kill()
    process.communicate()
    wait_until(lambda: running(slow.folder) == [], 10)
    result = slow.result(process.returncode, "")
    assert set(outcomes(result)) == {"quick@local"}
    assert result.run.manifest.closed is None

    (slow.folder / "go").touch()
    again = slow.run("--resume", result.run.path.name)
    assert again.code == 0
    assert outcomes(again) == DONE


def supervisor_of(process: subprocess.Popen[str]) -> int:
    (supervisor,) = commands.running("sdk_tests.execution.supervisor", parent=process.pid)
    return supervisor


def test_a_killed_supervisor_is_an_error_of_the_harness_and_no_process_stays(slow: Bench) -> None:
    process = slow.start()
    wait_for_start(slow)
    os.kill(supervisor_of(process), signal.SIGKILL)
    result = wait_for_end(slow, process)
    assert result.code == 1
    assert result.verdict("python/slow1@local") == ("error", "harness", "supervisor-gone")
    assert outcomes(result)["quick@local"] == ("pass", True)
    wait_until(lambda: running(slow.folder) == [], 10)


def test_resuming_a_run_ends_the_processes_of_a_session_of_which_everything_was_killed(slow: Bench) -> None:
    process = slow.start()
    wait_for_start(slow)
    supervisor = supervisor_of(process)
    os.kill(supervisor, signal.SIGSTOP)  # so that it cannot clean up between the two kills
    process.kill()
    os.kill(supervisor, signal.SIGKILL)
    process.communicate()
    orphans = running(slow.folder)
    assert len(orphans) == 4
    (slow.folder / "go").touch()
    again = slow.run("--resume", "last")
    assert again.code == 0, again.output
    assert outcomes(again) == DONE
    assert "processes that cases of this run had left" in again.output
    assert running(slow.folder) == []


def test_a_run_whose_processes_all_get_sigterm_is_interrupted_and_can_be_resumed(slow: Bench) -> None:
    process = slow.start()
    wait_for_start(slow)
    for pid in (supervisor_of(process), process.pid):
        os.kill(pid, signal.SIGTERM)
    result = wait_for_end(slow, process)
    assert result.code == 130, result.output
    assert outcomes(result) == UNFINISHED
    closed = result.run.manifest.closed
    assert closed is not None
    assert closed.state == "interrupted"
    assert running(slow.folder) == []


def test_a_hang_up_does_not_stop_the_run(slow: Bench) -> None:
    process = slow.start()
    wait_for_start(slow)
    os.kill(process.pid, signal.SIGHUP)
    time.sleep(0.5)
    (slow.folder / "go").touch()
    result = wait_for_end(slow, process)
    assert result.code == 0
    assert outcomes(result) == DONE


def test_a_run_that_stops_at_the_first_failure_has_a_record_of_every_planned_case(bench: Bench) -> None:
    bench.case("bad", "raise SystemExit(4)")
    bench.case("slow", "import time; time.sleep(60); print('{}')")
    at = time.monotonic()
    result = bench.run("-x")
    assert time.monotonic() - at < 30
    assert result.code == 1
    assert result.verdict("python/bad@local") == ("fail", "component", "payload-failed")
    assert result.verdict("python/slow@local") == ("error", "harness", "interrupted")
    assert not result.only("python/slow@local").retries.final
    closed = result.run.manifest.closed
    assert closed is not None
    assert (closed.state, closed.missing) == ("interrupted", 0)


def test_a_finished_run_cannot_be_resumed(bench: Bench) -> None:
    bench.case("good")
    bench.run()
    again = bench.run("--resume", "last")
    assert again.code != 0
    assert "final record of all its 1 cases" in again.output


def test_resuming_a_run_that_was_killed_after_its_last_record_closes_it(bench: Bench) -> None:
    bench.case("good")
    run = bench.run().run
    closed = run.manifest.closed
    assert closed is not None
    manifest = run.path / "manifest.json"
    for state in ("interrupted", None):
        end = msgspec.structs.replace(closed, state=state, exit_code=130) if state else None
        manifest.write_bytes(encode(msgspec.structs.replace(run.manifest, closed=end)))
        again = bench.run("--resume", "last")
        assert again.code == 0, again.output
        assert len(again.run.records()) == 1
        end = again.run.manifest.closed
        assert end is not None
        assert (end.state, end.exit_code, end.missing) == ("complete", 0, 0)


def test_a_full_disk_stops_the_run_with_an_error_and_keeps_the_stored_records(bench: Bench) -> None:
    """The state folder is a tmpfs of a few hundred kilobytes, which a payload fills."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    small = bench.folder / "home"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(small)], check=True)
    try:
        first = bench.case("first")
        fill = f"""
            import time
            with open({str(small / "filler")!r}, "wb") as file:
                try:
                    while True:
                        file.write(bytes(4096)); file.flush()
                except OSError:
                    pass
            print("{{}}")
        """
        second = bench.case("second", "import time; time.sleep(1.5)\n" + fill.replace("\n            ", "\n"))
        result = bench.run()
        assert result.code == 1
        assert result.verdict(first) == ("pass",)
        assert result.records(second) == []
        assert "No space left" in result.output or "disk is full" in result.output or "disk full" in result.output
    finally:
        subprocess.run(["umount", str(small)], check=True)
