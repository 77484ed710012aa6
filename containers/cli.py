"""``exaworks images``: the release as container images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
RELEASE = click.option("--release", "release_name", metavar="NAME", help="The release. [default: the newest]")
FAMILY = click.option(
    "--family",
    default="debian-12",
    show_default=True,
    metavar="NAME",
    help="Family of the base image: debian-12 or rocky-9.",
)


@click.group(
    epilog="""\b
Examples:
  exaworks images list
  exaworks images build sdk-slim
  exaworks images render sdk-slim --format apptainer > sdk-slim.def
"""
)
def images() -> None:
    """Build the SDK, the testbeds and the collector as container images."""


@images.command("list", epilog="\b\nExamples:\n  exaworks images list\n  exaworks images list --json")
@RELEASE
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(release_name: str | None, as_json: bool) -> None:
    """List the images with their contents and the formats of their definitions."""
    import json

    from tabulate import tabulate

    from containers.bases import FAMILIES, family
    from containers.catalogue import IMAGES, image
    from containers.render import tag
    from exaworks_sdk.release import load

    release = load(release_name)
    rows = []
    for name in IMAGES:
        listed = image(name, release, family("debian-12"))
        formats = ["containerfile", *(["apptainer"] if listed.apptainer else [])]
        row = {"name": name, "tag": tag(name, release), "description": listed.description, "formats": formats}
        rows.append({**row, "families": list(FAMILIES)})
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = [(row["name"], row["description"], ", ".join(row["formats"])) for row in rows]
    click.echo(tabulate(table, headers=("image", "description", "definitions"), maxcolwidths=(None, 64, None)))
    click.echo(f"\nFamilies of base images: {', '.join(FAMILIES)}. Release: {release.name}.")


@images.command(
    epilog="""\b
Examples:
  exaworks images render sdk-slim
  exaworks images render sdk-slim --family rocky-9 --format apptainer
  exaworks images render testbed-slurm --format compose --nodes 4
  exaworks images render --all               write every generated file of the checkout
  exaworks images render --all --check       check that the committed files are current
"""
)
@click.argument("name", required=False)
@FAMILY
@RELEASE
@click.option(
    "--format",
    "form",
    type=click.Choice(["containerfile", "apptainer", "compose"]),
    default="containerfile",
    show_default=True,
    help="The language of the definition.",
)
@click.option("--nodes", type=click.IntRange(1, 64), default=2, show_default=True, help="Nodes of the Slurm testbed.")
@click.option("--all", "all_", is_flag=True, help="Write all files below containers/images.")
@click.option("--check", is_flag=True, help="With --all: write nothing, and exit with 1 if a file is not current.")
@click.pass_context
def render(
    context: click.Context,
    name: str | None,
    family: str,
    release_name: str | None,
    form: str,
    nodes: int,
    all_: bool,
    check: bool,
) -> None:
    """Print the definition of image NAME, or write all of them."""
    from containers import render as writer
    from containers.bases import family as base
    from containers.catalogue import image
    from containers.errors import NoImageError
    from exaworks_sdk.release import load

    if all_ == (name is not None):
        raise click.UsageError("give the name of an image, or --all")
    release = load(release_name)
    if all_:
        files = writer.all_files(release)
        changed = writer.outdated(files, _checkout(context)) if check else writer.write(files, _checkout(context))
        for path in changed:
            click.echo(f"{'not current' if check else 'written'}: {path}")
        context.exit(1 if check and changed else 0)
    assert name is not None
    wanted = image(name, release, base(family))
    if form == "compose":
        if name == "testbed-slurm":
            click.echo(writer.compose(nodes, release), nl=False)
            return
        text = writer.all_files(release).get(f"{writer.FOLDER}/{name}/compose.yaml")
        if text is None:
            raise NoImageError(f"{name} has no compose file; only testbed-slurm and collector have one")
        click.echo(text, nl=False)
        return
    write = writer.definition if form == "apptainer" else writer.containerfile
    click.echo(write(wanted, release, base(family)), nl=False)


@images.command(
    epilog="""\b
Examples:
  exaworks images build sdk-slim
  exaworks images build collector --engine podman --push oci://registry.example.org/exaworks/collector:2026.11
  exaworks images build sdk-slim --base localhost/debian:12 --ca-bundle /etc/ssl/certs/ca-certificates.crt
  exaworks images build sdk --spack-mirror ~/spack-mirror --build-arg TARGET=zen3
  exaworks images build sdk --build-arg APT_SOURCES='deb http://mirror.example/debian bookworm main'
  EXAWORKS_BUILD_FLAGS='--isolation chroot' exaworks images build testbed-slurm --engine buildah
"""
)
@click.argument("name")
@FAMILY
@RELEASE
@click.option(
    "--engine", type=click.Choice(["buildah", "podman", "docker", "apptainer"]), help="[default: the first on PATH]"
)
@click.option("--base", metavar="IMAGE", help="Base image, preferably by digest. [default: the family's]")
@click.option("--tag", metavar="NAME", help="Name of the image. [default: localhost/exaworks/NAME:RELEASE]")
@click.option("--push", metavar="oci://…", help="Push the image to this address after the build.")
@click.option("--build-arg", "arguments", multiple=True, metavar="NAME=VALUE", help="Set an ARG of the definition.")
@click.option("--ca-bundle", type=FILE, envvar="PIP_CERT", show_envvar=True, help="For pip; not stored in the image.")
@click.option(
    "--pip-config", type=FILE, envvar="PIP_CONFIG_FILE", show_envvar=True, help="For pip; not stored in the image."
)
@click.option(
    "--spack-mirror",
    type=FOLDER,
    metavar="DIR",
    help="With sdk: take sources and built packages from this folder, and add packages that had to be built.",
)
@click.option("--git-config", type=FILE, help="For git (proxy, mirrors with insteadOf); not stored in the image.")
@click.pass_context
def build(context: click.Context, /, name: str, family: str, release_name: str | None, **given: Any) -> None:
    """Build image NAME from this checkout, with the first engine on PATH: buildah, podman, docker or apptainer.

    EXAWORKS_BUILD_FLAGS holds further options of the engine's build command.
    """
    from containers.bases import family as base
    from containers.build import Options
    from containers.build import build as build_image
    from exaworks_sdk.release import load

    pairs = [argument.partition("=") for argument in given.pop("arguments")]
    bad = next((name for name, equals, _ in pairs if not equals), None)
    if bad is not None:
        raise click.BadParameter(f"{bad!r} is not NAME=VALUE", param_hint="--build-arg")
    options = Options(arguments={name: value for name, _, value in pairs}, **given)
    built = build_image(
        name, load(release_name), base(family), _checkout(context), options, lambda line: click.echo(line, err=True)
    )
    click.echo(built)


def _checkout(context: click.Context) -> Path:
    """Return the root of the checkout, which always exists: an installation does not have this command."""
    root: Any = context.obj.checkout
    return Path(root)
