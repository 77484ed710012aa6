"""Payloads are independent programs: each has a help text, runs by hand, prints one answer, and cleans up."""

from __future__ import annotations

import ast
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sdk_tests
from sdk_tests import EVERY, Case, Outcome
from sdk_tests.integration import test_applications, test_control, test_parsl, test_psij, test_scale
from tests.needs import need

FOLDER = Path(sdk_tests.__file__).parent / "payloads"
PAYLOADS = sorted(FOLDER.glob("*/[!_]*.py"))
EVERY_FILE = sorted(FOLDER.rglob("*.py"))
ALLOWED_IMPORTS = {
    "psij": {"psij"},
    "parsl": {"parsl", "psutil"},
    "radical": {"radical", "psij", "parsl"},
    "flux": {"flux", "psij", "parsl"},
    "maestro": {"maestrowf"},
    "colmena": {"colmena", "_parsl"},
    "dask": {"dask", "distributed", "dask_jobqueue", "_psij"},
    "globus": {"globus_compute_endpoint", "globus_compute_sdk", "globus_compute_common", "yaml", "_parsl"},
    "libensemble": {"libensemble", "numpy", "_psij"},
    "_payload.py": set(),
    "_probe.py": set(),
}
"""What a payload may import in addition to the standard library: its component and partners, what they require, and the
module that the payloads of a partner share."""

JUDGES = [
    (judge, each)
    for module in (test_control, test_psij, test_parsl, test_applications)
    for judge in vars(module).values()
    for each in getattr(judge, "exaworks_cases", ())
    if each.component in ("control", "psij", "parsl")
]

SCALE = [
    pytest.param(judge, each, id=each.case_id("local"))
    for judge in vars(test_scale).values()
    for each in getattr(judge, "exaworks_cases", ())
    if "local" in each.schedulers or (each.params["tasks"] == 1000 and each.schedulers == EVERY)
]


def name(value: object) -> str | None:
    return str(value.relative_to(FOLDER)) if isinstance(value, Path) else None


def running(pattern: str) -> list[str]:
    """Return the command lines of the running processes that contain the pattern."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if pattern in line:
            lines.append(line)
    return lines


def request(case: Case, scratch: Path, scheduler: dict[str, Any], tools: str) -> str:
    given = {"params": dict(case.params), "scratch": str(scratch), "nodes": case.nodes, "cores": case.cores}
    limits = {"where": case.where, "walltime": case.walltime, "bin": tools, "scheduler": scheduler}
    return json.dumps({**given, **limits})


@pytest.mark.parametrize("payload", PAYLOADS, ids=name)
def test_a_payload_prints_its_help_without_its_component(payload: Path) -> None:
    done = subprocess.run([sys.executable, "-I", str(payload), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "By hand: python" in done.stdout
    described = (ast.get_docstring(ast.parse(payload.read_text(encoding="utf-8"))) or "").split()
    assert described
    assert " ".join(described) in " ".join(done.stdout.split())


@pytest.mark.parametrize("payload", EVERY_FILE, ids=name)
def test_a_payload_imports_only_the_standard_library_and_its_component(payload: Path) -> None:
    tree = ast.parse(payload.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    beside = {each.stem for each in (*payload.parent.glob("_*.py"), *FOLDER.glob("_*.py"))}
    top = payload.relative_to(FOLDER).parts[0]
    foreign = {each.partition(".")[0] for each in imported} - set(sys.stdlib_module_names) - beside
    foreign -= {"flux"} if payload.name == "_bindings.py" else set()
    assert foreign <= ALLOWED_IMPORTS.get(top, set())


@pytest.mark.parametrize("payload", PAYLOADS, ids=name)
def test_a_payload_has_at_most_80_lines(payload: Path) -> None:
    assert len(payload.read_text(encoding="utf-8").splitlines()) <= 80


def test_no_payload_has_the_name_of_its_component() -> None:
    assert {"psij.py", "parsl.py", "radical.py"}.isdisjoint(path.name for path in EVERY_FILE)


PROGRAM = """import os, subprocess, sys
sys.path.insert(0, {folder!r})
from _payload import main

def work(request):
    print("noise of the program")
    os.write(1, b"noise below Python")
    subprocess.run(["echo", "noise of a child"])
    if request["params"].get("raise"):
        raise LookupError("nothing here")
    return {{"value": 6 * 7}}

main(work, "A program that prints other output.")
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "prints.py"
    path.write_text(PROGRAM.format(folder=str(FOLDER)), encoding="utf-8")
    return path


def test_other_output_of_a_program_does_not_mix_with_the_answer(program: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, cwd=program.parent, check=True
    )
    assert json.loads(done.stdout) == {"value": 42}
    for noise in ("noise of the program", "noise below Python", "noise of a child"):
        assert noise in done.stderr


