"""Progress reports a run on a terminal and in a CI log, and never stops the run."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import msgspec
import pytest

from dashboard_client.schema import Cause, CauseClass, Diagnosis, Outcome, Phase
from sdk_tests.model.attempt import Judgement
from sdk_tests.report.live import elapsed
from sdk_tests.report.progress import GATHERED, HEARTBEAT, Progress
from tests.sdk_tests.report.examples import HOSTILE, RUN, manifest, record

ROOT = Path(__file__).resolve().parents[3]
MARK = "<<end of output>>"
IDS = ["psij/a@slurm", "psij/b@slurm", "parsl/a@slurm"]


@dataclass
class Clock:
    """A clock that the test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Terminal:
    """A real pseudo-terminal: output to ``stream`` is read from the other end."""

    stream: TextIO
    master: int

    def read(self) -> str:
        """Return the output since the last call; a mark shows where it ends."""
        self.stream.write(MARK)
        self.stream.flush()
        output = b""
        while not output.endswith(MARK.encode()):
            ready, _, _ = select.select([self.master], [], [], 10)
            assert ready, f"no further output after {output!r}"
            output += os.read(self.master, 65536)
        return output.decode().removesuffix(MARK)

    def hang_up(self) -> None:
        os.close(self.master)
        self.master = -1


def open_terminal(encoding: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding=encoding) as stream:
        terminal = Terminal(stream, master)
        yield terminal
        if terminal.master >= 0:
            terminal.hang_up()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    yield from open_terminal("utf-8")


@pytest.fixture
def ascii_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    yield from open_terminal("ascii")


def lines(stream: io.StringIO) -> list[str]:
    """Return the lines of the output without the time of day at their start."""
    output = stream.getvalue().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\dZ ", line) for line in output)
    return [line[10:] for line in output]


def judgement(outcome: Outcome, rule: str, evidence: str) -> Judgement:
    return Judgement(outcome, Cause(phase=Phase.PLAN, cls=CauseClass.SITE, rule=rule, evidence=evidence))


def test_a_verbose_log_has_one_line_per_record_with_the_cause() -> None:
    stream = io.StringIO()
    progress = Progress(stream, verbose=True)
    progress.planned(manifest(IDS), {IDS[1]: judgement(Outcome.SKIP, "not-deployed", "no psij")})
    for what in ("submitted", "queued", "started", "finished"):
        progress.event("psij/a@slurm", what)
    progress.recorded(record("psij/a@slurm"), 1, 3)
    progress.recorded(record("parsl/a@slurm", "fail"), 2, 3)
    progress.finish()
    assert lines(stream) == [
        f"run {RUN} on local/workstation: 3 cases planned, 1 decided without a run, 2 to run",
        "[1/3] pass  psij/a@slurm (queued 2.5 s, run 1.2 s)",
        "[2/3] FAIL  parsl/a@slurm (queued 2.5 s, run 1.2 s): component: "
        "assert outcome.answer['blocks'] == 2: the payload answered 1",
    ]


def test_what_cannot_run_is_summarised_by_reason_before_the_run_and_not_shown_again() -> None:
    ids = ["psij/a@local", "psij/a@slurm", "psij/b@slurm", "swift-t/a@local", "parsl/a@local"]
    absent = judgement(Outcome.SKIP, "scheduler-absent", "slurmctld: not on PATH; install slurm-wlm")
    prejudged = {
        "psij/a@slurm": absent,
        "psij/b@slurm": absent,
        "swift-t/a@local": judgement(Outcome.SKIP, "not-deployed", "no `swift-t` on PATH of deployment release"),
        "parsl/a@local": judgement(Outcome.FAIL, "promised-absent", "no parsl, although release 1 promises parsl"),
    }
    stream = io.StringIO()
    progress = Progress(stream)
    progress.planned(manifest(ids), prejudged)
    for done, case_id in enumerate(prejudged, 1):
        outcome = "fail" if case_id.startswith("parsl") else "skip"
        progress.recorded(record(case_id, outcome), done, len(ids))
    progress.recorded(record("psij/a@local"), 5, 5)
    progress.finish()
    assert lines(stream) == [
        f"run {RUN} on local/workstation: 1 of 5 cases to run here",
        "promised and missing, which fails the run:",
        "  Parsl     1 case  no parsl, although release 1 promises parsl",
        "not here, so not tested (`exaworks validate --list` shows each case):",
        "  Slurm      2 cases  install slurm-wlm",
        "  Swift/T     1 case  no `swift-t` on PATH (`exaworks install` builds it)",
        "[1/1] pass  psij/a@local",
    ]


