"""The licences of a release: complete, as the packages state them, and strong copyleft is never silent."""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from exaworks_sdk.errors import ReleaseError
from exaworks_sdk.release import load, names
from exaworks_sdk.releasing.cli import release as command
from exaworks_sdk.releasing.licences import PackageLicence, package_licences, spdx_document
from exaworks_sdk.releasing.notes import page
from tests.needs import need

FAMILIES = ("AGPL", "LGPL", "GPL", "MPL", "Apache", "BSD", "MIT", "PSF", "CNRI")
WORDS = {
    "Affero": "AGPL",
    "Lesser": "LGPL",
    "Mozilla": "MPL",
    "Python Software Foundation": "PSF",
    "GNU General": "GPL",
}


def families(text: str) -> set[str]:
    """Return the families of licences that a text names."""
    for words, family in WORDS.items():
        text = text.replace(words, family)
    named = set(re.findall(rf"(?<![A-Z])(?:{'|'.join(FAMILIES)})", text))
    return named - {"GPL"} if "AGPL" in named else named


@pytest.mark.parametrize("name", names())
def test_every_package_of_a_release_has_a_licence(name: str) -> None:
    packages = package_licences(load(name))
    assert len(packages) > len(load(name).components)
    assert all(re.fullmatch(r"[\w.+-]+(?: (?:AND|OR|WITH) [\w.+-]+)*", each.expression) for each in packages)


def test_a_package_without_a_licence_is_an_error_that_names_it() -> None:
    release = load()
    without = {name: text for name, text in release.licences.items() if name != "certifi"}
    with pytest.raises(ReleaseError, match="no entry for certifi"):
        package_licences(msgspec.structs.replace(release, licences=without))


@pytest.mark.needs("components")
def test_the_licences_are_those_that_the_installed_packages_state() -> None:
    (site,) = Path(need("components")).glob("lib/python3*/site-packages")
    stated = {}
    for each in importlib.metadata.distributions(path=[str(site)]):
        classifiers = [line for line in each.metadata.get_all("Classifier") or [] if line.startswith("License")]
        texts = [each.metadata["License-Expression"], *classifiers, (each.metadata["License"] or "").split("\n")[0]]
        stated[re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower()] = families(" ".join(filter(None, texts)))
    for package in package_licences(load()):
        name = re.sub(r"[-_.]+", "-", package.name).lower()
        if name == "radical-gtod":  # its metadata states GPL, its licence file LGPL
            assert (stated[name], package.expression) == ({"GPL"}, "LGPL-3.0-only")
        elif stated.get(name):
            assert families(package.expression) == stated[name], package


@pytest.mark.parametrize(
    ("expression", "strong"),
    [
        ("GPL-2.0-only", True),
        ("AGPL-3.0-or-later OR LicenseRef-x", True),
        ("MIT AND GPL-3.0-or-later", True),
        ("LGPL-3.0-only", False),
        ("MPL-2.0", False),
        ("MIT", False),
    ],
)
def test_strong_copyleft_is_recognized(expression: str, strong: bool) -> None:
    assert PackageLicence("x", "1", expression, pypi=True).strong_copyleft is strong


def test_the_release_page_names_what_is_under_strong_copyleft() -> None:
    assert [package.name for package in package_licences(load()) if package.strong_copyleft] == ["rc-process"]
    assert "**rc-process is under strong copyleft**" in page(load())


def test_the_command_prints_a_table_and_a_document_of_spdx() -> None:
    table = CliRunner().invoke(command, ["licenses"]).output
    assert re.search(r"rc-process .*AGPL-3.0-or-later.*strong copyleft", table)
    printed = CliRunner().invoke(command, ["licenses", "--spdx"]).output
    document = json.loads(printed)
    assert document == spdx_document(load())
    identities = [package["SPDXID"] for package in document["packages"]]
    assert len(set(identities)) == len(identities) == len(package_licences(load()))
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", identity) for identity in identities)
    used = set(re.findall(r"LicenseRef-[\w.-]+", json.dumps(document["packages"])))
    assert used == {each["licenseId"] for each in document["hasExtractedLicensingInfos"]}
