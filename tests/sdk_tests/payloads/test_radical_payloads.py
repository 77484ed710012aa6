"""The RADICAL payloads end whatever happens to their pilot, report the reason, and leave no process or job."""

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
from sdk_tests import Outcome
from sdk_tests.integration import test_radical
from tests.needs import need

FOLDER = Path(sdk_tests.__file__).parent / "payloads" / "radical"
PILOT = test_radical.test_a_pilot_runs_tasks_of_one_and_two_cores_in_its_own_job
FAILING = test_radical.test_a_task_that_exits_with_3_fails_with_exit_code_3_and_another_task_passes
ENSEMBLE = test_radical.test_the_second_stage_of_each_pipeline_reads_the_files_of_its_first

LONG = {"tasks": 2, "rounds": 2_000_000_000}
"""Tasks that take longer than the test."""


def below(folder: Path) -> list[tuple[int, str, str]]:
    """Return (pid, command line, name of its folder) of the processes that run below a folder."""
    processes = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            where = (entry / "cwd").readlink()
            name = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if folder in (where, *where.parents):
            processes.append((int(entry.name), name, where.name))
    return processes


def session_members(leader: int) -> list[str]:
    """Return the processes that still run in the session of this leader."""
    names = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = entry.read_text(encoding="utf-8").rpartition(")")
        except OSError:
            continue
        state, _, _, session = rest.split()[:4]
        if int(session) == leader and state != "Z":
            names.append(name)
    return names


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)
    return value


# The guard alone ----------------------------------------------------------------------------------------------------

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


def test_on_exit_the_guard_ends_all_processes_of_its_folder_and_no_others(tmp_path: Path) -> None:
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


def test_the_payload_ends_when_its_agent_ends(tmp_path: Path) -> None:
    then = "import time; time.sleep(2.5); child.kill(); child.wait(); time.sleep(50)"
    done, _ = watched(tmp_path, then, [(str(tmp_path / "rct.one/pilot.0000"), "")])
    assert done.returncode == 1
    assert done.stderr.endswith(": its agent has ended.\n")


def test_the_payload_continues_when_an_expected_end_of_its_agent_comes(tmp_path: Path) -> None:
    then = "import time; time.sleep(2.5); guard.expect_end(); child.kill(); child.wait(); time.sleep(3)"
    done, _ = watched(tmp_path, then, [(str(tmp_path / "rct.one/pilot.0000"), "")])
    assert (done.returncode, done.stderr) == (0, "")


def test_the_payload_ends_when_no_agent_appears(tmp_path: Path) -> None:
    done, _ = watched(tmp_path, "import time; time.sleep(50)", [], appear=2)
    assert done.returncode == 1
    assert "neither an agent nor a batch job for it appeared" in done.stderr


def test_the_time_limit_ends_a_payload_with_a_live_agent_and_the_logs_are_shown(tmp_path: Path) -> None:
    pilot = tmp_path / "rct.one/pilot.0000"
    then = f"import time; open('{pilot}/bootstrap_0.err', 'w').write('no such module'); time.sleep(50)"
    done, (agent,) = watched(tmp_path, then, [(str(pilot), "")], limit=3)
    assert done.returncode == 1
    assert "no such module" in done.stderr
    assert re.search(r": not done after \d+ s", done.stderr)
    assert not alive(agent)


# With RADICAL -------------------------------------------------------------------------------------------------------


class Started:
    """A pilot payload whose tasks run and would continue for hours."""

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
        """Wait for its end and return its stderr: it failed without an answer, and left no process and no file."""
        out, err = self.child.communicate(timeout=seconds)
        output: str = err.decode()
        assert (self.child.returncode, out) == (1, b""), output
        assert not below(self.scratch)
        assert not session_members(self.child.pid)
        assert not list(self.elsewhere.iterdir())
        return output


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    payloads: list[Started] = []

    def start(scheduler: dict[str, Any], env: dict[str, str] | None = None) -> Started:
        payloads.append(Started(tmp_path, scheduler, env or dict(os.environ)))
        return payloads[-1]

    yield start
    for each in payloads:
        each.child.kill()
        each.child.wait()
    for pid, _, _ in below(tmp_path):
        os.kill(pid, signal.SIGKILL)


