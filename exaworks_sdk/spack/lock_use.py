"""Take the lock of a release for an installation, instead of concretizing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from exaworks_sdk.release import Checkout, SpackPins
from exaworks_sdk.spack import tool as spack_tool
from exaworks_sdk.spack.tool import Spack, StepFailedError


def take_lock(lock: Path, target: Path, pins: SpackPins, spack: Spack, log: Path, echo: Callable[[str], None]) -> bool:
    """Copy a lock into an environment and return true; false if it was made with another Spack than the one here.

    pins: those of the lock's release. log: for the output of Spack.
    """
    reason = _other_commit(pins, spack, log)
    if reason is not None:
        echo(f"the lock of the release is not used: {reason}")
        return False
    shutil.copyfile(lock, target)
    echo(f"using the lock of the release, nothing is concretized: {lock}")
    return True


def _other_commit(pins: SpackPins, spack: Spack, log: Path) -> str | None:
    """Return how a Spack, or the packages that it has, differ from those of the release."""
    if spack.own:
        return None
    reason = _at_another_commit("Spack", spack.root, pins.tool)
    if reason is not None:
        return reason
    try:
        builtin = spack_tool.builtin(spack, log)
    except StepFailedError as error:
        return f"where its packages are is not known: {error.reason}"
    return _at_another_commit("the repository", builtin, pins.packages)


def _at_another_commit(what: str, folder: Path, wanted: Checkout) -> str | None:
    commit = spack_tool.commit_of(folder)
    if commit == wanted.commit:
        return None
    found = f"at {commit[:12]}" if commit else "no git clone"
    return f"{what} in {folder} is {found}, and the lock was made with {wanted.commit[:12]}"
