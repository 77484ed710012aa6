"""Create a Python environment from a hash-locked requirements file, and create it again when its sources change.

The ``exaworks`` script runs this file by path, before anything is installed, so it imports the standard library only;
``exaworks_sdk.install`` uses it for deployments. An environment is created in its final folder, because its scripts
contain that path. The folder ``.made`` inside it is written last and contains copies of the sources: an environment
without it, or with other copies, is created again. A lock file beside the environment lets only one process at a time
create it. The kernel releases the lock when the last process that holds it ends. pip holds it too, so that an orphaned
pip never writes into a newer environment.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import filecmp
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGE_PLACEMENT = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER")
PACKAGE_CHOICE = (
    *("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "PIP_REQUIREMENT", "PIP_NO_BINARY", "PIP_ONLY_BINARY"),
    *("PIP_PREFER_BINARY", "PIP_UPGRADE", "PIP_UPGRADE_STRATEGY", "PIP_IGNORE_INSTALLED", "PIP_NO_DEPS"),
    *("PIP_DRY_RUN", "PIP_REQUIRE_VIRTUALENV", "PIP_PYTHON", "PIP_PLATFORM", "PIP_PYTHON_VERSION"),
    *("PIP_IMPLEMENTATION", "PIP_ABI", "PIP_PRE", "PIP_EDITABLE"),
)
"""Settings of pip that images and sites export and that have no say here: the lock pins every file by its hash."""
"""Settings of pip that would install packages outside the environment; all other settings of the user apply."""

MIN_FREE_BYTES = 16 * 2**20
"""If a step has failed and fewer bytes than this are free, the disk is full: few tools report this clearly."""

HINTS = (
    ("No space left on device", "The disk is full: free some space, or set EXAWORKS_HOME to a folder that has some."),
    ("Disk quota exceeded", "Your quota is used up: set EXAWORKS_HOME to a folder that has room."),
    ("DO NOT MATCH THE HASHES", "The files of the index or wheelhouse differ from those in the lock: do not use them."),
    (r"Python\.h: No such file", "A package must be compiled and needs Python's headers: install python3-dev."),
    (
        r"'[\w.-]*cc[\d.-]*' failed: (No such file|Permission)|: '[\w.-]*cc[\d.-]*'$",
        "A package must be compiled and needs a C compiler: install gcc and python3-dev.",
    ),
    ("CERTIFICATE_VERIFY_FAILED", "Set PIP_CERT to the site's CA bundle, or install offline with --wheelhouse DIR."),
    ("Proxy", "Check HTTPS_PROXY and pip's configuration, or install offline with --wheelhouse DIR."),
    ("from versions: none", "Without a network or a package index, install offline with --wheelhouse DIR."),
    ("No matching distribution", "Without a network or a package index, install offline with --wheelhouse DIR."),
    ("Could not install packages due to an OSError", "Check the network, or install offline with --wheelhouse DIR."),
)
"""Patterns in pip's log, and advice for the user; the first pattern that matches applies."""

ERROR_CODE = re.compile(r"error: [a-z-]+", re.IGNORECASE)
"""A line with only pip's name of a kind of failure; another line states what failed."""


class EnvironmentFailedError(Exception):
    """An environment could not be created; the message states what failed, where, and what to do."""


@dataclass(frozen=True)
class Recipe:
    """The sources of an environment, and its folder."""

    folder: Path
    lock: Path
    label: str
    python: str = sys.executable
    checkout: Path | None = None
    """A checkout to install in place, in addition to the packages of the lock."""
    wheelhouse: Path | None = None
    build_tools: tuple[str, ...] = ()
    """Packages of the lock that build its source distributions; they are installed first, and no others are used."""

    @property
    def sources(self) -> dict[str, Path]:
        """The files whose change makes the environment outdated, by the name of their copy."""
        project = {"pyproject.toml": self.checkout / "pyproject.toml"} if self.checkout else {}
        return {"lock": self.lock, **project}

    @property
    def log(self) -> Path:
        return self.folder.with_name(self.folder.name + ".log")

    @property
    def interpreter(self) -> Path:
        return self.folder / "bin" / "python"


def machine() -> str:
    """Return the name of the platform, as in the ``exaworks`` script; several platforms may share one home folder."""
    libc = "-musl" if any(Path("/lib").glob("ld-musl-*.so.1")) else ""
    return f"{platform.system().lower()}-{platform.machine()}{libc}"


def is_current(recipe: Recipe) -> bool:
    """Return whether the environment is complete and was created from the present files of the recipe."""
    return _is_complete(recipe) and all(_is_unchanged(recipe, name) for name in recipe.sources)


def _is_complete(recipe: Recipe) -> bool:
    try:
        checkout = (recipe.folder / ".made" / "checkout").read_text()
    except OSError:
        return False
    return checkout == f"{recipe.checkout or ''}\n" and recipe.interpreter.exists()


