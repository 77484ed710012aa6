"""The RADICAL payloads come to an end whatever happens to their pilot, say why, and leave nothing behind."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sdk_tests
from sdk_tests.integration import test_radical
from sdk_tests.model.attempt import Outcome
from tests.needs import need

FOLDER = Path(sdk_tests.__file__).parent / "payloads" / "radical"
PILOT = test_radical.test_a_pilot_runs_tasks_of_one_and_two_cores_in_its_own_job
FAILING = test_radical.test_a_task_that_exits_with_3_has_failed_with_3_and_its_sibling_passes
ENSEMBLE = test_radical.test_the_second_stage_of_each_pipeline_reads_the_files_of_its_first

LONG = {"tasks": 2, "rounds": 2_000_000_000}
"""Tasks that outlast the test."""


def below(folder: Path) -> list[tuple[int, str, str]]:
    """Return (pid, name, last part of its folder) of the processes that run below a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            where = (entry / "cwd").readlink()
            name = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if folder in (where, *where.parents):
            found.append((int(entry.name), name, where.name))
    return found


def of_session(leader: int) -> list[str]:
    """Return what still lives in the session that this process led."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = entry.read_text(encoding="utf-8").rpartition(")")
        except OSError:
            continue
        state, _, _, session = rest.split()[:4]
        if int(session) == leader and state != "Z":
            found.append(name)
    return found


def wait_for(true: Callable[[], Any], seconds: float, what: str) -> Any:
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)
    return value


# The guard by itself ------------------------------------------------------------------------------------------------

WATCHED = """import json, os, subprocess, sys
sys.path.insert(0, {folder!r})
import _guard
_guard.APPEAR = {appear}
root = {root!r}
with _guard.Guard(root, "local", limit={limit}) as guard:
    for cwd, marker in {children!r}:
        env = dict(os.environ, MARK=marker)
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        child = subprocess.Popen(["sleep", "100"], cwd=cwd, env=env, **quiet)
        print(child.pid, flush=True)
    {then}
