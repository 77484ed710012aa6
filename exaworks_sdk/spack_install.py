"""Install a release with Spack: clone, concretize, install and test; what is done already is not done again."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from exaworks_sdk import spack_tool
from exaworks_sdk.errors import InstallError
from exaworks_sdk.release import Release
from exaworks_sdk.spack_environment import environment_text
from exaworks_sdk.spack_tool import Spack, StepFailedError


@dataclass(frozen=True)
class Order:
    """What to install and where; ``again`` is the command given, to go on with; ``until`` is the last step to take.

    With ``package``, a DAG hash of the environment that was concretized before, only that package is installed, and of
    its dependencies what is not there yet.
    """

    release: Release
    prefix: Path
    recipes: Path
    again: str
    scope: Path | None = None
    changed: Mapping[str, bool] | None = None
    clone: bool = False
    tests: bool = True
    jobs: int | None = None
    until: str | None = None
    package: str | None = None

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
    "concretize": "concretize the environment",
    "install": "install the environment",
    "test": "test what was installed",
}


def install(order: Order, say: Callable[[str], None]) -> str:
    """Carry out an order and return the deployment that ``validate`` can name.

    Raises:
        InstallError: a step failed; the message says which, Spack's own reason, and how to go on.
    """
    step = "spack"
    try:
        (order.prefix / "logs").mkdir(parents=True, exist_ok=True)
        spack = _spack(order, say)
        if spack.own:
            step = "packages"
            _packages(order, say)
        if order.until == "packages":
            return order.deployment
        if order.package is not None:
            step = "install"
            _install_package(order, spack, order.package, say)
            return order.deployment
        step = "concretize"
        _concretize(order, spack, say)
        if order.until == "concretize":
            return order.deployment
        step = "install"
        _install(order, spack, say)
        if order.tests:
            step = "test"
            _test(order, spack, say)
    except StepFailedError as error:
        shown = "\n  ".join(error.reason.splitlines())
        hint = f"\n{error.hint}" if error.hint else ""
        kept = f"\nAll of its output: {error.log}" if error.log else ""
        raise InstallError(f"cannot {STEPS[step]}:\n  {shown}{hint}{kept}\nTo go on: {order.again}") from error
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename or order.prefix}"
        helps = "\n".join(filter(None, [spack_tool.advice(reason), f"To go on: {order.again}"]))
        raise InstallError(f"cannot {STEPS[step]}:\n  {reason}\n{helps}") from error
    return order.deployment


def _spack(order: Order, say: Callable[[str], None]) -> Spack:
    there = None if order.clone else spack_tool.present(os.environ)
    if there is not None:
        say(f"Spack of {there}, with its own configuration")
        return Spack(there, own=False)
    assert order.release.spack is not None
    root = order.prefix / "spack"
    wanted = order.release.spack.tool
    made = spack_tool.checkout(wanted, root, order.log("spack"))
    say(f"Spack {wanted.commit[:12]} {'cloned into' if made else 'is in'} {root}")
    own = {
        "SPACK_ROOT": str(root),
        "SPACK_USER_CONFIG_PATH": str(order.prefix / "configuration"),
        "SPACK_USER_CACHE_PATH": str(order.prefix / "cache"),
    }
    return Spack(root, own=True, environ=own)


def _packages(order: Order, say: Callable[[str], None]) -> None:
    """Clone Spack's packages, for the Spack that was cloned here."""
    assert order.release.spack is not None
    root = order.prefix / "packages"
    wanted = order.release.spack.packages
    made = spack_tool.checkout(wanted, root, order.log("packages"))
    say(f"its packages {wanted.commit[:12]} {'cloned into' if made else 'are in'} {root}")


def _document(order: Order, spack: Spack) -> dict[str, Any]:
    """Return the release's environment with all that it needs here, so that whoever activates it needs no more."""
    text = environment_text(order.release, scope=order.scope, changed=dict(order.changed or {}))
    document: dict[str, Any] = YAML(typ="safe").load(text)
    document["spack"]["repos"] = {"exaworks": str(order.recipes)}
    if spack.own:
        document["spack"]["repos"]["builtin"] = str(order.prefix / "packages" / "repos" / "spack_repo" / "builtin")
        config = document["spack"]["config"]
        config["install_tree"]["root"] = str(order.prefix / "installed")
        config |= {
            "build_stage": [str(order.prefix / "stage")],
            "test_stage": str(order.prefix / "tests"),
            "source_cache": str(order.prefix / "sources"),
        }
    return document