def _is_unchanged(recipe: Recipe, name: str) -> bool:
    try:
        return filecmp.cmp(recipe.sources[name], recipe.folder / ".made" / name, shallow=False)
    except OSError:
        return False


def make(recipe: Recipe, echo: Callable[[str], None]) -> Path:
    """Return the environment's folder, after creating it if necessary; other processes wait meanwhile.

    Raises:
        EnvironmentFailedError: it could not be created.
    """
    if is_current(recipe):
        return recipe.folder
    try:
        recipe.folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(recipe, echo) as lock_fd:
            if _is_complete(recipe) and _is_unchanged(recipe, "lock"):
                if not is_current(recipe):
                    echo(f"updating {recipe.label}, because pyproject.toml has changed")
                    _finish(recipe, lock_fd)
            else:
                _remove_outdated(recipe.folder)
                echo(f"creating {recipe.label} in {recipe.folder} (this takes about a minute, only once)")
                _install_packages(recipe, lock_fd, echo)
                _finish(recipe, lock_fd)
    except OSError as error:
        raise EnvironmentFailedError(_folder_error(recipe, error)) from error
    return recipe.folder


def _folder_error(recipe: Recipe, error: OSError) -> str:
    where = error.filename or recipe.folder
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        advice = "The folder is not writable: set EXAWORKS_HOME to one that is."
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "The disk or your quota is full: free some space, or set EXAWORKS_HOME to a folder that has some."
    else:
        advice = "Set EXAWORKS_HOME to another folder, or remove this one and try again."
    return f"cannot create {recipe.label} in {recipe.folder}: {error.strerror} ({where}). {advice}"


@contextmanager
def _lock(recipe: Recipe, echo: Callable[[str], None]) -> Iterator[int]:
    """Hold the environment's lock; wait while another process holds it. Yield its file descriptor."""
    path = recipe.folder.with_name(recipe.folder.name + ".lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode().strip() or "another process"
            echo(f"waiting: {holder} is creating {recipe.label}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
                raise
            echo(f"{path.parent} is on a file system without locks: do not start exaworks again until this is done")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _remove_outdated(folder: Path) -> None:
    """Remove an incomplete or outdated environment, but never a folder that is not an environment."""
    if not folder.exists():
        return
    if any(folder.iterdir()) and not any((folder / name).exists() for name in ("pyvenv.cfg", "bin", ".made")):
        raise EnvironmentFailedError(f"{folder} exists, but is not a Python environment. Move it to another place.")
    shutil.rmtree(folder / ".made", ignore_errors=True)
    shutil.rmtree(folder)


def _install_packages(recipe: Recipe, lock_fd: int, echo: Callable[[str], None]) -> None:
    """Create the environment and install the packages of the lock file."""
    recipe.log.write_text("")
    _run(recipe, lock_fd, [recipe.python, "-I", "-m", "venv", str(recipe.folder)], "create a virtual environment")
    source: list[str] = []
    if recipe.wheelhouse is not None:
        if not recipe.wheelhouse.is_dir():
            raise EnvironmentFailedError(f"the wheelhouse {recipe.wheelhouse} is not a folder.")
        source = ["--no-index", "--find-links", str(recipe.wheelhouse)]
    isolation: list[str] = []
    if recipe.build_tools:
        with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=recipe.folder) as tools:
            tools.write("".join(block for name, block in pins(recipe.lock) if name in recipe.build_tools))
            tools.flush()
            first = ["install", *source, "--no-deps", "--require-hashes", "-r", tools.name]
            _pip(recipe, lock_fd, first, "install the build tools")
        isolation = ["--no-build-isolation"]
    count = len({name for name, _ in pins(recipe.lock)})
    echo(f"installing {count} packages of {recipe.lock.name}{f' from {recipe.wheelhouse}' if source else ''}")
    locked = ["install", *source, *isolation, "--no-deps", "--require-hashes", "-r", str(recipe.lock)]
    _pip(recipe, lock_fd, locked, f"install {recipe.lock.name}")


def _finish(recipe: Recipe, lock_fd: int) -> None:
    """Install the checkout, check the dependencies of all packages, and only then write ``.made``."""
    shutil.rmtree(recipe.folder / ".made", ignore_errors=True)
    if recipe.checkout is not None:
        _install_in_place(recipe, lock_fd, recipe.checkout)
    _pip(recipe, lock_fd, ["check"], "satisfy the dependencies of all packages")
    _write_stamp(recipe)
    recipe.log.unlink()


def _install_in_place(recipe: Recipe, lock_fd: int, checkout: Path) -> None:
    """Install the checkout in place; setuptools writes its working files into the environment, not the checkout."""
    work = recipe.folder / ".build"
    work.mkdir(exist_ok=True)
    settings = work / "setuptools.cfg"
    base = str(work).replace("%", "%%")  # a percent sign begins an interpolation
    settings.write_text(f"[egg_info]\negg_base = {base}\n[editable_wheel]\nmode = compat\n", encoding="utf-8")
    arguments = ["install", "--no-index", "--no-deps", "--no-build-isolation", "-e", str(checkout)]
    _pip(recipe, lock_fd, arguments, f"install {checkout}", DIST_EXTRA_CONFIG=str(settings), PIP_REQUIRE_HASHES="0")
    shutil.rmtree(work)


def _write_stamp(recipe: Recipe) -> None:
    unfinished = recipe.folder / ".made.unfinished"
    unfinished.mkdir(exist_ok=True)
    for name, source in recipe.sources.items():
        shutil.copyfile(source, unfinished / name)
    (unfinished / "checkout").write_text(f"{recipe.checkout or ''}\n")
    unfinished.rename(recipe.folder / ".made")


def pins(lock: Path) -> list[tuple[str, str]]:
    """Return the distributions of a lock file, each with its lines: version, markers and hashes."""
    blocks: list[tuple[str, str]] = []
    for line in lock.read_text().splitlines(keepends=True):
        if line[:1].isalnum():
            blocks.append((line.partition("==")[0], line))
        elif line.startswith("    --hash") and blocks:
            name, block = blocks[-1]
            blocks[-1] = (name, block + line)
    return blocks


def _pip(recipe: Recipe, lock_fd: int, arguments: list[str], purpose: str, **environment: str) -> None:
    no_user = ["--no-user"] if arguments[0] == "install" else []
    quiet = ["--no-input", "--disable-pip-version-check"]
    command = [str(recipe.interpreter), "-I", "-m", "pip", *quiet, arguments[0], *no_user, *arguments[1:]]
    _run(recipe, lock_fd, command, purpose, **environment)


def _run(recipe: Recipe, lock_fd: int, command: list[str], purpose: str, **environment: str) -> None:
    """Run one step with its output in the log. The step inherits the lock; it ends when this process is interrupted."""
    inherited = {name: value for name, value in os.environ.items() if name not in (*PACKAGE_PLACEMENT, *PACKAGE_CHOICE)}
    with recipe.log.open("ab") as log:
        log.write(os.fsencode(f"$ {' '.join(command)}\n"))
        log.flush()
        step = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**inherited, **environment},
            pass_fds=(lock_fd,),
            start_new_session=True,
        )
        try:
            code = step.wait()
        except BaseException:
            os.killpg(step.pid, signal.SIGTERM)
            step.wait()
            raise
    if code != 0:
        raise EnvironmentFailedError(_step_error(recipe, code, purpose))


