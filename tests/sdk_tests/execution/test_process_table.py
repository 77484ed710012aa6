"""Children under a hard limit: none is lost, none outlives its case."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sdk_tests.execution import marked_processes, process_table
from sdk_tests.execution.marked_processes import MARK, kill_marked, remove_shared_memory
from tests.running import running

ROOT = Path(__file__).resolve().parents[3]


def in_a_process(source: str, folder: Path) -> str:
    """Run a script that uses ``ProcessTable`` in a process of its own: it takes over SIGCHLD and adopts orphans."""
    head = "import os, sys, time\nfrom sdk_tests.execution.process_table import ProcessTable\n"
    head += "procs, ended = ProcessTable(), {}\n"
    head += "def done(e): ended[e.key] = e\n"
    head += (
        "def spawn(key, argv, limit=20.0, mark=None):\n"
        "    procs.spawn(key, argv, os.environ, '.', limit, done, mark=mark)\n"
        "def drain():\n    while len(procs): procs.poll(1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(source)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_exit_codes_signals_and_absent_programs_are_told_apart(tmp_path: Path) -> None:
    source = """
        spawn("code", ["sh", "-c", "exit 7"])
        spawn("signal", ["sh", "-c", "kill -9 $$"])
        spawn("absent", ["/no/such/program"])
        spawn("nul", ["printf", "a\\0b"])
        drain()
        print([(k, e.ending, e.exit_code, e.signal) for k, e in sorted(ended.items())])
    """
    assert eval(in_a_process(source, tmp_path)) == [
        ("absent", "unstarted", None, None),
        ("code", "exited", 7, None),
        ("nul", "unstarted", None, None),
        ("signal", "exited", None, 9),
    ]


def test_output_is_kept_within_bounds_and_its_size_is_known(tmp_path: Path) -> None:
    source = """
        spawn("out", [sys.executable, "-c", "print('start'); print('x' * 5_000_000)"])
        spawn("err", [sys.executable, "-c", "import sys; print('y' * 5_000_000, 'end', file=sys.stderr)"])
        drain()
        out, err = ended["out"], ended["err"]
        print(out.stdout_bytes, len(out.stdout), out.stdout[:5], len(err.stderr), err.stderr[-4:])
    """
    assert in_a_process(source, tmp_path) == "5000007 1048576 b'start' 65536 b'end\\n'\n"


def test_a_limit_ends_the_whole_group_even_where_it_ignores_termination(tmp_path: Path) -> None:
    source = """
        spawn("deaf", ["sh", "-c", "trap '' TERM; echo $$; sh -c 'trap \\"\\" TERM; echo $$; sleep 54321'"], limit=0.3)
        begun = time.monotonic(); drain()
        print(ended["deaf"].ending, ended["deaf"].signal, time.monotonic() - begun < 8)
        for pid in ended["deaf"].stdout.split(): print(os.path.exists(f"/proc/{int(pid)}"))
    """
    assert in_a_process(source, tmp_path).split() == ["timeout", "9", "True", "False", "False"]


def test_daemons_that_left_the_group_are_found_by_mark_and_those_of_other_cases_are_spared(tmp_path: Path) -> None:
    source = """
        spawn("mine", ["sh", "-c", "setsid setsid sleep 54322 & sleep 54323 & sleep 0.2"], mark="run/mine")
        count = "grep -lz '^54324$' /proc/[0-9]*/cmdline | wc -l"
        spawn("other", ["sh", "-c", f"setsid sleep 54324 & sleep 1; {count}"], mark="run/other")
        while "mine" not in ended: procs.poll(1)
        print(sorted(ended["mine"].orphan_processes))
        drain()
        print(int(ended["other"].stdout), list(ended["other"].orphan_processes))
    """
    assert in_a_process(source, tmp_path) == "['sleep', 'sleep']\n1 ['sleep']\n"
    assert running("sleep 5432[234]") == []


def test_a_daemon_that_wiped_its_environment_is_found_by_the_folder_it_works_in(tmp_path: Path) -> None:
    source = """
        spawn("case", ["sh", "-c", "env -i setsid sleep 54325 & sleep 0.3"], mark="run/case")
        drain()
        print(ended["case"].orphan_processes)
    """
    source = source.replace("spawn(", "os.mkdir('scratch'); procs.spawn(").replace(
        ', mark="run/case")', ', os.environ, os.path.abspath("scratch"), 20.0, done, mark="run/case")'
    )
    assert in_a_process(source, tmp_path) == "('sleep',)\n"


def test_a_daemon_that_holds_the_output_open_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Without a mark nobody may kill it, yet its case has ended."""
    source = """
        spawn("holder", ["sh", "-c", "setsid sleep 7 & echo done"])
        begun = time.monotonic(); drain()
        print(ended["holder"].stdout, time.monotonic() - begun < 5)
    """
    assert in_a_process(source, tmp_path) == "b'done\\n' True\n"


@pytest.mark.parametrize("count", [200])
def test_every_child_is_called_back_exactly_once(tmp_path: Path, count: int) -> None:
    source = f"""
        calls = []
        for number in range({count}):
            procs.spawn(str(number), ["true"], os.environ, ".", 10, lambda e: calls.append(e.key))
        drain()
        print(len(calls), len(set(calls)))
    """
    assert in_a_process(source, tmp_path) == f"{count} {count}\n"


