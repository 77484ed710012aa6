"""The engines that build images: how to find and call them, and advice for their errors."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from containers.errors import EngineError

ORDER = ("buildah", "podman", "docker", "apptainer")
FLAGS = "EXAWORKS_BUILD_FLAGS"
"""The variable with further options of the engine's build command, such as ``--isolation chroot``."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le"}

HINTS = (
    (r"no space left on device|disk quota exceeded|enough free space", "The disk is full: free some space ({prune}), "
     "or move the engine's storage, and TMPDIR, to a larger one."),
    (r"exec format error|does not match the (expected|specified) platform|no image found in .* for architecture",
     "The base image is for another architecture than this machine ({machine}): name one for this machine with --base, "
     "or build on a machine of that architecture."),
    (r"manifest unknown|name unknown|repository .* not found|no such image|image not known|not found: manifest",
     "The base image is not there: name an existing one with --base (`{engine} images` lists those on this machine)."),
    (r"unauthorized|authentication required|denied: ",
     "The registry requires a login: run `{engine} login REGISTRY` first."),
    (r"pinging container registry|no such host|connection refused|i/o timeout|network is unreachable|tls handshake",
     "The registry does not answer: check the network and the proxy variables. To build without a registry, create a "
     "base image from a mirror of packages and name it with --base."),
    (r"docker daemon|docker\.sock", "Docker's daemon does not answer: start it, or use another engine with --engine."),
    (r"subuid|newuidmap|user namespaces", "This user may not build without privileges: request entries in /etc/subuid "
     "and /etc/subgid, or build as root."),
    (r"rlimit|cgroup", "The engine cannot start a process with its configuration on this machine: try "
     "{flags}='--isolation chroot' with buildah."),
    (r"DO NOT MATCH THE HASHES", "The package index has other files than the lock names: do not use them."),
    (r"CERTIFICATE_VERIFY_FAILED|from versions: none", "pip reached no index: give the site's CA bundle with "
     "--ca-bundle, its pip configuration with --pip-config."),
    (r"Unable to fetch some archives|Temporary failure resolving|Unable to locate package|Could not resolve",
     "The distribution's packages could not be fetched: check the network and the proxy variables."),
)  # fmt: skip
"""Patterns of an engine's error messages, with advice; the advice of the first match is shown."""
STORAGE = {
    "buildah": ("info", "--format={{.store.GraphRoot}}"),
    "podman": ("info", "--format={{.Store.GraphRoot}}"),
    "docker": ("info", "--format={{.DockerRootDir}}"),
}
"""The arguments with which each engine prints the folder of its layers."""
PRUNE = {"buildah": "`buildah rmi --prune`", "apptainer": "`apptainer cache clean`"}
"""The commands that free space, for engines without ``system prune``."""


@dataclass(frozen=True)
class BuildRequest:
    """One build: files, names and values, independent of the engine.

    ``folders``: folders of this machine that are mounted during the build, by their path inside; they are writable.
    With ``output`` no image is tagged: the files of the stage ``target`` are written into that folder.
    """

    context: Path
    definition: Path
    tag: str
    base: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    epoch: int = 0
    flags: Sequence[str] = ()
    target: str | None = None
    output: Path | None = None


def detect(wanted: str | None = None, path: str | None = None) -> str:
    """Return the path of the wanted engine, or of the first one that is on PATH.

    Raises:
        EngineError: the engine is not known, or none is on PATH.
    """
    if wanted and wanted not in ORDER:
        raise EngineError(f"--engine {wanted}: known engines are {', '.join(ORDER)}")
    for name in (wanted,) if wanted else ORDER:
        program = shutil.which(name, path=path)
        if program:
            return program
    raise EngineError(
        f"no {wanted or ' or '.join(ORDER)} on PATH. Install one (Debian: apt install buildah; RHEL: dnf install "
        "podman), or write the definitions with `exaworks images render` and build them elsewhere."
    )


