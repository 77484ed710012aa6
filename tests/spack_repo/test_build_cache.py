"""The documented commands of a signed build cache do what the page says, with a real Spack.

The packages are installed with ``--fake``, which takes seconds: keys, signatures, targets and the index are real.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import need
from tests.spack_repo.real_spack import DEBIAN, Spack
from tests.spack_repo.recipes import ROOT

pytestmark = [pytest.mark.needs("spack"), pytest.mark.slow]

ADDRESS = "releases@localhost"
ENVIRONMENT = f"""\
spack:
  include: [{DEBIAN}]
  specs: [exmcutils]
  view: false
"""


def steps() -> dict[str, list[str]]:
    """Return the commands of the section on the build cache, by the end of the sentence before them."""
    section = (ROOT / "docs" / "spack.md").read_text().partition("## A build cache\n")[2].partition("\n## ")[0]
    found: dict[str, list[str]] = {}
    key = ""
    for paragraph in section.partition("### ")[0].split("\n\n"):
        if paragraph.startswith("    "):
            lines = [line.strip().partition("   # ")[0].strip() for line in paragraph.strip("\n").splitlines()]
            found[key] = lines
        key = " ".join(paragraph.split()[-5:])
    return found


STEPS = steps()
TARGET, CREATE, PUSH, USE, ROTATE, FOLLOW = STEPS.values()


class Machine(Spack):
    """A Spack with a keyring, an install tree and an environment of its own."""

    def __init__(self, home: Path, cache: Path) -> None:
        home.mkdir()
        super().__init__(need("spack"), home)
        self.cache, self.folder = cache, home / "environment"
        self.environ["SPACK_GNUPGHOME"] = str(home / "keys")
        (home / "keys").mkdir(mode=0o700)

    def do(self, lines: list[str]) -> None:
        for line in lines:
            line = line.replace("/path/to/CACHE", str(self.cache)).replace("ADDRESS", ADDRESS)
            program, *words = shlex.split(line)
            if program == "spack":
                self.ok(*(str(self.folder) if word == "ENV" else word for word in words))
            else:
                subprocess.run([program, *words], check=True)

    def trusted(self) -> str:
        return self.ok("gpg", "list", "--trusted")

    def installed(self) -> bool:
        return "exmcutils" in self.run("-e", str(self.folder), "find", "--format", "{name}").stdout.split()


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Return a folder with a short path: the socket of gpg's agent is in it."""
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"exa-cache-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def builder(place: Path) -> Machine:
    machine = Machine(place / "builder", place / "cache")
    machine.folder.mkdir()
    (machine.folder / "spack.yaml").write_text(ENVIRONMENT)
    machine.do(TARGET)
    machine.ok("-e", str(machine.folder), "concretize")
    machine.ok("-e", str(machine.folder), "install", "--fake")
    machine.do([*CREATE, *PUSH])
    return machine


def user_of(builder: Machine, name: str) -> Machine:
    machine = Machine(builder.home.parent / name, builder.cache)
    shutil.copytree(builder.folder, machine.folder, ignore=shutil.ignore_patterns(".spack-env"))
    return machine


def test_the_page_has_the_steps_that_are_run_here() -> None:
    assert [len(lines) for lines in (TARGET, CREATE, PUSH, USE, ROTATE, FOLLOW)] == [1, 2, 2, 3, 5, 2]


def test_the_target_is_the_one_that_the_page_sets(builder: Machine) -> None:
    lock = (builder.folder / "spack.lock").read_text()
    assert set(re.findall(r'"target": *"?(\w+)', lock)) <= {"x86_64_v3", "x86_64"}
    assert '"x86_64_v3"' in lock


def test_a_machine_without_the_key_installs_nothing_and_with_it_everything(builder: Machine) -> None:
    user = user_of(builder, "user")
    mirror, *trust = USE
    user.do([mirror])
    done = user.run("-e", str(user.folder), "install", "--cache-only")
    assert done.returncode != 0
    assert "No public key" in done.stdout + done.stderr
    assert not user.installed()
    user.do(trust)
    assert user.installed()
    assert "exaworks-2026" in user.trusted()


def test_after_the_rotation_only_a_machine_that_followed_it_installs(builder: Machine) -> None:
    late, follower = user_of(builder, "late"), user_of(builder, "follower")
    for machine in (late, follower):
        machine.do(USE[:2])
    builder.do(ROTATE)
    assert late.run("-e", str(late.folder), "install", "--cache-only").returncode != 0, "signed with the new key"
    follower.do(FOLLOW)
    assert "exaworks-2026" not in follower.trusted()
    assert "exaworks-2027" in follower.trusted()
    follower.do(USE[2:])
    assert follower.installed()
