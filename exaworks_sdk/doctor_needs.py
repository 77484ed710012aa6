"""What each step from a laptop to all five technologies needs: how it is looked for, and the packages that bring it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from exaworks_sdk import compiler

Check = Callable[[], tuple[str | None, str]]
"""Returns what is missing, or None, and what is there."""

DEFAULT_INDEX = """
import glob, os, sys
import ensurepip
bundled = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
sys.path += sorted(glob.glob(bundled + "/pip-*.whl") + glob.glob("/usr/share/python-wheels/pip-*.whl"))
from pip._internal.models.index import PyPI
print(PyPI.simple_url)
"""
"""Prints the package index that pip uses if its configuration names none; a new environment gets the bundled pip."""

ANSWER_LIMIT = 8.0
"""Seconds that a server may take to answer."""

LOGIN_LIMIT = 5.0
"""Seconds in which a login shell must have ended."""

GIB = 2**30


@dataclass(frozen=True)
class Need:
    """Something that a step needs. packages: what brings it, by package manager. required: whether it is necessary."""

    check: Check
    why: str
    packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    required: bool = True


@dataclass(frozen=True)
class Step:
    """A step of the ladder: its command, and what it gives."""

    name: str
    command: str
    what: str
    needs: tuple[Need, ...]


def program(*names: str, what: str = "") -> Check:
    """Look for one of several programs on PATH."""

    def check() -> tuple[str | None, str]:
        places = [name for name in names if _which(name)]
        return (None, places[0]) if places else (f"no {what or ' or '.join(names)}", "")

    return check


def programs(*names: str) -> Check:
    """Look for several programs, all of which are needed."""

    def check() -> tuple[str | None, str]:
        absent = [name for name in names if not _which(name)]
        return (f"no {', '.join(absent)}", "") if absent else (None, ", ".join(names))

    return check


def _which(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


def python() -> tuple[str | None, str]:
    version = platform.python_version()
    if not (find_spec("venv") and find_spec("ensurepip")):
        return f"Python {version} lacks venv or ensurepip", ""
    return None, f"Python {version} with venv"


def c_compiler() -> tuple[str | None, str]:
    lack = compiler.lacking()
    return lack, "" if lack else "C compiler with the headers of Python"


def new_gcc() -> tuple[str | None, str]:
    """Look for gcc 12: Fluxion 0.54 cannot be built with an older one."""
    try:
        text = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no gcc", ""
    return (None, f"gcc {text}") if int(text.partition(".")[0] or 0) >= 12 else (f"gcc is {text}, not 12 or newer", "")


def login_shell() -> tuple[str | None, str]:
    """Start a login shell, whose start files may wait for a lock or for a file system that does not answer."""
    quiet = subprocess.DEVNULL
    try:
        shell = subprocess.Popen(
            ["bash", "-l", "-c", "exit"], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
        )
    except OSError:
        return "no bash", ""
    try:
        shell.wait(LOGIN_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
        return f"no quick login shell (`bash -l` takes more than {LOGIN_LIMIT:g} s)", ""
    return None, "a quick login shell"


def room(gib: float) -> Check:
    """Look for free space in the folder where environments and installations are stored."""

    def check() -> tuple[str | None, str]:
        place = Path(os.environ.get("EXAWORKS_HOME") or Path(__file__).resolve().parents[1] / ".exaworks").expanduser()
        while not place.exists() and place != place.parent:
            place = place.parent
        free = shutil.disk_usage(place).free / GIB
        if not os.access(place, os.W_OK):
            return f"{place} is not writable", ""
        return (None, f"{free:.0f} GB free") if free >= gib else (f"{free:.1f} GB free in {place}, not {gib:g} GB", "")

    return check


def index() -> tuple[str | None, str]:
    """Ask the package index whether it answers; a wheelhouse takes its place."""
    if os.environ.get("EXAWORKS_WHEELHOUSE"):
        return None, f"wheelhouse {os.environ['EXAWORKS_WHEELHOUSE']}"
    configured = os.environ.get("PIP_INDEX_URL") or _printed("-m", "pip", "config", "get", "global.index-url")
    address = configured or _printed("-c", DEFAULT_INDEX)
    if not address:
        return None, "not asked for: this Python has no pip that names its package index"
    lack = answers(address)
    return lack, "" if lack else "the package index answers"


def _printed(*arguments: str) -> str:
    """Return what this Python prints; an empty text if it fails."""
    command = [sys.executable, "-I", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def spack_sources() -> tuple[str | None, str]:
    """Ask the servers of Spack's repositories whether they answer."""
    hosts = sorted(set(re.findall(r"https://[\w.-]+/", _manifest_text())))
    lacks = [lack for host in hosts if (lack := answers(host)) is not None]
    return (lacks[0], "") if lacks else (None, f"{', '.join(host.split('/')[2] for host in hosts)} answers")


