"""Real failures of ``exaworks install``: no network, a full disk, no compiler, incompatible versions.

Each error must state the failed step, the reason in at most two lines, what to do, and the command to continue with.
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
PROGRAM = """
import sys
from pathlib import Path
import msgspec
from exaworks_sdk.release import Checkout, load
from exaworks_sdk.spack.install import InstallRequest, install
url, commit, prefix, recipes = sys.argv[1:]
release = load()
spack = msgspec.structs.replace(release.spack, tool=Checkout(url, commit))
release = msgspec.structs.replace(release, spack=spack)
request = InstallRequest(release, Path(prefix), Path(recipes), "exaworks install", clone=True)
try:
    install(request, print)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error.message}")
"""


def clone(before: tuple[str, ...], url: str, commit: str, prefix: Path) -> str:
    """Let ``exaworks install`` clone Spack in a namespace of its own, and return the error with which it fails."""
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("namespaces need root")
    command = [*before, sys.executable, "-c", PROGRAM, url, commit, str(prefix), str(RECIPES)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stderr
    return done.stderr


def parts(message: str) -> tuple[str, list[str], str, str]:
    """Split an error into its first line, the reason of Spack or git, the hint, and the command to continue with."""
    first, *lines = message.strip().splitlines()
    reason = [line.strip() for line in lines if line.startswith("  ")]
    others = [line for line in lines if not line.startswith("  ")]
    assert 1 <= len(reason) <= 2
    assert others[-1].startswith("To continue: ")
    hints = [line for line in others[:-1] if not line.startswith("Full output: ")]
    return first, reason, " ".join(hints), others[-1].removeprefix("To continue: ")


def test_a_clone_without_a_network_reports_it(tmp_path: Path) -> None:
    message = clone(ONLY_LOOPBACK, "https://spack.invalid/spack.git", "0" * 40, tmp_path / "prefix")
    first, reason, hint, resume_command = parts(message)
    assert first == "InstallError: cannot clone Spack:"
    assert "Could not resolve host" in " ".join(reason)
    assert hint.startswith("Without a network, fill a source mirror elsewhere")
    assert f"Full output: {tmp_path}/prefix/logs/spack.log" in message
    assert resume_command == "exaworks install"


def test_a_disk_that_fills_up_during_the_clone_is_reported(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(4 * 2**20))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-C", str(source)]
    for step in (["init", "-q", "-b", "main"], ["add", "large"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *step], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / "prefix").mkdir()
    message = clone((*FULL, str(tmp_path / "prefix")), source.as_uri(), commit, tmp_path / "prefix")
    first, reason, hint, _ = parts(message)
    assert first == "InstallError: cannot clone Spack:"
    assert "No space left on device" in " ".join(reason)
    assert hint.startswith("The disk is full")


class RealSpack:
    """A real Spack with a configuration of its own, which ``exaworks install`` uses."""

    def __init__(self, folder: Path, packages: Path | None) -> None:
        program = Path(need("spack"))
        command = [str(program), "python", "-c", "import spack.repo; print(spack.repo.PATH.get_repo('builtin').root)"]
        builtin = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]
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
def test_the_error_without_a_compiler_advises_to_install_one(tmp_path: Path) -> None:
    spack = RealSpack(tmp_path, None)
    (tmp_path / "bin").mkdir()
    for program in Path("/usr/bin").iterdir():
        if not any(name in program.name for name in COMPILERS):
            (tmp_path / "bin" / program.name).symlink_to(program)
    first, reason, hint, resume_command = parts(spack.install(PATH=str(tmp_path / "bin")))
    assert first == "Error: cannot concretize the environment:"
    assert "compiler" in reason[0]
    assert hint == "Install gcc, or load its module."
    assert resume_command.startswith(f"exaworks install --until concretize --prefix {spack.prefix}")


@pytest.mark.slow
@pytest.mark.needs("spack")
def test_the_error_for_incompatible_variants_has_the_advice_of_the_recipe(tmp_path: Path) -> None:
    spack = RealSpack(tmp_path, DEBIAN)
    first, reason, hint, _ = parts(spack.install("--variants", "~psij ~flux ~swift ~parsl"))
    assert first == "Error: cannot concretize the environment:"
    assert reason[0].startswith("Error: failed to concretize")
    assert "leave +psij on, or add ~radical" in reason[1]
    assert hint == ""
