"""Payloads run in a container of the image, the schedulers run outside, and every container ends with its case."""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdk_tests.deployments import Deployment, resolve
from sdk_tests.deployments.image import image_deployment
from sdk_tests.errors import DeploymentError
from sdk_tests.execution.process_table import ProcessEnd, ProcessTable
from sdk_tests.plan.components import ComponentKind
from sdk_tests.plan.probe import probe
from tests.containers.engine import PYTHON, Engine

IMAGE = f"image:{PYTHON}"
ANSWER = """
import json, os, sys
print(json.dumps({"container": os.path.exists("/run/.containerenv"), "cwd": os.getcwd(), "home": os.environ["HOME"],
    "user": os.getuid(), "names": sorted(os.environ), "node": os.environ.get("SLURMD_NODENAME")}))
open("written", "w").close()
"""
WAITS = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    open("daemon", "w").close()
    time.sleep(600)
open("started", "w").close()
time.sleep(600)
"""


@pytest.fixture
def deployment(podman: Engine) -> Deployment:
    return resolve(IMAGE, podman.environ)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture
def procs() -> Iterator[ProcessTable]:
    table = ProcessTable()
    yield table
    table.kill_all()
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)  # no longer a subreaper: engines wait until their orphans have been reaped
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)


def payload(folder: Path, source: str) -> list[str]:
    path = folder / "payload.py"
    path.write_text(source)
    return [str(path), "{}"]


def until(condition: Callable[[], bool], description: str, limit: float = 30.0) -> None:
    """Wait for a state that no event reports, such as the end of a process that is not a child of this one."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit} s: {description}"
        time.sleep(0.02)


def test_the_probe_reads_the_image_and_has_the_digest_that_the_engine_reports(
    podman: Engine, deployment: Deployment
) -> None:
    digest = podman.run("podman", "image", "inspect", "--format", "{{.Digest}}", PYTHON).stdout.strip()
    contents = probe(deployment, {"ghost": ComponentKind("ghost", distribution="ghost")})
    assert contents.digest == digest.removeprefix("sha256:")
    assert contents.executable == deployment.python == "/usr/bin/python3"
    assert IMAGE in contents.absent["ghost"]


def test_a_payload_has_its_folder_and_the_schedulers_variables_and_nothing_else_from_outside(
    podman: Engine, deployment: Deployment, tmp_path: Path, scratch: Path
) -> None:
    argv = deployment.wrap([deployment.python, *payload(tmp_path, ANSWER)])
    given = {**deployment.environ, "SLURMD_NODENAME": "n1", "MY_TOKEN": "secret", "PYTHONPATH": "/stray"}
    done = subprocess.run(argv, env=given, cwd=scratch, capture_output=True, text=True, timeout=60)
    answer = json.loads(done.stdout)
    assert answer["container"]
    assert (answer["cwd"], answer["home"], answer["node"]) == (str(scratch), str(scratch), "n1")
    assert not {"MY_TOKEN", "PYTHONPATH", "CONTAINERS_CONF"} & set(answer["names"])
    assert (scratch / "written").stat().st_uid == answer["user"] == os.getuid()
    assert [path.name for path in scratch.iterdir()] == ["written"]


def test_a_variable_that_the_site_names_is_passed_to_the_container(
    podman: Engine, tmp_path: Path, scratch: Path
) -> None:
    settings = {"EXAWORKS_IMAGE_ENV": "LICENCE_SERVER", "EXAWORKS_IMAGE_FLAGS": "--hostname 'inside-name'"}
    deployment = image_deployment(IMAGE, podman.environ, settings)
    source = "import json, os; print(json.dumps([os.environ['LICENCE_SERVER'], os.environ['HOSTNAME']]))"
    argv = deployment.wrap([deployment.python, *payload(tmp_path, source)])
    given = {**deployment.environ, "LICENCE_SERVER": "here"}
    done = subprocess.run(argv, env=given, cwd=scratch, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == ["here", "inside-name"], done.stderr


@pytest.mark.parametrize(
    ("source", "code"),
    [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 11)", -11)],
    ids=["exit code", "signal"],
)
def test_a_payload_has_the_same_exit_code_or_signal_as_without_a_container(
    deployment: Deployment, tmp_path: Path, scratch: Path, source: str, code: int
) -> None:
    argv = deployment.wrap([deployment.python, *payload(tmp_path, source)])
    assert subprocess.run(argv, env=dict(deployment.environ), cwd=scratch, timeout=60).returncode == code


def test_after_a_timeout_no_container_remains_even_if_the_payload_ignores_termination(
    podman: Engine, deployment: Deployment, procs: ProcessTable, tmp_path: Path, scratch: Path
) -> None:
    ended: list[ProcessEnd] = []
    argv = deployment.wrap([deployment.python, *payload(tmp_path, WAITS)])
    procs.spawn("case", argv, deployment.environ, str(scratch), None, ended.append, mark="run/case")
    until(
        lambda: procs.poll(0.02) or ((scratch / "started").exists() and (scratch / "daemon").exists()),
        "the start of the payload",
    )
    inside = _processes(str(tmp_path / "payload.py"))
    assert len(inside) == 2
    assert len(podman.containers()) == 1
    procs.cancel("case", "timeout")
    until(lambda: procs.poll(0.1) or bool(ended), "the end of the process", limit=15)
    assert ended[0].ending == "timeout"
    until(lambda: not _processes(str(tmp_path / "payload.py")), "the end of the payload and its daemon")
    until(lambda: procs.poll(0.02) or not podman.containers(), "the removal of the container")


def test_after_the_harness_is_killed_no_container_remains(
    podman: Engine, deployment: Deployment, tmp_path: Path, scratch: Path
) -> None:
    argv = deployment.wrap([deployment.python, *payload(tmp_path, WAITS)])
    client = subprocess.Popen(argv, env=dict(deployment.environ), cwd=scratch, start_new_session=True)
    until(lambda: (scratch / "started").exists() and (scratch / "daemon").exists(), "started")
    os.killpg(client.pid, signal.SIGKILL)
    client.wait()
    until(lambda: not _processes(str(tmp_path / "payload.py")), "the end of the payload and its daemon")
    until(lambda: not podman.containers(), "the removal of the container")


def test_cases_that_submit_jobs_themselves_cannot_run_in_an_image(deployment: Deployment) -> None:
    assert "outside of it" in str(deployment.unable("login", True))
    assert deployment.unable("login", False) is None
    assert deployment.unable("allocation", True) is None


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("image:localhost/no/such:1", None, "podman has no image"),
        ("image:localhost/no/such:1", "/nonexistent", "no podman or docker on PATH"),
        ("image:/no/such.sif", None, "/no/such.sif does not exist"),
        (f"image:{__file__}", "/nonexistent", "no apptainer or singularity on PATH"),
    ],
)
def test_the_error_for_an_image_that_cannot_run_names_the_problem(
    podman: Engine, text: str, path: str | None, message: str
) -> None:
    environ = {**podman.environ, **({"PATH": path} if path else {})}
    with pytest.raises(DeploymentError, match=message) as error:
        resolve(text, environ)
    assert error.value.exit_code == 2


