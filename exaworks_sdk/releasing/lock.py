"""Make the lock of a release for one system with a real Spack, on any machine: ``exaworks release lock``.

The environment is that of the release with the system's Spack scope. Spack runs with a configuration of its own, so
that nothing of the user's enters the lock, and with the values of ``spack_host`` of the site file instead of those of
the machine that it runs on.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from exaworks_sdk.errors import ReleaseError
from exaworks_sdk.release import Checkout, Release
from exaworks_sdk.spack import tool as spack_tool
from exaworks_sdk.spack.environment import environment_text
from exaworks_sdk.spack.licences import SpackPackage, packages_of, read_declared
from exaworks_sdk.spack.lock import NAME, disagreements, read_lock
from exaworks_sdk.spack.tool import Spack, StepFailedError
from site_configs.schema import SpackHost

PROGRAM = Path(__file__).parents[1] / "spack" / "elsewhere.py"


@dataclass(frozen=True)
class LockRequest:
    """The lock to make. cache: a folder that Spack may keep between locks, which makes the next one faster."""

    release: Release
    system: str
    scope: Path
    host: SpackHost
    recipes: Path
    target: Path
    cache: Path


def make_lock(request: LockRequest, environ: Mapping[str, str], echo: Callable[[str], None]) -> list[SpackPackage]:
    """Concretize and write the lock. Return the packages that Spack builds, with their licences.

    Raises:
        ReleaseError: Spack or its packages are not at the commits of the manifest, or Spack failed, or the lock does
            not fit the manifest; then the lock that was there is unchanged.
    """
    root = spack_tool.find(environ)
    pins = request.release.spack
    if pins is None:
        raise ReleaseError(f"release {request.release.name} is not in Spack: its manifest has no key spack.")
    if root is None:
        raise ReleaseError(
            f"there is no Spack: clone {pins.tool.url}, check out {pins.tool.commit}, and name it in SPACK_ROOT."
        )
    _check_commit(root, pins.tool, "Spack")
    request.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="exaworks-lock-") as name:
        home = Path(name)
        try:
            builtin = spack_tool.builtin(Spack(root, own=False), home / "builtin.log")
            spack = _configured(root, home, request, builtin)
            folder = home / "environment"
            _write_environment(folder, request)
            log = request.cache / f"{request.system.replace('/', '-')}.log"
            echo(f"concretizing {request.release.name} for {request.system}; this takes minutes; log: {log}")
            host = request.host
            spack_tool.run(spack, ["python", str(PROGRAM), str(folder), host.os, host.target, host.glibc], log)
        except StepFailedError as error:
            hint = f"\n{error.hint}" if error.hint else ""
            raise ReleaseError(
                f"{request.system}: cannot be concretized:\n{error.reason}{hint}\nFull output: {error.log}"
            ) from error
        lock = read_lock(folder / NAME)
        problems = disagreements(lock, request.release, request.scope, request.host)
        if problems:
            raise ReleaseError("\n  ".join([f"{request.system}: the lock does not fit the manifest:", *problems]))
        request.target.parent.mkdir(parents=True, exist_ok=True)
        request.target.write_text(_compact(json.loads((folder / NAME).read_bytes())))
        return packages_of(lock, read_declared(folder / "licences.json"))


def _check_commit(folder: Path, wanted: Checkout, what: str) -> None:
    """Check that a repository is at the commit of the manifest.

    Raises:
        ReleaseError: it is not, or its commit is unknown.
    """
    commit = spack_tool.commit_of(folder)
    if commit is None:
        raise ReleaseError(f"{folder}: the commit of {what} is unknown, since it is no git clone. Clone {wanted.url}.")
    if commit != wanted.commit:
        raise ReleaseError(
            f"{folder}: {what} is at {commit[:12]}; the release was tested with {wanted.commit[:12]}. Check that out."
        )


def _configured(root: Path, home: Path, request: LockRequest, builtin: Path) -> Spack:
    assert request.release.spack is not None
    _check_commit(builtin, request.release.spack.packages, "the repository of Spack's packages")
    for folder in ("user", "system"):
        (home / folder).mkdir()
    repos = {"exaworks": str(request.recipes), "builtin": str(builtin)}
    config = {"misc_cache": str(request.cache / "misc"), "install_tree": {"root": str(home / "installed")}}
    (home / "user" / "repos.yaml").write_text(json.dumps({"repos": repos}))
    (home / "user" / "config.yaml").write_text(json.dumps({"config": config}))
    own = {
        "SPACK_USER_CONFIG_PATH": str(home / "user"),
        "SPACK_SYSTEM_CONFIG_PATH": str(home / "system"),
        "SPACK_USER_CACHE_PATH": str(request.cache / "user"),
    }
    return Spack(root, own=True, environ=own)


def _write_environment(folder: Path, request: LockRequest) -> None:
    """Write the environment; the folders that the scope names are those of another machine."""
    document: dict[str, Any] = YAML(typ="safe").load(environment_text(request.release, scope=folder / "scope"))
    shutil.copytree(request.scope, folder / "scope", ignore=shutil.ignore_patterns("config.yaml"))
    with (folder / "spack.yaml").open("w") as out:
        YAML().dump(document, out)


def _compact(content: dict[str, Any]) -> str:
    """Return a lock with one line for each package, so that a change of one package is a change of one line."""
    nodes = content.pop("concrete_specs")
    head = json.dumps(content, sort_keys=True)[1:-1]
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(nodes[key], separators=(',', ':'))}" for key in sorted(nodes))
    return f'{{{head},\n"concrete_specs":{{\n{lines}\n}}}}\n'
