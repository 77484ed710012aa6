"""What is under test and how it is activated; nothing of it ever enters the harness's own environment."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sdk_tests.errors import DeploymentError

KINDS = ("venv", "spack", "module", "conda", "path", "image")
OWN_PREFIX = "EXAWORKS_"
"""Variables of the harness itself, tokens among them, which payloads never see."""


@dataclass(frozen=True)
class Deployment:
    """A deployment ready to run payloads.

    ``environ`` is the complete environment of a payload beside the scheduler; ``delta`` what activation adds to or
    changes in the environment it started from, for use inside a batch job. ``promises`` maps components this
    deployment promises to the promised version (None: any).
    """

    name: str
    kind: str
    python: str
    environ: Mapping[str, str]
    delta: Mapping[str, str]
    promises: Mapping[str, str | None] = field(default_factory=dict)
    release: str | None = None
    digest: str | None = None
    """What names its contents where that is known beforehand; None: what the probe finds in it does."""

    @property
    def bin(self) -> str:
        return str(Path(self.python).parent)

    def wrap(self, argv: list[str]) -> list[str]:
        """Return the command that runs ``argv`` inside the deployment; the identity for all that needs no container."""
        return argv

    def unable(self, where: str, batch: bool) -> str | None:
        """Return why cases of that kind cannot run from it, or None; the rule for all that needs no container."""
        return None


def base_environ(environ: Mapping[str, str], secrets: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the environment without what belongs to the harness: its settings and tokens, and pytest's."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith((OWN_PREFIX, "PYTEST_", "COV_CORE_")) and name not in secrets
    }


def digest(kind: str, python: str, distributions: list[str], commands: Mapping[str, object]) -> str:
    """Name the contents of a deployment: sha256 over its interpreter's version and everything installed in it."""
    text = "\n".join([kind, python, *distributions, *(f"{k} {v}" for k, v in sorted(commands.items()))])
    return hashlib.sha256(text.encode()).hexdigest()


def resolve(text: str, environ: Mapping[str, str]) -> Deployment:
    """Turn ``venv:DIR``, ``spack:ENV-or-PREFIX``, ``image:NAME`` and the like, or ``path``, into a deployment.

    Raises:
        DeploymentError: the text names no kind, or what it names is not there or cannot be activated.
    """
    kind, _, name = text.partition(":")
    if kind not in KINDS or (kind != "path" and not name):
        known = "venv:DIR, spack:ENV-or-PREFIX, module:NAME, conda:NAME, image:NAME-or-SIF, path"
        raise DeploymentError(f"--deployment {text}: not a deployment; say one of {known}")
    if kind == "venv":
        return virtual_environment(Path(name), environ)
    if kind == "image":
        from sdk_tests.images import image_deployment

        return image_deployment(text, environ)
    start = dict(environ)
    if kind in ("spack", "conda"):
        for variable in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
            start.pop(variable, None)
    activate = {"spack": _spack, "module": _module, "conda": _conda}.get(kind)
    activated = _activate(text, activate(name), start) if activate else start
    python = _python(activated)
    if python is None:
        raise DeploymentError(f"--deployment {text}: no python3 on its PATH; is it activated as you expect?")
    return _deployment(text, kind, python, start, activated)


def virtual_environment(folder: Path, environ: Mapping[str, str], name: str | None = None) -> Deployment:
    """Take a virtual environment by its folder.

    Raises:
        DeploymentError: there is no ``bin/python`` in it.
    """
    folder = folder.expanduser().absolute()
    python = folder / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise DeploymentError(f"--deployment venv:{folder}: no program {python}; name a virtual environment's folder")
    start = {key: value for key, value in environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    activated = {**start, "VIRTUAL_ENV": str(folder)}
    return _deployment(name or f"venv:{folder.name}", "venv", str(python), dict(environ), activated)


def _deployment(
    name: str, kind: str, python: str, start: Mapping[str, str], activated: Mapping[str, str]
) -> Deployment:
    own = str(Path(python).parent)
    rest = [entry for entry in activated.get("PATH", os.defpath).split(os.pathsep) if entry != own]
    complete = {**activated, "PATH": os.pathsep.join([own, *rest])}
    delta = {key: value for key, value in complete.items() if start.get(key) != value}
    return Deployment(name=name, kind=kind, python=python, environ=complete, delta={**delta, "PATH": complete["PATH"]})


def _python(environ: Mapping[str, str]) -> str | None:
    path = environ.get("PATH", os.defpath)
    return shutil.which("python3", path=path) or shutil.which("python", path=path)


def _spack(name: str) -> str:
    """A view or install prefix is put on PATH; anything else is a Spack environment to activate."""
    if (Path(name).expanduser() / "bin").is_dir():
        prefix = Path(name).expanduser().absolute()
        sites = sorted(str(site) for site in prefix.glob("lib*/python3*/site-packages"))
        path = f'export PATH={shlex.quote(str(prefix / "bin"))}:"$PATH"'
        return path + (f"\nexport PYTHONPATH={shlex.quote(':'.join(sites))}" if sites else "")
    folder = Path(name).expanduser().absolute()
    own = folder.parent / "spack" / "bin" / "spack"
    if (folder / "spack.yaml").is_file() and own.is_file():  # as `exaworks install` lays them out
        return f'eval "$({shlex.quote(str(own))} env activate --sh {shlex.quote(str(folder))})"'
    return (
        'spack_bin=$(command -v spack || echo "${SPACK_ROOT:-/nonexistent}/bin/spack")\n'
        'if [ ! -x "$spack_bin" ]; then echo "no spack on PATH and SPACK_ROOT does not name one" >&2; exit 1; fi\n'
        f'eval "$("$spack_bin" env activate --sh {shlex.quote(name)})"'
    )


def _module(name: str) -> str:
    return (
        "if ! type module >/dev/null 2>&1; then\n"
        '  for f in "${LMOD_PKG:-}/init/bash" "${MODULESHOME:-}/init/bash" /etc/profile.d/modules.sh '
        '/etc/profile.d/lmod.sh; do if [ -r "$f" ]; then . "$f"; break; fi; done\nfi\n'
        'if ! type module >/dev/null 2>&1; then echo "no module command in this shell" >&2; exit 1; fi\n'
        f"module load {shlex.quote(name)} || exit 1\n"
    )


def with_modules(names: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with modules loaded, in this order.

    Raises:
        DeploymentError: there is no module command here, or a module cannot be loaded.
    """
    return _activate(f"module:{' '.join(names)}", "".join(map(_module, names)), environ) if names else dict(environ)


def _conda(name: str) -> str:
    return (
        'conda_bin=$(command -v conda || echo "${CONDA_EXE:-}")\n'
        'if [ -z "$conda_bin" ]; then echo "no conda on PATH" >&2; exit 1; fi\n'
        f'eval "$("$conda_bin" shell.bash hook)" && conda activate {shlex.quote(name)} || exit 1'
    )


def _activate(text: str, script: str, environ: Mapping[str, str]) -> dict[str, str]:
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