def _manifest_text() -> str:
    """Return the part about Spack of the newest release manifest."""
    manifests = (Path(__file__).parent / "releases").glob("*.yaml")
    newest = max(manifests, key=lambda path: [int(part) for part in re.findall(r"\d+", path.stem)], default=None)
    return newest.read_text().partition("\nspack:")[2] if newest is not None else ""


def answers(url: str) -> str | None:
    """Return why a server does not answer, or None; any answer counts, also a refusal."""
    cafile = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    host = url.split("/")[2] if "//" in url else url
    try:
        context = ssl.create_default_context(cafile=cafile if cafile and Path(cafile).is_file() else None)
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 (an address of pip's own configuration)
        with urllib.request.urlopen(request, timeout=ANSWER_LIMIT, context=context):  # noqa: S310
            return None
    except urllib.error.HTTPError:
        return None
    except urllib.error.URLError as error:
        return f"no answer from {host} ({error.reason})"
    except (OSError, ValueError) as error:
        return f"no answer from {host} ({error})"


VALIDATE = Step(
    "validate",
    "./exaworks validate",
    "tests PSI/J, Parsl and RADICAL",
    (
        Need(
            python,
            "the environments cannot be created",
            {"apt": ("python3", "python3-venv"), "dnf": ("python3.11",), "zypper": ("python311",)},
        ),
        Need(
            program("git"),
            "the checkout's commit cannot be recorded",
            dict.fromkeys(("apt", "dnf", "zypper"), ("git",)),
        ),
        Need(room(1.5), "environments and runs need it"),
        Need(index, "use --wheelhouse DIR, or set PIP_INDEX_URL, HTTPS_PROXY or PIP_CERT"),
        Need(
            c_compiler,
            "RADICAL is left out",
            {
                "apt": ("gcc", "libc6-dev", "python3-dev"),
                "dnf": ("gcc", "python3.11-devel"),
                "zypper": ("gcc", "python311-devel"),
            },
            required=False,
        ),
        Need(
            programs("slurmctld", "slurmd", "munged"),
            "nothing is tested through Slurm",
            {
                "apt": ("slurm-wlm", "munge"),
                "dnf": ("slurm-slurmctld", "slurm-slurmd", "munge"),
                "zypper": ("slurm", "slurm-node", "munge"),
            },
            required=False,
        ),
        Need(
            program("mpiexec", "mpirun", what="MPI launcher"),
            "cases with several ranks are not tested",
            dict.fromkeys(("apt", "dnf", "zypper"), ("mpich",)),
            required=False,
        ),
        Need(
            program("ps"),
            "Parsl ends its workers only after half a minute",
            {"apt": ("procps",), "dnf": ("procps-ng",), "zypper": ("procps",)},
            required=False,
        ),
        Need(
            login_shell,
            "cases of RADICAL, which starts several, run out of time; `bash -lxc exit` shows what it waits for",
            required=False,
        ),
    ),
)

INSTALL = Step(
    "install",
    "./exaworks install",
    "builds Flux and Swift/T too, with Spack",
    (
        Need(python, "Spack needs it", VALIDATE.needs[0].packages),
        Need(c_compiler, "nothing can be built", VALIDATE.needs[4].packages),
        Need(new_gcc, "Fluxion needs gcc 12 or newer", dict.fromkeys(("apt", "dnf", "zypper"), ("gcc",))),
        Need(program("g++"), "Flux needs it", {"apt": ("g++",), "dnf": ("gcc-c++",), "zypper": ("gcc-c++",)}),
        Need(
            program("gfortran"),
            "without it Spack replaces the MPI",
            {"apt": ("gfortran",), "dnf": ("gcc-gfortran",), "zypper": ("gcc-fortran",)},
        ),
        Need(
            programs("git", "make", "patch", "tar", "gzip", "bzip2", "xz", "unzip", "file"),
            "Spack needs them",
            {
                "apt": ("git", "make", "patch", "tar", "gzip", "bzip2", "xz-utils", "unzip", "file"),
                "dnf": ("git", "make", "patch", "tar", "gzip", "bzip2", "xz", "unzip", "file"),
                "zypper": ("git", "make", "patch", "tar", "gzip", "bzip2", "xz", "unzip", "file"),
            },
        ),
        Need(room(15), "sources, builds and installation need it"),
        Need(spack_sources, "Spack is cloned from there; without a network see docs/spack.md"),
        Need(index, "Spack's Python is installed from there"),
    ),
)

IMAGES = Step(
    "images",
    "./exaworks images build sdk",
    "the release as a container image",
    (
        Need(
            program("docker", "podman", "buildah", what="docker, podman or buildah"),
            "nothing builds the image",
            dict.fromkeys(("apt", "dnf", "zypper"), ("podman", "buildah")),
        ),
        Need(room(5), "layers need it"),
    ),
)

STEPS = (VALIDATE, INSTALL, IMAGES)
