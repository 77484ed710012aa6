"""The ``image:`` deployment: payloads run in a container of an image, schedulers and launchers stay outside.

``image:NAME`` is an image that podman or docker has on this machine; ``image:FILE.sif``, or a folder, is one that
Apptainer or Singularity runs. ``EXAWORKS_IMAGE_ENGINE`` names the engine where several would do,
``EXAWORKS_IMAGE_FLAGS`` more words for its ``run`` or ``exec`` (``--device …``, ``--bind …``, ``--nv``), and
``EXAWORKS_IMAGE_ENV`` further variables that go in, separated by commas. How a container ends with its case is in
``contain``.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sdk_tests.deployments.deployment import ALWAYS, Deployment, without_python
from sdk_tests.errors import DeploymentError
from sdk_tests.model.output import telling_line

OCI = ("podman", "docker")
SIF = ("apptainer", "singularity")
ENGINE, FLAGS, ENV = "EXAWORKS_IMAGE_ENGINE", "EXAWORKS_IMAGE_FLAGS", "EXAWORKS_IMAGE_ENV"
CONTAIN = Path(__file__).with_name("contain.py")
PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"
LIMIT = 120.0
"""Seconds an engine may take to answer; the first start of a large image is slow on a shared file system."""
SETTINGS = ("CONTAINERS_", "DOCKER_", "APPTAINER_", "SINGULARITY_")
"""Beginnings of the variables that configure an engine; a batch job's own environment may lack them."""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le"}
"""What images call an architecture, and what ``uname -m`` does."""


@dataclass(frozen=True)
class ImageDeployment(Deployment):
    """A deployment in an image; ``image`` names its contents, so a tag that moves during a run changes nothing."""

    engine: str = ""
    image: str = ""
    flags: tuple[str, ...] = ()
    more: tuple[str, ...] = ()

    def wrap(self, argv: list[str], writable: Sequence[str] = ()) -> list[str]:
        """Return the command that runs ``argv`` in a container and ends it with the case."""
        folders = {str(PAYLOADS)}
        for word in argv[:2]:
            path = Path(word)
            if word.endswith(".py") and path.is_absolute() and PAYLOADS not in path.parents:
                folders.add(str(path.parent))
        command = [sys.executable, "-I", str(CONTAIN), f"--engine={self.engine}", f"--image={self.image}"]
        command += [f"--python={self.python}", *(f"--bind={folder}" for folder in sorted(folders))]
        command += [f"--bind-writable={folder}" for folder in writable]
        command += [*(f"--env={name}" for name in self.more), *(f"--flag={flag}" for flag in self.flags)]
        return [*command, "--", *argv]

    def unable(self, where: str, batch: bool) -> str | None:
        """What a component in an image submits starts outside of it, where the component is not."""
        if where == "login" and batch:
            return f"{self.python} of {self.name} is there in the image alone, and the job would start outside of it"
        return None


def resolve(name: str, environ: Mapping[str, str]) -> Deployment:
    """Return the deployment of an image that is named by ``name``."""
    return image_deployment(f"image:{name}", environ)


def image_deployment(text: str, environ: Mapping[str, str], settings: Mapping[str, str] = os.environ) -> Deployment:
    """Take an image by its name or file.

    ``environ`` is what the payloads' side gets, ``settings`` where this kind's own variables are looked up.

    Raises:
        DeploymentError: no engine runs it here, it is not on this machine, or is for another architecture.
    """
    name = text.partition(":")[2]
    path = Path(name).expanduser().absolute()
    file = path if name.endswith(".sif") or (name.startswith(("/", ".", "~")) and path.exists()) else None
    if file is not None and not file.exists():
        raise DeploymentError(f"--deployment {text}: {file} does not exist; `exaworks images build` creates one")
    engine = _engine(text, SIF if file else OCI, environ, settings.get(ENGINE))
    image, digest = (str(file), _file_digest(file)) if file else _inspected(text, engine, name, environ)
    try:
        flags = tuple(shlex.split(settings.get(FLAGS, "")))
    except ValueError as error:
        raise DeploymentError(f"{FLAGS}: {error}: quote its words as for a shell") from error
    deployment = ImageDeployment(
        name=text,
        kind="image",
        python="python3",
        environ={**without_python(environ), **ALWAYS},
        delta={**ALWAYS, **{key: value for key, value in environ.items() if key.startswith(SETTINGS)}},
        digest=digest,
        engine=engine,
        image=image,
        flags=flags,
        more=tuple(word for word in settings.get(ENV, "").split(",") if word),
    )
    return _with_python(deployment)


def _engine(text: str, known: tuple[str, ...], environ: Mapping[str, str], wanted: str | None) -> str:
    path = environ.get("PATH", os.defpath)
    if wanted:
        if Path(wanted).name not in known:
            raise DeploymentError(f"{ENGINE}={wanted}: {text} is run by {' or '.join(known)}")
        known = (wanted,)
    program = next((program for name in known if (program := shutil.which(name, path=path))), None)
    if program is None:
        other = "a SIF file is run by apptainer" if known[0] in OCI else "an image of podman or docker by its name"
        raise DeploymentError(
            f"--deployment {text}: no {' or '.join(known)} on PATH; install one, or name an image of another kind "
            f"({other})"
        )
    return str(Path(program).absolute())


def _inspected(text: str, engine: str, name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return id and digest of an image that the engine has."""
    done = _run(text, [engine, "image", "inspect", name], environ)
    tool = Path(engine).name
    if done.returncode != 0:
        reason = telling_line(done.stderr) or "no message"
        raise DeploymentError(
            f"--deployment {text}: {tool} has no image {name} on this machine ({reason}); `{tool} pull` or "
            "`exaworks images build` it first"
        )
    try:
        inspected: dict[str, Any] = json.loads(done.stdout)[0]
        identity, machine = str(inspected["Id"]), str(inspected["Architecture"])
    except (ValueError, LookupError, TypeError) as error:
        raise DeploymentError(f"--deployment {text}: `{tool} image inspect` is not understood: {error!r}") from error
    if MACHINES.get(machine, machine) != platform.machine():
        raise DeploymentError(
            f"--deployment {text}: the image is for {machine}, this machine is {platform.machine()}; "
            "build or pull it for this architecture (--platform)"
        )
    digests = [
        inspected.get("Digest") or "",
        *(entry.partition("@")[2] for entry in inspected.get("RepoDigests") or ()),
    ]
    digest = next((digest for digest in digests if digest), identity)
    return identity, digest.removeprefix("sha256:")


def _file_digest(file: Path) -> str | None:
    """Name a SIF file by its bytes; an unpacked folder is named by what the probe finds in it."""
    if file.is_dir():
        return None
    with file.open("rb") as stream:
        sha = hashlib.sha256()
        while chunk := stream.read(1 << 20):
            sha.update(chunk)
    return sha.hexdigest()


def _with_python(deployment: ImageDeployment) -> ImageDeployment:
    """Find the interpreter on the image's own PATH."""
    asked = ["/bin/sh", "-c", "command -v python3"]
    done = _run(deployment.name, deployment.wrap(asked), deployment.environ)
    python = done.stdout.strip()
    if done.returncode != 0 or not python.startswith("/"):
        reason = telling_line(done.stderr) or "it has no python3 on its PATH"
        raise DeploymentError(f"--deployment {deployment.name}: {Path(deployment.engine).name} cannot run it: {reason}")
    return replace(deployment, python=python)


def _run(text: str, argv: list[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv,
            env=dict(environ),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeploymentError(f"--deployment {text}: {argv[0]} does not answer: {error}") from error
