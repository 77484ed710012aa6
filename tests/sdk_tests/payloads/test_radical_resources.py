"""The descriptions of schedulers for RADICAL, and the batch jobs of a pilot as the schedulers report them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sdk_tests
from sdk_tests.testbeds import manage

FOLDER = Path(sdk_tests.__file__).parent / "payloads" / "radical"


def run_beside(script: str, env: dict[str, str] | None = None, **given: Any) -> Any:
    """Run a script that can import the payloads' modules; return the JSON that it prints."""
    lines = (
        f"import json, sys\nsys.path.insert(0, {str(FOLDER.parent)!r})\nimport _payload\n"
        f"sys.path.insert(0, {str(FOLDER)!r})\ngiven = json.loads(sys.argv[1])\n{script}"
    )
    argv = [sys.executable, "-c", lines, json.dumps(given)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def described(tmp_path: Path, scheduler: dict[str, Any], path: str | None = None, **params: Any) -> dict[str, Any]:
    script = """
from pathlib import Path
import _resource
request = {"scheduler": given["scheduler"], "params": given["params"], "cores": 2}
print(json.dumps(_resource.describe(request, Path(given["root"]))))
"""
    env = {**os.environ, "PATH": path} if path else None
    return dict(run_beside(script, env, scheduler=scheduler, params=params, root=str(tmp_path)))


def agent_script(root: Path) -> dict[str, list[str]]:
    return {"pre_exec_cached": [f". {root}/agent.sh"]}


def test_pbs_is_described_with_radicals_name_and_the_sites_resources_and_launcher(tmp_path: Path) -> None:
    description = described(
        tmp_path, {"kind": "pbs", "launcher": "mpiexec", "directives": ["-l filesystems=home", "-r n"]}, pilot_cores=4
    )
    assert description["schemas"]["here"]["job_manager_endpoint"] == "pbspro://localhost/"
    assert (description["resource_manager"], description["cores_per_node"], description["fake_resources"]) == (
        "PBSPRO",
        4,
        False,
    )
    assert description["launch_methods"] == {"order": ["MPIEXEC"], "MPIEXEC": agent_script(tmp_path)}
    assert description["system_architecture"]["options"] == ["filesystems=home"]


def test_slurms_constraint_is_passed_on_without_its_option(tmp_path: Path) -> None:
    description = described(
        tmp_path, {"kind": "slurm", "launcher": "srun", "directives": ["--constraint=cpu", "--qos=debug"]}
    )
    assert description["system_architecture"]["options"] == ["cpu"]
    assert description["launch_methods"]["order"] == ["SRUN"]


@pytest.mark.parametrize(
    ("kind", "installed", "order"),
    [
        ("local", "", ["FORK"]),
        ("local", "mpiexec mpirun", ["FORK", "MPIEXEC"]),
        ("local", "mpirun", ["FORK", "MPIRUN"]),
        ("local", "srun", ["FORK"]),  # it starts nothing without Slurm
        ("slurm", "srun mpiexec", ["FORK", "SRUN"]),
        ("slurm", "mpiexec", ["FORK", "MPIEXEC"]),
        ("pbs", "srun mpirun", ["FORK", "MPIRUN"]),
    ],
)
def test_without_a_named_launcher_an_installed_one_starts_tasks_of_several_ranks(
    tmp_path: Path, kind: str, installed: str, order: list[str]
) -> None:
    for name in installed.split():
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert described(tmp_path, {"kind": kind}, path=str(tmp_path))["launch_methods"]["order"] == order


@pytest.mark.parametrize(("kind", "params"), [("slurm", {"engine": "flux"}), ("flux", {})])
def test_flux_schedules_and_starts_tasks(tmp_path: Path, kind: str, params: dict[str, Any]) -> None:
    description = described(tmp_path, {"kind": kind, "launcher": "srun"}, **params)
    assert (description["agent_scheduler"], description["agent_spawner"]) == ("FLUX", "FLUX")
    assert description["launch_methods"] == {"order": ["FLUX"], "FLUX": agent_script(tmp_path)}
    assert description["resource_manager"] == ("SLURM" if kind == "slurm" else "FORK")


def agent_variables(tmp_path: Path, kind: str, job: str = "", **more: bool) -> dict[str, str]:
    """Write the agent's environment for Flux; return the variables of a shell that sources it."""
    script = """
import os
from pathlib import Path
import _resource
_resource.agent_environment({"scheduler": given["scheduler"], "params": {"engine": "flux"}}, Path(given["root"]))
print("{}")
"""
    flux = tmp_path / "bin" / "flux"
    flux.parent.mkdir()
    flux.write_text(f'#!/bin/sh\n[ "$*" = "env printenv PYTHONPATH" ] && echo {tmp_path}/bindings\n')
    flux.chmod(0o755)
    bindings = tmp_path / "bindings" / "flux"
    bindings.mkdir(parents=True)
    (bindings / "__init__.py").touch()
    (bindings / "job.py").write_text(job)
    path = f"{flux.parent}{os.pathsep}{os.environ['PATH']}"
    run_beside(
        script, {**os.environ, "SLURM_NTASKS": "7", "PATH": path}, scheduler={"kind": kind, **more}, root=str(tmp_path)
    )
    argv = ["sh", "-c", f". {tmp_path}/agent.sh; env -0"]
    outer = {"PATH": os.environ["PATH"], "SLURM_NTASKS": "7"}
    output = subprocess.run(argv, env=outer, capture_output=True, text=True, check=True).stdout
    return dict(entry.split("=", 1) for entry in output.split("\0") if entry)


def test_without_slurm_the_srun_for_radical_runs_its_command_on_this_machine(tmp_path: Path) -> None:
    env = agent_variables(tmp_path, "local")
    assert "SLURM_NTASKS" not in env
    assert env["PYTHONPATH"].split(os.pathsep)[-1] == str(tmp_path / "bindings")
    arguments = [
        "--nodes",
        "1",
        "--nodelist",
        "localhost",
        "--cpus-per-task=2",
        "--export=ALL",
        "sh",
        "-c",
        "echo $((6*7))",
    ]
    assert subprocess.run(["srun", *arguments], env=env, capture_output=True, text=True, check=True).stdout == "42\n"


@pytest.mark.parametrize(
    ("kind", "testbed", "replaced"),
    [("slurm", False, False), ("slurm", True, False), ("pbs", True, True), ("pbs", False, False)],
)
def test_srun_is_replaced_only_on_testbeds_without_slurm(
    tmp_path: Path, kind: str, testbed: bool, replaced: bool
) -> None:
    agent_variables(tmp_path, kind, loopback=testbed)
    assert (tmp_path / "tools" / "srun").exists() == replaced


def test_bindings_that_cannot_be_imported_are_reported_before_a_pilot_starts(tmp_path: Path) -> None:
    message = (
        r"\n *ImportError: this deployment's Python cannot import Flux's bindings in .*: No module named 'no_such_cffi'"
    )
    with pytest.raises(AssertionError, match=message):
        agent_variables(tmp_path, "flux", job="import no_such_cffi\n")


def test_flux_connects_to_the_agents_own_node_without_ssh(tmp_path: Path) -> None:
    env = agent_variables(tmp_path, "local")
    argv = [env["FLUX_SSH"], "-p", "22", "somewhere", "NAME=value", "sh", "-c", "'echo $NAME'"]
    assert subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout == "value\n"


@pytest.fixture(scope="module")
def pbs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yield the environment of an emulated PBS with one node of two cores."""
    home = tmp_path_factory.mktemp("home")
    testbed = manage.up("pbs", home, nodes=1, cores=2, owner_pid=os.getpid())
    try:
        yield dict(manage.environment(testbed, os.environ))
    finally:
        manage.down(home, testbed.id)


def jobs(env: dict[str, str], folder: Path) -> list[dict[str, str]]:
    script = "import _jobs\nprint(json.dumps(_jobs.below(given['folder'], 'pbs')))"
    return list(run_beside(script, env, folder=str(folder)))


def submit(env: dict[str, str], folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    argv = ["qsub", "-l", "select=1:ncpus=2", "--", "/bin/sleep", "100"]
    return subprocess.run(argv, env=env, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_pbs_jobs_of_a_folder_are_listed_with_their_states_and_cancelled(pbs: dict[str, str], tmp_path: Path) -> None:
    mine, beside = tmp_path / "rct.one", tmp_path / "rct.one.more"
    first, second, other = submit(pbs, mine), submit(pbs, mine), submit(pbs, beside)
    end = time.monotonic() + 20
    while "RUNNING" not in {job["state"] for job in jobs(pbs, mine)}:
        assert time.monotonic() < end
    assert jobs(pbs, mine) == [
        {"id": first, "state": "RUNNING", "nodes": "n1"},
        {"id": second, "state": "QUEUED", "nodes": ""},
    ]
    script = "import _jobs\n_jobs.cancel('pbs', given['ids'])\nprint('{}')"
    run_beside(script, pbs, ids=[first, second])
    while jobs(pbs, mine):
        assert time.monotonic() < end
    assert [job["id"] for job in jobs(pbs, beside)] == [other]
    run_beside(script, pbs, ids=[other])


def test_a_pbs_that_does_not_answer_is_not_reported_as_an_empty_queue(tmp_path: Path) -> None:
    script = """
import _guard
print(json.dumps({"jobs": _guard.Guard(given["root"], "pbs", 10).jobs()}))
"""
    assert run_beside(script, {**os.environ, "PATH": "/nowhere"}, root=str(tmp_path)) == {"jobs": None}


def test_an_agent_that_ends_during_the_check_is_reported_as_ended(tmp_path: Path) -> None:
    script = """
import _guard
guard = _guard.Guard(given["root"], "local", 10)
guard.agents = lambda: [2**22 + 1]  # beyond the greatest pid
print(json.dumps(guard.state()))
"""
    assert run_beside(script, root=str(tmp_path)) == "ended"
