"""Render the catalogue: a Containerfile for each family, Apptainer definitions, compose files and site files.

The files are committed, so that they can be read and built without this program. ``outdated`` lists those that are not
current.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from containers.bases import FAMILIES
from containers.catalogue import IMAGES, image
from containers.errors import ImagesError, NoImageError
from containers.model import Family, Image, Install, Run, Step
from containers.steps import LIBRARIES, SBOM
from exaworks_sdk.release import Release

FOLDER = "containers/images"
NODES = 2
POSTGRES = "docker.io/library/postgres:17.2-bookworm"
PROXY = "docker.io/nginxinc/nginx-unprivileged:1.27.3-bookworm"
SCHEDULERS = {"testbed-slurm": "slurm", "testbed-flux": "flux"}

DEBIAN_CLEAN = (
    "apt-get clean",
    "rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/log/alternatives.log "
    "/var/cache/ldconfig/aux-cache",
)
APT_SOURCES = (
    'if [ -n "${APT_SOURCES:-}" ]; then rm -f /etc/apt/sources.list.d/*; '
    "printf '%s\\n' \"${APT_SOURCES}\" > /etc/apt/sources.list; fi"
)


def shell(step: Step, family: Family) -> list[str]:
    """Return the commands of a step that installs or runs something."""
    if isinstance(step, Run):
        return list(step.commands)
    assert isinstance(step, Install)
    wanted = " ".join(sorted({package for name in step.names for package in family.packages[name]}))
    before = " ".join(sorted({package for name in step.names for package in family.before.get(name, ())}))
    if family.name.startswith("debian"):
        install = f"apt-get install --quiet=2 --yes --no-install-recommends {wanted}"
        return [APT_SOURCES, "apt-get update --quiet=2", install, *DEBIAN_CLEAN]
    microdnf = "microdnf install --assumeyes --nodocs --setopt=install_weak_deps=0 --enablerepo=crb"
    first = [f"{microdnf} {before}"] if before else []
    return [*first, f"{microdnf} {wanted}", "microdnf clean all", "rm -rf /var/cache/* /var/log/dnf*"]


def run(step: Step, family: Family) -> str:
    """Return the arguments of a RUN instruction: its mounts, and its commands, each of which must succeed."""
    lines, first = [], ["set -eu"]
    if isinstance(step, Run):
        if step.network:
            lines.append("--mount=type=secret,id=ca --mount=type=secret,id=pip,target=/etc/pip.conf")
            first.append("if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi")
        if step.git:
            lines.append("--mount=type=secret,id=git")
            first.append("if [ -e /run/secrets/git ]; then export GIT_CONFIG_GLOBAL=/run/secrets/git; fi")
        lines += [f"--mount=type=bind,from=build,source={folder},target={folder}" for folder in step.mounted]
    return "".join(f"{line} \\\n    " for line in lines) + "; \\\n    ".join([*first, *shell(step, family)])


def containerfile(wanted: Image, release: Release, family: Family) -> str:
    """Return the Containerfile of an image."""
    return _fill("Containerfile.j2", image=wanted, release=release, family=family, sbom=SBOM)


def definition(wanted: Image, release: Release, family: Family) -> str:
    """Return the Apptainer definition of an image.

    Raises:
        NoImageError: the image is a server or a cluster, which is not meant for Apptainer.
    """
    if not wanted.apptainer:
        names = ", ".join(name for name in IMAGES if image(name, release, family).apptainer)
        raise NoImageError(f"{wanted.name} has no Apptainer definition; these images have one: {names}")
    return _fill("Apptainer.def.j2", image=wanted, release=release, family=family, sbom=SBOM)


def tag(name: str, release: Release) -> str:
    """Return the default name of an image."""
    return f"localhost/exaworks/{name}:{release.name}"


def all_files(release: Release) -> dict[str, str]:
    """Return the path and the text of every generated file."""
    files = {}
    for name in IMAGES:
        for family in FAMILIES.values():
            wanted = image(name, release, family)
            files[f"{FOLDER}/{name}/Containerfile.{family.name}"] = containerfile(wanted, release, family)
            if wanted.apptainer:
                files[f"{FOLDER}/{name}/{family.name}.def"] = definition(wanted, release, family)
        if name != "collector":
            files[f"{FOLDER}/{name}/site.yaml"] = _site(wanted, release)
    for name, more in (("testbed-slurm", {"nodes": NODES}), ("collector", {"postgres": POSTGRES, "proxy": PROXY})):
        path = f"{FOLDER}/{name}/compose.yaml"
        files[path] = _fill(f"{name}.compose.yaml.j2", image=tag(name, release), path=path, **more)
    files[f"{FOLDER}/collector/proxy.conf.template"] = _fill("proxy.conf.j2")
    return files


def compose(nodes: int, release: Release) -> str:
    """Return the compose file of a Slurm cluster with ``nodes`` compute nodes."""
    return _fill("testbed-slurm.compose.yaml.j2", image=tag("testbed-slurm", release), path="compose.yaml", nodes=nodes)


def write(files: dict[str, str], root: Path) -> list[str]:
    """Write the files that differ, remove those that nothing generates any more, and return their names.

    Raises:
        ImagesError: a file cannot be written.
    """
    changed = outdated(files, root)
    try:
        for name in changed:
            path = root / name
            if name not in files:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[name], encoding="utf-8")
    except OSError as error:
        raise ImagesError(f"{error.filename}: cannot be written: {error.strerror}") from error
    return changed


def outdated(files: dict[str, str], root: Path) -> list[str]:
    """Return the names of files that are missing, differ or are obsolete."""
    existing = {str(path.relative_to(root)): path for path in (root / FOLDER).glob("*/*") if path.is_file()}
    changed = [
        name
        for name, text in files.items()
        if name not in existing or existing[name].read_text(encoding="utf-8") != text
    ]
    return changed + sorted(set(existing) - set(files))


def _site(wanted: Image, release: Release) -> str:
    promised = [c.name for c in release.components if f"org.exaworks.component.{c.name}" in wanted.labels]
    promised = [
        name for name in promised if name in ("flux", "parsl", "psij", "radical.entk", "radical.pilot", "swift-t")
    ]
    return _fill(
        "site.yaml.j2",
        image=wanted,
        scheduler=SCHEDULERS.get(wanted.name),
        deployment="spack:/opt/view" if wanted.name == "sdk" else f"venv:{LIBRARIES}",
        promises=promised,
    )


def _fill(template: str, **values: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (the files are not HTML)
    )
    environment.filters |= {"kind": lambda step: type(step).__name__, "shell": shell, "run": run, "json": json.dumps}
    # No shell expands Apptainer's %files, so an argument needs Apptainer's own syntax there.
    environment.filters["argument"] = lambda path: re.sub(r"\$\{(\w+)\}", r"{{ \1 }}", path)
    return environment.get_template(template).render(values)
