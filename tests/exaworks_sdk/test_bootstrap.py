"""The ``exaworks`` script of a checkout: it creates its environment once and then only starts the command line."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from exaworks_sdk.utf8_path import utf8_path
from tests.exaworks_sdk.conftest import ROOT, Checkout
from tests.needs import need

pytestmark = pytest.mark.slow


@pytest.mark.needs("shellcheck")
@pytest.mark.parametrize("script", ["exaworks", "requirements/lock", ".ci/run"])
def test_shellcheck_reports_nothing(script: str) -> None:
    done = subprocess.run(["shellcheck", ROOT / script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.needs("shellcheck")
def test_the_script_is_posix_sh() -> None:
    done = subprocess.run(["shellcheck", "-s", "sh", ROOT / "exaworks"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_first_start_reports_the_installation_and_then_runs_the_command_line(started: Checkout) -> None:
    assert started.first is not None
    assert started.first.returncode == 0, started.first.stderr
    report = json.loads(started.first.stdout)
    assert report["argv"] == ["validate", "--tier", "a b"]
    assert report["tiny"] == "1.0"
    assert report["isolated"] == 1
    assert "hello" in report["commands"]
    assert "creating the exaworks environment" in started.first.stderr
    assert "installing 1 packages of runtime.lock" in started.first.stderr


@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix"), ("sh",)], ids=" ".join)
def test_a_later_start_is_silent_in_every_shell(started: Checkout, shell: tuple[str, ...]) -> None:
    if shell == ("dash",):
        need("dash")
    done = replace(started, shell=shell).start("a  b", "*", "")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["argv"] == ["a  b", "*", ""]


def test_a_later_start_works_through_a_symlink_from_another_folder(started: Checkout, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "exa").symlink_to(started.script)
    (tmp_path / "exa").symlink_to(Path("bin") / "exa")
    for script in (tmp_path / "bin" / "exa", tmp_path / "exa", Path("bin/exa")):
        done = started.start(script=script, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    path = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    from_path = started.start(script=Path("exa"), environ=path, before=("env",))
    assert (from_path.returncode, from_path.stderr) == (0, "")


def test_pythonpath_does_not_affect_the_command_line(started: Checkout, tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text("VERSION = 'wrong'\n")
    done = started.start(environ={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path)
    assert json.loads(done.stdout)["tiny"] == "1.0"


def test_selftest_has_its_own_environment_whatever_folder_pip_is_configured_for(
    checkout: Checkout, tmp_path: Path
) -> None:
    settings = {"PIP_USER": "1", "PIP_TARGET": str(tmp_path / "elsewhere"), "PIP_PREFIX": str(tmp_path / "prefix")}
    done = checkout.start("--wheelhouse", str(checkout.wheelhouse), "selftest", "-k", "x", environ=settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["argv"] == ["selftest", "-k", "x"]
    (only,) = checkout.environments
    assert only.name.endswith(f"-py3.{sys.version_info.minor}-dev")
    assert not (tmp_path / "elsewhere").exists()


def test_settings_of_pip_that_an_image_exports_do_not_change_what_the_lock_pins(
    checkout: Checkout, tmp_path: Path
) -> None:
    constraint = tmp_path / "constraints.txt"
    constraint.write_text("tiny==0.1\n")
    settings = {"PIP_CONSTRAINT": str(constraint), "PIP_NO_BINARY": ":all:", "PIP_REQUIRE_VIRTUALENV": "1"}
    done = checkout.start("--wheelhouse", str(checkout.wheelhouse), environ=settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tiny"] == "1.0"


def test_settings_of_pip_are_named_where_an_installation_fails_for_a_reason_that_nothing_explains(
    checkout: Checkout,
) -> None:
    done = checkout.start(environ={"PIP_EXISTS_ACTION": "unknown", "PIP_INDEX_URL": "http://127.0.0.1:9/"})
    assert done.returncode == 2
    assert "PIP_EXISTS_ACTION" in done.stderr


@pytest.mark.parametrize("name", ["50% of it", "it is", 'a "quote"', "café", "tab\there"])
def test_a_home_with_an_odd_name_gets_an_environment(checkout: Checkout, tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    done = checkout.start("--wheelhouse", str(checkout.wheelhouse), environ={"EXAWORKS_HOME": str(home)})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tiny"] == "1.0"


def test_a_home_whose_name_is_not_utf_8_is_used_through_a_link(checkout: Checkout, tmp_path: Path) -> None:
    home = tmp_path / os.fsdecode(b"caf\xe9")
    environ = {"EXAWORKS_HOME": str(home)}
    first = checkout.start("--wheelhouse", str(checkout.wheelhouse), environ=environ)
    assert first.returncode == 0, first.stderr
    assert [path.name for path in home.iterdir()] == ["env"]
    again = checkout.start(environ=environ)
    assert (again.returncode, again.stderr) == (0, "")
    link = Path(utf8_path(str(home)))
    assert link.resolve() == home
    link.unlink()


@pytest.mark.parametrize("name", ["plain", "it is", "café", "tab\there"])
def test_a_path_in_utf_8_needs_no_link(tmp_path: Path, name: str) -> None:
    assert utf8_path(str(tmp_path / name)) == str(tmp_path / name)


def test_a_link_in_the_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "private").symlink_to("real")
    monkeypatch.setattr("exaworks_sdk.utf8_path.PRIVATE", str(tmp_path / "private"))
    with pytest.raises(PermissionError, match="belongs to another user"):
        utf8_path(os.fsdecode(b"/home/caf\xe9"))


def test_after_a_change_of_the_lock_the_environment_is_created_again(started: Checkout) -> None:
    started.lock("2.0")
    done = started.start()
    assert json.loads(done.stdout)["tiny"] == "2.0"
    assert "creating the exaworks environment" in done.stderr
    assert started.start().stderr == ""


def test_after_a_change_of_the_project_the_checkout_is_installed_again_without_a_network(started: Checkout) -> None:
    with (started.root / "pyproject.toml").open("a") as project:
        project.write("# changed\n")
    offline = {"PIP_NO_INDEX": "1", "EXAWORKS_WHEELHOUSE": ""}
    updated = started.start(environ=offline)
    assert updated.returncode == 0, updated.stderr
    assert "updating the exaworks environment, because pyproject.toml has changed" in updated.stderr
    assert "creating" not in updated.stderr
    assert started.start(environ=offline).stderr == ""


def test_an_environment_whose_python_is_absent_is_created_again(started: Checkout) -> None:
    (environment,) = started.environments
    interpreter = environment / "bin" / "python"
    interpreter.unlink()
    interpreter.symlink_to("/no/such/python")
    done = started.start()
    assert done.returncode == 0, done.stderr
    assert "creating the exaworks environment" in done.stderr


def test_a_moved_checkout_gets_an_environment_for_its_new_folder(started: Checkout, tmp_path: Path) -> None:
    moved = shutil.copytree(started.root, tmp_path / "moved", symlinks=True)
    done = started.start(script=moved / "exaworks")
    assert done.returncode == 0, done.stderr
    path = json.loads(done.stdout)["path"]
    assert str(moved) in path
    assert str(started.root) not in path


def test_two_checkouts_that_share_a_home_have_separate_environments(started: Checkout, tmp_path: Path) -> None:
    other = shutil.copytree(started.root, tmp_path / "other", ignore=shutil.ignore_patterns(".exaworks"))
    report = json.loads(
        started.start(script=other / "exaworks", environ={"EXAWORKS_HOME": str(started.root / ".exaworks")}).stdout
    )
    assert str(other) in report["path"]
    assert started.start().stderr == ""
    first, second = started.environments
    shutil.rmtree(max(first, second, key=lambda path: len(path.name)))


def test_several_first_starts_at_once_all_work_and_only_one_installs(checkout: Checkout, tmp_path: Path) -> None:
    environ = {
        **checkout.environ,
        "EXAWORKS_WHEELHOUSE": str(checkout.wheelhouse),
        "BUILDS": str(tmp_path / "builds"),
    }
    starts = [
        subprocess.Popen(checkout.command(name), env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for name in ("one", "two", "three")
    ]
    outputs = [start.communicate(timeout=120) for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], outputs
    assert [json.loads(stdout)["argv"] for stdout, _ in outputs] == [["one"], ["two"], ["three"]]
    assert (tmp_path / "builds").read_text() == "built\n"


def test_after_an_interrupted_start_nothing_runs_and_the_next_start_creates_the_environment(
    checkout: Checkout, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    os.mkfifo(hold)
    os.mkfifo(f"{hold}.go")
    environ = {**checkout.environ, "EXAWORKS_WHEELHOUSE": str(checkout.wheelhouse)}
    start = subprocess.Popen(
        checkout.command(), env={**environ, "HOLD": str(hold)}, stderr=subprocess.DEVNULL, start_new_session=True
    )
    with os.fdopen(os.open(hold, os.O_RDONLY | os.O_NONBLOCK)) as held:  # has a writer once pip builds the checkout
        watched = select.poll()
        watched.register(held, select.POLLHUP | select.POLLIN)
        assert watched.poll(120_000), "nothing was built"
    os.killpg(start.pid, signal.SIGTERM)
    assert start.wait(timeout=60) != 0
    (unfinished,) = checkout.environments
    assert not (unfinished / ".made").exists()
    done = checkout.start(environ={"EXAWORKS_WHEELHOUSE": str(checkout.wheelhouse)})
    assert done.returncode == 0, done.stderr
    assert "creating the exaworks environment" in done.stderr
    assert "waiting" not in done.stderr


def test_a_folder_that_is_not_an_environment_is_never_removed(checkout: Checkout) -> None:
    name = f"linux-{os.uname().machine}-py3.{sys.version_info.minor}"
    precious = checkout.root / ".exaworks" / "env" / name / "thesis.tex"
    precious.parent.mkdir(parents=True)
    precious.touch()
    done = checkout.start("--wheelhouse", str(checkout.wheelhouse))
    if not any(path.name == name for path in checkout.environments):
        pytest.skip("the environments of this machine have other names")
    assert done.returncode == 2
    assert "is not a Python environment" in done.stderr
    assert precious.exists()


def test_without_network_or_wheelhouse_the_error_has_the_message_of_pip_and_advice(checkout: Checkout) -> None:
    done = checkout.start(environ={"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"})
    assert (done.returncode, done.stdout) == (2, "")
    assert "ERROR: No matching distribution found for tiny==1.0" in done.stderr
    assert "--wheelhouse DIR" in done.stderr
    log = Path(done.stderr.rpartition("Full output: ")[2].strip())
    assert "No matching distribution" in log.read_text()


def test_a_wheel_with_another_hash_than_in_the_lock_is_refused(checkout: Checkout) -> None:
    (wheel,) = checkout.wheelhouse.glob("*.whl")
    wheel.write_bytes(wheel.read_bytes() + b" ")
    done = checkout.start("--wheelhouse", str(checkout.wheelhouse))
    assert done.returncode == 2
    assert "differ from those in the lock" in done.stderr


def test_the_error_for_an_absent_wheelhouse_names_it(started: Checkout) -> None:
    for arguments in (("--wheelhouse", "/no/such"), ("--wheelhouse=/no/such", "x")):
        done = started.start(*arguments)
        assert (done.returncode, done.stderr) == (2, "exaworks: the wheelhouse /no/such is not a folder.\n")
    assert started.start("--wheelhouse").returncode == 2


READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
FULL = 'mkdir -p "$1" && mount -t tmpfs -o size=3m tmpfs "$1" && shift && exec "$@"'


def mounted(script: str, folder: Path) -> tuple[str, ...]:
    """Return a command prefix that runs ``script`` on ``folder`` in a new mount namespace before the command."""
    before = ("unshare", "--mount", "sh", "-c", script, "sh", str(folder))
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("mount namespaces need root")
    return before


def test_the_error_for_a_read_only_checkout_names_the_variable_to_set(checkout: Checkout) -> None:
    (checkout.root / ".exaworks").mkdir()
    before = mounted(READ_ONLY, checkout.root)
    done = checkout.start("--wheelhouse", str(checkout.wheelhouse), before=before)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Read-only file system" in done.stderr
    assert "set EXAWORKS_HOME" in done.stderr


def test_a_read_only_checkout_works_with_a_home_elsewhere(checkout: Checkout, tmp_path: Path) -> None:
    before = mounted(READ_ONLY, checkout.root)
    checkout.environ["EXAWORKS_HOME"] = str(tmp_path / "home")
    done = checkout.start("--wheelhouse", str(checkout.wheelhouse), before=before)
    assert done.returncode == 0, done.stderr
    assert "hello" in json.loads(done.stdout)["commands"]
    assert checkout.start(before=before).stderr == ""


def test_a_full_disk_is_reported(checkout: Checkout, tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = mounted(FULL, home)
    checkout.environ["EXAWORKS_HOME"] = str(home)
    done = checkout.start("--wheelhouse", str(checkout.wheelhouse), before=before)
    assert done.returncode == 2
    assert "full" in done.stderr
    assert "Traceback" not in done.stderr
