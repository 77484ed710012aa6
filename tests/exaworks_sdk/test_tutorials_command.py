"""``exaworks tutorials``: the notebooks of a user, JupyterLab with a token on loopback, and a Slurm of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from exaworks_sdk.errors import TutorialsError
from exaworks_sdk.paths import Places
from exaworks_sdk.tutorials import jupyter, page, pages, workspace
from sdk_tests.testbeds import manage
from tests.exaworks_sdk.conftest import ROOT
from tests.needs import need

COMMAND = [sys.executable, "-I", "-m", "exaworks_sdk", "tutorials"]


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "EXAWORKS_HOME": str(home)}
    return subprocess.run([*COMMAND, *arguments], env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_the_notebooks_are_written_once_and_changes_of_the_user_stay(tmp_path: Path) -> None:
    first = run(tmp_path, "--write")
    written = [Path(line) for line in first.stdout.splitlines()]
    assert sorted(path.stem for path in written) == sorted(path.stem for path in (ROOT / "docs/tutorials").glob("*.md"))
    assert {path.parent for path in written} == {tmp_path / "tutorials"}
    changed, removed = tmp_path / "tutorials" / "psij.ipynb", tmp_path / "tutorials" / "parsl.ipynb"
    changed.write_text("mine")
    removed.unlink()
    assert run(tmp_path, "--write").stdout.splitlines() == [str(removed)]
    assert changed.read_text() == "mine"
    assert str(changed) in run(tmp_path, "--write", "--fresh").stdout
    assert json.loads(changed.read_text())["nbformat"] == 4


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TutorialsError, match=r"cannot write .*file.*Choose another folder with --to"):
        workspace.write_notebooks(tmp_path / "file" / "notebooks")


def test_an_installation_has_the_pages_in_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "checkout", lambda: None)
    monkeypatch.setattr(page, "__file__", str(tmp_path / "page.py"))
    with pytest.raises(TutorialsError, match=r"there are no tutorials in .*Reinstall exaworks-sdk"):
        pages()
    (tmp_path / "pages").mkdir()
    for name in ("flux", "README", "parsl"):
        (tmp_path / "pages" / f"{name}.md").touch()
    assert list(pages()) == ["README", "flux", "parsl"]


def test_cells_use_the_deployment_and_the_kernel_does_not(tmp_path: Path) -> None:
    given = {"PATH": "/usr/bin", "VIRTUAL_ENV": "/other", "PYTHONPATH": "/x", "SLURM_CONF": "/slurm.conf"}
    environ = workspace.environment(tmp_path, Path("/deployment"), given)
    assert environ["PATH"] == "/deployment/bin:/usr/bin"
    assert environ["SLURM_CONF"] == "/slurm.conf"
    assert not environ.keys() & {"VIRTUAL_ENV", "PYTHONPATH"}
    (startup,) = (tmp_path / ".ipython").rglob("*.py")
    names: dict[str, object] = {}
    variables: dict[str, str] = {}
    exec(startup.read_text().replace("import os", ""), {"os": SimpleNamespace(environ=variables)}, names)
    assert variables == {"VIRTUAL_ENV": "/deployment"}


def test_a_port_in_use_is_passed_over() -> None:
    with socket.socket() as used:
        used.bind((jupyter.LOOPBACK, 0))
        used.listen()
        port = used.getsockname()[1]
        assert port < jupyter.free_port(port) <= port + 50


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(TutorialsError, match=r"cannot listen on 192\.0\.2\.1"):
        jupyter.free_port(host="192.0.2.1")


def test_the_token_is_long_new_and_not_on_the_command_line(tmp_path: Path) -> None:
    servers = [jupyter.Server(Path("python"), tmp_path, {}) for _ in range(2)]
    assert servers[0].token != servers[1].token
    assert len(servers[0].token) == 48
    assert servers[0].token not in " ".join(servers[0].command())
    assert servers[0].token not in repr(servers[0])
    assert "--ServerApp.ip=127.0.0.1" in servers[0].command()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import sys; sys.exit(3)", "JupyterLab ended with exit code 3"),
        ("import time; time.sleep(60)", "did not answer"),
    ],
)
def test_a_server_that_does_not_start_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    monkeypatch.setattr(jupyter, "_STARTS_WITHIN", 2.0)
    monkeypatch.setattr(jupyter.Server, "command", lambda self: [sys.executable, "-c", program])
    server = jupyter.Server(Path(sys.executable), tmp_path, os.environ, port=jupyter.free_port())
    with pytest.raises(TutorialsError, match=message), jupyter.running(server):
        pass


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with JupyterLab."""
    places = Places(home=tmp_path_factory.mktemp("home"), checkout=ROOT)
    return jupyter.make_environment(places, progress=print)


@pytest.fixture
def started(tmp_path: Path, python: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command with JupyterLab and a private Slurm, and the link that it printed."""
    prefix = python.parent.parent
    arguments = ["--jupyter", str(prefix), "--deployment", need("components"), "--no-browser"]
    environ = {**os.environ, "EXAWORKS_HOME": str(tmp_path / "home")}
    with subprocess.Popen([*COMMAND, *arguments], env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, next(match[0] for line in process.stdout if (match := re.search(r"http://\S+", line)))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)


def answer(url: str, headers: dict[str, str]) -> int:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return int(direct.open(urllib.request.Request(url, headers=headers), timeout=30).status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.slow
@pytest.mark.needs("components", "slurm", "munge")
@pytest.mark.parametrize("end_with", [signal.SIGINT, signal.SIGTERM])
def test_jupyterlab_serves_the_notebooks_to_the_token_alone_and_slurm_ends_with_it(
    started: tuple[subprocess.Popen[str], str], tmp_path: Path, end_with: signal.Signals
) -> None:
    process, link = started
    home = tmp_path / "home"
    match = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/lab/tree/README\.ipynb\?token=([0-9a-f]{48})", link)
    assert match
    address, token = match.groups()
    assert answer(link, {}) == 200
    notebook = f"{address}/api/contents/psij.ipynb?content=0"
    assert answer(notebook, {"Authorization": f"token {token}"}) == 200
    assert answer(notebook, {}) == 403
    assert answer(notebook, {"Authorization": f"token {token[::-1]}"}) == 403
    for pid in [process.pid, *children(process.pid)]:
        assert token.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    (testbed,) = manage.all_testbeds(home)
    assert testbed.kind == "slurm"
    process.send_signal(end_with)
    assert process.wait(timeout=60) == 0
    assert manage.all_testbeds(home) == []
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) != 0:
                return
        time.sleep(0.1)
    pytest.fail("the port still answers")


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
