"""`exaworks doctor`: what is missing for each step, why it matters, and the distribution's line that installs it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from exaworks_sdk import compiler, doctor, doctor_needs
from exaworks_sdk.cli_doctor import doctor as command
from exaworks_sdk.distribution import install_line, package_manager
from exaworks_sdk.doctor_needs import DEFAULT_INDEX, STEPS, Need, Step, answers, index, program, programs, room
from tests.exaworks_sdk.conftest import ROOT, WITHOUT_PACKAGES

PACKAGES: dict[str, tuple[str, ...]] = {"apt": ("thing-dev",), "dnf": ("thing-devel",), "zypper": ("libthing-devel",)}


def step(*needs: Need, name: str = "validate") -> Step:
    return Step(name, f"./exaworks {name}", "tests things", needs)


def lacks(what: str | None, *, required: bool = True, packages: dict[str, tuple[str, ...]] = PACKAGES) -> Need:
    return Need(lambda: (what, "" if what else "a thing"), "nothing works", packages, required)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(doctor, "package_manager", lambda: "dnf")
    return monkeypatch


def test_what_is_here_what_is_missing_and_how_to_install_it_is_shown(steps: pytest.MonkeyPatch) -> None:
    steps.setattr(doctor, "STEPS", (step(lacks(None), lacks("no thing"), lacks("no ps", required=False)),))
    steps.setattr("os.geteuid", lambda: 1000)
    text, code = doctor.run([], json_output=False)
    assert code == 1
    assert text.splitlines() == [
        "validate: not ready   (./exaworks validate: tests things)",
        "  here      a thing",
        "  missing   no thing: nothing works",
        "  without   no ps: nothing works",
        "  install   sudo dnf install thing-devel",
    ]


@pytest.mark.parametrize(
    ("start_file", "lack"),
    [
        ("true", None),
        ("echo noise; echo noise >&2; exit 3", None),
        ("sleep 600 & wait", "no quick login shell (`bash -l` takes more than 0.5 s)"),
        ("trap '' TERM INT HUP; while :; do sleep 600; done", "no quick login shell (`bash -l` takes more than 0.5 s)"),
    ],
)
def test_a_login_shell_that_waits_is_named_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_file: str, lack: str | None
) -> None:
    (tmp_path / ".bash_profile").write_text(f"echo $$ > {tmp_path / 'shell'}\n{start_file}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    if lack is not None:
        monkeypatch.setattr(doctor_needs, "LOGIN_LIMIT", 0.5)
    assert doctor_needs.login_shell()[0] == lack
    if lack is None or (tmp_path / "shell").exists():
        assert not Path("/proc", (tmp_path / "shell").read_text().strip()).exists()


@pytest.mark.parametrize(
    ("names", "code"), [([], 0), (["validate"], 0), (["install"], 1), (["validate", "install"], 1), (["images"], 0)]
)
def test_the_exit_code_is_about_the_named_steps_or_else_about_validate(
    steps: pytest.MonkeyPatch, names: list[str], code: int
) -> None:
    ready, not_ready = step(lacks("x", required=False)), step(lacks("x"), name="install")
    steps.setattr(doctor, "STEPS", (ready, not_ready, step(name="images")))
    assert doctor.run(names, json_output=False)[1] == code
    shown = json.loads(doctor.run(names, json_output=True)[0])
    assert [each["name"] for each in shown] == (names or ["validate", "install", "images"])


@pytest.mark.parametrize(
    ("text", "manager"),
    [
        ("ID=debian\n", "apt"),
        ("ID=ubuntu\nID_LIKE=debian\n", "apt"),
        ("ID='pop'\nID_LIKE='ubuntu debian'\n", "apt"),
        ("ID=fedora\n", "dnf"),
        ('ID="almalinux"\nID_LIKE="rhel centos fedora"\n', "dnf"),
        ('ID="rhel"\n', "dnf"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "zypper"),
        ('ID="sles"\n', "zypper"),
        ("ID=arch\n", None),
    ],
)
def test_the_package_manager_follows_from_the_distribution(tmp_path: Path, text: str, manager: str | None) -> None:
    (tmp_path / "os-release").write_text(f"NAME=debian\n{text}")
    assert package_manager(tmp_path / "os-release") == manager


def test_without_a_description_of_the_distribution_the_installed_manager_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zypper").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert package_manager(tmp_path / "absent") == "zypper"


def test_root_needs_no_sudo_and_a_package_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert install_line("apt", ["gcc", "git", "gcc"]) == "apt install gcc git"


@pytest.mark.parametrize("each", list(STEPS), ids=lambda step: step.name)
def test_every_need_that_a_package_meets_has_one_for_each_package_manager(each: Step) -> None:
    for need in each.needs:
        assert need.why
        assert set(need.packages) in (set(), {"apt", "dnf", "zypper"})
        assert all(need.packages.values())


def test_programs_are_looked_for_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "two").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program("one", "two")() == (None, "two")
    assert program("one")() == ("no one", "")
    assert program("one", what="number")() == ("no number", "")
    assert programs("two", "three", "four")() == ("no three, four", "")


def test_room_is_looked_for_where_environments_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAWORKS_HOME", str(tmp_path / "not" / "yet"))
    assert room(0.001)()[0] is None
    lack, _ = room(10**9)()
    assert lack is not None
    assert f"GB free in {tmp_path}" in lack
    assert not (tmp_path / "not").exists()


class Refusing(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(403)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_server_that_refuses_has_answered_and_one_that_is_not_there_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/simple/"
    try:
        assert answers(url) is None
        monkeypatch.setenv("PIP_INDEX_URL", url)
        monkeypatch.delenv("EXAWORKS_WHEELHOUSE", raising=False)
        assert index() == (None, "the package index answers")
    finally:
        server.shutdown()
        server.server_close()
    lack, _ = index()
    assert lack is not None
    assert lack.startswith("no answer from 127.0.0.1")
    monkeypatch.setenv("EXAWORKS_WHEELHOUSE", "/wheels")
    assert index() == (None, "wheelhouse /wheels")


@pytest.mark.parametrize(
    ("compiler_script", "expected"),
    [
        ("exit 0", None),
        ("echo '<stdin>:1:10: fatal error: Python.h: No such file or directory' >&2; exit 1", "no headers of Python ("),
        (
            "echo '<stdin>:2:10: fatal error: stdio.h: No such file' >&2; exit 1",
            "no headers of the C library (stdio.h)",
        ),
        ("echo 'cc: error: no licence' >&2; exit 3", "compiles nothing: cc: error: no licence"),
        ("exit 3", "compiles nothing: exit 3"),
    ],
)
def test_the_compiler_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler_script: str, expected: str | None
) -> None:
    path = tmp_path / "mycc"
    path.write_text(f"#!/bin/sh\n{compiler_script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("CC", str(path))
    lack = compiler.lacking()
    assert (lack is None) if expected is None else (lack is not None and expected in lack)
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert compiler.lacking() == "no C compiler (no-such-compiler)"


def test_the_command_prints_the_same_and_its_exit_code(steps: pytest.MonkeyPatch) -> None:
    steps.setattr(doctor, "STEPS", (step(lacks("no thing")),))
    done = CliRunner().invoke(command, ["--json"])
    assert done.exit_code == 1
    assert json.loads(done.output)[0]["missing"][0]["packages"] == ["thing-devel"]


def test_what_runs_before_anything_is_installed_imports_the_standard_library_only() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from importlib import import_module\n"
        "for name in sys.argv[2].split(): import_module(f'exaworks_sdk.{name}')\n"
        "own = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(own - {'__main__', 'exaworks_sdk'}))\n"
        "print(sorted(name[13:] for name in sys.modules if name.startswith('exaworks_sdk.')))\n"
    )
    names = " ".join(WITHOUT_PACKAGES)
    argv = [sys.executable, "-I", "-S", "-c", program, str(ROOT), names]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", str(sorted(WITHOUT_PACKAGES))]


@pytest.mark.parametrize("options", [("-I",), ("-I", "-S")], ids=["installed", "bundled alone"])
def test_pip_names_the_index_that_it_uses_without_a_configuration(options: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, *options, "-c", DEFAULT_INDEX], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("https://"), done.stderr
