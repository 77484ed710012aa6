"""The module of the bundle is complete, and is the only one, for Lmod and for Environment Modules, with a real Spack.

The packages are installed with ``--fake``, which takes seconds each; what Spack writes into the modules is real.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from exaworks_sdk.release import load
from exaworks_sdk.spack.environment import environment_text
from tests.spack_repo.real_spack import DEBIAN, Spack
from tests.spack_repo.recipes import ROOT

pytestmark = [pytest.mark.needs("spack"), pytest.mark.slow]

MODULE = f"exaworks/{load().name}"
PYTHON_PACKAGES = ("py-parsl", "py-psij-python", "py-radical-entk", "py-cffi")
PARSL = next(component.version for component in load().components if component.name == "parsl")


@pytest.fixture(scope="module")
def files(spack: Spack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the text of the modules, by kind, of a bundle with all its default variants."""
    place = tmp_path_factory.mktemp("modules")
    settings = YAML(typ="safe").load(ROOT / "spack_repo" / "scopes" / "modules" / "modules.yaml")
    settings["modules"]["default"]["roots"] = {kind: str(place / kind) for kind in ("lmod", "tcl")}
    (place / "scope").mkdir()
    Spack.write(place / "scope" / "modules.yaml", settings)
    spack.concretize(place / "environment", environment_text(load()), DEBIAN, place / "scope")
    environment = ("-e", str(place / "environment"))
    spack.ok(*environment, "install", "--fake", "--only-concrete", "python-venv", "tcl")
    # Recipes look for these files and folders, which a fake package does not have. The Python is Debian's.
    venv, tcl = (Path(spack.ok(*environment, "location", "-i", name).strip()) for name in ("python-venv", "tcl"))
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", venv], check=True)
    (tcl / "lib" / "tcl8.6").mkdir(parents=True)
    (tcl / "lib" / "tcl8.6" / "init.tcl").touch()
    spack.ok(*environment, "install", "--fake")
    for name in PYTHON_PACKAGES:
        prefix = Path(spack.ok(*environment, "location", "-i", name).strip())
        for folder in ("lib/python3.11/site-packages", "local/lib/python3.11/dist-packages"):
            (prefix / folder).mkdir(parents=True, exist_ok=True)
    texts = {}
    for kind in ("lmod", "tcl"):
        spack.ok(*environment, "module", kind, "refresh", "-y", "exaworks")
        (path,) = (each for each in (place / kind).rglob("*") if each.is_file() and each.name != "module-index.yaml")
        assert str(path).endswith(MODULE + {"lmod": ".lua", "tcl": ""}[kind])
        assert kind == "tcl" or path.parents[1].name == "Core"
        texts[kind] = path.read_text()
    return texts


@pytest.mark.parametrize("kind", ["lmod", "tcl"])
def test_it_loads_no_other_module_and_conflicts_with_its_own_versions(files: dict[str, str], kind: str) -> None:
    assert re.findall(r"^\s*(?:depends[-_]on|load|module load|prereq)\b.*", files[kind], re.MULTILINE) == []
    assert {"lmod": 'conflict("exaworks")', "tcl": "conflict exaworks"}[kind] in files[kind].splitlines()


@pytest.mark.parametrize("kind", ["lmod", "tcl"])
def test_it_has_the_programs_and_python_packages_of_every_component(files: dict[str, str], kind: str) -> None:
    for package in ("flux-core", "py-parsl", "py-psij-python", "py-radical-pilot", "stc", "turbine"):
        assert re.search(rf"(?i)prepend.path\W.*\bPATH\W.*/{package}-[^/]*/bin\b", files[kind]), package
    for package in PYTHON_PACKAGES:
        assert re.search(rf"PYTHONPATH\W.*/{package}-[^/]*/.*/(?:site|dist)-packages", files[kind]), package
    assert "FLUX_MODPROBE_PATH_APPEND" in files[kind], "Fluxion is the scheduler"


@pytest.mark.parametrize("kind", ["lmod", "tcl"])
def test_its_help_names_the_contents_and_the_command_that_tests_it(files: dict[str, str], kind: str) -> None:
    text = " ".join(re.sub(r"puts stderr|[{}]", " ", files[kind]).split())
    assert f"exaworks validate --deployment module:{MODULE}" in text
    assert f"py-parsl {PARSL}" in text
