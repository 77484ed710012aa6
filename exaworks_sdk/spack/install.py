"""Install a release with Spack: clone, concretize, install and test. Completed steps are not repeated."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from exaworks_sdk.errors import InstallError
from exaworks_sdk.release import Release
from exaworks_sdk.set_up_progress import Bar
from exaworks_sdk.spack import tool as spack_tool
from exaworks_sdk.spack.bootstrap import bootstrap
from exaworks_sdk.spack.environment import environment_text
from exaworks_sdk.spack.lock_use import take_lock
from exaworks_sdk.spack.progress import BuildDisplay, BuildProgress, installed_hashes
from exaworks_sdk.spack.tool import Spack, StepFailedError


@dataclass(frozen=True)
class InstallRequest:
    """What to install, and where. ``resume_command`` continues a failed installation; ``until`` is the last step.

    ``bootstrap`` is the lock of the Python packages that Spack needs, for a Spack that is cloned.
    ``package`` is the DAG hash of a package in the concretized environment: only this package and its missing
    dependencies are installed. ``lock`` is the release's lock for the system: it is used instead of concretizing, if
    Spack and its packages are at the commits of the release.
    """

    release: Release
    prefix: Path
    recipes: Path
    resume_command: str
    scope: Path | None = None
    changed: Mapping[str, bool] | None = None
    clone: bool = False
    bootstrap: Path | None = None
    tests: bool = True
    jobs: int | None = None
    until: str | None = None
    package: str | None = None
    lock: Path | None = None

    @property
    def environment(self) -> Path:
        return self.prefix / "environment"

    @property
    def deployment(self) -> str:
        return f"spack:{self.environment}"

    def log(self, step: str) -> Path:
        return self.prefix / "logs" / f"{step}.log"


STEPS = {
    "spack": "clone Spack",
    "packages": "clone Spack's packages",
    "bootstrap": "install the Python that Spack runs with",
    "concretize": "concretize the environment",
    "install": "install the environment",
    "test": "test what was installed",
}


def install(request: InstallRequest, echo: Callable[[str], None]) -> str:
    """Carry out an install request and return the deployment that ``validate`` can name.

    Raises:
        InstallError: a step failed; the message has the step, Spack's own reason, and the command to continue with.
    """
    step = "spack"
    bar = Bar()
    echo = bar.above(echo)
    try:
        (request.prefix / "logs").mkdir(parents=True, exist_ok=True)
        with bar.busy(0.0, "cloning Spack"):
            spack = _spack(request, echo)
        if spack.own:
            step = "packages"
            with bar.busy(0.01, "cloning Spack's packages"):
                _packages(request, echo)
            step = "bootstrap"
            spack = bootstrap(spack, request.prefix / "python", request.bootstrap, echo)
        if request.until == "packages":
            return request.deployment
        if request.package is not None:
            step = "install"
            with bar.busy(0.1, "installing one package"):
                _install_package(request, spack, request.package, echo)
            return request.deployment
        step = "concretize"
        with bar.busy(0.05, "concretizing"):
            _concretize(request, spack, echo)
        if request.until == "concretize":
            return request.deployment
        step = "install"
        _install(request, spack, echo, bar)
        if request.tests:
            step = "test"
            with bar.busy(0.95, "running the stand-alone tests"):
                _test(request, spack, echo)
    except StepFailedError as error:
        bar.clear()
        reason = "\n  ".join(error.reason.splitlines())
        hint = f"\n{error.hint}" if error.hint else ""
        log = f"\nFull output: {error.log}" if error.log else ""
        resume = f"To continue: {request.resume_command}"
        raise InstallError(f"cannot {STEPS[step]}:\n  {reason}{hint}{log}\n{resume}") from error
    except OSError as error:
        bar.clear()
        reason = f"{error.strerror or error}: {error.filename or request.prefix}"
        advice = "\n".join(filter(None, [spack_tool.advice(reason), f"To continue: {request.resume_command}"]))
        raise InstallError(f"cannot {STEPS[step]}:\n  {reason}\n{advice}") from error
    return request.deployment


def _spack(request: InstallRequest, echo: Callable[[str], None]) -> Spack:
    """Return the user's Spack, or one that is cloned into the prefix."""
    users_spack = None if request.clone else spack_tool.find(os.environ)
    if users_spack is not None:
        echo(f"using the Spack in {users_spack}, with its own configuration")
        return Spack(users_spack, own=False)
    assert request.release.spack is not None
    root = request.prefix / "spack"
    wanted = request.release.spack.tool
    cloned = spack_tool.checkout(wanted, root, request.log("spack"))
    echo(f"Spack {wanted.commit[:12]} {'cloned into' if cloned else 'is in'} {root}")
    own = {
        "SPACK_ROOT": str(root),
        "SPACK_USER_CONFIG_PATH": str(request.prefix / "configuration"),
        "SPACK_USER_CACHE_PATH": str(request.prefix / "cache"),
    }
    return Spack(root, own=True, environ=own)


def _packages(request: InstallRequest, echo: Callable[[str], None]) -> None:
    """Clone Spack's packages for the Spack that was cloned into the prefix."""
    assert request.release.spack is not None
    root = request.prefix / "packages"
    wanted = request.release.spack.packages
    cloned = spack_tool.checkout(wanted, root, request.log("packages"))
    echo(f"Spack's packages {wanted.commit[:12]} {'cloned into' if cloned else 'are in'} {root}")