def test_an_image_of_another_architecture_is_refused(podman: Engine, tmp_path: Path) -> None:
    tag = "localhost/exaworks/test-foreign:1"
    archive = tmp_path / "empty.tar"
    subprocess.run(["tar", "-cf", str(archive), "-T", "/dev/null"], check=True)
    foreign = "s390x"
    done = podman.run("podman", "import", "--quiet", "--arch", foreign, str(archive), tag)
    assert done.returncode == 0, done.stderr
    with pytest.raises(DeploymentError, match=f"for {foreign}, this machine is {os.uname().machine}"):
        resolve(f"image:{tag}", podman.environ)


def test_apptainer_runs_a_file_with_the_same_folders_and_variables(tmp_path: Path, scratch: Path) -> None:
    """apptainer is replaced by a stand-in that applies the options without a container."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "stand_in.py").write_text(STAND_IN)
    # No #! line names the interpreter: its path may have a space.
    call = f'exec {shlex.quote(sys.executable)} "${{0%/*}}/stand_in.py" "$@"'
    (tools / "apptainer").write_text(f"#!/bin/sh\n{call}\n")
    (tools / "apptainer").chmod(0o755)
    image = tmp_path / "sdk.sif"
    image.write_bytes(b"contents")
    environ = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "SECRET": "x", "SLURM_JOB_ID": "5"}
    deployment = image_deployment(f"image:{image}", environ, {})
    assert deployment.digest == "d1b2a59fbea7e20077af9f91b27e95e865061b270be03ff539ab3b73587882e8"
    argv = deployment.wrap([deployment.python, *payload(tmp_path, PRINT_ENVIRONMENT)])
    done = subprocess.run(argv, env=environ, cwd=scratch, capture_output=True, text=True, timeout=60)
    answer = json.loads(done.stdout)
    assert answer["cwd"] == str(scratch)
    assert (answer["job"], answer["secret"]) == ("5", None)
    assert {f"{scratch}:{scratch}:rw", f"{tmp_path}:{tmp_path}:ro"} <= set(answer["binds"])


STAND_IN = """
import os, sys
arguments, binds = sys.argv[1:], []
assert arguments.pop(0) == "exec"
while arguments[0].startswith("--"):
    option = arguments.pop(0)
    if option == "--bind":
        binds.append(arguments.pop(0))
    elif option == "--pwd":
        os.chdir(arguments.pop(0))
    else:
        assert option in ("--cleanenv", "--no-home"), option
assert open(arguments.pop(0), "rb").read() == b"contents"
inside = {name.partition("_")[2]: value for name, value in os.environ.items() if name.startswith("APPTAINERENV_")}
os.execvpe(arguments[0], arguments, {**inside, "PATH": os.defpath, "BINDS": "\\n".join(binds)})
"""
PRINT_ENVIRONMENT = """
import json, os
print(json.dumps({"cwd": os.getcwd(), "job": os.environ.get("SLURM_JOB_ID"), "secret": os.environ.get("SECRET"),
    "binds": os.environ["BINDS"].split()}))
"""


def _processes(word: str) -> list[int]:
    """Return the ids of processes whose first argument is ``word``, such as a Python program in a container."""
    pids = []
    for entry in Path("/proc").iterdir():
        try:
            argv = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if argv[1:2] == [word.encode()]:
            pids.append(int(entry.name))
    return pids
