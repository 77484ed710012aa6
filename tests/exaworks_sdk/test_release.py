"""A release manifest is typed and checked, and the lock beside it is compiled from it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from exaworks_sdk.errors import ReleaseError
from exaworks_sdk.locks import pins
from exaworks_sdk.release import load, names
from exaworks_sdk.releasing.cli import release as command

GOOD = """
release: "2027.01"
components:
  - {name: parsl, version: 1.10, pypi: parsl, spack: py-parsl, licence: Apache-2.0, url: "https://example.org/parsl"}
  - {name: flux, version: 0.88.0, spack: flux-core, licence: LGPL-3.0-only, url: "https://example.org/flux"}
pins: {pyzmq: 27.3.0}
"""


def folder(tmp_path: Path, text: str, name: str = "2027.01") -> Path:
    (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def test_a_version_keeps_the_text_of_the_file(tmp_path: Path) -> None:
    release = load(folder=folder(tmp_path, GOOD))
    assert [(c.name, c.version, c.promised) for c in release.components] == [
        ("parsl", "1.10", True),
        ("flux", "0.88.0", False),
    ]
    assert release.requirements() == ["parsl==1.10", "pyzmq==27.3.0"]
    assert release.components[1].spack_spec == "flux-core@0.88.0"


def test_the_default_is_the_newest_release_by_number_not_by_alphabet(tmp_path: Path) -> None:
    for name in ("2027.2", "2027.10", "2026.11"):
        folder(tmp_path, GOOD.replace("2027.01", name), name)
    assert names(tmp_path) == ["2027.10", "2027.2", "2026.11"]
    assert load(folder=tmp_path).name == "2027.10"
    assert load("2026.11", tmp_path).name == "2026.11"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("spack: py-parsl", "spak: py-parsl"), r"field `spa.*` \(key components\[0\]\)"),
        (GOOD.replace("spack: flux-core, ", ""), r"missing required field `spack` \(key components\[1\]\)"),
        (GOOD.replace("pins: {pyzmq: 27.3.0}", "pins: [pyzmq]"), r"Expected `object`, got `array` \(key pins\)"),
        (GOOD.replace("name: flux", "name: parsl"), r"key components\[1\].name: parsl is listed twice"),
        (GOOD.replace("0.88.0", "master"), r"key components\[1\].version: 'master' of flux is not a version"),
        (GOOD.replace('"2027.01"', '"2027.02"'), "key release is 2027.02, but the file is named 2027.01"),
        ("components: [", "not valid YAML"),
    ],
)
def test_the_error_for_a_wrong_manifest_names_its_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=message) as error:
        load(folder=folder(tmp_path, text))
    assert error.value.message.startswith(f"{tmp_path / '2027.01.yaml'}: ")


def test_the_error_for_an_unknown_release_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"no release 1999\.1; choose one of: 2027\.01\."):
        load("1999.1", folder(tmp_path, GOOD))
    with pytest.raises(ReleaseError, match="contains no release manifest"):
        load(folder=tmp_path / "empty")


@pytest.mark.parametrize("name", names())
def test_the_lock_contains_the_versions_of_the_manifest(name: str) -> None:
    release = load(name)
    locked = {block.split()[0].lower().replace(".", "-") for _, block in pins(release.lock)}
    for requirement in release.requirements():
        package, _, version = requirement.partition("==")
        assert f"{package.lower().replace('.', '-')}=={version.replace('.', '-')}" in locked
    assert {tool for tool, _ in pins(release.lock)} >= set(release.build_tools)


@pytest.mark.parametrize("name", names())
def test_the_five_technologies_are_in_every_release(name: str) -> None:
    assert {c.name for c in load(name).components} >= {
        "flux",
        "parsl",
        "psij",
        "radical.entk",
        "radical.pilot",
        "swift-t",
    }


def test_show_prints_the_table_json_and_pins() -> None:
    run = CliRunner().invoke
    release = load()
    shown = run(command, ["show"])
    assert shown.exit_code == 0
    assert re.search(r"radical\.pilot +1\.\d+", shown.output)
    tree = json.loads(run(command, ["show", "--json"]).output)
    assert tree["release"] == release.name
    assert len(tree["components"]) == len(release.components)
    assert run(command, ["show", "--pins"]).output.splitlines() == [*release.requirements(), *release.build_tools]
    assert json.loads(run(command, ["list", "--json"]).output) == names()
    wrong = run(command, ["show", "1999.1"])
    assert wrong.exit_code == 2
    assert "there is no release 1999.1" in wrong.output
