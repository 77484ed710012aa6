"""What makes ``exaworks install`` fail, for real: no network, a full disk, no compiler, versions that do not fit.

Each error has to say which step failed, the reason in two lines, what helps, and the command to go on with.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.needs import need

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "spack_repo" / "exaworks"
DEBIAN = ROOT / "spack_repo" / "scopes" / "debian12"
COMPILERS = ("gcc", "g++", "gfortran", "cc", "c++", "c89", "c99", "cpp", "clang", "flang", "f77", "f95", "icx", "nvc")
ONLY_LOOPBACK = ("unshare", "--net")
FULL = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=2m tmpfs "$1" && shift && exec "$@"', "sh")
CARRY_OUT = """
import sys
from pathlib import Path
import msgspec
from exaworks_sdk.release import Checkout, load
from exaworks_sdk.spack_install import Order, install
url, commit, prefix, recipes = sys.argv[1:]
release = load()
made = msgspec.structs.replace(release.spack, tool=Checkout(url, commit))
order = Order(msgspec.structs.replace(release, spack=made), Path(prefix), Path(recipes), "exaworks install", clone=True)
try:
    install(order, print)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error.message}")
"""


def clone(before: tuple[str, ...], url: str, commit: str, prefix: Path) -> str:
    """Let ``exaworks install`` clone Spack from here in a namespace of its own; return what it fails with."""
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("namespaces need root")
    command = [*before, sys.executable, "-c", CARRY_OUT, url, commit, str(prefix), str(RECIPES)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stderr
    return done.stderr


def parts(said: str) -> tuple[str, list[str], str, str]:
    """Take an error apart: (its first line, Spack's or git's own reason, the hint, the command to go on with)."""
    first, *lines = said.strip().splitlines()
    reason = [line.strip() for line in lines if line.startswith("  ")]
    told = [line for line in lines if not line.startswith("  ")]
    assert 1 <= len(reason) <= 2
    assert told[-1].startswith("To go on: ")
    hints = [line for line in told[:-1] if not line.startswith("All of its output: ")]
    return first, reason, " ".join(hints), told[-1].removeprefix("To go on: ")


def test_without_a_network_the_clone_of_spack_says_so(tmp_path: Path) -> None:
    said = clone(ONLY_LOOPBACK, "https://spack.invalid/spack.git", "0" * 40, tmp_path / "prefix")
    first, reason, hint, again = parts(said)
    assert first == "InstallError: cannot clone Spack:"
    assert "Could not resolve host" in " ".join(reason)
    assert hint.startswith("Is there no network? Fill a source mirror")
    assert f"All of its output: {tmp_path}/prefix/logs/spack.log" in said
    assert again == "exaworks install"


def test_a_disk_that_fills_up_during_the_clone_is_named(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(4 * 2**20))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-C", str(source)]
    for step in (["init", "-q", "-b", "main"], ["add", "large"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *step], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / "prefix").mkdir()
    said = clone((*FULL, str(tmp_path / "prefix")), source.as_uri(), commit, tmp_path / "prefix")
    first, reason, hint, _ = parts(said)
    assert first == "InstallError: cannot clone Spack:"
    assert "No space left on device" in " ".join(reason)
    assert hint.startswith("The disk is full")


class Here:
    """A real Spack with a configuration of our own, that ``exaworks install`` is told to use."""

    def __init__(self, folder: Path, packages: Path | None) -> None:
        program = Path(need("spack"))
        asked = [str(program), "python", "-c", "import spack.repo; print(spack.repo.PATH.get_repo('builtin').root)"]
        builtin = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]
        for name in ("user", "system", "cache"):
            (folder / name).mkdir()
        config = {"misc_cache": str(folder / "misc"), "install_tree": {"root": str(folder / "installed")}}
        for section, value in (("repos", {"builtin": builtin}), ("config", config)):
            YAML().dump({section: value}, folder / "user" / f"{section}.yaml")
        if packages is not None:
            shutil.copy(packages / "packages.yaml", folder / "user")
        self.prefix = folder / "prefix"
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SPACK_ROOT": str(program.parents[1]),
            "SPACK_USER_CONFIG_PATH": str(folder / "user"),
            "SPACK_SYSTEM_CONFIG_PATH": str(folder / "system"),
            "SPACK_USER_CACHE_PATH": str(folder / "cache"),
            "EXAWORKS_HOME": str(folder / "home"),
        }
        self.environ.pop("SPACK_ENV", None)

    def install(self, *arguments: str, **environ: str) -> str:
        command = [sys.executable, "-m", "exaworks_sdk", "install", "--until", "concretize"]
        done = subprocess.run(
            [*command, "--prefix", str(self.prefix), *arguments],
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 2, done.stdout + done.stderr
        return done.stderr[done.stderr.index("Error: ") :]


@pytest.mark.slow
@pytest.mark.needs("spack")
def test_a_machine_without_a_compiler_is_told_to_get_one(tmp_path: Path) -> None:
    here = Here(tmp_path, None)
    (tmp_path / "bin").mkdir()
    for program in Path("/usr/bin").iterdir():
        if not any(name in program.name for name in COMPILERS):
            (tmp_path / "bin" / program.name).symlink_to(program)
    first, reason, hint, again = parts(here.install(PATH=str(tmp_path / "bin")))
    assert first == "Error: cannot concretize the environment:"
    assert "compiler" in reason[0]
    assert hint == "Install gcc, or load its module."
    assert again.startswith(f"exaworks install --until concretize --prefix {here.prefix}")


@pytest.mark.slow
@pytest.mark.needs("spack")
def test_versions_that_do_not_fit_together_give_the_recipe_s_own_advice(tmp_path: Path) -> None:
    here = Here(tmp_path, DEBIAN)
    first, reason, hint, _ = parts(here.install("--variants", "~psij ~flux ~swift ~parsl"))
    assert first == "Error: cannot concretize the environment:"
    assert reason[0].startswith("Error: failed to concretize")
    assert "leave +psij on, or add ~radical" in reason[1]
    assert hint == ""
