"""Running an activation script in bash, and reading back the environment it leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from sdk_tests.deployments.deployment import Deployment, activated_deployment
from sdk_tests.errors import DeploymentError

OTHER_PYTHONS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Variables of the caller that would let another Python's packages satisfy a deployment."""


def deployment_by_script(
    text: str, kind: str, script: str, environ: Mapping[str, str], *, dropped: tuple[str, ...] = ()
) -> Deployment:
    """Return the deployment that a bash script activates, starting from ``environ`` without the ``dropped`` variables.

    Raises:
        DeploymentError: the activation failed, or there is no Python on PATH after it.
    """
    start = {name: value for name, value in environ.items() if name not in dropped}
    activated = activate(text, script, start) if script else start
    path = activated.get("PATH", os.defpath)
    python = shutil.which("python3", path=path) or shutil.which("python", path=path)
    if python is None:
        raise DeploymentError(f"--deployment {text}: no python3 on its PATH; is it activated as you expect?")
    return activated_deployment(text, kind, python, start, activated)


def activate(text: str, script: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Run the activation in bash and read back the whole environment.

    Raises:
        DeploymentError: it failed; the message carries its last line.
    """
    command = f"set -e\n{script}\nset +e\nenv -0 >&3"
    read, write = os.pipe()
    try:
        with subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", f"exec 3>&{write}\n{command}"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(write,),
        ) as process:
            os.close(write)
            with os.fdopen(read, "rb") as stream:
                raw = stream.read()
            errors = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
    except OSError as error:
        raise DeploymentError(f"--deployment {text}: bash is needed to activate it: {error}") from error
    if process.returncode or not raw:
        last = errors.splitlines()[-1] if errors else f"exit {process.returncode}"
        raise DeploymentError(f"--deployment {text}: cannot be activated: {last}")
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0") if entry)
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, _, value in pairs}
