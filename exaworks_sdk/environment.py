"""Create a Python environment from a hash-locked requirements file, and create it again when its sources change.

The ``exaworks`` script runs this module before anything is installed, so it and what it imports use the standard
library only; ``exaworks_sdk.install`` uses it for deployments. An environment is created in its final folder, because
its scripts contain that path. The folder ``.made`` inside it is written last and contains copies of the sources: an
environment without it, or with other copies, is created again. A lock file beside the environment lets only one process
at a time create it. The kernel releases the lock when the last process that holds it ends.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import filecmp
import json
import os
import platform
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from exaworks_sdk import compiler
from exaworks_sdk.environment_step import Steps
from exaworks_sdk.installer import Installer, lock_text
from exaworks_sdk.locks import part, pins
from exaworks_sdk.recipe import EnvironmentFailedError, Recipe
from exaworks_sdk.set_up_progress import Bar

__all__ = ["EnvironmentFailedError", "Recipe", "is_current", "left_out", "machine", "make", "pins"]

LEFT_OUT = "left-out.json"
"""The file in ``.made`` with the packages that are left out and the reason, if there are some."""


def machine() -> str:
    """Return the name of the platform, as in the ``exaworks`` script; several platforms may share one home folder."""
    libc = "-musl" if any(Path("/lib").glob("ld-musl-*.so.1")) else ""
    return f"{platform.system().lower()}-{platform.machine()}{libc}"


def is_current(recipe: Recipe) -> bool:
    """Return whether the environment is complete and was created from the present files of the recipe.

    One in which packages were left out is complete until they can be compiled.
    """
    unchanged = _is_complete(recipe) and all(_is_unchanged(recipe, name) for name in recipe.sources)
    return unchanged and not _can_be_completed(recipe)


def left_out(folder: Path) -> dict[str, str]:
    """Return the packages that are left out of an environment, each with the reason."""
    try:
        packages: dict[str, str] = json.loads((folder / ".made" / LEFT_OUT).read_text())
    except (OSError, ValueError):
        return {}
    return packages


def _can_be_completed(recipe: Recipe) -> bool:
    return bool(left_out(recipe.folder)) and not _omissions(recipe)


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
            same = all(_is_unchanged(recipe, name) for name in ("lock", *recipe.more_sources))
            if _is_complete(recipe) and same:
                if _can_be_completed(recipe):  # not created again, since another run may use it
                    echo(f"completing {recipe.label}: {', '.join(sorted(left_out(recipe.folder)))}")
                    _install(recipe, lock_fd, echo)
                elif not is_current(recipe):
                    echo(f"updating {recipe.label}, because pyproject.toml has changed")
                    _finish(recipe, Installer(Steps(recipe, lock_fd)), left_out(recipe.folder))
            else:
                _remove_outdated(recipe.folder)
                echo(f"creating {recipe.label}, only this once")
                _install(recipe, lock_fd, echo)
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


def _install(recipe: Recipe, lock_fd: int, echo: Callable[[str], None]) -> None:
    """Create the environment, unless it is there, and install the packages of the lock file."""
    bar = Bar()
    try:
        recipe.log.write_text("")
        omissions = _omissions(recipe)
        count = len({name for name, _ in pins(recipe.lock)} - omissions.keys())
        bar.show(0.0, "creating a virtual environment")
        steps = Steps(recipe, lock_fd, lambda: _show(bar, recipe, count))
        if not recipe.interpreter.exists():
            creation = list(recipe.creation) or [recipe.python, "-I", "-m", "venv", str(recipe.folder)]
            steps.run(creation, "create the environment" if recipe.creation else "create a virtual environment")
        if recipe.wheelhouse is not None and not recipe.wheelhouse.is_dir():
            raise EnvironmentFailedError(f"the wheelhouse {recipe.wheelhouse} is not a folder.")
        installer = Installer(steps)
        installer.choose()
        bar.clear()
        origin = f" from {recipe.wheelhouse}" if recipe.wheelhouse else ""
        echo(f"installing {count} packages of {recipe.lock.name}{origin} with {installer.tool}")
        if omissions:
            reason = next(iter(omissions.values()))
            echo(f"left out: {', '.join(sorted(omissions))}: {reason}")
        installer.install_lock(without=omissions)
        bar.show(0.9, "checking the packages")
        _finish(recipe, installer, omissions)
    finally:
        bar.clear()


def _omissions(recipe: Recipe) -> dict[str, str]:
    """Return the packages to leave out because nothing can be compiled here, each with the reason."""
    needed = [name for name in recipe.compiled if not _has_wheel(recipe, name)]
    lack = compiler.lacking(recipe.python) if needed else None
    if lack is None:
        return {}
    reason = f"{lack}, which {', '.join(needed)} needs: install gcc and python3-dev"
    return {name: reason for compiled in needed for name in (compiled, *recipe.compiled[compiled])}


def _has_wheel(recipe: Recipe, name: str) -> bool:
    """Return whether the wheelhouse has a wheel of a package, and the lock its hash."""
    if recipe.wheelhouse is None:
        return False
    block = part(lock_text(recipe), only=[name])
    wheels = recipe.wheelhouse.glob(f"{name.replace('-', '_')}-*.whl")
    return any(sha256(wheel.read_bytes()).hexdigest() in block for wheel in wheels)


def _show(bar: Bar, recipe: Recipe, count: int) -> None:
    """Show how far the installation is: the packages that the log names, then those that are in place."""
    if not bar.enabled:
        return
    try:
        text = recipe.log.read_text(errors="replace")
    except OSError:
        text = ""
    collected = text.count("\nCollecting ")
    installed = len(list(recipe.folder.glob("lib/python3*/site-packages/*.dist-info")))
    done = (min(collected, count) + min(installed, count)) / (2 * count or 1)
    if " install " not in text:
        bar.show(0.05, "creating a virtual environment")
    elif done == 0 or (installed <= 2 and not collected):
        bar.show(0.15, "fetching packages")
    else:
        named = text.rpartition("\nCollecting ")[2].partition("==")[0] if 1 < collected < count else ""
        bar.show(0.15 + 0.75 * done, f"installing {count} packages{': ' + named if len(named) in range(1, 40) else ''}")


def _finish(recipe: Recipe, installer: Installer, omissions: dict[str, str]) -> None:
    """Install the checkout, check the dependencies of all packages, and only then write ``.made``."""
    shutil.rmtree(recipe.folder / ".made", ignore_errors=True)
    if recipe.checkout is not None:
        _install_in_place(recipe, installer, recipe.checkout)
    installer.pip(["check"], "satisfy the dependencies of all packages")
    _write_stamp(recipe, omissions)
    recipe.log.unlink()


def _install_in_place(recipe: Recipe, installer: Installer, checkout: Path) -> None:
    """Install the checkout in place; setuptools writes its working files into the environment, not the checkout."""
    work = recipe.folder / ".build"
    work.mkdir(exist_ok=True)
    settings = work / "setuptools.cfg"
    base = str(work).replace("%", "%%")  # a percent sign begins an interpolation
    settings.write_text(f"[egg_info]\negg_base = {base}\n[editable_wheel]\nmode = compat\n", encoding="utf-8")
    arguments = ["install", "--no-index", "--no-deps", "--no-build-isolation", "-e", str(checkout)]
    environ = {"DIST_EXTRA_CONFIG": str(settings), "PIP_REQUIRE_HASHES": "0"}
    installer.pip(arguments, f"install {checkout}", environ)
    shutil.rmtree(work)


def _write_stamp(recipe: Recipe, omissions: dict[str, str]) -> None:
    unfinished = recipe.folder / ".made.unfinished"
    unfinished.mkdir(exist_ok=True)
    for name, source in recipe.sources.items():
        shutil.copyfile(source, unfinished / name)
    if omissions:
        (unfinished / LEFT_OUT).write_text(json.dumps(omissions, indent=1))
    (unfinished / "checkout").write_text(f"{recipe.checkout or ''}\n")
    unfinished.rename(recipe.folder / ".made")


def main() -> int:
    """Create the environment of a checkout, for the ``exaworks`` script; return its exit code."""
    parser = argparse.ArgumentParser()
    for name in ("folder", "lock", "checkout", "uv-lock"):
        parser.add_argument(f"--{name}", type=Path, required=True)
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
