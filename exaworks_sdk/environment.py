"""Make a Python environment from a hash-locked requirements file, once, and again when what it follows from changes.

The ``exaworks`` script runs this file by path, before anything is installed, so it imports the standard library only;
``exaworks_sdk.install`` uses it for deployments. An environment is made where it will stay, since its scripts name
their folder. ``.made`` inside it is written last and holds copies of what it was made from: an environment without it,
or with other contents, is made anew. A lock file beside it lets one start at a time make it; the kernel drops the lock
with the last process that holds it, and pip holds it too, so an orphaned pip never writes into a newer environment.
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
"""pip's settings that would put packages elsewhere than into the environment; all others are the user's and stay."""

ROOM = 16 * 2**20
"""Less than this many bytes free, after a step has failed, means that the disk is full: few tools say so plainly."""

HINTS = (
    ("No space left on device", "The disk is full: free some space, or set EXAWORKS_HOME to a folder that has some."),
    ("Disk quota exceeded", "Your quota is used up: set EXAWORKS_HOME to a folder that has room."),
    ("DO NOT MATCH THE HASHES", "The index or wheelhouse serves other files than the lock names: do not use them."),
    (r"Python\.h: No such file", "A package is built here and needs Python's headers: install python3-dev."),
    (
        r"'[\w.-]*cc[\d.-]*' failed: (No such file|Permission)|: '[\w.-]*cc[\d.-]*'$",
        "A package is built here and needs a C compiler: install gcc and python3-dev.",
    ),
    ("CERTIFICATE_VERIFY_FAILED", "Name the site's CA bundle in PIP_CERT, or install offline with --wheelhouse DIR."),
    ("Proxy", "Check HTTPS_PROXY and pip's configuration, or install offline with --wheelhouse DIR."),
    ("from versions: none", "Is there no network, or no index? Install offline with --wheelhouse DIR."),
    ("No matching distribution", "Is there no network, or no index? Install offline with --wheelhouse DIR."),
    ("Could not install packages due to an OSError", "Check the network, or install offline with --wheelhouse DIR."),
)
"""Patterns of what pip's log says, and what to do about it; the first that fits is shown."""

CODE = re.compile(r"error: [a-z-]+", re.IGNORECASE)
"""What pip calls a kind of failure; the line that says what failed is another."""


class EnvironmentFailedError(Exception):
    """An environment could not be made: one message that says what, where and what to do."""


@dataclass(frozen=True)
class Recipe:
    """What an environment is made from, and where."""

    folder: Path
    lock: Path
    label: str
    python: str = sys.executable
    checkout: Path | None = None
    """A checkout to install in place, beside what the lock holds."""
    wheelhouse: Path | None = None
    build_tools: tuple[str, ...] = ()
    """Names of the lock that build its source distributions; they come first, and nothing is built with others."""

    @property
    def sources(self) -> dict[str, Path]:
        """Files whose change makes the environment anew, by the name of their copy."""
        project = {"pyproject.toml": self.checkout / "pyproject.toml"} if self.checkout else {}
        return {"lock": self.lock, **project}

    @property
    def log(self) -> Path:
        return self.folder.with_name(self.folder.name + ".log")

    @property
    def interpreter(self) -> Path:
        return self.folder / "bin" / "python"


def machine() -> str:
    """Name the kind of machine as the ``exaworks`` script does, since homes are shared between architectures."""
    libc = "-musl" if any(Path("/lib").glob("ld-musl-*.so.1")) else ""
    return f"{platform.system().lower()}-{platform.machine()}{libc}"


def is_made(recipe: Recipe) -> bool:
    """Say whether the environment is whole and follows from the recipe's files as they are now."""
    return _is_whole(recipe) and all(_is_same(recipe, name) for name in recipe.sources)


def _is_whole(recipe: Recipe) -> bool:
    try:
        made_for = (recipe.folder / ".made" / "checkout").read_text()
    except OSError:
        return False
    return made_for == f"{recipe.checkout or ''}\n" and recipe.interpreter.exists()


def _is_same(recipe: Recipe, name: str) -> bool:
    try:
        return filecmp.cmp(recipe.sources[name], recipe.folder / ".made" / name, shallow=False)
    except OSError:
        return False


