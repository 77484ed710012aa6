"""The names, versions, checksums and requirements of the recipes agree with the release and its lock, without Spack."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML

from exaworks_sdk import __version__
from exaworks_sdk.environment import pins
from exaworks_sdk.release import load, names
from tests.spack_repo.recipes import FOLDERS, PACKAGES, REPOSITORY, ROOT, admits, bounds, numbers, ranges, read

NEWEST = load()
BUNDLE = "exaworks"
FROM_PYPI = {
    "py_msgspec": "msgspec",
    "py_parsl": "parsl",
    "py_psij_python": "psij-python",
    "py_radical_entk": "radical.entk",
    "py_radical_gtod": "radical.gtod",
    "py_radical_pilot": "radical.pilot",
    "py_radical_saga": "radical.saga",
    "py_radical_utils": "radical.utils",
    "py_rc_process": "rc.process",
}
"""The distributions on PyPI that are sources of recipes, by folder of the recipe."""
SDISTS: dict[str, dict[str, dict[str, Any]]] = json.loads((ROOT / "tests/spack_repo/sdists.json").read_text())
STATED = {
    "AGPL-3.0-or-later OR LicenseRef-rc-process-commercial": [
        "GNU Affero General Public License v3 or later (AGPLv3+)"
    ],
    "Apache-2.0": ["Apache Software License"],
    "BSD-3-Clause": ["BSD-3-Clause"],
    # radical.gtod: the metadata states GPL, its licence file LGPL.
    "LGPL-3.0-only": ["GNU General Public License v3 (GPLv3)"],
    "MIT": ["MIT License"],
}
"""What the metadata of a distribution may state, by the SPDX expression of its recipe."""


HARNESS = "py_exaworks_sdk"
"""Its versions depend on the repository that contains it: test_harness_recipe.py."""


def newest(folder: str) -> str:
    return max(read(folder).versions, key=numbers)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def hashes(distribution: str) -> str:
    """Return the lines of the locks that pin a distribution."""
    locks = [*ROOT.glob("requirements/*.lock"), *(load(name).lock for name in names())]
    return "".join(block for lock in locks for name, block in pins(lock) if normal(name) == normal(distribution))


def test_the_index_at_the_root_names_the_repository() -> None:
    (path,) = YAML(typ="safe").load(ROOT / "spack-repo-index.yaml")["repo_index"]["paths"]
    assert ROOT / path == REPOSITORY
    assert YAML(typ="safe").load(REPOSITORY / "repo.yaml") == {"repo": {"namespace": "exaworks", "api": "v2.2"}}


def test_a_folder_that_the_documentation_adds_is_a_repository() -> None:
    pages = (ROOT / "docs").glob("*.md")
    added = [line.split()[3] for page in pages for line in page.read_text().splitlines() if "  spack repo add " in line]
    assert added
    assert [path for path in added if not (ROOT / path / "repo.yaml").is_file()] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_recipe_has_the_class_name_of_its_folder(folder: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", folder)
    assert read(folder).cls.__name__ == "".join(part.title() for part in folder.split("_"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_recipe_names_a_role_of_the_project_as_its_maintainer(folder: str) -> None:
    (role,) = {each.text for each in read(folder).all("maintainers")}
    assert f"`{role}`, is a role of this project" in " ".join((ROOT / "docs" / "policies.md").read_text().split())


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_recipe_has_stand_alone_tests_with_docstrings(folder: str) -> None:
    recipe = read(folder)
    assert recipe.tests
    for name in recipe.tests:
        assert vars(recipe.cls)[name].__doc__, name


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_test_folder_of_a_recipe_has_exactly_the_files_that_its_tests_run(folder: str) -> None:
    text = (PACKAGES / folder / "package.py").read_text()
    named = set(re.findall(r'"([\w-]+\.(?:py|c|tcl|swift))"', text))
    files = {path.name for path in (PACKAGES / folder / "test").glob("*") if path.is_file()}
    imported = {"this_host.py"} if "this_host.py" in files else set()
    assert files == named | imported


def test_this_host_exists_once_and_scripts_of_other_recipes_get_its_folder_as_argument() -> None:
    (module,) = PACKAGES.glob("*/test/this_host.py")
    for script in PACKAGES.glob("*/test/*.py"):
        if "from this_host" in script.read_text() and script.parent != module.parent:
            recipe = (script.parent.parent / "package.py").read_text()
            owner = module.parent.parent.name.replace("_", "-")
            assert f'self.spec["{owner}"].package.package_dir' in recipe
            assert "sys.path.insert(0, sys.argv[" in script.read_text()


@pytest.mark.parametrize(("load", "code"), [(0.0, 1), (1.0, 1), (6.0, 0), (10000.0, 0)])
def test_a_test_of_radical_has_more_time_on_a_busy_machine(tmp_path: Path, load: float, code: int) -> None:
    program = f"""
        import os, sys, time
        import this_host
        this_host.version = lambda name: "1.103.2"
        os.getloadavg = lambda: ({load} * os.cpu_count(),) * 3
        with this_host.bounded(0.5):
            time.sleep(1.5)
    """
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGES / "py_radical_pilot" / "test")}
    environ |= {"TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert ("not done after 0.5 s of an idle machine" in done.stderr) == (code == 1)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_version_is_fixed_by_a_checksum_or_a_commit(folder: str) -> None:
    for options in read(folder).versions.values():
        if folder == BUNDLE:
            assert options == {}
        elif folder != HARNESS:
            (kind,) = options
            assert re.fullmatch({"sha256": "[0-9a-f]{64}", "commit": "[0-9a-f]{40}"}[kind], options[kind])


def test_a_commit_fixes_only_versions_of_which_no_archive_is_published() -> None:
    """Swift/T publishes archives up to stc 1.0.7 and turbine 1.5.1; Flux's archives have generated files."""
    by_commit = {folder for folder in FOLDERS for options in read(folder).versions.values() if "commit" in options}
    by_commit.discard(HARNESS)
    assert by_commit == {"flux_core", "flux_sched", "stc", "turbine"}