def test_a_payload_that_raises_exits_1_with_a_traceback_and_no_answer(program: Path) -> None:
    argv = [sys.executable, str(program), '{"params": {"raise": true}}']
    done = subprocess.run(argv, capture_output=True, text=True, cwd=program.parent, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" in done.stderr
    assert done.stderr.rstrip().endswith("LookupError: nothing here")


@pytest.mark.parametrize("payload", ["psij/hello.py", "parsl/python_app.py"])
def test_a_missing_component_is_named_and_not_confused_with_the_folder_of_its_payloads(
    payload: str, tmp_path: Path
) -> None:
    given = json.dumps({"scratch": str(tmp_path)})
    argv = [sys.executable, "-E", "-S", str(FOLDER / payload), given]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"ModuleNotFoundError: No module named '{payload.partition('/')[0]}'" in done.stderr


# Runs of the real components, judged by the cases' test functions ---------------------------------------------------


def judged(judge: Any, case: Case, scratch: Path, kind: str, scheduler: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """Run the payload of a case by hand, and let the test function of the case judge the answer."""
    python = Path(need("components"), "bin", "python")
    nodes, prefix, env = rest["nodes"], rest.get("prefix", []), rest.get("env", os.environ)
    argv = [*prefix, str(python), str(FOLDER / case.payload), request(case, scratch, scheduler, str(python.parent))]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=scratch, env=dict(env), timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    judge(Outcome(case, case.case_id(kind), kind, answer, 0, nodes=nodes, params=dict(case.params)))
    assert not running(str(scratch)), "some processes are still running"
    return dict(answer)


LONG = {"checkpoint", "exalearn", "join", "killed_worker", "mpi"}
"""Cases that take ten seconds or more on a busy machine."""


def planned(kind: str) -> list[Any]:
    cells = [(judge, case) for judge, case in JUDGES if case.schedulers == EVERY or kind in case.schedulers]
    return [
        pytest.param(judge, case, id=case.case_id(kind), marks=[pytest.mark.long] if case.name in LONG else [])
        for judge, case in cells
        if case.name != "walltime" and case.xfail is None
    ]


@pytest.mark.needs("components")
@pytest.mark.parametrize(("judge", "case"), planned("local"))
def test_a_payload_run_by_hand_on_local_satisfies_its_case(judge: Any, case: Case, tmp_path: Path) -> None:
    judged(judge, case, tmp_path, "local", {"kind": "local"}, nodes=(platform.node(),))


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yield the environment of a private Slurm with two nodes."""
    need("slurm", "munge")
    from sdk_tests.testbeds import manage

    home = tmp_path_factory.mktemp("home")
    testbed = manage.up("slurm", home, nodes=2, cores=8, owner_pid=os.getpid())
    try:
        yield manage.environment(testbed, os.environ)
    finally:
        manage.down(home, testbed.id)


def job_ids(answer: dict[str, Any]) -> set[str]:
    """Return the ids of all jobs in an answer."""
    jobs = answer.get("jobs", {})
    several = jobs.values() if isinstance(jobs, dict) else [each["native_id"] for each in jobs]
    return {each for each in (answer.get("native_id"), answer.get("job_id"), *several) if each}


@pytest.mark.slow
@pytest.mark.needs("components")
@pytest.mark.parametrize(("judge", "case"), planned("slurm"))
def test_a_payload_run_by_hand_on_slurm_satisfies_its_case(
    judge: Any, case: Case, tmp_path: Path, slurm: dict[str, str]
) -> None:
    listing = subprocess.run(["sinfo", "-hNo", "%N"], env=slurm, capture_output=True, text=True, check=True).stdout
    prefix = [] if case.where == "login" else ["srun", "--ntasks=1", f"--nodes={case.nodes}"]
    if case.name == "mpi" or "mpirun" in case.params.values():  # these start job steps themselves
        prefix = ["salloc", "--quiet", f"--nodes={case.nodes}", f"--mincpus={case.cores}"]
    scheduler = {"kind": "slurm", "queue": "debug", "launcher": "srun", "poll": 0.2, "loopback": True}
    nodes = tuple(listing.split())
    answer = judged(judge, case, tmp_path, "slurm", scheduler, nodes=nodes, prefix=prefix, env=slurm)
    known = subprocess.run(["scontrol", "show", "job"], env=slurm, capture_output=True, text=True, check=True).stdout
    named = job_ids(answer) if case.where != "allocation" else set()
    assert named or case.where == "allocation", "the answer contains no job id"
    assert all(f"JobId={each} " in known for each in named), "the scheduler does not know one of the jobs"


@pytest.mark.needs("components")
@pytest.mark.parametrize(("judge", "case"), SCALE)
def test_a_payload_of_the_scale_tier_also_measures_few_tasks(judge: Any, case: Case, tmp_path: Path) -> None:
    need("components", *("flux",) * ("flux" in case.partners))
    few = replace(case, params={**case.params, "tasks": 40, "probes": 5, "bare": 20})
    judged(judge, few, tmp_path, "local", {"kind": "local"}, nodes=(platform.node(),))


@pytest.mark.needs("components")
@pytest.mark.parametrize(
    ("payload", "params", "sign"),
    [("psij/walltime.py", {"duration": 60}, "go.txt"), ("parsl/htex.py", {"blocks": 1}, "runinfo/000/htex/block-0")],
    ids=["psij", "parsl"],
)
def test_a_terminated_payload_ends_its_jobs(payload: str, params: dict[str, Any], sign: str, tmp_path: Path) -> None:
    python = Path(need("components"), "bin", "python")
    given = json.dumps({"scratch": str(tmp_path), "params": params, "scheduler": {"kind": "local"}})
    child = subprocess.Popen([python, FOLDER / payload, given], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + 60
    while not (tmp_path / sign).exists():
        assert child.poll() is None, "the payload ended before its job started"
        assert time.monotonic() < end, "its job did not start"
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (1, b""), err.decode()
    assert not running(str(tmp_path))
