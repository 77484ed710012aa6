"""Install the packages of a lock into an environment: with uv where it can be had, and otherwise with pip.

Both check every file against the hashes of the lock, and take it from the places that pip is configured for. If uv
fails, for whatever reason, pip repeats the step, and its message is the one that the user sees.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from exaworks_sdk.environment_step import Steps
from exaworks_sdk.locks import part, pins, with_hashes
from exaworks_sdk.pip_settings import UvSettings, of_pip
from exaworks_sdk.recipe import Recipe

KEPT = ("UV_CACHE_DIR", "UV_CONCURRENT_DOWNLOADS", "UV_CONCURRENT_INSTALLS", "UV_HTTP_TIMEOUT", "UV_NATIVE_TLS")
"""Settings of uv that the user may have; the lock and pip's configuration decide the rest."""

COMPILED = "compiled.lock"
"""The file of a wheelhouse with the hashes of wheels that were compiled for it."""

QUIET = ("--no-input", "--disable-pip-version-check")


class Installer:
    """Installs packages for one recipe. tool: ``uv`` or ``pip``; ``choose`` looks for uv."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._recipe = steps.recipe
        self._pip_command = [str(self._recipe.interpreter), "-I", "-m", "pip", *QUIET]
        self._settings: UvSettings | None = None
        self._uv: str | None = None

    @property
    def tool(self) -> str:
        return "uv" if self._uv else "pip"

    def choose(self) -> None:
        """Use uv from now on, if pip's configuration can be translated and uv can be had."""
        self._settings = of_pip(self._pip_command)
        self._uv = self._find_uv() if self._settings is not None else None

    def install_lock(self, without: Collection[str] = ()) -> None:
        """Install the packages of the lock; first the build tools, if the recipe names some.

        Raises:
            EnvironmentFailedError: pip failed.
        """
        recipe = self._recipe
        pinned = lock_text(recipe)
        if recipe.build_tools:
            self._install(part(pinned, only=recipe.build_tools), "install the build tools")
        self._install(part(pinned, without=without), f"install {recipe.lock.name}")

    def pip(self, arguments: list[str], purpose: str, environ: Mapping[str, str] = {}) -> None:
        no_user = ["--no-user"] if arguments[0] == "install" else []
        self._steps.run([*self._pip_command, arguments[0], *no_user, *arguments[1:]], purpose, environ)

    @property
    def _source(self) -> list[str]:
        wheelhouse = self._recipe.wheelhouse
        return ["--no-index", "--find-links", str(wheelhouse)] if wheelhouse is not None else []

    def _install(self, requirements: str, purpose: str) -> None:
        isolation = ["--no-build-isolation"] if self._recipe.build_tools else []
        with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=self._recipe.folder) as file:
            file.write(requirements)
            file.flush()
            locked = [*self._source, *isolation, "--no-deps", "--require-hashes", "-r", file.name]
            if self._uv is not None and self._settings is not None and self._with_uv(self._uv, self._settings, locked):
                return
            self._uv = None
            self.pip(["install", *locked], purpose)

    def _with_uv(self, uv: str, settings: UvSettings, locked: list[str]) -> bool:
        """Install with uv; return whether it succeeded. Files are copied: links into its cache could be edited."""
        places = () if self._recipe.wheelhouse is not None else settings.arguments
        fixed = ["--no-config", "--no-progress", "--link-mode", "copy", "--compile-bytecode"]
        strategy = ["--index-strategy", "unsafe-best-match"]  # as pip: the hash decides, not the order of the indexes
        argv = [uv, "pip", "install", "--python", str(self._recipe.interpreter), *fixed, *strategy, *places, *locked]
        ignored = [name for name in os.environ if name.startswith("UV_") and name not in KEPT]
        return self._steps.attempt(argv, settings.environ, ignored) == 0

    def _find_uv(self) -> str | None:
        """Return uv: of PATH, of the project's environment, or installed from its own lock; None if there is none."""
        found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
        lock = self._recipe.uv_lock
        if found is not None or lock is None or not lock.is_file():
            return found
        # A wheel, never a build: that would need Rust.
        arguments = ["install", "--no-user", *self._source, "--only-binary", ":all:", "--no-deps", "--require-hashes"]
        if self._steps.attempt([*self._pip_command, *arguments, "-r", str(lock)]) != 0:
            return None
        return shutil.which("uv", path=str(self._recipe.folder / "bin"))


def lock_text(recipe: Recipe) -> str:
    """Return the lock of a recipe, with the hashes of the wheels that the wheelhouse adds for compiled packages.

    ``exaworks release wheels`` makes such wheels, and the file ``compiled.lock`` with their hashes beside them.
    """
    text = recipe.lock.read_text()
    added = recipe.wheelhouse / COMPILED if recipe.wheelhouse is not None else None
    if added is None or not added.is_file():
        return text
    return with_hashes(text, {name: block for name, block in pins(added) if name in recipe.compiled})
