"""``exaworks images``: the release as container images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
RELEASE = click.option("--release", "release_name", metavar="NAME", help="Another release than the newest.")
FAMILY = click.option(
    "--family", default="debian-12", show_default=True, metavar="NAME", help="Family of the base: debian-12, rocky-9."
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
    """List the images, what is in each, and which definitions there are."""
    import json

    from tabulate import tabulate

    from containers.bases import FAMILIES, family
    from containers.catalogue import IMAGES, image
    from containers.render import tag
    from exaworks_sdk.release import load

    release = load(release_name)
    rows = []
    for name in IMAGES:
        made = image(name, release, family("debian-12"))
        formats = ["containerfile", *(["apptainer"] if made.apptainer else [])]
        row = {"name": name, "tag": tag(name, release), "description": made.description, "formats": formats}
        rows.append({**row, "families": list(FAMILIES)})
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = [(row["name"], row["description"], ", ".join(row["formats"])) for row in rows]
    click.echo(tabulate(table, headers=("image", "what it is", "definitions"), maxcolwidths=(None, 64, None)))
    click.echo(f"\nFamilies of bases: {', '.join(FAMILIES)}. Release {release.name}.")


@images.command(
    epilog="""\b
Examples:
  exaworks images render sdk-slim
  exaworks images render sdk-slim --family rocky-9 --format apptainer
  exaworks images render testbed-slurm --format compose --nodes 4
  exaworks images render --all               write every generated file of the checkout
  exaworks images render --all --check       are the committed files current?
"""
)
@click.argument("name", required=False)
@FAMILY
@RELEASE
@click.option("--format", "form", type=click.Choice(["containerfile", "apptainer", "compose"]), default="containerfile")
@click.option("--nodes", type=click.IntRange(1, 64), default=2, show_default=True, help="Nodes of the Slurm testbed.")
@click.option("--all", "all_", is_flag=True, help="Write every file below containers/images.")
@click.option("--check", is_flag=True, help="With --all: write nothing, exit 1 where a file is not current.")
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
        files = writer.everything(release)
        wrong = writer.outdated(files, _checkout(context)) if check else writer.write(files, _checkout(context))
        for path in wrong:
            click.echo(f"{'not current' if check else 'written'}: {path}")
        context.exit(1 if check and wrong else 0)
    assert name is not None
    made = image(name, release, base(family))
    if form == "compose":
        if name == "testbed-slurm":
            click.echo(writer.compose(nodes, release), nl=False)
            return
        text = writer.everything(release).get(f"{writer.FOLDER}/{name}/compose.yaml")
        if text is None:
            raise NoImageError(f"{name} has no compose file; testbed-slurm and collector have one")
        click.echo(text, nl=False)
        return
    write = writer.definition if form == "apptainer" else writer.containerfile
    click.echo(write(made, release, base(family)), nl=False)


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
@click.option("--engine", type=click.Choice(["buildah", "podman", "docker", "apptainer"]), help="[default: the first]")
@click.option("--base", metavar="IMAGE", help="Another base of the family, best by digest. [default: the family's]")
@click.option("--tag", metavar="NAME", help="What to call it. [default: localhost/exaworks/NAME:RELEASE]")
@click.option("--push", metavar="oci://…", help="Send it there when it is built.")
@click.option("--build-arg", "arguments", multiple=True, metavar="NAME=VALUE", help="For the definition's ARGs.")
@click.option("--ca-bundle", type=FILE, envvar="PIP_CERT", show_envvar=True, help="Lent to pip; gets into no image.")
@click.option("--pip-config", type=FILE, envvar="PIP_CONFIG_FILE", show_envvar=True, help="Lent to pip likewise.")
@click.option(
    "--spack-mirror",
    type=FOLDER,
    metavar="DIR",
    help="With sdk: take sources and built packages from there, and add what had to be built.",
)
@click.option("--git-config", type=FILE, help="Lent to git: a proxy, mirrors of repositories (insteadOf).")
@click.pass_context
def build(context: click.Context, /, name: str, family: str, release_name: str | None, **given: Any) -> None:
    """Build image NAME from this checkout, with the first engine there is.

    EXAWORKS_BUILD_FLAGS holds further words for the engine's build command.
    """
    from containers.bases import family as base
    from containers.build import Options
    from containers.build import build as make
    from exaworks_sdk.release import load

    pairs = [argument.partition("=") for argument in given.pop("arguments")]
    bad = next((name for name, equals, _ in pairs if not equals), None)
    if bad is not None:
        raise click.BadParameter(f"{bad!r} is not NAME=VALUE", param_hint="--build-arg")
    options = Options(arguments={name: value for name, _, value in pairs}, **given)
    made = make(
        name, load(release_name), base(family), _checkout(context), options, lambda line: click.echo(line, err=True)
    )
    click.echo(made)


def _checkout(context: click.Context) -> Path:
    """Return the checkout's root; this group exists nowhere else."""
    root: Any = context.obj.checkout
    return Path(root)
