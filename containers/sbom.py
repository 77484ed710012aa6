"""Write a CycloneDX bill of materials of the image this runs in: ``sbom.py TITLE VERSION ENVIRONMENT... > FILE``.

Runs while the last stage is built, in its own environment, which is mounted into that stage. Lists the Python packages
of each environment, the packages in the distribution's database, and the packages in Spack's install tree.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import distributions
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL


def library(kind: str, name: str, version: str, namespace: str | None = None) -> Component:
    """Return a component; its package URL is also its reference, so that every build writes the same file."""
    url = PackageURL(kind, namespace, name, version)
    return Component(type=ComponentType.LIBRARY, name=name, version=version, purl=url, bom_ref=url.to_string())


def python_packages(environment: Path) -> list[Component]:
    """Return the packages of one virtual environment."""
    sites = [str(site) for site in environment.glob("lib*/python3*/site-packages")]
    return [library("pypi", d.metadata["Name"].lower(), d.version) for d in distributions(path=sites)]


def system_packages() -> list[Component]:
    """Return the installed packages in the distribution's database.

    Raises:
        SystemExit: neither dpkg nor rpm is installed.
    """
    queries = {
        ("deb", "debian"): ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\n"],
        ("rpm", "rocky"): ["rpm", "--query", "--all", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE}\n"],
    }
    for (kind, namespace), argv in queries.items():
        try:
            output = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        except FileNotFoundError:
            continue
        pairs = [line.split(" ", 1) for line in output.splitlines() if " " in line]
        return [library(kind, name, version, namespace) for name, version in pairs]
    raise SystemExit("sbom.py: neither dpkg-query nor rpm is installed, so the packages of the base cannot be listed")


def spack_packages(tree: Path) -> list[Component]:
    """Return the packages in Spack's install tree, each with its DAG hash."""
    packages = []
    for file in sorted(file for file in tree.rglob("spec.json") if file.parent.name == ".spack"):
        node = json.loads(file.read_text(encoding="utf-8"))["spec"]["nodes"][0]
        packages.append(library("generic", node["name"], f"{node['version']}+{node['hash']}", "spack"))
    return packages


def main() -> None:
    """Print the bill of materials."""
    title, version, *environments = sys.argv[1:]
    components = system_packages()
    for environment in map(Path, environments):
        components += python_packages(environment) + spack_packages(environment)
    bom = Bom(
        components={c.bom_ref.value: c for c in components}.values(),
        serial_number=uuid5(NAMESPACE_URL, f"https://exaworks.org/images/{title}/{version}"),
    )
    bom.metadata.component = Component(type=ComponentType.CONTAINER, name=title, version=version, bom_ref=title)
    moment = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    bom.metadata.timestamp = datetime.fromtimestamp(moment, timezone.utc)
    print(JsonV1Dot6(bom).output_as_string(indent=1))


if __name__ == "__main__":
    main()