"""


def watched(tmp_path: Path, then: str, children: list[tuple[str, str]], **rest: Any) -> tuple[Any, list[int]]:
    root = tmp_path / "rct.one"
    (root / "pilot.0000").mkdir(parents=True)
    given = {"appear": 100, "limit": 100, **rest}
    script = WATCHED.format(folder=str(FOLDER), root=str(root), children=children, then=then, **given)
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    return child, [int(line) for line in child.stdout.split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_leaving_ends_what_runs_below_the_folder_and_what_carries_it_and_nothing_beside(tmp_path: Path) -> None:
    root, beside = tmp_path / "rct.one", tmp_path / "rct.one.more"
    beside.mkdir()
    children = [(str(root / "pilot.0000"), ""), (str(tmp_path), f"{root}/home"), (str(beside), str(beside))]
    done, (inside, marked, neighbour) = watched(tmp_path, "pass", children)
    try:
        assert done.returncode == 0, done.stderr
        assert not alive(inside)
        assert not alive(marked)
        assert alive(neighbour)
    finally:
        os.kill(neighbour, signal.SIGKILL)


def test_an_agent_that_goes_ends_the_payload(tmp_path: Path) -> None:
    then = "import time; time.sleep(2.5); child.kill(); child.wait(); time.sleep(50)"
    done, _ = watched(tmp_path, then, [(str(tmp_path / "rct.one/pilot.0000"), "")])
    assert done.returncode == 1
    assert done.stderr.endswith("is ended: its agent has gone.\n")


def test_an_agent_that_may_go_ends_nothing(tmp_path: Path) -> None:
    then = "import time; time.sleep(2.5); guard.expect_the_end(); child.kill(); child.wait(); time.sleep(3)"
    done, _ = watched(tmp_path, then, [(str(tmp_path / "rct.one/pilot.0000"), "")])
    assert (done.returncode, done.stderr) == (0, "")


def test_an_agent_that_never_comes_ends_the_payload(tmp_path: Path) -> None:
    done, _ = watched(tmp_path, "import time; time.sleep(50)", [], appear=2)
    assert done.returncode == 1
    assert "neither an agent nor a batch job for it was seen" in done.stderr


def test_a_limit_holds_while_the_agent_lives_and_the_logs_are_shown(tmp_path: Path) -> None:
    pilot = tmp_path / "rct.one/pilot.0000"
    then = f"import time; open('{pilot}/bootstrap_0.err', 'w').write('no such module'); time.sleep(50)"
    done, (agent,) = watched(tmp_path, then, [(str(pilot), "")], limit=3)
    assert done.returncode == 1
    assert "no such module" in done.stderr
    assert re.search(r"is ended: not done after \d+ s", done.stderr)
    assert not alive(agent)


# With RADICAL -------------------------------------------------------------------------------------------------------


class Started:
    """A pilot payload whose tasks run and would go on for hours."""

    def __init__(self, scratch: Path, scheduler: dict[str, Any], env: dict[str, str]) -> None:
        python = Path(need("components"), "bin", "python")
        self.scratch, self.elsewhere = scratch / "scratch", scratch / "elsewhere"
        self.elsewhere.mkdir()
        given = {"params": LONG, "scratch": str(self.scratch), "cores": 2, "walltime": 280, "bin": str(python.parent)}
        argv = [str(python), str(FOLDER / "pilot.py"), json.dumps({**given, "scheduler": scheduler})]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        env = {**env, "PWD": str(self.elsewhere)}
        self.child = subprocess.Popen(argv, **pipes, cwd=self.elsewhere, env=env, start_new_session=True)  # type: ignore[call-overload]
        wait_for(self.working, 150, "the pilot's tasks run")

    def working(self) -> bool:
        assert self.child.poll() is None, self.child.communicate()[1].decode()
        return any("work.py" in name and where.startswith("task.") for _, name, where in below(self.scratch))

    def ended(self, seconds: float = 60) -> str:
        """Wait for its end and return what it said: it failed without an answer, and left nothing behind."""
        out, err = self.child.communicate(timeout=seconds)
        said: str = err.decode()
        assert (self.child.returncode, out) == (1, b""), said
        assert not below(self.scratch)
        assert not of_session(self.child.pid)
        assert not list(self.elsewhere.iterdir())
        return said


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    made: list[Started] = []

    def start(scheduler: dict[str, Any], env: dict[str, str] | None = None) -> Started:
        made.append(Started(tmp_path, scheduler, env or dict(os.environ)))
        return made[-1]

    yield start
    for each in made:
        each.child.kill()
        each.child.wait()
    for pid, _, _ in below(tmp_path):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.long
@pytest.mark.needs("components")
def test_a_payload_whose_agent_is_killed_ends_and_shows_the_agents_log(started: Callable[..., Started]) -> None:
    payload = started({"kind": "local"})
    (agent,) = [pid for pid, name, where in below(payload.scratch) if name == "rp.agent.0" and where == "pilot.0000"]
    os.kill(agent, signal.SIGKILL)
    said = payload.ended()
    assert re.search(r"is ended: (its agent has gone|became FAILED before its tasks were done)\.\n$", said)
    assert "bootstrap_0.out" in said


@pytest.mark.long
@pytest.mark.needs("components")
def test_a_payload_that_is_terminated_takes_its_agent_and_tasks_along(started: Callable[..., Started]) -> None:
    payload = started({"kind": "local"})
    payload.child.send_signal(signal.SIGTERM)
    assert payload.ended().endswith("is ended: got SIGTERM.\n")


SLURM = {"kind": "slurm", "queue": "debug", "launcher": "srun", "poll": 0.2}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A private Slurm of two nodes: the environment its commands need."""
    need("slurm", "munge")
    from sdk_tests.testbeds import manage

    home = tmp_path_factory.mktemp("home")
    testbed = manage.up("slurm", home, nodes=2, cores=4, owner_pid=os.getpid())
    try:
        yield dict(manage.environment(testbed, os.environ))
    finally:
        manage.down(home, testbed.id)