def _concretize(order: Order, spack: Spack, say: Callable[[str], None]) -> None:
    """Write the environment, and let Spack choose its packages unless it has done so for this very text."""
    document = _document(order, spack)
    order.environment.mkdir(exist_ok=True)
    manifest, lock = order.environment / "spack.yaml", order.environment / "spack.lock"
    before = manifest.read_text() if manifest.exists() else None
    _dump(document, manifest)
    if before == manifest.read_text() and lock.exists():
        say(f"concretized before: {lock}")
        return
    lock.unlink(missing_ok=True)
    say("concretizing; the first time takes minutes")
    spack_tool.run(spack, ["-e", str(order.environment), "concretize", "--force"], order.log("concretize"))


def _install(order: Order, spack: Spack, say: Callable[[str], None]) -> None:
    lock = json.loads((order.environment / "spack.lock").read_text())
    total = sum("external" not in node for node in lock.get("concrete_specs", {}).values())
    done: set[str] = set()

    def each_line(line: str) -> None:
        if line.startswith("[+] ") and line.split()[1] not in done:
            done.add(line.split()[1])
            say(f"{len(done)}/{total} {line.split()[2] if len(line.split()) > 2 else line.split()[1]}")

    say(f"installing {total} packages; log: {order.log('install')}")
    jobs = [f"-j{order.jobs}"] if order.jobs else []
    spack_tool.run(spack, ["-e", str(order.environment), "install", *jobs], order.log("install"), each_line)


@dataclass(frozen=True)
class Package:
    """A package of the environment that Spack builds: its DAG hash, and the hashes of those it needs first."""

    hash: str
    name: str
    version: str
    needs: tuple[str, ...]
    installed: bool


def packages(order: Order) -> list[Package]:
    """Return what the environment that was concretized before consists of, externals left out.

    Raises:
        InstallError: it was not concretized, or Spack does not say what is installed.
    """
    nodes = _concretized(order)
    own = {name: node for name, node in nodes.items() if "external" not in node}
    installed: set[str] = set()
    order.log("find").parent.mkdir(parents=True, exist_ok=True)
    spack = _spack(order, lambda line: None)
    try:
        argv = ["-e", str(order.environment), "find", "--format", "{hash}"]
        spack_tool.run(spack, argv, order.log("find"), lambda line: installed.add(line.strip()))
    except StepFailedError as error:
        raise InstallError(f"cannot see what is installed: {error.reason}\nAll of its output: {error.log}") from error
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


def _concretized(order: Order) -> dict[str, Any]:
    lock = order.environment / "spack.lock"
    if not lock.is_file():
        raise InstallError(f"{order.environment} is not concretized: exaworks install --until concretize")
    nodes: dict[str, Any] = json.loads(lock.read_text()).get("concrete_specs", {})
    return nodes


def _install_package(order: Order, spack: Spack, package: str, say: Callable[[str], None]) -> None:
    nodes = _concretized(order)
    if package not in nodes:
        raise InstallError(f"--package {package}: {order.environment} has no package of that hash; see --packages")
    node = nodes[package]
    say(f"installing {node['name']}@{node['version']}; log: {order.log(f'install-{package[:7]}')}")
    jobs = [f"-j{order.jobs}"] if order.jobs else []
    argv = ["-e", str(order.environment), "install", "--no-add", *jobs, f"/{package}"]
    spack_tool.run(spack, argv, order.log(f"install-{package[:7]}"))


def _test(order: Order, spack: Spack, say: Callable[[str], None]) -> None:
    """Run the stand-alone tests of our packages, the site's own flux included.

    Spack counts a package of which it ran no test, and ends well all the same.
    """
    names = sorted(path.parent.name.replace("_", "-") for path in order.recipes.glob("packages/*/package.py"))
    lock = json.loads((order.environment / "spack.lock").read_text())
    here = {node["name"] for node in lock.get("concrete_specs", {}).values()}
    say("running the stand-alone tests")
    tested = [name for name in names if name in here]
    untested: list[str] = []

    def look(line: str) -> None:
        say(line)
        if re.fullmatch(r"=+ .*\b[1-9]\d* no_tests\b.* =+", line):
            untested.append(line.strip("= "))

    log = order.log("test")
    spack_tool.run(spack, ["-e", str(order.environment), "test", "run", "--externals", *tested], log, look)
    if untested:
        raise StepFailedError(f"  Spack did not test all of them: {untested[0]}", "", log)


def _dump(document: object, path: Path) -> None:
    yaml = YAML()
    yaml.width = 200
    with path.open("w") as out:
        yaml.dump(document, out)