FLUX = {"flux-core": ("0.81", "0.88"), "flux-sched": ("0.48", "0.54")}
"""The versions of a site's own Flux that the release accepts, both ends included: docs/spack.md."""


@pytest.mark.parametrize("name", FLUX)
def test_the_bundle_accepts_a_site_s_flux_within_the_range_that_the_documentation_states(name: str) -> None:
    pin = read(BUNDLE).needs(name)[0]
    assert bounds(pin.text) == FLUX[name]
    low, high = FLUX[name]
    assert f"{name} from {low} to {high}" in (ROOT / "docs" / "spack.md").read_text()


def test_fluxion_accepts_every_core_that_the_bundle_accepts() -> None:
    core = read(BUNDLE).needs("flux-core")[0]
    (needed,) = read("flux_sched").needs("flux-core")
    assert bounds(needed.text) == bounds(core.text)


@dataclass(frozen=True)
class Prefix:
    """What an install prefix is for a recipe: every attribute is a folder below it."""

    path: str

    def __getattr__(self, name: str) -> Prefix:
        return Prefix(f"{self.path}/{name}")

    def __str__(self) -> str:
        return self.path

    def __fspath__(self) -> str:
        return self.path


class Variables:
    """What a recipe sets in the environment."""

    def __init__(self) -> None:
        self.folders: dict[str, list[str]] = {}

    def prepend_path(self, name: str, folder: Any) -> None:
        self.folders.setdefault(name, []).insert(0, str(folder))

    def append_path(self, name: str, folder: Any) -> None:
        self.folders.setdefault(name, []).append(str(folder))


class Spec(tuple[str, ...]):
    """The names of a package's dependencies, and whether the package is an external."""

    external = False


