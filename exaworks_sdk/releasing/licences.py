"""The licences of a release: of its components, and of every other package of its pip deployment.

The expressions are those of SPDX (https://spdx.org/licenses). The manifest holds them; they come from the source of
each package: its licence file, or its metadata where that has an expression.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exaworks_sdk.errors import ReleaseError
from exaworks_sdk.locks import pins
from exaworks_sdk.release import Release
from exaworks_sdk.strong_copyleft import is_strong_copyleft

if TYPE_CHECKING:
    from exaworks_sdk.spack.licences import SpackPackage


@dataclass(frozen=True)
class PackageLicence:
    """A package of a release. pypi: whether it is a distribution on PyPI."""

    name: str
    version: str
    expression: str
    pypi: bool

    @property
    def strong_copyleft(self) -> bool:
        return is_strong_copyleft(self.expression)


def package_licences(release: Release) -> list[PackageLicence]:
    """Return the components and the other packages of the release's lock, sorted by name.

    Raises:
        ReleaseError: the manifest has no licence for a package of the lock.
    """
    components = {
        c.pypi or c.name: PackageLicence(c.pypi or c.name, c.version, c.licence, c.pypi is not None)
        for c in release.components
    }
    versions = {
        name: match.group(1)
        for name, block in pins(release.lock)
        if (match := re.search(r"==([^\s;\\]+)", block)) is not None
    }
    others = {name: version for name, version in versions.items() if _normal(name) not in map(_normal, components)}
    if absent := sorted(others.keys() - release.licences.keys()):
        raise ReleaseError(
            f"release {release.name}: key licences has no entry for {', '.join(absent)}. "
            "Add the SPDX expression of its licence file or metadata."
        )
    rest = [PackageLicence(name, version, release.licences[name], True) for name, version in others.items()]
    return sorted([*components.values(), *rest], key=lambda package: package.name.lower())


def licence_table(release: Release, form: str) -> str:
    """Return a table of all packages in a format of tabulate; packages under strong copyleft are marked."""
    from tabulate import tabulate

    rows = [
        (package.name, package.version, package.expression, "strong copyleft" if package.strong_copyleft else "")
        for package in package_licences(release)
    ]
    return tabulate(rows, ("package", "version", "licence", ""), tablefmt=form, disable_numparse=True)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def spdx_document(release: Release, built: Sequence[SpackPackage] | None = None) -> dict[str, Any]:
    """Return the packages and their licences as a document of SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3).

    built: the packages that Spack builds, instead of those of the pip deployment.
    """
    packages = package_licences(release)
    if built is not None:
        packages = [PackageLicence(each.name, each.version, each.licence, pypi=False) for each in built]
    name = f"exaworks-{release.name}" + ("-spack" if built is not None else "")
    year, month = release.name.split(".")[:2]
    references = sorted(
        {each for package in packages for each in re.findall(r"LicenseRef-[\w.-]+", package.expression)}
    )
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"https://exaworks.org/spdx/{name}",
        "creationInfo": {
            "created": f"{year}-{month:0>2}-01T00:00:00Z",  # of the release, so that the document is reproducible
            "creators": ["Organization: ExaWorks"],
        },
        "documentDescribes": [_identity(package) for package in packages],
        "packages": [
            {
                "name": package.name,
                "SPDXID": _identity(package),
                "versionInfo": package.version,
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": False,
                "licenseConcluded": package.expression,
                "licenseDeclared": package.expression,
                "copyrightText": "NOASSERTION",
                **_reference(package),
            }
            for package in packages
        ],
        "hasExtractedLicensingInfos": [
            {
                "licenseId": reference,
                "extractedText": "Granted by its authors on request; see its LICENSE.md.",
            }
            for reference in references
        ],
    }


def _identity(package: PackageLicence) -> str:
    version = "" if package.pypi else f"-{package.version}"  # Spack may build several versions
    return f"SPDXRef-{re.sub(r'[^A-Za-z0-9.-]', '-', package.name + version)}"


def _reference(package: PackageLicence) -> dict[str, Any]:
    if not package.pypi:
        return {}
    locator = f"pkg:pypi/{_normal(package.name)}@{package.version}"
    return {
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": locator}]
    }
