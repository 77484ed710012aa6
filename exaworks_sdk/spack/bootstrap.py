"""The Python that a cloned Spack runs with: it needs clingo, which a package index has and few systems do."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from exaworks_sdk.environment import make
from exaworks_sdk.recipe import EnvironmentFailedError, Recipe
from exaworks_sdk.spack.tool import Spack


def bootstrap(spack: Spack, folder: Path, lock: Path | None, echo: Callable[[str], None]) -> Spack:
    """Give a Spack a Python with the packages of a lock, in ``folder``; where that fails, Spack bootstraps itself.

    A Python that the user names in ``$SPACK_PYTHON`` stays.
    """
    if lock is None or os.environ.get("SPACK_PYTHON"):
        return spack
    wheelhouse = os.environ.get("EXAWORKS_WHEELHOUSE")
    recipe = Recipe(folder, lock, "the Python of Spack", wheelhouse=Path(wheelhouse) if wheelhouse else None)
    try:
        make(recipe, echo)
    except EnvironmentFailedError as error:
        echo(f"note: {str(error).splitlines()[0]}; Spack will bootstrap itself")
        return spack
    return replace(spack, environ={**spack.environ, "SPACK_PYTHON": str(recipe.interpreter)})
