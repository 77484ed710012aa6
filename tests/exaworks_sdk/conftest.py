"""A small checkout for which the real ``exaworks`` script and pip create an environment from a local wheelhouse.

Its only locked distribution is a wheel that is written here, and it builds itself with its own backend, so that every
step is real and no step needs a network.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

WITHOUT_PACKAGES = (
    *(
        "compiler",
        "distribution",
        "doctor",
        "doctor_needs",
        "environment",
        "environment_step",
        "installer",
        "locks",
        "pip_settings",
        "recipe",
    ),
    *("set_up_progress", "utf8_path", "child_process"),
)
"""The modules that the script runs before anything is installed, and those that they import."""

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

BACKEND = '''
"""Build an editable wheel; record the build, and wait if the test requests it."""
import os, zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    if "BUILDS" in os.environ:
        with open(os.environ["BUILDS"], "a") as builds:
            builds.write("built\\n")
    if "HOLD" in os.environ:
        open(os.environ["HOLD"], "w").close()
        open(os.environ["HOLD"] + ".go").close()
    name = "exaworks_sdk-1.0-py3-none-any.whl"
    info = "exaworks_sdk-1.0.dist-info/"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        wheel.writestr("exaworks_sdk.pth", os.getcwd() + "\\n")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: exaworks-sdk\\nVersion: 1.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "entry_points.txt", "[exaworks.commands]\\nhello = tiny:hello\\n")
        wheel.writestr(info + "RECORD", "")
    return name
'''

MAIN = """
import json, sys
from importlib.metadata import entry_points
import tiny
commands = [point.name for point in entry_points(group="exaworks.commands")]
print(json.dumps({"argv": sys.argv[1:], "path": sys.path, "tiny": tiny.VERSION, "commands": commands,
                  "prefix": sys.prefix, "isolated": sys.flags.isolated}))
"""


def wheel(folder: Path, version: str, requires: str | None = None, name: str = "tiny") -> str:
    """Write a wheel of a distribution with one module and return its lines for a lock."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    body = f"VERSION = {version!r}\n".encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", body)
        needed = f"Requires-Dist: {requires}\n" if requires else ""
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,sha256={digest},{len(body)}\n{info}/RECORD,,\n")
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@dataclass
class Checkout:
    """The small checkout, with methods to start its script."""

    root: Path
    wheelhouse: Path
    environ: dict[str, str]
    shell: tuple[str, ...] = ()
    first: subprocess.CompletedProcess[str] | None = None

    @property
    def script(self) -> Path:
        return self.root / "exaworks"

    @property
    def environments(self) -> list[Path]:
        home = Path(self.environ.get("EXAWORKS_HOME", self.root / ".exaworks"))
        return sorted(path for path in (home / "env").glob("*") if path.is_dir())

    def lock(self, version: str) -> None:
        """Write locks with this version of ``tiny``, and put its wheel into the wheelhouse."""
        text = wheel(self.wheelhouse, version)
        for name in ("runtime", "dev"):
            (self.root / "requirements" / f"{name}.lock").write_text(text)

    def command(self, *arguments: str, script: Path | None = None) -> list[str]:
        return [*self.shell, str(script or self.script), *arguments]

    def start(
        self,
        *arguments: str,
        environ: Mapping[str, str] = {},
        script: Path | None = None,
        cwd: Path | None = None,
        before: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*before, *self.command(*arguments, script=script)],
            env={**self.environ, **environ},
            cwd=cwd or self.root,
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=120,
        )


def small_checkout(folder: Path) -> Checkout:
    """Create a checkout with the real script and the real programs that it starts in ``folder``."""
    root = folder / "a checkout"
    (root / "exaworks_sdk").mkdir(parents=True)
    (root / "requirements").mkdir()
    shutil.copy(ROOT / "exaworks", root)
    for name in WITHOUT_PACKAGES:
        shutil.copy(ROOT / "exaworks_sdk" / f"{name}.py", root / "exaworks_sdk")
    (root / "exaworks_sdk" / "__init__.py").touch()
    (root / "exaworks_sdk" / "__main__.py").write_text(MAIN)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("EXAWORKS", "PIP_", "PYTHON"))
    }
    environ = {**inherited, "EXAWORKS_PYTHON": sys.executable, "PIP_CONFIG_FILE": os.devnull}
    checkout = Checkout(root, folder / "wheel house", environ)
    checkout.lock("1.0")
    return checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return small_checkout(tmp_path)


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a shared checkout with an environment, which takes seconds to create. A test must leave it usable."""
    checkout = small_checkout(tmp_path_factory.mktemp("started"))
    checkout.environ["EXAWORKS_WHEELHOUSE"] = str(checkout.wheelhouse)
    checkout.first = checkout.start("validate", "--tier", "a b")
    return checkout
