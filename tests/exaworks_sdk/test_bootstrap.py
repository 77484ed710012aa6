"""The ``exaworks`` script of a checkout: it makes its environment once and then only starts the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.exaworks_sdk.conftest import ROOT, Checkout
from tests.needs import need

pytestmark = pytest.mark.slow


@pytest.mark.needs("shellcheck")
@pytest.mark.parametrize("script", ["exaworks", "requirements/lock", ".ci/run"])
def test_shellcheck_finds_nothing(script: str) -> None:
    done = subprocess.run(["shellcheck", ROOT / script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.needs("shellcheck")
def test_the_script_is_posix_sh() -> None:
    done = subprocess.run(["shellcheck", "-s", "sh", ROOT / "exaworks"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_first_start_installs_and_says_so_and_then_runs_the_command_line(made: Checkout) -> None:
    assert made.first is not None
    assert made.first.returncode == 0, made.first.stderr
    told = json.loads(made.first.stdout)
    assert told["argv"] == ["validate", "--tier", "a b"]
    assert told["tiny"] == "1.0"
    assert told["isolated"] == 1
    assert "hello" in told["commands"]
    assert "making its own environment" in made.first.stderr
    assert "installing 1 packages of runtime.lock" in made.first.stderr


@pytest.mark.parametrize("shell", [("dash",), ("bash", "--posix"), ("sh",)], ids=" ".join)
def test_a_warm_start_is_silent_in_every_shell(made: Checkout, shell: tuple[str, ...]) -> None:
    if shell == ("dash",):
        need("dash")
    done = replace(made, shell=shell).start("a  b", "*", "")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["argv"] == ["a  b", "*", ""]


def test_a_warm_start_works_through_a_symlink_from_another_folder(made: Checkout, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "exa").symlink_to(made.script)
    (tmp_path / "exa").symlink_to(Path("bin") / "exa")
    for script in (tmp_path / "bin" / "exa", tmp_path / "exa", Path("bin/exa")):
        done = made.start(script=script, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    path = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    named = made.start(script=Path("exa"), environ=path, before=("env",))
    assert (named.returncode, named.stderr) == (0, "")


def test_activation_variables_do_not_reach_the_command_line(made: Checkout, tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text("VERSION = 'wrong'\n")
    done = made.start(environ={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path)
    assert json.loads(done.stdout)["tiny"] == "1.0"


def test_selftest_has_an_environment_of_its_own_wherever_pip_is_told_to_put_packages(
    checkout: Checkout, tmp_path: Path
) -> None:
    settings = {"PIP_USER": "1", "PIP_TARGET": str(tmp_path / "elsewhere"), "PIP_PREFIX": str(tmp_path / "prefix")}
    done = checkout.start("--wheelhouse", str(checkout.wheelhouse), "selftest", "-k", "x", environ=settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["argv"] == ["selftest", "-k", "x"]
    (only,) = checkout.environments
    assert only.name.endswith(f"-py3.{sys.version_info.minor}-dev")
    assert not (tmp_path / "elsewhere").exists()


def test_a_changed_lock_makes_the_environment_anew(made: Checkout) -> None:
    made.lock("2.0")
    anew = made.start()
    assert json.loads(anew.stdout)["tiny"] == "2.0"
    assert "making its own environment" in anew.stderr
    assert made.start().stderr == ""


def test_a_changed_project_installs_the_checkout_anew_and_needs_no_network(made: Checkout) -> None:
    with (made.root / "pyproject.toml").open("a") as project:
        project.write("# changed\n")
    offline = {"PIP_NO_INDEX": "1", "EXAWORKS_WHEELHOUSE": ""}
    updated = made.start(environ=offline)
    assert updated.returncode == 0, updated.stderr
    assert "up to date with pyproject.toml" in updated.stderr
    assert "making" not in updated.stderr
    assert made.start(environ=offline).stderr == ""


def test_an_environment_whose_python_is_gone_is_made_anew(made: Checkout) -> None:
    (environment,) = made.environments
    interpreter = environment / "bin" / "python"
    interpreter.unlink()
    interpreter.symlink_to("/no/such/python")
    done = made.start()
    assert done.returncode == 0, done.stderr
    assert "making its own environment" in done.stderr


def test_a_moved_checkout_gets_an_environment_that_knows_its_new_place(made: Checkout, tmp_path: Path) -> None:
    moved = shutil.copytree(made.root, tmp_path / "moved", symlinks=True)
    done = made.start(script=moved / "exaworks")
    assert done.returncode == 0, done.stderr
    path = json.loads(done.stdout)["path"]
    assert str(moved) in path
    assert str(made.root) not in path


def test_two_checkouts_share_a_home_without_meeting(made: Checkout, tmp_path: Path) -> None:
    other = shutil.copytree(made.root, tmp_path / "other", ignore=shutil.ignore_patterns(".exaworks"))
    told = json.loads(
        made.start(script=other / "exaworks", environ={"EXAWORKS_HOME": str(made.root / ".exaworks")}).stdout
    )
    assert str(other) in told["path"]
    assert made.start().stderr == ""
    first, second = made.environments
    shutil.rmtree(max(first, second, key=lambda path: len(path.name)))


def test_two_first_starts_at_once_both_work_and_only_one_installs(checkout: Checkout, tmp_path: Path) -> None:
    environ = {
        **checkout.environ,
        "EXAWORKS_WHEELHOUSE": str(checkout.wheelhouse),
        "BUILDS": str(tmp_path / "builds"),
    }
    starts = [
        subprocess.Popen(checkout.command(name), env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for name in ("one", "two", "three")
    ]
    said = [start.communicate(timeout=120) for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], said
    assert [json.loads(out)["argv"] for out, _ in said] == [["one"], ["two"], ["three"]]
    assert (tmp_path / "builds").read_text() == "built\n"


def test_a_start_that_was_ended_half_way_leaves_nothing_running_and_is_made_anew(
    checkout: Checkout, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    os.mkfifo(hold)
    os.mkfifo(f"{hold}.go")
    environ = {**checkout.environ, "EXAWORKS_WHEELHOUSE": str(checkout.wheelhouse)}
    start = subprocess.Popen(
        checkout.command(), env={**environ, "HOLD": str(hold)}, stderr=subprocess.DEVNULL, start_new_session=True
    )
    hold.open().close()  # returns once pip is in the middle of it
    os.killpg(start.pid, signal.SIGTERM)
    assert start.wait(timeout=60) != 0
    (unfinished,) = checkout.environments
    assert not (unfinished / ".made").exists()
    done = checkout.start(environ={"EXAWORKS_WHEELHOUSE": str(checkout.wheelhouse)})
    assert done.returncode == 0, done.stderr
    assert "making its own environment" in done.stderr
    assert "waiting" not in done.stderr


def test_a_folder_that_is_no_environment_is_never_removed(checkout: Checkout) -> None:
    name = f"linux-{os.uname().machine}-py3.{sys.version_info.minor}"
    precious = checkout.root / ".exaworks" / "env" / name / "thesis.tex"
    precious.parent.mkdir(parents=True)
    precious.touch()
    done = checkout.start("--wheelhouse", str(checkout.wheelhouse))
    if not any(path.name == name for path in checkout.environments):
        pytest.skip("this machine's environments are named otherwise")
    assert done.returncode == 2
    assert "is in the way" in done.stderr
    assert precious.exists()


def test_without_network_or_wheelhouse_it_says_what_pip_said_and_what_to_do(checkout: Checkout) -> None:
    done = checkout.start(environ={"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"})
    assert (done.returncode, done.stdout) == (2, "")
    assert "ERROR: No matching distribution found for tiny==1.0" in done.stderr
    assert "--wheelhouse DIR" in done.stderr
    log = Path(done.stderr.rpartition("All of its output: ")[2].strip())
    assert "No matching distribution" in log.read_text()


def test_a_wheel_with_another_hash_than_the_locks_is_refused(checkout: Checkout) -> None:
    (wheel,) = checkout.wheelhouse.glob("*.whl")
    wheel.write_bytes(wheel.read_bytes() + b" ")
    done = checkout.start("--wheelhouse", str(checkout.wheelhouse))
    assert done.returncode == 2
    assert "other files than the lock names" in done.stderr


def test_a_wheelhouse_that_is_not_there_is_named(made: Checkout) -> None:
    for arguments in (("--wheelhouse", "/no/such"), ("--wheelhouse=/no/such", "x")):
        done = made.start(*arguments)
        assert (done.returncode, done.stderr) == (2, "exaworks: the wheelhouse /no/such is not a folder.\n")
    assert made.start("--wheelhouse").returncode == 2


READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
FULL = 'mkdir -p "$1" && mount -t tmpfs -o size=3m tmpfs "$1" && shift && exec "$@"'


def mounted(script: str, folder: Path) -> tuple[str, ...]:
    """Return what makes the following command see ``folder`` differently, in a mount namespace of its own."""
    before = ("unshare", "--mount", "sh", "-c", script, "sh", str(folder))
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("mount namespaces need root")
    return before


def test_a_read_only_checkout_names_the_variable_that_helps(checkout: Checkout) -> None:
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


def test_a_full_disk_is_named(checkout: Checkout, tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = mounted(FULL, home)
    checkout.environ["EXAWORKS_HOME"] = str(home)
    done = checkout.start("--wheelhouse", str(checkout.wheelhouse), before=before)
    assert done.returncode == 2
    assert "full" in done.stderr
    assert "Traceback" not in done.stderr