def _step_error(recipe: Recipe, code: int, purpose: str) -> str:
    """Return the message about a failed step: its last error line, what to do, and the path of its full output."""
    text = recipe.log.read_text(errors="replace")
    step = text[text.rfind("\n$ ") + 1 :].partition("\n")[2]
    lines = [line.strip() for line in step.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR:", "Error:", "error:", "OSError"))]
    errors = [line for line in errors if not ERROR_CODE.fullmatch(line)]
    lines = [line for line in lines if not line.startswith(("hint:", "note:", "\u00d7", "\u2570", "[end of output]"))]
    reason = (errors or lines or [f"exit code {code}"])[-1]
    if reason.endswith(":") and reason in lines[:-1]:
        reason = f"{reason} {lines[lines.index(reason) + 1]}"
    if len(reason) > 240:
        reason = f"{reason[:160]} … {reason[-70:]}"
    full = shutil.disk_usage(recipe.folder.parent).free < MIN_FREE_BYTES
    hint = (
        HINTS[0][1] if full else next((hint for pattern, hint in HINTS if re.search(pattern, step, re.MULTILINE)), "")
    )
    settings = sorted(name for name in os.environ if name.startswith("PIP_") and name not in PACKAGE_CHOICE)
    if settings and not hint and " -m pip " in text[text.rfind("$ ") :].partition("\n")[0]:
        hint = f"{hint} These variables change what pip does: {', '.join(settings)}.".strip()
    return f"cannot {purpose} for {recipe.label}: {reason}\n{f'{hint} ' if hint else ''}Full output: {recipe.log}"


def _main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--checkout", type=Path, required=True)
    parser.add_argument("--wheelhouse", type=Path)
    recipe = Recipe(label="the exaworks environment", **vars(parser.parse_args()))
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        make(recipe, lambda line: print(f"exaworks: {line}", file=sys.stderr, flush=True))
    except EnvironmentFailedError as error:
        print(f"exaworks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("exaworks: interrupted; the next start creates the environment again.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(_main())
