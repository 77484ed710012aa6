"""The Spack locks of a release agree with manifest, scopes and site files; and what a lock is compared with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from exaworks_sdk.errors import ReleaseError
from exaworks_sdk.paths import Places
from exaworks_sdk.release import Release, load
from exaworks_sdk.releasing.cli import release as command
from exaworks_sdk.releasing.cli_lock import all_differences
from exaworks_sdk.spack.environment import bundle_spec, environment_text
from exaworks_sdk.spack.licences import UNKNOWN, merged, packages_of, read_licences, run_time
from exaworks_sdk.spack.lock import NAME, Lock, disagreements, lock_file, read_lock
from site_configs.load import site_files, systems
from site_configs.schema import SpackHost, State, System
from site_configs.scope import folder_of
from tests.spack_repo.recipes import FOLDERS, admits, read

ROOT = Path(__file__).resolve().parents[2]
RELEASE = load()
HOST = SpackHost(os="rhel8", target="zen3", glibc="2.28")
SYSTEMS = [system for system in systems({}) if system.spack_scope and system.state is State.ACTIVE]
LOCKED = [system for system in SYSTEMS if lock_file(ROOT, RELEASE, system.system).is_file()]
"""`exaworks release cut` needs a lock of every system; between releases, one may be missing."""
PACKAGES = """packages:
  gcc:
    externals:
    - spec: gcc@13.3.1 languages='c,c++'
      prefix: /opt/gcc
  cray-mpich:
    externals:
    - spec: cray-mpich@8.1 %gcc@13.3.1
      prefix: /opt/mpich
      modules: [cray-mpich/8.1]