def test_passes_that_follow_each_other_share_a_line_and_a_failure_comes_after_those_before_it() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, clock=clock)
    ids = [f"psij/case-{number:02d}@local" for number in range(8)]
    progress.planned(manifest(ids), {})
    for number, case_id in enumerate(ids[:6], 1):
        progress.recorded(record(case_id), number, 8)
    progress.recorded(record(ids[6], "fail"), 7, 8)
    progress.recorded(record(ids[7]), 8, 8)
    output = lines(stream)[1:]
    assert [line.partition("] ")[2][:4] for line in output] == ["pass", "pass", "FAIL", "pass"]
    assert re.findall(r"psij/case-\d\d@local", "\n".join(output)) == ids


def test_a_pass_does_not_wait_for_others_for_long() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, clock=clock)
    progress.planned(manifest(IDS), {})
    progress.recorded(record("psij/a@slurm"), 1, 3)
    clock.now += GATHERED - 1
    progress.tick()
    assert len(lines(stream)) == 1
    clock.now += 1
    progress.tick()
    assert lines(stream)[1:] == ["[1/3] pass  psij/a@slurm"]
    progress.recorded(record("psij/b@slurm"), 2, 3)
    progress.finish()
    assert lines(stream)[2:] == ["[2/3] pass  psij/b@slurm"]


def test_the_pass_of_a_control_case_is_shown_at_once() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.planned(manifest(["control/hello@slurm", *IDS]), {})
    progress.recorded(record("control/hello@slurm"), 1, 4)
    assert lines(stream)[1:] == ["[1/4] pass  control/hello@slurm"]


def test_of_the_cases_that_one_finding_blocks_only_the_first_is_shown() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.planned(manifest(IDS), {})
    for done, case_id in enumerate(IDS, 1):
        finding = Diagnosis(title="parsl does not start", cause_key="abc", blocked_by="parsl does not start")
        blocked = msgspec.structs.replace(record(case_id, "fail"), diagnosis=finding)
        progress.recorded(blocked, done, 3)
    assert [line for line in lines(stream) if "FAIL" in line] == [line for line in lines(stream) if IDS[0] in line]


def test_retries_and_notes_are_printed_and_an_attempt_that_is_not_final_is_marked() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.event("psij/a@slurm", "retry", "node failure, attempt 2 of 2")
    progress.event("", "note", "slurm answers again")
    progress.event("psij/b@slurm", "relaunch", "its allocation was not healthy")
    progress.recorded(record("psij/a@slurm", "infra", final=False), 0, 3)
    progress.recorded(record("psij/a@slurm", attempt=2), 1, 3)
    progress.finish()
    output = lines(stream)
    assert output[:3] == [
        "retry psij/a@slurm node failure, attempt 2 of 2",
        "slurm answers again",
        "relaunch psij/b@slurm its allocation was not healthy",
    ]
    assert output[3].startswith("[0/3] INFRA psij/a@slurm")
    assert output[3].endswith("(not final)")
    assert output[4] == "[1/3] pass  psij/a@slurm"


def test_a_line_is_printed_every_two_minutes_while_cases_are_unfinished() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, clock=clock)
    progress.planned(manifest(["psij/a@slurm"]), {})
    progress.event("psij/a@slurm", "started")
    for _ in range(400):
        clock.now += 1
        progress.tick(clock.now)
    beats = lines(stream)[1:]
    assert len(beats) == 400 // int(HEARTBEAT)
    assert beats[0] == "[0/1] still running: 1 running (psij/a@slurm running for 120 s)"
    progress.recorded(record("psij/a@slurm"), 1, 1)
    clock.now += 1000
    progress.tick(clock.now)
    assert len(lines(stream)) == 5


def test_the_line_is_printed_too_while_all_jobs_are_queued() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(stream, clock=clock)
    progress.planned(manifest(IDS), {})
    progress.event(IDS[0], "queued")
    progress.event(IDS[1], "queued")
    clock.now += HEARTBEAT
    progress.tick()
    assert lines(stream)[-1].startswith("[0/3] still running: 2 queued (psij/a@slurm queued for 120 s;")


def test_a_terminal_shows_active_cases_with_times_counts_and_failures(terminal: Terminal) -> None:
    clock = Clock()
    progress = Progress(terminal.stream, clock=clock)
    progress.planned(manifest(IDS), {})
    progress.event("psij/a@slurm", "started")
    progress.event("psij/b@slurm", "queued")
    clock.now += 75
    progress.recorded(record("parsl/a@slurm", "fail"), 1, 3)
    terminal.read()
    progress.tick(clock.now)
    frame = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.read())
    assert re.search(r"FAIL +parsl/a@slurm .*component: assert", frame)
    assert re.search(r"1:15 +running +psij/a@slurm\s+1:15 +queued +psij/b@slurm", frame)
    assert re.search(r"\[########\.+\] 1/3  1:15  1 FAIL", frame)
    progress.finish()