def node_names(env: dict[str, str]) -> tuple[str, ...]:
    listing = ["sinfo", "--noheader", "--Node", "--format=%N"]
    return tuple(subprocess.run(listing, env=env, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.long
@pytest.mark.needs("components")
def test_a_payload_whose_agent_is_killed_ends_and_shows_the_agents_log(started: Callable[..., Started]) -> None:
    payload = started({"kind": "local"})
    (agent,) = [pid for pid, name, where in below(payload.scratch) if name == "rp.agent.0" and where == "pilot.0000"]
    os.kill(agent, signal.SIGKILL)
    output = payload.ended()
    assert re.search(r": (its agent has ended|became FAILED before its tasks were done)\.\n$", output)
    assert "bootstrap_0.out" in output


@pytest.mark.long
@pytest.mark.needs("components")
def test_a_terminated_payload_ends_its_agent_and_its_tasks(started: Callable[..., Started]) -> None:
    payload = started({"kind": "local"})
    payload.child.send_signal(signal.SIGTERM)
    assert payload.ended().endswith(": received SIGTERM.\n")


SLURM = {"kind": "slurm", "queue": "debug", "launcher": "srun", "poll": 0.2}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yield the environment of a private Slurm with two nodes."""
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
def test_a_payload_ends_and_leaves_no_job_when_the_job_of_its_pilot_is_cancelled(
    started: Callable[..., Started], slurm: dict[str, str]
) -> None:
    payload = started(SLURM, slurm)
    subprocess.run(["scancel", queued(slurm)], env=slurm, check=True)
    output = payload.ended()
    assert re.search(r": (its agent has ended|became \w+ before its tasks were done)\.\n$", output)
    assert not queued(slurm)


@pytest.mark.slow
@pytest.mark.needs("components")
def test_two_pilots_at_once_both_satisfy_their_case_and_clean_up(tmp_path: Path, slurm: dict[str, str]) -> None:
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
        nodes = node_names(slurm) if kind == "slurm" else ()
        PILOT(Outcome(case, case.case_id(kind), kind, json.loads(out), 0, nodes=nodes, params=dict(case.params)))
        assert not session_members(child.pid)
    assert not below(tmp_path)
    assert not list(elsewhere.iterdir())
    assert not queued(slurm)


# The judges ---------------------------------------------------------------------------------------------------------


def judge(function: Any, answer: dict[str, Any], **params: Any) -> None:
    (case,) = function.exaworks_cases
    nodes = ("n1", "n2")
    function(Outcome(case, case.case_id("slurm"), "slurm", answer, 0, nodes=nodes, params={**case.params, **params}))


def pilot_answer() -> dict[str, Any]:
    """Return the answer with four tasks that ran one after the other and computed their values in one round."""
    tasks = []
    for number in range(4):
        uid, argument, cores = f"task.{number:06}", f"argument-{number}", 1 + number % 2
        value = hashlib.pbkdf2_hmac("sha256", uid.encode(), argument.encode(), 1).hex()
        output = {"uid": uid, "value": value, "host": "login", "node": "n1", "job_id": "7", "step_cpus": str(cores)}
        task = {"uid": uid, "state": "DONE", "exit_code": 0, "stderr": "", "argument": argument, "written": value}
        times = {"began": float(number), "ended": number + 0.5}
        tasks.append(
            {**task, "cores_requested": cores, "cores_assigned": [list(range(cores))], "output": {**output, **times}}
        )
    job = {"id": "7", "state": "RUNNING", "nodes": "n1"}
    return {"host": "login", "pilot": {"state": "PMGR_ACTIVE", "cores": 2, "jobs": [job]}, "tasks": tasks}


def test_the_judge_of_the_pilot_accepts_a_correct_answer() -> None:
    judge(PILOT, pilot_answer(), tasks=4, rounds=1)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tasks", 1, "state"), "FAILED"),
        (("tasks", 1, "exit_code"), None),
        (("tasks", 1, "written"), None),
        (("tasks", 1, "output", "value"), "0" * 64),
        (("tasks", 1, "uid"), "task.000002"),
        (("tasks", 1, "cores_assigned"), [[0]]),
        (("tasks", 1, "cores_assigned"), [[0, 0]]),
        (("tasks", 1, "cores_assigned"), [[1, 2]]),
        (("tasks", 1, "output", "began"), 0.2),
        (("tasks", 1, "output", "node"), "n2"),
        (("tasks", 1, "output", "job_id"), None),
        (("tasks", 1, "output", "step_cpus"), "1"),
        (("pilot", "state"), "DONE"),
        (("pilot", "jobs"), []),
        (("pilot", "jobs", 0, "state"), "PENDING"),
        (("pilot", "jobs", 0, "id"), "8"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_the_judge_of_the_pilot_refuses_a_wrong_value(path: tuple[Any, ...], value: Any) -> None:
    answer = pilot_answer()
    place: Any = answer
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises((AssertionError, ValueError)):
        judge(PILOT, answer, tasks=4, rounds=1)


def test_the_judge_of_the_failing_task_requires_its_exit_code() -> None:
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


def test_the_judge_of_the_ensemble_requires_each_second_stage_to_read_its_first_stages_files() -> None:
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
