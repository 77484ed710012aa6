"""Environments, scopes, modules and the pipeline of Spack agree with the manifest and the site files, without Spack."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from exaworks_sdk.release import load, names
from exaworks_sdk.spack.environment import environment_files, environment_text
from site_configs.load import systems
from site_configs.scope import externals
from tests.spack_repo.recipes import ROOT

NEWEST = load()
BUNDLE = "exaworks"


@pytest.mark.parametrize("name", names())
def test_the_environments_agree_with_the_manifest_and_the_site_files(name: str) -> None:
    folder, sites = ROOT / "spack_repo" / "environments", ROOT / "site_configs"
    scopes = {f"{path.parts[-4]}/{path.parts[-2]}": path.parent for path in sites.glob("*/spack/*/packages.yaml")}
    files = environment_files(load(name), folder, scopes)
    assert {path: path.read_text() for path in folder.glob(f"{name}/**/spack.yaml")} == files
    assert len(files) == 1 + len([system for system in systems({}) if system.spack_scope])
    for path in files:
        included = YAML(typ="safe").load(path)["spack"].get("include", [])
        assert all((path.parent / scope / "packages.yaml").is_file() for scope in included)


def test_the_environment_for_spack_ci_is_that_of_the_newest_release_with_a_portable_target_and_a_signed_cache() -> None:
    ci = YAML(typ="safe").load(ROOT / "spack_repo" / "ci" / "spack.yaml")["spack"]
    release = YAML(typ="safe").load(environment_text(NEWEST))["spack"]
    assert ci["specs"] == release["specs"]
    assert ci["config"] == release["config"]
    assert ci["packages"] == {**release["packages"], "all": {"require": "target=x86_64_v3"}}
    # `spack ci` itself requires this name.
    assert ci["mirrors"].keys() == {"buildcache-destination"}
    assert ci["mirrors"]["buildcache-destination"]["signed"] is True
    assert ci["repos"] == {"exaworks": "$CI_PROJECT_DIR/spack_repo/exaworks"}
    # Spack adds its own script to one that is given here, and then builds twice.
    assert [job for section in ci["ci"]["pipeline-gen"] for job in section.values() if "script" in job] == []


MODULES = sorted([*ROOT.glob("site_configs/*/spack/*/modules.yaml"), ROOT / "spack_repo/scopes/modules/modules.yaml"])


def test_every_scope_has_modules() -> None:
    scopes = {path.parent for path in ROOT.glob("site_configs/*/spack/*/packages.yaml")}
    assert {path.parent for path in MODULES} >= scopes


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.parent.name)
def test_modules_are_one_complete_module_of_the_bundle_that_conflicts_with_its_other_versions(path: Path) -> None:
    default = YAML(typ="safe").load(path)["modules"]["default"]
    for kind in ("lmod", "tcl"):
        settings = default[kind]
        assert (settings["include"], settings["exclude"]) == ([BUNDLE], ["platform=linux"]), "the packages have none"
        assert settings["projections"] == {"all": "{name}/{version}"}
        assert settings["hash_length"] == 0, "the name ends with the version"
        assert settings[BUNDLE] == {"conflict": ["{name}"]}
    assert default["lmod"]["core_specs"] == [BUNDLE], "no compiler or MPI has to be loaded before it"
    compilers = [each.spec.split()[0] for each in externals(path.parent) if each.spec.startswith("gcc@")] or ["gcc"]
    assert default["lmod"]["core_compilers"] == [compilers[-1]]


def test_modules_are_those_of_the_module_system_in_the_site_file() -> None:
    for system in systems({}):
        if system.spack_scope and system.modules and system.modules.system:
            path = ROOT / "site_configs" / system.system.partition("/")[0] / system.spack_scope / "modules.yaml"
            assert YAML(typ="safe").load(path)["modules"]["default"]["enable"] == [system.modules.system]


def test_a_compiler_in_the_spec_of_an_external_is_also_an_external() -> None:
    """If it is not, Spack refuses to concretize."""
    for path in (ROOT / "site_configs").glob("*/spack/*/packages.yaml"):
        specs = [each.spec for each in externals(path.parent)]
        for compiler in {spec.split("%")[1].split()[0] for spec in specs if "%" in spec}:
            assert any(spec.split()[0] == compiler for spec in specs), f"{path}: {compiler}"