def test_the_display_is_removed_by_finish_and_the_cursor_stays_visible(terminal: Terminal) -> None:
    progress = Progress(terminal.stream)
    progress.planned(manifest(IDS), {})
    progress.event("psij/a@slurm", "started")
    progress.finish()
    progress.finish()
    output = terminal.read()
    assert output.index("\x1b[?25l") < output.index("\x1b[?25h") < output.index("[...")
    assert "\x1b[2K" in output.split("[....")[-1], "the lines of the display are erased"
    progress.tick(1e9)
    progress.event("psij/a@slurm", "started")
    terminal.stream.write("after\n")
    terminal.stream.flush()
    assert terminal.read() == "after\r\n"


def test_more_cases_than_rows_are_counted_and_nothing_is_wider_than_the_terminal(terminal: Terminal) -> None:
    progress = Progress(terminal.stream)
    progress.planned(manifest([f"psij/{'x' * 300}{number}@slurm" for number in range(30)]), {})
    for number in range(30):
        progress.event(f"psij/{'x' * 300}{number}@slurm", "started")
    progress.tick()
    frame = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.read())
    assert "and 22 more active" in frame
    assert max(map(len, re.split(r"[\r\n]+", frame))) < 100
    progress.finish()


@pytest.mark.parametrize("plain", [True, False])
def test_a_terminal_that_hangs_up_does_not_stop_the_run(terminal: Terminal, plain: bool) -> None:
    progress = Progress(terminal.stream, plain=plain)
    progress.planned(manifest(IDS), {})
    terminal.hang_up()
    progress.event("psij/a@slurm", "note", "still here")
    progress.recorded(record("psij/a@slurm"), 1, 3)
    progress.tick(1e9)
    progress.finish()
    terminal.stream.write("later output is discarded and does not fail\n")
    terminal.stream.flush()


@pytest.mark.parametrize("plain", [True, False, None])
def test_a_closed_or_absent_stream_does_not_stop_the_run(plain: bool | None) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        progress = Progress(stream, plain=plain)
        progress.planned(manifest(IDS), {})
        progress.recorded(record("psij/a@slurm"), 1, 3)
        progress.tick(1e9)
        progress.finish()


def test_a_reader_that_closes_the_pipe_changes_neither_the_exit_code_nor_stderr() -> None:
    program = (
        "import sys\n"
        "from sdk_tests.report.progress import Progress\n"
        "from tests.sdk_tests.report.examples import manifest, record\n"
        "progress = Progress(sys.stdout)\n"
        "sys.stdin.readline()\n"
        "progress.planned(manifest(['psij/a@slurm']), {})\n"
        "progress.recorded(record('psij/a@slurm'), 1, 1)\n"
        "progress.finish()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, stderr = process.communicate("go\n", timeout=60)
    assert (process.returncode, stderr) == (0, "")


def test_an_ascii_terminal_gets_escapes_instead_of_an_error(ascii_terminal: Terminal) -> None:
    for plain in (True, False):
        progress = Progress(ascii_terminal.stream, plain=plain)
        progress.event("psij/µ→@slurm", "started")
        progress.recorded(record("psij/µ→@slurm", "fail"), 1, 3)
        progress.tick(1e9)
        assert "psij/\\xb5\\u2192@slurm" in ascii_terminal.read()
        progress.finish()


def test_hostile_names_cannot_control_the_terminal(terminal: Terminal) -> None:
    for plain in (True, False):
        progress = Progress(terminal.stream, plain=plain)
        progress.event(f"psij/{HOSTILE}@slurm", "started", HOSTILE)
        progress.event("psij/a@slurm", "note", HOSTILE)
        progress.recorded(record(f"psij/{HOSTILE}@slurm", "fail"), 1, 3)
        progress.tick(1e9)
        progress.finish()
    output = terminal.read()
    assert "owned" not in output
    assert not set(output) & {"\x07", "\x08", "\x00", "\x9b", "\u202e"}


def test_a_dumb_terminal_gets_lines(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    progress = Progress(terminal.stream)
    progress.recorded(record("psij/a@slurm"), 1, 1)
    assert "\x1b" not in terminal.read()


def test_rich_jinja2_and_tabulate_are_imported_only_where_they_are_used() -> None:
    program = (
        "import sys, io, sdk_tests.report as report\n"
        "report.Progress(io.StringIO()).tick()\n"
        "print(sorted({'rich', 'jinja2', 'tabulate', 'markupsafe'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-1, "0 s"), (7.9, "7 s"), (60, "1:00"), (185, "3:05"), (3723, "1:02:03")]
)
def test_elapsed_time_is_written_like_a_clock(seconds: float, expected: str) -> None:
    assert elapsed(seconds) == expected
