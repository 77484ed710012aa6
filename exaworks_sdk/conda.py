"""A release as a conda environment: its environment file, its lock, and the environment on this machine.

conda provides the interpreter and the packages that would have to be compiled; the release's components are installed
into it from the release's own lock, with the same versions and hashes as in a pip environment. Any of micromamba, mamba
and conda can do this.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from exaworks_sdk.environment import machine, make
from exaworks_sdk.errors import InstallError
from exaworks_sdk.locks import pins
from exaworks_sdk.paths import Places
from exaworks_sdk.recipe import EnvironmentFailedError, Recipe
from exaworks_sdk.release import Release

CHANNEL = "conda-forge"
PYTHON = "3.11"
"""The interpreter of the environment."""
TOOLS = ("micromamba", "mamba", "conda")
EXPLICIT = "@EXPLICIT"
"""The line that begins the list of packages in a lock of conda."""
_PACKAGE = re.compile(r"(?:https?|file)://\S+\.(?:conda|tar\.bz2)#(?:sha256:)?(?:[0-9a-f]{32}|[0-9a-f]{64})")
_PLATFORMS = {"linux-x86_64": "linux-64", "linux-aarch64": "linux-aarch64", "linux-ppc64le": "linux-ppc64le"}


@dataclass(frozen=True)
class Tool:
    """The program that creates conda environments."""

    kind: str
    path: str

    @property
    def listing(self) -> tuple[str, ...]:
        """The arguments that print the packages of an environment with their addresses and hashes."""
        return (
            ("env", "export", "--explicit", "--md5") if self.kind == "micromamba" else ("list", "--explicit", "--md5")
        )


def find_tool(environ: Mapping[str, str]) -> Tool:
    """Return the program: that of $MAMBA_EXE or $CONDA_EXE, which conda's own set-up exports, or one on PATH.

    Raises:
        InstallError: there is none.
    """
    named = [environ[name] for name in ("MAMBA_EXE", "CONDA_EXE") if environ.get(name)]
    found = [shutil.which(name, path=environ.get("PATH", os.defpath)) for name in TOOLS]
    for path in [*named, *(text for text in found if text)]:
        kind = Path(path).name
        if kind in TOOLS and os.access(path, os.X_OK):
            return Tool(kind, path)
    raise InstallError(
        "a conda environment needs micromamba, mamba or conda on PATH: load the module that provides one, or install "
        "micromamba, which is a single program."
    )


def specs(release: Release) -> list[str]:
    """Return the packages of the environment that conda provides: the interpreter, and what is not compiled here."""
    versions = {name: block.split()[0].partition("==")[2] for name, block in pins(release.lock)}
    return [f"python={PYTHON}", "pip", *(f"{name}={versions[name]}" for name in sorted(release.compiled))]


def environment_text(release: Release) -> str:
    """Return the environment file of a release, for ``conda env create`` beside a copy of its lock."""
    lines = [
        f"# The conda environment of release {release.name}, written by `exaworks release conda`. {release.lock.name},",
        "# the release's lock with the hash of each package, belongs beside this file. Flux and Swift/T are not in it:",
        "# use the site's, or those that `exaworks install` builds with Spack.",
        f"name: exaworks-{release.name}",
        f"channels: [{CHANNEL}, nodefaults]",
        "dependencies:",
        *(f"  - {spec}" for spec in specs(release)),
        "  - pip:",
        "      - --no-deps",
        "      - --require-hashes",
        f"      - -r {release.lock.name}",
    ]
    return "\n".join(lines) + "\n"


def platform() -> str:
    """Return the name that conda gives this machine's platform."""
    return _PLATFORMS.get(machine(), machine())


def lock_path(release: Release) -> Path:
    """Return the path of the lock of conda's own packages for this platform; it may be absent."""
    return release.lock.with_name(f"{release.name}.conda-{platform()}.lock")


def check_lock(text: str, where: str) -> None:
    """Check that a lock of conda's packages has a hash for each of them.

    Raises:
        InstallError: it has no packages, or one without a hash; the message names the line.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    packages = [(number, line) for number, line in lines if line and not line.startswith("#") and line != EXPLICIT]
    if EXPLICIT not in (line for _, line in lines) or not packages:
        raise InstallError(f"{where}: not a lock of conda: it has no line {EXPLICIT} with packages after it.")
    for number, line in packages:
        if not _PACKAGE.fullmatch(line):
            raise InstallError(f"{where}:{number}: {line}: expected the address of a package, # and its hash.")


def conda_folder(places: Places, release: Release) -> Path:
    """Return the folder of the conda environment of a release."""
    return places.deployments / f"{release.name}-conda-{machine()}"


def conda_deployment(
    places: Places,
    release: Release,
    environ: Mapping[str, str],
    *,
    lock: Path | None = None,
    wheelhouse: Path | None = None,
    progress: Callable[[str], None],
) -> Path:
    """Return the folder of the conda environment of a release. Create it if it is absent or a lock has changed.

    lock: the list of conda's packages to use, instead of that of the release for this platform. Without either, the
    newest packages that fit are taken from conda-forge.

    Raises:
        InstallError: it could not be created; the message has the last error and the path of the full output.
    """
    folder = conda_folder(places, release)
    if re.search(r"\s", str(folder)):
        raise InstallError(f"{folder}: a conda environment cannot have a space in its path: set EXAWORKS_HOME.")
    explicit = lock or (lock_path(release) if lock_path(release).is_file() else None)
    if explicit is not None:
        check_lock(_read(explicit), str(explicit))
        packages = ["--file", str(explicit)]
    else:
        packages = ["--override-channels", "--channel", CHANNEL, *specs(release)]
    recipe = Recipe(
        folder=folder,
        lock=release.lock,
        label=f"the conda environment of release {release.name}",
        creation=(find_tool(environ).path, "create", "--yes", "--prefix", str(folder), *packages),
        more_sources={"conda.lock": explicit} if explicit is not None else {},
        wheelhouse=wheelhouse or (Path(environ["EXAWORKS_WHEELHOUSE"]) if environ.get("EXAWORKS_WHEELHOUSE") else None),
        build_tools=tuple(release.build_tools),
    )
    try:
        return make(recipe, progress)
    except EnvironmentFailedError as error:
        raise InstallError(str(error)) from error


def make_lock(release: Release, environ: Mapping[str, str]) -> str:
    """Solve the environment here and return the list of conda's packages, each with its address and hash.

    Raises:
        InstallError: there is no tool, it failed, or it printed no hashes.
    """
    tool = find_tool(environ)
    with tempfile.TemporaryDirectory(prefix="exaworks-conda-") as name:
        prefix = str(Path(name) / "environment")
        channel = ["--override-channels", "--channel", CHANNEL]
        _run([tool.path, "create", "--yes", "--prefix", prefix, *channel, *specs(release)], environ)
        text = _run([tool.path, *tool.listing, "--prefix", prefix], environ)
    lines = [line for line in text.splitlines() if line.startswith((EXPLICIT, "http", "file:"))]
    heading = (
        f"# conda's packages of release {release.name} on {platform()}, written by `exaworks release conda --lock`."
    )
    locked = "\n".join([heading, *lines]) + "\n"
    check_lock(locked, f"{tool.path} {' '.join(tool.listing)}")
    return locked


def _run(argv: list[str], environ: Mapping[str, str]) -> str:
    done = subprocess.run(
        argv, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise InstallError(f"{' '.join(argv[:2])} failed with exit code {done.returncode}: {reason}")
    return done.stdout


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InstallError(f"{path}: cannot be read: {error.strerror or error}") from error