@pytest.mark.parametrize(("lua", "external"), [(True, False), (False, False), (True, True), (False, True)])
def test_fluxion_is_loaded_with_and_without_lua_unless_it_is_the_site_s(lua: bool, external: bool) -> None:
    recipe = read("flux_sched").cls
    package, spec = recipe(), Spec(("flux-core", "lua") if lua else ("flux-core",))
    spec.external = external
    package.spec, package.prefix = spec, Prefix("/p")
    builtin: list[bool] = []
    # Builtin's method asks for the version of the lua in the DAG, also where nothing needs it.
    recipe.__mro__[1].setup_run_environment = lambda self, env: builtin.append("lua" in self.spec)
    variables = Variables()
    package.setup_run_environment(variables)
    assert builtin == ([True] if lua else [])
    expected = {} if external else {"FLUX_MODPROBE_PATH_APPEND": ["/p/etc/flux/modprobe"]}
    if not lua and not external:
        modules = [f"/p/{library}/flux/modules{part}" for library in ("lib64", "lib") for part in ("/sched", "")]
        expected |= {"FLUX_MODULE_PATH": modules, "FLUX_EXEC_PATH": ["/p/libexec/flux/cmd"]}
        expected |= {"FLUX_RC_EXTRA": ["/p/etc/flux"]}
    assert variables.folders == expected


@pytest.mark.parametrize("folder", [name for name in FOLDERS if name.startswith("py_")])
def test_a_python_recipe_names_the_modules_to_import(folder: str) -> None:
    assert read(folder).cls.__dict__["import_modules"]


@pytest.mark.parametrize("folder", sorted(FROM_PYPI))
def test_a_checksum_is_that_of_the_source_distribution_in_the_lock(folder: str) -> None:
    version = newest(folder)
    locked = hashes(FROM_PYPI[folder])
    assert re.search(rf"=={re.escape(version)}\b", locked)
    assert read(folder).versions[version]["sha256"] in locked


def test_exactly_the_recipes_from_pypi_name_a_file_there() -> None:
    assert {folder for folder in FOLDERS if hasattr(read(folder).cls, "pypi")} - {"py_psij_python"} == (
        FROM_PYPI.keys() - {"py_psij_python"}
    )


@pytest.mark.parametrize("component", NEWEST.components, ids=lambda component: component.name)
def test_a_component_s_recipe_has_the_release_s_version_as_its_newest(component) -> None:  # type: ignore[no-untyped-def]
    assert newest(component.spack.replace("-", "_")) == component.version


@pytest.mark.parametrize("component", NEWEST.components, ids=lambda component: component.name)
def test_the_bundle_pins_a_component_to_a_closed_range_around_the_release_s_version(component) -> None:  # type: ignore[no-untyped-def]
    (pin, *_) = read(BUNDLE).needs(component.spack)
    assert pin.when[0].startswith("+"), "a component is selected by a variant"
    assert f"@{NEWEST.name}" in pin.when
    low, high = bounds(pin.text)
    assert low is not None
    assert high is not None
    assert admits(pin.text, component.version)
    following = [*numbers(component.version)[:-1], numbers(component.version)[-1] + 1000]
    lifted = [numbers(component.version)[0] + 1]
    assert not admits(pin.text, ".".join(map(str, lifted)))
    assert numbers(low) <= numbers(component.version) < following


def test_the_bundle_s_releases_and_variants_are_those_of_the_manifests() -> None:
    recipe = read(BUNDLE)
    assert sorted(recipe.versions) == sorted(names())
    assert NEWEST.spack
    on = {each.text for each in recipe.all("variant") if each.options["default"]}
    off = {each.text for each in recipe.all("variant") if not each.options["default"]}
    assert on == set(NEWEST.spack.on)
    assert off == set(NEWEST.spack.off)
    assert {each.text for each in recipe.all("variant") if each.options.get("sticky")} == on, "Spack may turn it off"


@pytest.mark.parametrize(
    ("variant", "passed_on"), [("cuda", ["flux-core+cuda", "flux-sched+cuda"]), ("rocm", ["hwloc+rocm"])]
)
def test_a_variant_for_gpus_is_passed_on_to_what_supports_it(variant: str, passed_on: list[str]) -> None:
    given = [each.text for each in read(BUNDLE).all("depends_on") if f"+{variant}" in each.when[0].split()]
    assert given == passed_on


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_conflict_with_a_dependency_is_with_one_that_the_recipe_declares(folder: str) -> None:
    """Spack does not apply it to the dependencies of dependencies: a bundle got Python 3.14, which it excludes."""
    providers = {"openjdk": "java"}
    for conflict in read(folder).all("conflicts"):
        for name in re.findall(r"\^([\w-]+)", conflict.text):
            assert read(folder).needs(providers.get(name, name)), conflict.text