def queued(env: dict[str, str]) -> str:
    listing = ["squeue", "--noheader", "--format=%i"]
    return subprocess.run(listing, env=env, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.long
@pytest.mark.needs("components")
def test_a_payload_whose_pilot_job_is_cancelled_ends_and_leaves_no_job(
    started: Callable[..., Started], slurm: dict[str, str]
) -> None:
    payload = started(SLURM, slurm)
    subprocess.run(["scancel", queued(slurm)], env=slurm, check=True)
    said = payload.ended()
    assert re.search(r"is ended: (its agent has gone|became \w+ before its tasks were done)\.\n$", said)
    assert not queued(slurm)


@pytest.mark.slow
@pytest.mark.needs("components")
def test_two_pilots_at_once_both_satisfy_their_case_and_leave_nothing(tmp_path: Path, slurm: dict[str, str]) -> None:
    python = Path(need("components"), "bin", "python")
    (case,) = PILOT.exaworks_cases
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    children = {}
    for scheduler in ({"kind": "local"}, SLURM):
        scratch = tmp_path / str(scheduler["kind"])
        scratch.mkdir()
        given = {"params": dict(case.params), "scratch": str(scratch), "cores": case.cores, "bin": str(python.parent)}
        request = json.dumps({**given, "walltime": case.walltime, "scheduler": scheduler})
        children[str(scheduler["kind"])] = subprocess.Popen(
            [str(python), str(FOLDER / case.payload.rpartition("/")[2]), request],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=scratch,
            env={**slurm, "PWD": str(elsewhere)},
            start_new_session=True,
        )
    for kind, child in children.items():
        out, err = child.communicate(timeout=case.walltime)
        assert child.returncode == 0, err.decode()
        PILOT(Outcome(case, case.case_id(kind), kind, json.loads(out), 0, params=dict(case.params)))
        assert not of_session(child.pid)
    assert not below(tmp_path)
    assert not list(elsewhere.iterdir())
    assert not queued(slurm)


# The judges ---------------------------------------------------------------------------------------------------------


def judge(function: Any, answer: dict[str, Any], **params: Any) -> None:
    (case,) = function.exaworks_cases
    nodes = ("n1", "n2")
    function(Outcome(case, case.case_id("slurm"), "slurm", answer, 0, nodes=nodes, params={**case.params, **params}))


def pilot_answer() -> dict[str, Any]:
    """Four tasks that ran one after the other, each with one derivation of its value."""
    tasks = []
    for number in range(4):
        uid, argument, cores = f"task.{number:06}", f"argument-{number}", 1 + number % 2
        value = hashlib.pbkdf2_hmac("sha256", uid.encode(), argument.encode(), 1).hex()
        own = {"uid": uid, "value": value, "host": "login", "node": "n1", "job_id": "7", "step_cpus": str(cores)}
        task = {"uid": uid, "state": "DONE", "exit_code": 0, "stderr": "", "argument": argument, "written": value}
        times = {"began": float(number), "ended": number + 0.5}
        tasks.append({**task, "cores_asked": cores, "cores_given": [list(range(cores))], "own": {**own, **times}})
    job = {"id": "7", "state": "RUNNING", "nodes": "n1"}
    return {"host": "login", "pilot": {"state": "PMGR_ACTIVE", "cores": 2, "jobs": [job]}, "tasks": tasks}


def test_the_judge_of_the_pilot_accepts_a_run_as_it_should_be() -> None:
    judge(PILOT, pilot_answer(), tasks=4, rounds=1)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tasks", 1, "state"), "FAILED"),
        (("tasks", 1, "exit_code"), None),
        (("tasks", 1, "written"), None),
        (("tasks", 1, "own", "value"), "0" * 64),
        (("tasks", 1, "uid"), "task.000002"),
        (("tasks", 1, "cores_given"), [[0]]),
        (("tasks", 1, "cores_given"), [[0, 0]]),
        (("tasks", 1, "cores_given"), [[1, 2]]),
        (("tasks", 1, "own", "began"), 0.2),
        (("tasks", 1, "own", "node"), "n2"),
        (("tasks", 1, "own", "job_id"), None),
        (("tasks", 1, "own", "step_cpus"), "1"),
        (("pilot", "state"), "DONE"),
        (("pilot", "jobs"), []),
        (("pilot", "jobs", 0, "state"), "PENDING"),
        (("pilot", "jobs", 0, "id"), "8"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_the_judge_of_the_pilot_refuses(path: tuple[Any, ...], value: Any) -> None:
    answer = pilot_answer()
    place: Any = answer
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises((AssertionError, ValueError)):
        judge(PILOT, answer, tasks=4, rounds=1)


def test_the_judge_of_the_failing_task_wants_its_own_exit_code() -> None:
    passing = {"state": "DONE", "exit_code": 0, "stdout": "42", "stderr": ""}
    failing = {"state": "FAILED", "exit_code": 3, "stdout": "", "stderr": "wrong"}
    judge(FAILING, {"failing": failing, "passing": passing})
    for broken in ({"exit_code": 1}, {"state": "DONE"}, {"stderr": ""}):
        with pytest.raises(AssertionError):
            judge(FAILING, {"failing": {**failing, **broken}, "passing": passing})


def ensemble_answer() -> dict[str, Any]:
    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    value = digest(digest("member-0-left") + digest("member-0-right"))
    done = {"state": "DONE"}
    stages = [{"name": "first", **done, "tasks": [done, done]}, {"name": "second", **done, "tasks": [done]}]
    pipeline = {"name": "member0", **done, "stages": stages, "joined": [value, "3.5", "1.0", "2.0"]}
    return {"jobs": [{"id": "7", "state": "RUNNING", "nodes": "n1"}], "pipelines": [pipeline]}


def test_the_judge_of_the_ensemble_wants_each_second_stage_after_its_first_and_from_its_files() -> None:
    judge(ENSEMBLE, ensemble_answer(), members=1)
    broken = ensemble_answer()
    broken["pipelines"][0]["joined"][1] = "1.5"
    with pytest.raises(AssertionError):
        judge(ENSEMBLE, broken, members=1)
    broken = ensemble_answer()
    broken["pipelines"][0]["joined"][0] = "0" * 64
    with pytest.raises(AssertionError):
        judge(ENSEMBLE, broken, members=1)
    broken = ensemble_answer()
    broken["pipelines"][0]["stages"][1]["tasks"] = [{"state": "FAILED"}]
    with pytest.raises(AssertionError):
        judge(ENSEMBLE, broken, members=1)
    with pytest.raises(AssertionError):
        judge(ENSEMBLE, {**ensemble_answer(), "jobs": [{"id": "7", "state": "PENDING", "nodes": ""}]}, members=1)
