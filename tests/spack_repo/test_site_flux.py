"""A site's own Flux, as an external, is found, used and tested; a real Spack, with packages of Debian."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from exaworks_sdk.release import load
from exaworks_sdk.spack.environment import environment_text
from tests.spack_repo.real_spack import DEBIAN, Spack

pytestmark = pytest.mark.needs("spack")


def site(folder: Path, core: str, sched: str | None) -> Path:
    """Return a scope in which Flux is the site's."""
    versions = {"flux-core": core} | ({"flux-sched": sched} if sched else {})
    packages = {
        name: {"buildable": False, "externals": [{"spec": f"{name}@{version}", "prefix": str(folder / "flux")}]}
        for name, version in versions.items()
    }
    folder.mkdir()
    Spack.write(folder / "packages.yaml", {"packages": packages})
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("core", "sched"), [("0.81.0", "0.48.0"), ("0.85.0", "0.52.0"), ("0.88.0", "0.54.0"), ("0.83.1", None)]
)
def test_a_site_s_flux_within_the_range_is_used_and_no_second_one_is_built(
    spack: Spack, tmp_path: Path, core: str, sched: str | None
) -> None:
    scope = site(tmp_path / "scope", core, sched)
    nodes = spack.concretize(tmp_path / "release", environment_text(load()), DEBIAN, scope)
    assert (nodes["flux-core"]["version"], "external" in nodes["flux-core"]) == (core, True)
    assert (nodes["flux-sched"]["version"], "external" in nodes["flux-sched"]) == (sched or "0.54.0", bool(sched))
    assert {"py-cffi", "py-ply", "py-pyyaml"} <= nodes.keys(), "the site's bindings import them"
    if sched is None:
        assert "lua" not in nodes
        program = (
            "import spack.environment, spack.util.environment as u; e = u.EnvironmentModifications(); "
            "(s,) = [s for s in spack.environment.active_environment().all_specs() if s.name == 'flux-sched']; "
            "s.package.setup_run_environment(e); print(sorted({m.name for m in e.env_modifications}))"
        )
        printed = spack.ok("-e", str(tmp_path / "release"), "python", "-c", program)
        names = ["FLUX_EXEC_PATH", "FLUX_MODPROBE_PATH_APPEND", "FLUX_MODULE_PATH", "FLUX_RC_EXTRA"]
        assert printed.splitlines()[-1] == str(names), "a site's flux-core brings no Lua"


@pytest.mark.slow
@pytest.mark.parametrize("core", ["0.80.0", "0.89.0"])
def test_a_site_s_flux_outside_the_range_is_refused(spack: Spack, tmp_path: Path, core: str) -> None:
    scope = site(tmp_path / "scope", core, "0.54.0")
    scopes = ("--config-scope", str(DEBIAN), "--config-scope", str(scope))
    done = spack.run(*scopes, "spec", f"exaworks@{load().name}")
    assert done.returncode != 0
    assert "flux-core" in done.stderr


@pytest.mark.parametrize("printed", ["0.85.0", "0.88.0-12-g93ccef2f1"])
def test_spack_finds_a_site_s_flux_with_its_version(spack: Spack, tmp_path: Path, printed: str) -> None:
    (tmp_path / "bin").mkdir()
    flux = tmp_path / "bin" / "flux"
    flux.write_text(f"#!/bin/sh\nprintf 'commands:    \\t\\t{printed}\\nlibflux-core:\\t\\t{printed}\\n'\n")
    flux.chmod(0o755)
    spack.ok("external", "find", "--not-buildable", "--path", str(tmp_path), "flux-core")
    found = spack.home / "user" / "packages.yaml"
    try:
        entry = YAML(typ="safe").load(found)["packages"]["flux-core"]
        (external,) = entry["externals"]
        assert external["spec"].split()[0] == f"flux-core@{printed.partition('-')[0]}"
        assert external["prefix"] == str(tmp_path)
        assert entry["buildable"] is False
    finally:
        found.unlink()
