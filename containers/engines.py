"""The engines that build: how each is found and called, and what its failures mean."""

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
"""Variable with further words for the engine's build command, such as ``--isolation chroot``."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le"}

HINTS = (
    (r"no space left on device|disk quota exceeded|enough free space", "The disk is full: free some space ({prune}), "
     "or move the engine's storage, and TMPDIR, to a larger one."),
    (r"exec format error|does not match the (expected|specified) platform|no image found in .* for architecture",
     "The base is for another architecture than this machine ({machine}): name one for it with --base, or build "
     "there."),
    (r"manifest unknown|name unknown|repository .* not found|no such image|image not known|not found: manifest",
     "The base image is not there: name one that is with --base (`{engine} images` lists what this machine has)."),
    (r"unauthorized|authentication required|denied: ",
     "The registry asks for a login: `{engine} login REGISTRY` first."),
    (r"pinging container registry|no such host|connection refused|i/o timeout|network is unreachable|tls handshake",
     "The registry does not answer: is there a network or a proxy to name? A build without one takes a base made from "
     "a mirror of packages, named with --base."),
    (r"docker daemon|docker\.sock", "Docker's daemon does not answer: start it, or use another engine with --engine."),
    (r"subuid|newuidmap|user namespaces", "This user may not build unprivileged: ask for entries in /etc/subuid and "
     "/etc/subgid, or build as root."),
    (r"rlimit|cgroup", "The engine cannot start a process here as it is set up: try {flags}='--isolation chroot' "
     "with buildah."),
    (r"DO NOT MATCH THE HASHES", "The index serves other files than the lock names: do not use them."),
    (r"CERTIFICATE_VERIFY_FAILED|from versions: none", "pip reached no index: give the site's CA bundle with "
     "--ca-bundle, its pip configuration with --pip-config."),
    (r"Unable to fetch some archives|Temporary failure resolving|Unable to locate package|Could not resolve",
     "The distribution's packages could not be fetched: is there a network or a proxy to name?"),
)  # fmt: skip
"""Patterns of what an engine says, and what to do; the first that fits is shown."""
STORAGE = {
    "buildah": ("info", "--format={{.store.GraphRoot}}"),
    "podman": ("info", "--format={{.Store.GraphRoot}}"),
    "docker": ("info", "--format={{.DockerRootDir}}"),
}
"""What each engine is asked to tell where its layers are."""
PRUNE = {"buildah": "`buildah rmi --prune`", "apptainer": "`apptainer cache clean`"}
"""What frees space, where it is not ``system prune``."""


@dataclass(frozen=True)
class Request:
    """One build: files, names and values, apart from the engine that does it.

    ``folders`` of this machine are there while it builds, by their path in it, and may be written to. With ``output``
    nothing is tagged: the files of the stage ``target`` are written into that folder.
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
    """Return the program of the engine asked for, or of the first that is on PATH.

    Raises:
        EngineError: there is none.
    """
    if wanted and wanted not in ORDER:
        raise EngineError(f"--engine {wanted}: known engines are {', '.join(ORDER)}")
    for name in (wanted,) if wanted else ORDER:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise EngineError(
        f"no {wanted or ' or '.join(ORDER)} on PATH. Install one (Debian: apt install buildah; RHEL: dnf install "
        "podman), or write the definitions with `exaworks images render` and build them elsewhere."
    )


def storage(program: str) -> Path:
    """Return the folder on this machine that a build fills: the engine's layers, or TMPDIR where it has none."""
    asked = STORAGE.get(Path(program).name)
    if asked:
        try:
            done = subprocess.run(
                [program, *asked], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
        except OSError:
            return Path(tempfile.gettempdir())
        said = Path(done.stdout.strip() or "-")
        if done.returncode == 0 and said.is_dir():
            return said
    return Path(os.environ.get("APPTAINER_TMPDIR") or tempfile.gettempdir())


def build_argv(program: str, request: Request) -> list[str]:
    """Return the command that builds an image.

    Raises:
        EngineError: the engine cannot do what was asked for.
    """
    engine = Path(program).name
    if engine == "apptainer":
        if request.secrets:
            raise EngineError(
                "apptainer lends no files to a build: set pip's and git's variables and --bind in APPTAINER_BIND "
                "instead of --ca-bundle, --pip-config and --git-config"
            )
        argv = [program, "build", *(f"--bind={path}:{inside}" for inside, path in request.folders.items())]
        argv += request.flags
        argv += [f"--build-arg={name}={value}" for name, value in _arguments(request).items() if name != "CREATED"]
        return [*argv, request.tag, str(request.definition)]
    if request.folders and engine == "docker":
        raise EngineError(
            "docker lends no folders to a build, so --spack-mirror needs another --engine: buildah, podman"
        )
    argv = [program, *(("bud", "--layers") if engine == "buildah" else ("build",))]
    argv += ["--format=docker"] if engine != "docker" else []  # the OCI format has no place for HEALTHCHECK
    argv += [f"--timestamp={request.epoch}"] if engine != "docker" else []
    argv += [f"--target={request.target}"] if request.target else []
    argv += [f"--output=type=local,dest={request.output}"] if request.output else [f"--tag={request.tag}"]
    argv += [f"--file={request.definition}"]
    argv += [f"--build-arg={name}={value}" for name, value in _arguments(request).items()]
    argv += [f"--secret=id={name},src={path}" for name, path in request.secrets.items()]
    argv += [f"--volume={path}:{inside}" for inside, path in request.folders.items()]
    return [*argv, *request.flags, str(request.context)]


def _arguments(request: Request) -> dict[str, str]:
    base = {"BASE": request.base} if request.base else {}
    return {**base, "SOURCE_DATE_EPOCH": str(request.epoch), **request.arguments}


def push_argv(program: str, tag: str, target: str) -> list[str]:
    """Return the command that sends an image to a registry; ``target`` begins with ``oci://`` or ``docker://``."""
    engine = Path(program).name
    address = re.sub(r"^(oci|docker|oras)://", "", target)
    if engine == "apptainer":
        return [program, "push", tag, f"oras://{address}"]
    if engine == "docker":
        return [program, "push", address]
    return [program, "push", tag, f"docker://{address}"]


def explain(program: str, output: str) -> str:
    """Return the engine's own last line of error, and what to do where that is known."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(==> )?(Error|ERROR|E|error|FATAL)[:\[ ]", line)]
    own = [line for line in errors if not line.startswith("Error: building at STEP")]  # that repeats the command
    said = (own or errors or lines or ["it said nothing"])[-1]
    engine = Path(program).name
    prune = PRUNE.get(engine, f"`{engine} system prune`")
    where = {"engine": engine, "prune": prune, "machine": platform.machine(), "flags": FLAGS}
    tail = "\n".join(lines[-40:])
    hint = next((text for sign, text in HINTS if re.search(sign, tail, re.IGNORECASE)), "")
    return f"{said[:400]}\n{hint.format(**where)}".rstrip()


def flags(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the further words for the build command.

    Raises:
        EngineError: they are not quoted as a shell would want.
    """
    try:
        return shlex.split(environ.get(FLAGS, ""))
    except ValueError as error:
        raise EngineError(f"{FLAGS}: {error}: quote its words as for a shell") from error