def make(recipe: Recipe, say: Callable[[str], None]) -> Path:
    """Return the environment's folder, made if it is not there; one start makes it while others wait.

    Raises:
        EnvironmentFailedError: it could not be made.
    """
    if is_made(recipe):
        return recipe.folder
    try:
        recipe.folder.parent.mkdir(parents=True, exist_ok=True)
        with _held(recipe, say) as held:
            if _is_whole(recipe) and _is_same(recipe, "lock"):
                if not is_made(recipe):
                    say(f"bringing {recipe.label} up to date with pyproject.toml")
                    _finish(recipe, held)
            else:
                _remove_unfinished(recipe.folder)
                say(f"making {recipe.label} in {recipe.folder} (once; a minute or so)")
                _fill(recipe, held, say)
                _finish(recipe, held)
    except OSError as error:
        raise EnvironmentFailedError(_explain(recipe, error)) from error
    return recipe.folder


def _explain(recipe: Recipe, error: OSError) -> str:
    where = error.filename or recipe.folder
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        what = "This folder cannot be written: set EXAWORKS_HOME to one that can."
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = "The disk or your quota is full: free some space, or set EXAWORKS_HOME to a folder that has some."
    else:
        what = "Set EXAWORKS_HOME to another folder, or remove this one and try again."
    return f"cannot make {recipe.label} in {recipe.folder}: {error.strerror} ({where}). {what}"


@contextmanager
def _held(recipe: Recipe, say: Callable[[str], None]) -> Iterator[int]:
    """Hold the environment's lock file, waiting for whoever has it."""
    path = recipe.folder.with_name(recipe.folder.name + ".lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another start ({os.pread(descriptor, 200, 0).decode().strip()}) is making {recipe.label}; waiting")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
                raise
            say(f"{path.parent} lies on a file system without locks: start nothing else until this is done")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _remove_unfinished(folder: Path) -> None:
    """Remove an environment that is unfinished or of older sources; never a folder that is something else."""
    if not folder.exists():
        return
    if any(folder.iterdir()) and not any((folder / name).exists() for name in ("pyvenv.cfg", "bin", ".made")):
        raise EnvironmentFailedError(f"{folder} is in the way: it is not a Python environment. Move it elsewhere.")
    shutil.rmtree(folder / ".made", ignore_errors=True)
    shutil.rmtree(folder)


def _fill(recipe: Recipe, held: int, say: Callable[[str], None]) -> None:
    """Make the environment and install what the lock holds."""
    recipe.log.write_text("")
    _run(recipe, held, [recipe.python, "-I", "-m", "venv", str(recipe.folder)], "make a virtual environment")
    where: list[str] = []
    if recipe.wheelhouse is not None:
        if not recipe.wheelhouse.is_dir():
            raise EnvironmentFailedError(f"the wheelhouse {recipe.wheelhouse} is not a folder.")
        where = ["--no-index", "--find-links", str(recipe.wheelhouse)]
    isolation: list[str] = []
    if recipe.build_tools:
        with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=recipe.folder) as tools:
            tools.write("".join(block for name, block in pins(recipe.lock) if name in recipe.build_tools))
            tools.flush()
            first = ["install", *where, "--no-deps", "--require-hashes", "-r", tools.name]
            _pip(recipe, held, first, "install the build tools")
        isolation = ["--no-build-isolation"]
    count = len({name for name, _ in pins(recipe.lock)})
    say(f"installing {count} packages of {recipe.lock.name}{f' from {recipe.wheelhouse}' if where else ''}")
    locked = ["install", *where, *isolation, "--no-deps", "--require-hashes", "-r", str(recipe.lock)]
    _pip(recipe, held, locked, f"install {recipe.lock.name}")


def _finish(recipe: Recipe, held: int) -> None:
    """Install the checkout, see that everything fits together, and only then write ``.made``."""
    shutil.rmtree(recipe.folder / ".made", ignore_errors=True)
    if recipe.checkout is not None:
        _install_in_place(recipe, held, recipe.checkout)
    _pip(recipe, held, ["check"], "find the packages consistent")
    _stamp(recipe)
    recipe.log.unlink()


