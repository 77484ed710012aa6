"""The project works with the oldest versions that ``pyproject.toml`` allows; a site or Spack may install those."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.exaworks_sdk.conftest import ROOT
from tests.needs import need

PACKAGES = ("exaworks_sdk", "sdk_tests", "site_configs", "dashboard_client", "collector", "ci")
IMPORT_ALL = f"""
import importlib, pkgutil
failures = []
for package in {PACKAGES!r}:
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if ".payloads." in found.name or found.name.endswith("__main__"):  # programs, which importing would run
            continue
        try:
            importlib.import_module(found.name)
        except Exception as error:
            failures.append(f"{{found.name}}: {{error!r}}")
print(*failures, sep="\\n")
"""


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of programs of an environment with the oldest versions of all direct requirements.

    The project is installed from a copy beside it: building it leaves files in its folder.
    """
    uv, place = need("index"), tmp_path_factory.mktemp("oldest")
    folder, copy = place / "env", place / "sdk"
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns(".*", "tests", "docs", "build", "*.egg-info", "__pycache__")
    )
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True, timeout=120)
    install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
    install += ["--resolution", "lowest-direct", f"{copy}[ci,collector,oidc,postgres]"]
    done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def test_every_module_can_be_imported(oldest: Path) -> None:
    done = subprocess.run(
        [oldest / "python", "-c", IMPORT_ALL],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=oldest / "../../sdk",
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_a_run_passes_and_is_shown(oldest: Path, tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "EXAWORKS_HOME": str(tmp_path / "home"), "PATH": f"{oldest}:/usr/bin:/bin"}
    validate = ["validate", "--scheduler", "local", "--component", "control", "--no-upload", "--deployment", "path"]
    for words, code in ((validate, 0), (["results", "list"], 0), (["results", "show"], 0), (["no-such-command"], 2)):
        done = subprocess.run(
            [oldest / "exaworks", *words], env=environ, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == code, f"exaworks {' '.join(words)}\n{done.stdout}{done.stderr}"
