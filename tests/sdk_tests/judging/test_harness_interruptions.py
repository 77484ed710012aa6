"""Stopped at any moment: what had finished is kept, nothing is left running, and the run can be taken up again."""

from __future__ import annotations

import os
import signal
import subprocess
import textwrap
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from dashboard_client.runs import RunFolder
from dashboard_client.schema import encode
from tests.sdk_tests.bench import Bench, Came

SLEEPER = """
    import json, os, pathlib, subprocess, time
    pathlib.Path(FOLDER, "pid-" + str(os.getpid())).touch()
    subprocess.Popen(["setsid", "sleep", "SECONDS"])
    while not pathlib.Path(FOLDER, "go").exists():
        time.sleep(0.05)
    print("{}")
"""


def until(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something to become true; its absence fails the test."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def number(folder: Path) -> int:
    """How long the daemons of one test would sleep: a figure of its own, so that tests do not see each other's."""
    return 100000 + zlib.crc32(str(folder).encode()) % 900000


def sleeper(folder: Path, *first: str) -> str:
    source = textwrap.dedent(SLEEPER).replace("FOLDER", repr(str(folder))).replace("SECONDS", str(number(folder)))
    return "\n".join((*first, source))


def running(folder: Path) -> list[int]:
    """The sleepers of this test that are alive, and the daemons they started."""
    found = [int(path.name[4:]) for path in folder.glob("pid-*")]
    daemons = subprocess.run(["pgrep", "-f", f"sleep {number(folder)}$"], capture_output=True, text=True, check=False)
    return [pid for pid in [*found, *map(int, daemons.stdout.split())] if Path(f"/proc/{pid}/stat").exists()]


@pytest.fixture
def slow(bench: Bench) -> Bench:
    """A quick case, and two that wait for a file."""
    bench.case("quick")
    bench.case("slow1", sleeper(bench.folder))
    bench.case("slow2", sleeper(bench.folder))
    return bench


def begun(bench: Bench) -> RunFolder:
    """Wait until the quick case is recorded and both sleepers run; return the run."""
    until(lambda: len(list(bench.folder.glob("pid-*"))) == 2)
    until(lambda: any(p.stat().st_size for p in (bench.home / "runs").glob("*/records.jsonl")))
    return bench.came(0, "").run


def stopped(bench: Bench, process: subprocess.Popen[str]) -> Came:
    output, _ = process.communicate(timeout=60)
    return bench.came(process.returncode, output)


def outcomes(came: Came) -> dict[str, tuple[str, bool]]:
    return {
        case_id.partition("/")[2]: (record.verdict.outcome.value, record.retries.final)
        for case_id, record in came.run.effective().items()
    }


OWED = {"quick@local": ("pass", True), "slow1@local": ("error", False), "slow2@local": ("error", False)}
DONE = {"quick@local": ("pass", True), "slow1@local": ("pass", True), "slow2@local": ("pass", True)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_keeps_what_finished_owes_the_rest_and_can_be_resumed(slow: Bench, number: int) -> None:
    process = slow.start()
    begun(slow)
    os.kill(process.pid, number)
    came = stopped(slow, process)
    assert came.code == 130
    assert outcomes(came) == OWED
    assert came.verdict("python/slow1@local") == ("error", "harness", "interrupted")
    closed = came.run.manifest.closed
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


def test_a_run_that_is_stopped_as_soon_as_its_plan_is_on_disk_gives_every_planned_case_a_record(slow: Bench) -> None:
    process = slow.start()
    manifests = (slow.home / "runs").glob
    until(lambda: list(manifests("*/manifest.json")))
    os.kill(process.pid, signal.SIGTERM)
    came = stopped(slow, process)
    assert came.code == 130
    closed = came.run.manifest.closed
    assert closed is not None
    assert (closed.state, closed.missing, closed.recorded) == ("interrupted", 0, 3), came.output
    assert running(slow.folder) == []


def test_a_run_that_is_stopped_before_it_has_a_plan_is_not_taken_for_an_empty_selection(slow: Bench) -> None:
    slow.cases.append("raise KeyboardInterrupt")
    came = slow.run()
    assert came.code == 130, came.output
    assert came.folder is None


def test_a_second_signal_leaves_at_once_and_nothing_stays_behind(bench: Bench) -> None:
    deaf = sleeper(bench.folder, "import signal", "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    bench.case("quick")
    bench.case("slow1", deaf)
    bench.case("slow2", deaf)
    process = bench.start()
    begun(bench)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.3)
    at = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    came = stopped(bench, process)
    assert came.code == 130
    assert time.monotonic() - at < 2.5
    until(lambda: running(bench.folder) == [], 10)
    assert came.only("python/quick@local").verdict.outcome.value == "pass"


def test_a_killed_harness_leaves_no_process_and_loses_no_record(slow: Bench) -> None:
    process = slow.start()
    begun(slow)
    process.kill()
    process.communicate()
    until(lambda: running(slow.folder) == [], 10)
    came = slow.came(process.returncode, "")
    assert set(outcomes(came)) == {"quick@local"}
    assert came.run.manifest.closed is None

    (slow.folder / "go").touch()
    again = slow.run("--resume", came.run.path.name)
    assert again.code == 0
    assert outcomes(again) == DONE


def test_a_killed_supervisor_is_an_error_of_the_harness_and_leaves_no_process(slow: Bench) -> None:
    process = slow.start()
    begun(slow)
    found = subprocess.run(
        ["pgrep", "-P", str(process.pid), "-f", "sdk_tests.execution.supervisor"],
        capture_output=True,
        text=True,
        check=True,
    )
    os.kill(int(found.stdout), signal.SIGKILL)
    came = stopped(slow, process)
    assert came.code == 1
    assert came.verdict("python/slow1@local") == ("error", "harness", "supervisor-gone")
    assert outcomes(came)["quick@local"] == ("pass", True)
    until(lambda: running(slow.folder) == [], 10)


def test_a_hang_up_cancels_nothing(slow: Bench) -> None:
    process = slow.start()
    begun(slow)
    os.kill(process.pid, signal.SIGHUP)
    time.sleep(0.5)
    (slow.folder / "go").touch()
    came = stopped(slow, process)
    assert came.code == 0
    assert outcomes(came) == DONE


def test_stopping_at_the_first_failure_still_gives_every_planned_case_a_record(bench: Bench) -> None:
    bench.case("bad", "raise SystemExit(4)")
    bench.case("slow", "import time; time.sleep(60); print('{}')")
    at = time.monotonic()
    came = bench.run("-x")
    assert time.monotonic() - at < 30
    assert came.code == 1
    assert came.verdict("python/bad@local") == ("fail", "component", "payload-failed")
    assert came.verdict("python/slow@local") == ("error", "harness", "interrupted")
    assert not came.only("python/slow@local").retries.final
    closed = came.run.manifest.closed
    assert closed is not None
    assert (closed.state, closed.missing) == ("interrupted", 0)


def test_a_finished_run_cannot_be_resumed(bench: Bench) -> None:
    bench.case("good")
    bench.run()
    again = bench.run("--resume", "last")
    assert again.code != 0
    assert "final record of all its 1 cases" in again.output


def test_a_run_that_was_killed_after_its_last_record_is_closed_by_resuming_it(bench: Bench) -> None:
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


def test_a_full_disk_stops_the_run_with_its_name_and_keeps_what_was_stored(bench: Bench) -> None:
    """A tmpfs of a few hundred kilobytes holds the state; a payload fills it."""
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
        came = bench.run()
        assert came.code == 1
        assert came.verdict(first) == ("pass",)
        assert came.records(second) == []
        assert "No space left" in came.output or "disk is full" in came.output or "disk full" in came.output
    finally:
        subprocess.run(["umount", str(small)], check=True)