def storage(program: str) -> Path:
    """Return the folder in which a build needs space: that of the engine's layers, or TMPDIR if it has no layers."""
    arguments = STORAGE.get(Path(program).name)
    if arguments:
        try:
            done = subprocess.run(
                [program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
        except OSError:
            return Path(tempfile.gettempdir())
        folder = Path(done.stdout.strip() or "-")
        if done.returncode == 0 and folder.is_dir():
            return folder
    return Path(os.environ.get("APPTAINER_TMPDIR") or tempfile.gettempdir())


def build_argv(program: str, request: BuildRequest) -> list[str]:
    """Return the command that builds an image.

    Raises:
        EngineError: the engine does not support an option of the request.
    """
    engine = Path(program).name
    if engine == "apptainer":
        if request.secrets:
            raise EngineError(
                "apptainer cannot pass secret files to a build. Instead of --ca-bundle, --pip-config and --git-config, "
                "set the variables of pip and git, and name the files in APPTAINER_BIND."
            )
        argv = [program, "build", *(f"--bind={path}:{inside}" for inside, path in request.folders.items())]
        argv += request.flags
        argv += [f"--build-arg={name}={value}" for name, value in _arguments(request).items() if name != "CREATED"]
        return [*argv, request.tag, str(request.definition)]
    if request.folders and engine == "docker":
        raise EngineError(
            "docker cannot mount folders during a build, so --spack-mirror needs another --engine: buildah or podman"
        )
    argv = [program, *(("bud", "--layers") if engine == "buildah" else ("build",))]
    argv += ["--format=docker"] if engine != "docker" else []  # the OCI format has no HEALTHCHECK
    argv += [f"--timestamp={request.epoch}"] if engine != "docker" else []
    argv += [f"--target={request.target}"] if request.target else []
    argv += [f"--output=type=local,dest={request.output}"] if request.output else [f"--tag={request.tag}"]
    argv += [f"--file={request.definition}"]
    argv += [f"--build-arg={name}={value}" for name, value in _arguments(request).items()]
    argv += [f"--secret=id={name},src={path}" for name, path in request.secrets.items()]
    argv += [f"--volume={path}:{inside}" for inside, path in request.folders.items()]
    return [*argv, *request.flags, str(request.context)]


def _arguments(request: BuildRequest) -> dict[str, str]:
    base = {"BASE": request.base} if request.base else {}
    return {**base, "SOURCE_DATE_EPOCH": str(request.epoch), **request.arguments}


def push_argv(program: str, tag: str, target: str) -> list[str]:
    """Return the command that pushes an image to a registry; ``target`` starts with ``oci://`` or ``docker://``."""
    engine = Path(program).name
    address = re.sub(r"^(oci|docker|oras)://", "", target)
    if engine == "apptainer":
        return [program, "push", tag, f"oras://{address}"]
    if engine == "docker":
        return [program, "push", address]
    return [program, "push", tag, f"docker://{address}"]


def explain(program: str, output: str) -> str:
    """Return the last error line of an engine's output, and advice if the error is known."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(==> )?(Error|ERROR|E|error|FATAL)[:\[ ]", line)]
    own = [line for line in errors if not line.startswith("Error: building at STEP")]  # that line repeats the command
    evidence = (own or errors or lines or ["the engine printed nothing"])[-1]
    engine = Path(program).name
    prune = PRUNE.get(engine, f"`{engine} system prune`")
    values = {"engine": engine, "prune": prune, "machine": platform.machine(), "flags": FLAGS}
    tail = "\n".join(lines[-40:])
    advice = next((text for pattern, text in HINTS if re.search(pattern, tail, re.IGNORECASE)), "")
    return f"{evidence[:400]}\n{advice.format(**values)}".rstrip()


def flags(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the further options of the build command.

    Raises:
        EngineError: the value is not quoted as for a shell.
    """
    try:
        return shlex.split(environ.get(FLAGS, ""))
    except ValueError as error:
        raise EngineError(f"{FLAGS}: {error}: quote the options as for a shell") from error