def _install_in_place(recipe: Recipe, held: int, checkout: Path) -> None:
    """Install the checkout by reference; setuptools' working files go into the environment, not the checkout."""
    work = recipe.folder / ".build"
    work.mkdir(exist_ok=True)
    settings = work / "setuptools.cfg"
    settings.write_text(f"[egg_info]\negg_base = {work}\n[editable_wheel]\nmode = compat\n")
    arguments = ["install", "--no-index", "--no-deps", "--no-build-isolation", "-e", str(checkout)]
    _pip(recipe, held, arguments, f"install {checkout}", DIST_EXTRA_CONFIG=str(settings), PIP_REQUIRE_HASHES="0")
    shutil.rmtree(work)


def _stamp(recipe: Recipe) -> None:
    unfinished = recipe.folder / ".made.unfinished"
    unfinished.mkdir(exist_ok=True)
    for name, source in recipe.sources.items():
        shutil.copyfile(source, unfinished / name)
    (unfinished / "checkout").write_text(f"{recipe.checkout or ''}\n")
    unfinished.rename(recipe.folder / ".made")


def pins(lock: Path) -> list[tuple[str, str]]:
    """Split a lock into (distribution, its lines with markers and hashes)."""
    blocks: list[tuple[str, str]] = []
    for line in lock.read_text().splitlines(keepends=True):
        if line[:1].isalnum():
            blocks.append((line.partition("==")[0], line))
        elif line.startswith("    --hash") and blocks:
            name, block = blocks[-1]
            blocks[-1] = (name, block + line)
    return blocks


def _pip(recipe: Recipe, held: int, arguments: list[str], purpose: str, **environment: str) -> None:
    no_user = ["--no-user"] if arguments[0] == "install" else []
    quiet = ["--no-input", "--disable-pip-version-check"]
    command = [str(recipe.interpreter), "-I", "-m", "pip", *quiet, arguments[0], *no_user, *arguments[1:]]
    _run(recipe, held, command, purpose, **environment)


def _run(recipe: Recipe, held: int, command: list[str], purpose: str, **environment: str) -> None:
    """Run one step with its output in the log; it holds the lock as well, and ends when this process is told to."""
    kept = {name: value for name, value in os.environ.items() if name not in PACKAGE_PLACEMENT}
    with recipe.log.open("ab") as log:
        log.write(f"$ {' '.join(command)}\n".encode())
        log.flush()
        step = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**kept, **environment},
            pass_fds=(held,),
            start_new_session=True,
        )
        try:
            code = step.wait()
        except BaseException:
            os.killpg(step.pid, signal.SIGTERM)
            step.wait()
            raise
    if code != 0:
        raise EnvironmentFailedError(_why(recipe, code, purpose))


def _why(recipe: Recipe, code: int, purpose: str) -> str:
    """Give the failed step's own last error line, what to do, and where all of its output is."""
    text = recipe.log.read_text(errors="replace")
    step = text[text.rfind("\n$ ") + 1 :].partition("\n")[2]
    lines = [line.strip() for line in step.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR:", "Error:", "error:", "OSError"))]
    errors = [line for line in errors if not CODE.fullmatch(line)]
    said = (errors or lines or [f"exit code {code}"])[-1]
    if said.endswith(":") and said in lines[:-1]:
        said = f"{said} {lines[lines.index(said) + 1]}"
    if len(said) > 240:
        said = f"{said[:160]} … {said[-70:]}"
    full = shutil.disk_usage(recipe.folder.parent).free < ROOM
    hint = HINTS[0][1] if full else next((hint for sign, hint in HINTS if re.search(sign, step, re.MULTILINE)), "")
    return f"cannot {purpose} for {recipe.label}: {said}\n{f'{hint} ' if hint else ''}All of its output: {recipe.log}"


def _main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--checkout", type=Path, required=True)
    parser.add_argument("--wheelhouse", type=Path)
    recipe = Recipe(label="its own environment", **vars(parser.parse_args()))
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        make(recipe, lambda line: print(f"exaworks: {line}", file=sys.stderr, flush=True))
    except EnvironmentFailedError as error:
        print(f"exaworks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("exaworks: interrupted; the next start begins anew.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(_main())