SHARED_MEMORY = """
import _multiprocessing, mmap, os, sys, time
kept = []
if sys.argv[1] == "case-runs":
    kept.append(_multiprocessing.SemLock(1, 1, 1, "/" + os.path.basename(sys.argv[2]) + "-semaphore", False))
for name in sys.argv[2:]:
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
    if os.fstat(descriptor).st_size == 0:
        os.ftruncate(descriptor, 4096)
    kept.append(mmap.mmap(descriptor, 4096))
open(sys.argv[1], "w").close()
time.sleep(300)
"""


@pytest.mark.parametrize("ending", ["procs.kill_all()", "procs.cancel('case'); drain()"])
def test_a_child_that_is_ended_leaves_no_shared_memory_of_its_own(tmp_path: Path, ending: str) -> None:
    """Files that are older than the child, or that another process uses too, stay."""
    prefix = f"/dev/shm/exaworks-test-{os.getpid()}-{len(ending)}-"
    source = f"""
        import pathlib, subprocess
        script = {SHARED_MEMORY!r}
        own, older, others = (pathlib.Path({prefix!r} + name) for name in ("own", "older", "others"))
        older.write_bytes(bytes(4096))
        other = subprocess.Popen([sys.executable, "-c", script, "other-runs", str(others)])
        while not os.path.exists("other-runs"):
            time.sleep(0.05)
        other_began = others.stat().st_ctime
        while time.time() < other_began + 0.1:
            time.sleep(0.02)
        spawn("case", [sys.executable, "-c", script, "case-runs", *map(str, (own, older, others))], mark="run/case#1")
        while not os.path.exists("case-runs"):
            procs.poll(0.05)
        files = (own, pathlib.Path("/dev/shm/sem." + own.name + "-semaphore"), older, others)
        before = [path.exists() for path in files]
        {ending}
        print(before, [path.exists() for path in files])
        other.kill()
    """
    try:
        assert in_a_process(source, tmp_path).strip() == "[True, True, True, True] [False, False, True, True]"
    finally:
        for path in Path("/dev/shm").glob(f"*{Path(prefix).name}*"):
            path.unlink()


def test_shared_memory_that_was_created_by_another_process_stays_while_that_process_uses_it(tmp_path: Path) -> None:
    """The file is as new as the child's own files, so only its use by the other process protects it."""
    path = Path(f"/dev/shm/exaworks-test-{os.getpid()}-used")
    other = subprocess.Popen([sys.executable, "-c", SHARED_MEMORY, str(tmp_path / "runs"), str(path)])
    try:
        while not (tmp_path / "runs").exists():
            assert other.poll() is None
        files = {path.stat().st_ino}
        remove_shared_memory(files, 0.0)
        assert path.exists()
        other.kill()
        other.wait()
        remove_shared_memory(files, path.stat().st_ctime + 1)
        assert path.exists()
        remove_shared_memory(files, 0.0)
        assert not path.exists()
    finally:
        other.kill()
        other.wait()
        path.unlink(missing_ok=True)


def test_processes_that_are_ended_by_their_mark_leave_no_shared_memory_of_their_own(tmp_path: Path) -> None:
    """Files that are older than the process stay."""
    prefix = f"exaworks-test-{os.getpid()}-marked-"
    own, older = (Path(f"/dev/shm/{prefix}{name}") for name in ("own", "older"))
    semaphore = Path(f"/dev/shm/sem.{own.name}-semaphore")
    older.write_bytes(bytes(4096))
    older_time = older.stat().st_ctime
    try:
        while time.time() < older_time + 0.1:
            time.sleep(0.02)
        argv = [sys.executable, "-c", SHARED_MEMORY, "case-runs", str(own), str(older)]
        case = subprocess.Popen(argv, cwd=tmp_path, env={**os.environ, MARK: f"{prefix}run/a/b@c#1"})
        while not (tmp_path / "case-runs").exists():
            assert case.poll() is None
            time.sleep(0.02)
        assert kill_marked(f"{prefix}run/", "/nowhere") != []
        assert [path.exists() for path in (own, semaphore, older)] == [False, False, True]
        case.wait()
    finally:
        for path in Path("/dev/shm").glob(f"*{prefix}*"):
            path.unlink()


@pytest.mark.parametrize(
    ("code", "stderr", "ending", "kills", "named"),
    [
        (-9, b"", "exited", 1, True),
        (137, b"", "exited", 1, True),
        (1, b"ManagerLost: a worker died", "exited", 2, True),
        (-9, b"", "exited", 0, False),
        (1, b"ValueError: no", "exited", 3, False),
        (0, b"one worker was killed", "exited", 3, False),
        (-9, b"", "timeout", 3, False),
    ],
)
def test_a_kill_for_lack_of_memory_is_named_if_the_kernel_counted_one(
    monkeypatch: pytest.MonkeyPatch, code: int, stderr: bytes, ending: str, kills: int, named: bool
) -> None:
    monkeypatch.setattr(process_table, "oom_kills", lambda: 5 + kills)
    child: Any = SimpleNamespace(stderr=bytearray(stderr), ending=ending, oom_kills=5)
    assert ("out of memory" in process_table._memory_kill(child, code)) == named


@pytest.mark.parametrize("clock", ["time", "clock_gettime"])
def test_the_start_of_a_process_is_right_if_this_process_waits_between_two_clocks(
    clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = time.time()
    child = subprocess.Popen(["sleep", "60"])
    after = time.time()
    waits, real = [0.5], getattr(time, clock)

    def late(*arguments: int) -> float:
        if waits:
            time.sleep(waits.pop())
        return float(real(*arguments))

    try:
        monkeypatch.setattr(time, clock, late)
        assert before - 0.1 <= marked_processes._began(child.pid) <= after
        assert waits == []
    finally:
        child.kill()
        child.wait()
