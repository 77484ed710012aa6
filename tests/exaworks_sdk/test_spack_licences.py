"""Licences of what Spack builds: what counts as strong copyleft, and what the release's page and command show of it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from exaworks_sdk.errors import ReleaseError
from exaworks_sdk.release import load
from exaworks_sdk.releasing.cli import release as command
from exaworks_sdk.releasing.licences import spdx_document
from exaworks_sdk.releasing.notes import page
from exaworks_sdk.spack import licences as spack_licences
from exaworks_sdk.spack.licences import UNKNOWN, SpackPackage, file_of, read_licences, write_licences
from exaworks_sdk.strong_copyleft import is_strong_copyleft

PACKAGES = [
    SpackPackage("bison", "3.8.2", "GPL-3.0-or-later", run=False),
    SpackPackage("gcc-runtime", "13.3.1", "GPL-3.0-or-later WITH GCC-exception-3.1", run=True),
    SpackPackage("py-rc-process", "0.11.0", "AGPL-3.0-or-later OR LicenseRef-rc-process-commercial", run=True),
    SpackPackage("zlib", "1.2", "Zlib", run=True),
    SpackPackage("zlib", "1.3", UNKNOWN, run=True),
]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", False),
        ("LGPL-2.1-or-later", False),
        ("GPL-2.0-only", True),
        ("AGPL-3.0-only", True),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("GPL-3.0-or-later WITH Autoconf-exception-3.0", False),
        ("GPL-2.0-or-later OR LGPL-3.0-or-later", False),
        ("BSD-3-Clause OR GPL-2.0-or-later", False),
        ("Artistic-1.0-Perl OR GPL-1.0-or-later", False),
        ("GPL-2.0-only OR AGPL-3.0-only", True),
        ("BSD-2-Clause AND GPL-2.0-only", True),
        ("LGPL-2.0-or-later AND GPL-2.0-or-later", True),
        ("GPL-2.0-only AND GPL-3.0-only WITH GCC-exception-3.1", True),
        ("AGPL-3.0-or-later OR LicenseRef-commercial", True),
        ("AGPL-3.0-only OR LicenseRef-Oracle-Proprietary", True),
        ("LicenseRef-commercial", False),
        ("MIT AND (GPL-2.0-only OR BSD-2-Clause)", True),
        ("OSL-3.0", True),
        ("Sleepycat", True),
        (UNKNOWN, False),
        ("", False),
    ],
)
def test_an_alternative_or_an_exception_takes_the_strength_from_a_licence_but_a_commercial_one_does_not(
    expression: str, expected: bool
) -> None:
    assert is_strong_copyleft(expression) is expected


@pytest.fixture
def of_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "2026.11.spack.json"
    for module in (spack_licences,):
        monkeypatch.setattr(module, "file_of", lambda release: path)
    monkeypatch.setattr("exaworks_sdk.releasing.notes.file_of", lambda release: path)
    return path


def test_the_file_has_one_line_for_each_package_and_is_read_as_it_was_written(of_release: Path) -> None:
    write_licences(load(), reversed(PACKAGES))
    assert len(of_release.read_text().splitlines()) == len(PACKAGES) + 2
    assert read_licences(load()) == PACKAGES


@pytest.mark.parametrize("text", ["", "{}", '[{"name": "x"}]', "nonsense"])
def test_a_damaged_file_is_an_error_that_names_it(of_release: Path, text: str) -> None:
    of_release.write_text(text)
    with pytest.raises(ReleaseError, match=f"{of_release}: .* Make it again"):
        read_licences(load())


def test_a_release_without_locks_says_how_to_make_them(of_release: Path) -> None:
    with pytest.raises(ReleaseError, match=r"has no Spack locks.*release lock --all"):
        read_licences(load())
    assert "### Of what Spack builds" not in page(load())


def test_the_page_names_strong_copyleft_that_is_installed_apart_from_tools_of_the_build(of_release: Path) -> None:
    write_licences(load(), PACKAGES)
    text = page(load())
    installed = "py-rc-process (AGPL-3.0-or-later OR LicenseRef-rc-process-commercial)"
    assert f"Part of what is installed, and **under strong copyleft**: {installed}." in text
    assert "Under strong copyleft, but only tools of the build: bison." in text
    assert "Part of what is installed, and their recipes declare no licence: zlib." in text


def test_the_command_prints_a_table_and_an_spdx_document(of_release: Path) -> None:
    write_licences(load(), PACKAGES)
    table = CliRunner().invoke(command, ["licenses", "--spack"]).output.splitlines()
    rows = {line.split()[0]: line for line in table[2:]}
    assert rows["bison"].split()[-4:] == ["build", "only", "strong", "copyleft"]
    assert "strong copyleft" not in rows["gcc-runtime"]
    document = json.loads(CliRunner().invoke(command, ["licenses", "--spack", "--spdx"]).output)
    assert document["name"] == f"exaworks-{load().name}-spack"
    identities = [each["SPDXID"] for each in document["packages"]]
    assert len(set(identities)) == len(PACKAGES)
    assert document == json.loads(json.dumps(spdx_document(load(), PACKAGES)))
    assert {each["name"]: each["licenseConcluded"] for each in document["packages"]}["bison"] == "GPL-3.0-or-later"


@pytest.mark.skipif(not file_of(load()).is_file(), reason="the release has no locks yet")
def test_the_packages_of_the_release_have_valid_values() -> None:
    packages = read_licences(load())
    assert packages == sorted(packages)
    assert len({(each.name, each.version) for each in packages}) == len(packages)
    assert all(each.licence.strip() == each.licence and each.licence for each in packages)
    assert {each.name for each in packages if each.run} >= {component.spack for component in load().components}
    assert msgspec.json.decode(file_of(load()).read_bytes())
