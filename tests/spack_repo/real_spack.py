"""A real Spack with a configuration of its own, for tests."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.spack_repo.recipes import REPOSITORY, ROOT

DEBIAN = ROOT / "spack_repo" / "scopes" / "debian12"


class Spack:
    """A Spack with its own configuration: this project's repository first, then the builtin one of the user's Spack."""

    def __init__(self, program: str, home: Path) -> None:
        self.program, self.home = program, home
        builtin = self._query("-c", "import spack.repo; print(spack.repo.PATH.get_repo('builtin').root)")
        for folder in ("user", "system", "cache"):
            (home / folder).mkdir()
        self.environ = {
            **os.environ,
            "SPACK_USER_CONFIG_PATH": str(home / "user"),
            "SPACK_SYSTEM_CONFIG_PATH": str(home / "system"),
            "SPACK_USER_CACHE_PATH": str(home / "cache"),
        }
        self.environ.pop("SPACK_ENV", None)
        self.write(home / "user" / "repos.yaml", {"repos": {"exaworks": str(REPOSITORY), "builtin": builtin}})
        self.write(
            home / "user" / "config.yaml",
            {"config": {"misc_cache": str(home / "misc"), "install_tree": {"root": str(home / "installed")}}},
        )

    def _query(self, *arguments: str) -> str:
        done = subprocess.run([self.program, "python", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"{self.program} does not run here: {done.stderr.strip()[-400:]}")
        return done.stdout.strip().splitlines()[-1]

    @staticmethod
    def write(path: Path, document: object) -> None:
        with path.open("w") as out:
            YAML().dump(document, out)

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [self.program, "--color=never", *arguments]
        return subprocess.run(
            command, env=self.environ, cwd=cwd, capture_output=True, text=True, check=False, timeout=1500
        )

    def ok(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run a command that must succeed, and return what it printed."""
        done = self.run(*arguments, cwd=cwd)
        assert done.returncode == 0, f"spack {' '.join(arguments)}\n{(done.stdout + done.stderr)[-3000:]}"
        return done.stdout

    def concretize(self, folder: Path, text: str, *scopes: Path) -> dict[str, dict[str, object]]:
        """Concretize an environment and return its nodes by name."""
        document = YAML(typ="safe").load(text)
        document["spack"]["include"] = [str(scope) for scope in scopes]
        # Override the folders in a site's scope: its file systems and variables do not exist on this machine.
        config = document["spack"].setdefault("config", {})
        config.setdefault("install_tree", {})["root"] = str(self.home / "installed")
        config["build_stage:"] = [str(self.home / "stage")]
        folder.mkdir()
        self.write(folder / "spack.yaml", document)
        self.ok("-e", str(folder), "concretize")
        lock = json.loads((folder / "spack.lock").read_text())
        return {node["name"]: node for node in lock["concrete_specs"].values()}