"""


def scope_of(system: System) -> Path:
    scope = folder_of(system, site_files({})[system.system])
    assert scope is not None
    return scope


@pytest.mark.parametrize("system", LOCKED, ids=lambda system: system.system)
def test_the_lock_of_a_system_agrees_with_manifest_scope_and_site_file(system: System) -> None:
    assert list(all_differences(ROOT, RELEASE, (system.system,))) == []


@pytest.mark.parametrize("system", LOCKED, ids=lambda system: system.system)
def test_the_lock_has_what_the_recipes_declare_now(system: System) -> None:
    """A dependency that a recipe has got since the lock was made is missing from its builds."""
    lock = read_lock(lock_file(ROOT, RELEASE, system.system))
    missing = []
    for node in lock.nodes.values():
        folder = node["name"].replace("-", "_")
        if node["namespace"] != "exaworks" or folder not in FOLDERS or "external" in node:
            continue
        edges = node.get("dependencies", ())
        has = {each["name"] for each in edges} | {name for each in edges for name in each["parameters"]["virtuals"]}
        for needed in read(folder).all("depends_on"):
            name = re.split(r"[@+~ %]", needed.text)[0]
            if all(_holds(condition, node) for condition in needed.when) and name not in has:
                missing.append(f"{node['name']}: {name}")
    assert missing == [], f"make the lock again: exaworks release lock --site {system.system}"


def _holds(condition: str, node: Mapping[str, Any]) -> bool:
    """Return whether a condition of a recipe holds for a package; one that cannot be decided here does not."""
    for part in re.findall(r"@[\w.:,]+|[+~][\w-]+|\^\S+|%\S+|\w+=\S+", condition):
        if part[0] == "@":
            if not admits(f"x{part}", node["version"]):
                return False
        elif part[0] in "+~":
            if node["parameters"].get(part[1:]) is not (part[0] == "+"):
                return False
        else:
            return False
    return True


def test_the_manifest_states_the_shared_dependencies_of_pip_and_of_spack_and_both_locks_have_them() -> None:
    assert RELEASE.spack is not None
    assert RELEASE.spack.pins.keys() == RELEASE.pins.keys()
    by_pip = RELEASE.lock.read_text()
    missing = [name for name, pin in RELEASE.pins.items() if f"\n{name}=={pin}" not in by_pip]
    assert missing == []
    for system in LOCKED:
        lock = read_lock(lock_file(ROOT, RELEASE, system.system))
        by_spack = {name: [node["version"] for node in lock.named(f"py-{name}")] for name in RELEASE.spack.pins}
        of_monitoring = {"sqlalchemy": []}
        assert by_spack == {name: [pin] for name, pin in RELEASE.spack.pins.items()} | of_monitoring


def test_the_licences_are_those_of_exactly_the_packages_in_the_locks() -> None:
    locks = [read_lock(lock_file(ROOT, RELEASE, system.system)) for system in LOCKED]
    assert locks
    expected = {(each.name, each.version, each.run) for each in merged(p for k in locks for p in packages_of(k, {}))}
    assert {(each.name, each.version, each.run) for each in read_licences(RELEASE)} == expected


def test_a_component_has_the_licence_of_the_manifest_in_its_recipe_too() -> None:
    declared = {each.name: each.licence for each in read_licences(RELEASE)}
    components = {component.spack: component.licence for component in RELEASE.components}
    assert {name: declared[name] for name in components if name in declared} == components


def _node(name: str, version: str, **more: Any) -> dict[str, Any]:
    arch = {"platform": "linux", "platform_os": "rhel8", "target": {"name": "zen3"}}
    return {"name": name, "version": version, "arch": arch, "namespace": "exaworks", **more}


def content(release: Release = RELEASE) -> dict[str, Any]:
    """Return a lock that agrees, as Spack writes it."""
    assert release.spack is not None
    variants = {**dict.fromkeys(release.spack.on, True), **dict.fromkeys(release.spack.off, False)}
    nodes = {"root": _node("exaworks", release.name, parameters=variants)}
    nodes |= {component.spack: _node(component.spack, component.version) for component in release.components}
    nodes |= {f"py-{name}": _node(f"py-{name}", version) for name, version in release.spack.pins.items()}
    gcc = {"path": "/opt/gcc", "module": None, "extra_attributes": {"compilers": {"c": "/opt/gcc/bin/gcc"}}}
    mpich = {"path": "/opt/mpich", "module": ["cray-mpich/8.1"]}
    nodes["gcc"] = {**_node("gcc", "13.3.1", external=gcc), "namespace": "builtin"}
    nodes["mpi"] = {**_node("cray-mpich", "8.1", external=mpich), "namespace": "builtin"}
    nodes["glibc"] = {**_node("glibc", "2.28", external={"path": "/usr", "module": None}), "namespace": "builtin"}
    return {
        "spack": {"version": "1.3", "commit": release.spack.tool.commit},
        "roots": [{"hash": "root", "spec": bundle_spec(release).replace(" ", "")}],
        "concrete_specs": nodes,
    }


@pytest.fixture
def scope(tmp_path: Path) -> Path:
    folder = tmp_path / "scope"
    folder.mkdir()
    (folder / "packages.yaml").write_text(PACKAGES)
    return folder


def lock(folder: Path, changed: dict[str, Any]) -> Lock:
    path = folder / NAME
    path.write_text(json.dumps(changed))
    return read_lock(path)


def test_a_lock_that_agrees_has_no_disagreement(tmp_path: Path, scope: Path) -> None:
    assert disagreements(lock(tmp_path, content()), RELEASE, scope, HOST) == []


def _set(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(given: dict[str, Any]) -> None:
        for key in path[:-1]:
            given = given[key]
        given[path[-1]] = value

    return change


NODES = "concrete_specs"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_set("roots", value=[{"hash": "root", "spec": "exaworks@1"}]), "its roots are exaworks@1; the manifest has "),
        (_set("roots", value=[]), "its roots are ; the manifest has "),
        (_set("spack", "commit", value="0" * 40), "it was made with Spack 000000000000; the manifest names "),
        (_set(NODES, "root", "parameters", "flux", value=False), "exaworks has flux=False; the manifest has True"),
        (_set(NODES, "root", "parameters", "maestro", value=True), "exaworks has maestro=True; the manifest has False"),
        (_set(NODES, "root", "name", value="other"), "it contains 0 packages exaworks"),
        (_set(NODES, "py-parsl", "version", value="1.0"), "py-parsl is 1.0; the manifest has "),
        (_set(NODES, "py-parsl", "namespace", value="builtin"), "py-parsl is of repository builtin, not of exaworks"),
        (_set(NODES, "py-parsl", "name", value="x"), "it has no py-parsl, which the manifest names"),
        (_set(NODES, "stc", "external", value={"path": "/x", "module": None}), "stc is an external"),
        (
            _set(NODES, "gcc", "version", value="11.1"),
            "it uses gcc@11.1 in /opt/gcc, which the scope of the system does not have",
        ),
        (_set(NODES, "gcc", "external", "path", value="/usr"), "it uses gcc@13.3.1 in /usr, which the scope"),
        (_set(NODES, "mpi", "external", "module", value=["other"]), "it uses cray-mpich@8.1 in /opt/mpich, which"),
        (_set(NODES, "glibc", "version", value="2.36"), "it is for glibc 2.36; spack_host of the site file has 2.28"),
        (
            _set(NODES, "gcc", "arch", value={"platform_os": "debian12", "target": "x86_64"}),
            "it is for debian12, rhel8; spack_host of the site file has rhel8",
        ),
        (
            _set(NODES, "py-parsl", "arch", "target", value="haswell"),
            "it is for haswell, zen3; spack_host of the site file has zen3",
        ),
    ],
)
def test_a_difference_is_named(
    tmp_path: Path, scope: Path, change: Callable[[dict[str, Any]], None], expected: str
) -> None:
    changed = json.loads(json.dumps(content()))
    change(changed)
    found = disagreements(lock(tmp_path, changed), RELEASE, scope, HOST)
    assert any(line.startswith(expected) for line in found), found


def test_a_pin_of_the_manifest_must_be_in_the_lock(tmp_path: Path, scope: Path) -> None:
    assert RELEASE.spack is not None
    pinned = msgspec.structs.replace(RELEASE, spack=msgspec.structs.replace(RELEASE.spack, pins={"pyzmq": "27.1.0"}))
    changed = content(pinned)
    assert disagreements(lock(tmp_path, changed), pinned, scope, HOST) == []
    changed[NODES]["py-pyzmq"]["version"] = "25.1.2"
    assert disagreements(lock(tmp_path, changed), pinned, scope, HOST) == [
        "py-pyzmq is 25.1.2; the manifest has 27.1.0 under spack: pins:"
    ]


def test_a_system_s_own_flux_may_be_an_external_of_the_scope(tmp_path: Path, scope: Path) -> None:
    text = "  flux-core:\n    externals:\n    - spec: flux-core@0.85.0\n      prefix: /usr\n"
    (scope / "packages.yaml").write_text(PACKAGES + text)
    changed = content()
    changed[NODES]["flux-core"] |= {"version": "0.85.0", "external": {"path": "/usr", "module": None}}
    assert disagreements(lock(tmp_path, changed), RELEASE, scope, HOST) == []


def test_without_a_description_of_the_machine_the_lock_cannot_be_compared(tmp_path: Path, scope: Path) -> None:
    found = disagreements(lock(tmp_path, content()), RELEASE, scope, None)
    assert found == ["the site file does not describe the machine: add spack_host"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"concrete_specs": {"a": {}}, "roots": []}', "\xff"])
def test_a_file_that_is_no_lock_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / NAME
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ReleaseError, match=f"{path}: cannot be read: .* Make it again"):
        read_lock(path)


def test_the_command_finds_absent_and_outdated_locks_without_spack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SPACK_ROOT", raising=False)
    name = SYSTEMS[0].system
    done = CliRunner().invoke(command, ["lock", "--check", "--site", name], obj=Places(tmp_path, tmp_path))
    assert (done.exit_code, done.output) == (
        1,
        f"{name}: there is no lock: exaworks release lock --site {name}\n",
    )
    path = lock_file(tmp_path, RELEASE, name)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content()))
    done = CliRunner().invoke(command, ["lock", "--check", "--site", name], obj=Places(tmp_path, tmp_path))
    assert done.exit_code == 1
    assert f"{name}: it uses gcc@13.3.1 in /opt/gcc, which the scope of the system does not have" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name systems with --site, or use --all"),
        (["--all", "--site", "llnl/dane"], "but not both"),
        (["--site", "llnl/dane"], "there is no Spack: clone https://github.com/spack/spack"),
        (["--site", "local/workstation"], "local/workstation has no Spack configuration"),
        (["--site", "llnl/dani"], "llnl/dani"),
    ],
)
def test_what_is_missing_to_make_a_lock_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SPACK_ROOT", raising=False)
    done = CliRunner().invoke(command, ["lock", *arguments], obj=Places(tmp_path, ROOT))
    assert done.exit_code == 2
    assert message in done.output


def test_a_spack_at_another_commit_makes_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spack = tmp_path / "spack" / "bin" / "spack"
    spack.parent.mkdir(parents=True)
    spack.write_text("#!/bin/sh\nexit 1\n")
    spack.chmod(0o755)
    monkeypatch.setenv("SPACK_ROOT", str(tmp_path / "spack"))
    done = CliRunner().invoke(command, ["lock", "--site", "llnl/dane"], obj=Places(tmp_path, ROOT))
    assert done.exit_code == 2
    assert "the commit of Spack is unknown, since it is no git clone" in done.output


def test_what_is_installed_is_told_from_the_tools_of_the_build(tmp_path: Path) -> None:
    def needs(**types: list[str]) -> list[dict[str, Any]]:
        return [{"hash": name, "parameters": {"deptypes": given}} for name, given in types.items()]

    nodes = {
        "root": _node("exaworks", "1", dependencies=needs(parsl=["build", "run"], mpi=["link"])),
        "parsl": _node("py-parsl", "1", dependencies=needs(bison=["build"], lib=["link"])),
        "lib": _node("lib", "1"),
        "bison": _node("bison", "3", dependencies=needs(m4=["run"])),
        "m4": _node("m4", "1"),
        "mpi": _node("mpich", "4", external={"path": "/x"}),
    }
    made = lock(tmp_path, {"roots": [], "concrete_specs": nodes})
    assert run_time(made) == {"root", "parsl", "lib", "mpi"}
    packages = packages_of(made, {"bison": "GPL-3.0-or-later", "parsl": ""})
    assert [(each.name, each.licence, each.use) for each in packages] == [
        ("bison", "GPL-3.0-or-later", "build only"),
        ("exaworks", UNKNOWN, "run"),
        ("lib", UNKNOWN, "run"),
        ("m4", UNKNOWN, "build only"),
        ("py-parsl", UNKNOWN, "run"),
    ]
    twice = merged([*packages, msgspec.structs.replace(packages[0], run=True)])
    assert [each.run for each in twice if each.name == "bison"] == [True]


def test_the_environment_requires_the_versions_that_the_manifest_pins() -> None:
    assert RELEASE.spack is not None
    pinned = msgspec.structs.replace(RELEASE, spack=msgspec.structs.replace(RELEASE.spack, pins={"pyzmq": "27.1.0"}))
    assert "py-pyzmq:\n      require: '@27.1.0'" in environment_text(pinned)