def _document(request: InstallRequest, spack: Spack) -> dict[str, Any]:
    """Return the release's environment with all paths that it needs, so that it works without other settings."""
    text = environment_text(request.release, scope=request.scope, changed=dict(request.changed or {}))
    document: dict[str, Any] = YAML(typ="safe").load(text)
    document["spack"]["repos"] = {"exaworks": str(request.recipes)}
    if spack.own:
        document["spack"]["repos"]["builtin"] = str(request.prefix / "packages" / "repos" / "spack_repo" / "builtin")
        config = document["spack"]["config"]
        config["install_tree"]["root"] = str(request.prefix / "installed")
        config |= {
            "build_stage": [str(request.prefix / "stage")],
            "test_stage": str(request.prefix / "tests"),
            "source_cache": str(request.prefix / "sources"),
        }
    return document


def _concretize(request: InstallRequest, spack: Spack, echo: Callable[[str], None]) -> None:
    """Write the environment and let Spack concretize it, unless the same text was concretized before.

    Spack adds the compilers that it finds to ``spack.yaml``; the text that was requested is kept in a file of its own.
    """
    document = _document(request, spack)
    request.environment.mkdir(exist_ok=True)
    manifest, lock = request.environment / "spack.yaml", request.environment / "spack.lock"
    requested = request.prefix / "requested.yaml"
    before = requested.read_text() if requested.exists() else None
    _dump(document, requested)
    if before == requested.read_text() and manifest.exists() and lock.exists():
        echo(f"already concretized: {lock}")
        return
    lock.unlink(missing_ok=True)
    shutil.copyfile(requested, manifest)
    pins = request.release.spack
    if request.lock and pins and take_lock(request.lock, lock, pins, spack, request.log("builtin"), echo):
        return
    echo("concretizing; this can take several minutes")
    spack_tool.run(spack, ["-e", str(request.environment), "concretize", "--force"], request.log("concretize"))


def _install(request: InstallRequest, spack: Spack, echo: Callable[[str], None], bar: Bar) -> None:
    lock = json.loads((request.environment / "spack.lock").read_text())
    progress = BuildProgress(lock, installed_hashes(request.prefix / "installed") if spack.own else frozenset())
    display = BuildDisplay(progress, bar, echo)
    display.start(request.log("install"))
    jobs = [f"-j{request.jobs}"] if request.jobs else []
    spack_tool.run(spack, ["-e", str(request.environment), "install", *jobs], request.log("install"), display.line)
    bar.clear()


@dataclass(frozen=True)
class Package:
    """A package of the environment that Spack builds; ``needs`` are the DAG hashes of its dependencies."""

    hash: str
    name: str
    version: str
    needs: tuple[str, ...]
    installed: bool


def packages(request: InstallRequest) -> list[Package]:
    """Return the packages of the concretized environment, without externals.

    Raises:
        InstallError: the environment is not concretized, or Spack cannot list the installed packages.
    """
    nodes = _concretized(request)
    own = {name: node for name, node in nodes.items() if "external" not in node}
    installed: set[str] = set()
    request.log("find").parent.mkdir(parents=True, exist_ok=True)
    spack = _spack(request, lambda line: None)
    try:
        argv = ["-e", str(request.environment), "find", "--format", "{hash}"]
        spack_tool.run(spack, argv, request.log("find"), lambda line: installed.add(line.strip()))
    except StepFailedError as error:
        raise InstallError(f"cannot list the installed packages: {error.reason}\nFull output: {error.log}") from error
    return [
        Package(
            hash=name,
            name=node["name"],
            version=node["version"],
            needs=tuple(sorted(d["hash"] for d in node.get("dependencies", []) if d["hash"] in own)),
            installed=name in installed,
        )
        for name, node in own.items()
    ]


def _concretized(request: InstallRequest) -> dict[str, Any]:
    lock = request.environment / "spack.lock"
    if not lock.is_file():
        raise InstallError(f"{request.environment} is not concretized; run 'exaworks install --until concretize' first")
    nodes: dict[str, Any] = json.loads(lock.read_text()).get("concrete_specs", {})
    return nodes


def _install_package(request: InstallRequest, spack: Spack, package: str, echo: Callable[[str], None]) -> None:
    nodes = _concretized(request)
    if package not in nodes:
        raise InstallError(
            f"--package {package}: {request.environment} has no package with this hash; --packages lists the hashes"
        )
    node = nodes[package]
    echo(f"installing {node['name']}@{node['version']}; log: {request.log(f'install-{package[:7]}')}")
    jobs = [f"-j{request.jobs}"] if request.jobs else []
    argv = ["-e", str(request.environment), "install", "--no-add", *jobs, f"/{package}"]
    spack_tool.run(spack, argv, request.log(f"install-{package[:7]}"))


def _test(request: InstallRequest, spack: Spack, echo: Callable[[str], None]) -> None:
    """Run the stand-alone tests of our packages, also of a flux that is the site's own.

    Spack exits successfully even if it ran no test of a package, but it counts such packages in its output.
    """
    names = sorted(path.parent.name.replace("_", "-") for path in request.recipes.glob("packages/*/package.py"))
    lock = json.loads((request.environment / "spack.lock").read_text())
    installed = {node["name"] for node in lock.get("concrete_specs", {}).values()}
    echo("running the stand-alone tests")
    tested = [name for name in names if name in installed]
    untested: list[str] = []

    def check_line(line: str) -> None:
        echo(line)
        if re.fullmatch(r"=+ .*\b[1-9]\d* no_tests\b.* =+", line):
            untested.append(line.strip("= "))

    log = request.log("test")
    spack_tool.run(spack, ["-e", str(request.environment), "test", "run", "--externals", *tested], log, check_line)
    if untested:
        raise StepFailedError(f"  Spack did not test every package: {untested[0]}", "", log)


def _dump(document: object, path: Path) -> None:
    yaml = YAML()
    yaml.width = 200
    with path.open("w") as out:
        yaml.dump(document, out)