def test_every_conflict_of_the_bundle_has_advice() -> None:
    for conflict in read(BUNDLE).all("conflicts"):
        assert re.search(r": (add|leave|turn) ", conflict.options["msg"]), conflict.text


def test_the_bundle_never_depends_on_the_harness() -> None:
    assert read(BUNDLE).needs("py-exaworks-sdk") == []
    assert not any(read(folder).needs("py-exaworks-sdk") for folder in FOLDERS)


def unmet(folder: str, requirements: list[str], version: str | None = None) -> list[str]:
    """Return the requirements of a distribution that its recipe does not declare, or with another range."""
    recipe, version, messages = read(folder), version or newest(folder), []
    for requirement in map(Requirement, requirements):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        declared = [
            each
            for each in recipe.needs(f"py-{normal(requirement.name)}")
            if all(admits(f"x{when}", version) for when in each.when if when.startswith("@"))
        ]
        if not declared:
            messages.append(f"{requirement}: not declared")
        messages += [f"{requirement}: declared as {each.text}" for each in declared if differs(requirement, each.text)]
    return messages


def differs(requirement: Requirement, spec: str) -> bool:
    """Return whether a dependency admits a version that the distribution refuses, or refuses its newest one."""
    specifier = requirement.specifier
    for low, high in ranges(spec):
        highest = high if high is None or "<=" in str(specifier) else f"{high}.9999"
        if any(not specifier.contains(end) for end in (low, highest) if end is not None):
            return True
    wants = {each.operator for each in specifier}
    low, high = ranges(spec)[0][0], ranges(spec)[-1][1]
    if (low is None) != (not wants & {">=", ">", "=="}) or (high is None) != (not wants & {"<=", "<", "=="}):
        return True
    newest_allowed = [each.version for each in specifier if each.operator in ("<=", "==")]
    return any(not admits(spec, version) for version in newest_allowed)


@pytest.mark.parametrize(
    ("folder", "version"), [(folder, version) for folder, versions in SDISTS.items() for version in versions]
)
def test_a_recipe_has_exactly_the_bounds_and_the_licence_of_its_source_distribution(folder: str, version: str) -> None:
    facts = SDISTS[folder][version]
    assert facts["sha256"] == read(folder).versions[version]["sha256"], "run `python -m tests.spack_repo.sdists`"
    assert unmet(folder, facts["requires"], version) == []
    python = Requirement(f"python{facts['python']}")
    pythons = [
        each
        for each in read(folder).needs("python")
        if all(admits(f"x{when}", version) for when in each.when if when.startswith("@"))
    ]
    assert [each.text for each in pythons if differs(python, each.text)] == []
    assert pythons
    (licence,) = {each.text for each in read(folder).all("license")}
    assert facts["licence"] in STATED[licence], f"the distribution states {facts['licence']!r}"


def test_every_pinned_source_distribution_is_compared() -> None:
    pinned = {folder: sorted(read(folder).versions) for folder in FROM_PYPI}
    assert {folder: sorted(versions) for folder, versions in SDISTS.items()} == pinned


def test_a_missing_and_a_wider_dependency_are_reported() -> None:
    assert unmet("py_radical_saga", ["radical.utils<1.110,>=1.100", "parse"]) == []
    assert unmet("py_radical_saga", ["numpy"]) == ["numpy: not declared"]
    assert unmet("py_radical_saga", ["radical.utils<1.105,>=1.100", "parse"]) != []
    assert unmet("py_radical_saga", ["parse<2"]) == ["parse<2: declared as py-parse"]


def test_the_package_of_the_harness_declares_the_requirements_of_the_project() -> None:
    text = (ROOT / "pyproject.toml").read_text().partition("\ndependencies = [\n")[2].partition("]")[0]
    requirements = re.findall(r'"([^"]+)"', text)
    assert requirements
    assert unmet(HARNESS, requirements, __version__) == []
