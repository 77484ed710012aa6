"""Wheels of the compiled packages of a release, for machines without a C compiler.

A wheel that is compiled here has another hash than any file of the lock. The file ``compiled.lock`` beside the wheels
has their hashes; whoever names the folder as a wheelhouse accepts them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from exaworks_sdk import compiler
from exaworks_sdk.errors import InstallError
from exaworks_sdk.installer import COMPILED
from exaworks_sdk.locks import part, pins
from exaworks_sdk.release import Release


def build_wheels(release: Release, folder: Path, echo: Callable[[str], None], python: str = sys.executable) -> Path:
    """Compile the packages of a release that have no wheel, and return the file with their hashes.

    Wheels that are in the folder from before, for other Pythons, stay and keep their hashes.

    Raises:
        InstallError: nothing can be compiled here, or pip failed.
    """
    lack = compiler.lacking(python)
    if lack is not None:
        raise InstallError(f"cannot compile: {lack}. Install gcc and python3-dev; `exaworks doctor` has the line.")
    folder.mkdir(parents=True, exist_ok=True)
    text = release.lock.read_text()
    with tempfile.TemporaryDirectory() as scratch:
        environment = Path(scratch) / "environment"
        _run([python, "-I", "-m", "venv", str(environment)], "create a virtual environment")
        pip = [str(environment / "bin" / "python"), "-I", "-m", "pip", "--no-input", "--disable-pip-version-check"]
        for names, command in (
            (release.build_tools, ["install"]),
            (list(release.compiled), ["wheel", "-w", str(folder)]),
        ):
            if not names:
                continue
            requirements = Path(scratch) / "requirements.txt"
            requirements.write_text(part(text, only=names))
            options = ["--no-deps", "--no-build-isolation", "--require-hashes", "-r", str(requirements)]
            _run([*pip, *command, *options], f"build {', '.join(names)}")
    versions = {name: block.split()[0] for name, block in pins(release.lock) if name in release.compiled}
    lines = []
    for name, pin in versions.items():
        wheels = sorted(folder.glob(f"{name.replace('-', '_')}-{pin.partition('==')[2]}-*.whl"))
        hashes = [f"--hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}" for wheel in wheels]
        lines.append(" \\\n    ".join([pin, *hashes]))
        echo(f"{pin}: {', '.join(wheel.name for wheel in wheels)}")
    path = folder / COMPILED
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def _run(command: list[str], purpose: str) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environ, check=False)
    if done.returncode != 0:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise InstallError(f"cannot {purpose}: {lines[-1].strip() if lines else f'exit code {done.returncode}'}")
