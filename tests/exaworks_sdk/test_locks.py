"""The locks contain all requirements of ``pyproject.toml``, at versions that satisfy them, and name no index."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from exaworks_sdk.locks import pins
from exaworks_sdk.release import load
from exaworks_sdk.tutorials.jupyter import LOCK
from tests.exaworks_sdk.conftest import ROOT
from tests.needs import need

LOCKS = [*sorted((ROOT / "requirements").glob("*.lock")), LOCK, load().lock]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def table(name: str) -> list[Requirement]:
    """Return the requirements of one list of pyproject.toml (Python 3.10 has no tomllib)."""
    text = (ROOT / "pyproject.toml").read_text()
    match = re.search(rf"^{re.escape(name)} = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert match, name
    return [Requirement(quoted) for quoted in re.findall(r'^\s*"([^"]+)"', match[1], re.MULTILINE)]


def locked(lock: Path, python: str) -> dict[str, Version]:
    """Return the versions that the lock installs on Linux with this Python, by distribution."""
    environment = {"python_version": python, "python_full_version": f"{python}.5", "sys_platform": "linux"}
    versions: dict[str, Version] = {}
    for name, block in pins(lock):
        pin, _, marker = block.splitlines()[0].rstrip(" \\").partition(" ; ")
        if not marker or Marker(marker).evaluate(environment):
            assert name not in versions, f"{lock.name} pins {name} twice for Python {python}"
            versions[canonicalize_name(name)] = Version(pin.partition("==")[2])
    return versions


def unsatisfied(requirements: Iterable[Requirement], versions: dict[str, Version]) -> list[str]:
    """Return the requirements that no version of the lock satisfies."""
    pinned = {str(r): versions.get(canonicalize_name(r.name)) for r in requirements if r.name != "exaworks-sdk"}
    return [
        f"{text}: {'absent' if version is None else version}"
        for text, version in pinned.items()
        if version is None or not Requirement(text).specifier.contains(version)
    ]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_runtime_lock_satisfies_the_dependencies_and_the_collector_extra(python: str) -> None:
    requirements = [*table("dependencies"), *table("collector"), Requirement("setuptools>=77")]
    assert unsatisfied(requirements, locked(ROOT / "requirements" / "runtime.lock", python)) == []


@pytest.mark.parametrize("python", PYTHONS)
def test_the_development_lock_satisfies_the_dev_extra_at_the_runtime_versions(python: str) -> None:
    runtime = locked(ROOT / "requirements" / "runtime.lock", python)
    development = locked(ROOT / "requirements" / "dev.lock", python)
    assert unsatisfied([*table("dev"), *table("docs")], development) == []
    assert {name: development.get(name) for name in runtime} == runtime


def test_the_environment_of_every_command_has_nothing_for_documentation_and_notebooks() -> None:
    names = {canonicalize_name(requirement.name) for requirement in table("docs")} | {"ipykernel", "jupyterlab"}
    assert not names & locked(ROOT / "requirements" / "runtime.lock", "3.11").keys()


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_of_jupyterlab_has_what_its_list_names(python: str) -> None:
    lines = [line for line in LOCK.with_suffix(".in").read_text().splitlines() if not line.startswith("#")]
    assert unsatisfied(map(Requirement, lines), locked(LOCK, python)) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_pin_has_a_hash_and_no_lock_names_an_index_or_a_path(lock: Path) -> None:
    assert [name for name, block in pins(lock) if "--hash=sha256:" not in block] == []
    allowed = re.compile(r"#.*|    --hash=sha256:[0-9a-f]{64}( \\)?|[a-z0-9][a-z0-9-]*==[\w.]+( ; [^/@]+)? \\")
    assert [line for line in lock.read_text().splitlines() if not allowed.fullmatch(line)] == []
    assert "//" not in lock.read_text()


@pytest.mark.needs("components")
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_of_the_release_satisfies_the_monitoring_extra_of_parsl(python: str) -> None:
    (metadata,) = Path(str(need("components"))).glob("lib/python3*/site-packages/parsl-*.dist-info/METADATA")
    texts = re.findall(r'^Requires-Dist: (.+); extra == "monitoring"$', metadata.read_text(), re.MULTILINE)
    assert texts, "Parsl no longer has this extra"
    assert unsatisfied(map(Requirement, texts), locked(load().lock, python)) == []
