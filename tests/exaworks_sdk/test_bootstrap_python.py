"""The Python that the ``exaworks`` script selects, and its messages if no Python is usable."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.exaworks_sdk.conftest import Checkout

pytestmark = pytest.mark.slow

TOOLS = ("sh", "uname", "cksum", "cmp", "dirname", "readlink", "tr", "mv", "env")

OLD = "import sys; sys.version_info = (3, 8, 18, 'final', 0)"
UNABLE = (
    "import importlib.util as u; f = u.find_spec; u.find_spec = lambda name: None if name == 'ensurepip' else f(name)"
)
SHIM = "raise SystemExit(127)"
GOOD = "pass"


class Pythons:
    """A folder for PATH with system tools and with Pythons, each of which runs a given statement first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for tool in TOOLS:
            program = shutil.which(tool)
            assert program is not None
            (folder / tool).symlink_to(program)

    def add(self, name: str, before: str) -> Path:
        path = self.folder / name
        real = os.path.realpath(sys.executable)
        path.write_text(
            f'#!/bin/sh\n[ "$3" = -c ] && exec "{real}" -I -S -c "{before}\nimport sys; exec(sys.argv[1])" "$4"\n'
            f'exec "{real}" "$@"\n'
        )
        path.chmod(0o755)
        return path


@pytest.fixture
def pythons(checkout: Checkout, tmp_path: Path) -> Pythons:
    tools = Pythons(tmp_path / "tools")
    del checkout.environ["EXAWORKS_PYTHON"]
    checkout.environ["PATH"] = str(tools.folder)
    checkout.environ["EXAWORKS_WHEELHOUSE"] = str(checkout.wheelhouse)
    return tools


def test_the_absence_of_any_python_is_reported(checkout: Checkout, pythons: Pythons) -> None:
    done = checkout.start()
    assert (done.returncode, done.stdout) == (2, "")
    assert "Python 3.10 or newer is required. On PATH: no python3.\n" in done.stderr
    assert "EXAWORKS_PYTHON" in done.stderr


def test_an_old_python_is_refused_and_every_rejected_python_is_named(checkout: Checkout, pythons: Pythons) -> None:
    pythons.add("python3", OLD)
    pythons.add("python3.12", SHIM)
    done = checkout.start()
    assert done.returncode == 2
    assert "required. On PATH: python3.12 does not run, python3 is Python 3.8.\n" in done.stderr


def test_an_old_python_named_by_the_user_is_refused(checkout: Checkout, pythons: Pythons) -> None:
    pythons.add("python3", GOOD)
    old = pythons.add("old", OLD)
    done = checkout.start(environ={"EXAWORKS_PYTHON": str(old)})
    assert (done.returncode, done.stderr) == (
        2,
        f"exaworks: EXAWORKS_PYTHON: Python 3.10 or newer is required; {old} is Python 3.8.\n",
    )


def test_the_error_for_a_python_without_venv_names_the_package_to_install(checkout: Checkout, pythons: Pythons) -> None:
    pythons.add("python3", UNABLE)
    done = checkout.start()
    assert done.returncode == 2
    assert "its module venv or ensurepip is missing" in done.stderr
    assert f"python3.{sys.version_info.minor}-venv" in done.stderr


def test_doctor_in_a_fresh_checkout_names_what_is_missing_and_installs_nothing(
    checkout: Checkout, pythons: Pythons
) -> None:
    pythons.add("python3", UNABLE)
    done = checkout.start("doctor", "validate", "--json", environ={"CC": "no-such-compiler"})
    assert done.returncode == 1, done.stderr
    (step,) = json.loads(done.stdout)
    missing = {entry["what"]: entry for entry in step["missing"]}
    assert not step["ready"]
    assert missing["no git"]["required"]
    assert missing["no C compiler (no-such-compiler)"]["required"] is False
    assert "no ps" in missing
    assert checkout.environments == []
    assert not (checkout.root / ".exaworks").exists()


def test_doctor_in_a_fresh_checkout_refuses_an_unknown_step(checkout: Checkout, pythons: Pythons) -> None:
    pythons.add("python3", GOOD)
    done = checkout.start("doctor", "dance")
    assert done.returncode == 2
    assert "dance" in done.stderr


@pytest.mark.parametrize(
    ("os_release", "line"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "apt install python3 python3-venv"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "apt install python3 python3-venv"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "dnf install python3.11"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "zypper install python311"),
        ('ID="sles"\nID_LIKE="suse"\n', "zypper install python311"),
        ("ID=arch\n", "for example the packages python3 python3-venv"),
    ],
)
def test_without_a_usable_python_the_message_has_the_distributions_own_line(
    checkout: Checkout, pythons: Pythons, tmp_path: Path, os_release: str, line: str
) -> None:
    file = tmp_path / "os-release"
    file.write_text(os_release)
    script = checkout.script.read_text().replace("/etc/os-release", str(file))
    checkout.script.write_text(script)
    done = checkout.start()
    assert done.returncode == 2
    assert f"Install it ({line})" in done.stderr


def test_the_search_skips_unusable_pythons_and_a_later_start_does_not_search(
    checkout: Checkout, pythons: Pythons
) -> None:
    pythons.add("python3.13", SHIM)
    pythons.add("python3.12", UNABLE)
    pythons.add("python3", GOOD)
    done = checkout.start("x")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["argv"] == ["x"]
    for name in ("python3.13", "python3.12", "python3"):
        (pythons.folder / name).write_text('#!/bin/sh\n: >"${0%/*}/started"\nexit 1\n')
    assert checkout.start().stderr == ""
    assert not (pythons.folder / "started").exists()
