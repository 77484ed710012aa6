"""Running an activation script in bash, and reading back the environment it leaves.

An activation is not believed because it exits with 0: ``module load`` of Environment Modules 3.2 and an ``eval`` around
a failed command do so after a failure. Each kind of deployment checks what the activation should have changed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sdk_tests.deployments.deployment import Deployment, activated_deployment, added_folders
from sdk_tests.errors import DeploymentError
from sdk_tests.model.output import telling_line

LIMIT = 120.0
"""Seconds that an activation may take; conda and Lmod are slow on a shared file system that is busy."""
STEP = "exaworks_step"
"""A shell function for activation scripts: ``exaworks_step TEXT`` notes what is done next, for the error message."""


def deployment_by_script(text: str, kind: str, start: Mapping[str, str], activated: Mapping[str, str]) -> Deployment:
    """Return the deployment that an activation made of ``start``.

    Raises:
        DeploymentError: there is no Python on PATH after it.
    """
    path = activated.get("PATH", os.defpath)
    python = shutil.which("python3", path=path) or shutil.which("python", path=path)
    if python is None:
        raise DeploymentError(f"--deployment {text}: no python3 on its PATH; is it activated as you expect?")
    return activated_deployment(text, kind, python, start, activated, added_folders(start, activated))


def activate(text: str, script: str, environ: Mapping[str, str], *, limit: float = LIMIT) -> dict[str, str]:
    """Run an activation in bash and return the whole environment after it.

    The script runs in a session of its own. A process that it leaves in the background is killed, and cannot make this
    function wait.

    Raises:
        DeploymentError: it failed, with its last line of output, or did not end within ``limit`` seconds, with the step
            it was at.
    """
    with tempfile.TemporaryDirectory(prefix="exaworks-activation-") as name:
        folder = Path(name)
        variables, errors, step = folder / "environment", folder / "errors", folder / "step"
        for file in (errors, step):
            file.touch()
        # The files are named by descriptors, so that no variable of ours can be seen or changed by the script.
        command = f"{STEP}() {{ printf '%s' \"$*\" >&5; }}\nset -e\n{script}\nset +e\nunset -f {STEP}\nenv -0 >&4"
        with variables.open("wb") as out, errors.open("wb") as err, step.open("ab") as note:
            try:
                process = subprocess.Popen(
                    ["bash", "--noprofile", "--norc", "-c", f"exec 4>&{out.fileno()} 5>&{note.fileno()}\n{command}"],
                    env=dict(environ),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=err,
                    pass_fds=(out.fileno(), note.fileno()),
                    start_new_session=True,
                )
            except OSError as error:
                raise DeploymentError(f"--deployment {text}: bash is needed to activate it: {error}") from error
            try:
                process.wait(timeout=limit)
            except subprocess.TimeoutExpired:
                last = step.read_text(encoding="utf-8", errors="replace") or "its activation"
                raise DeploymentError(
                    f"--deployment {text}: {last} did not end within {limit:g} s; run it in a shell to see why"
                ) from None
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        raw = variables.read_bytes()
        output = errors.read_text(encoding="utf-8", errors="replace").strip()
    if process.returncode or not raw:
        reason = telling_line(output) or f"exit {process.returncode}"
        raise DeploymentError(f"--deployment {text}: cannot be activated: {reason}")
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0") if entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def not_activated(text: str, expected: str, output: str) -> DeploymentError:
    """Return the error of an activation that exited with 0 and did not do what it should have done."""
    return DeploymentError(f"--deployment {text}: its activation reported success, but {expected}; {output}")
