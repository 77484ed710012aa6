"""``exaworks install``: a release, built with Spack on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from exaworks_sdk.paths import Places


@click.command(
    epilog="""\b
Examples:
  exaworks install                               the newest release
  exaworks install --site llnl/tuolumne          with the site's compilers and externals
  exaworks install --variants '~swift +maestro' --prefix /opt/exaworks
  exaworks install --dry-run                     print the Spack environment and do nothing
Started again, it goes on where it was interrupted. At its end:
  exaworks validate --deployment spack                       where no --prefix was given
  exaworks validate --deployment spack:PREFIX/environment
"""
)
@click.option("--release", "name", metavar="RELEASE", help="The release, instead of the newest.")
@click.option("--site", "system", metavar="SITE/SYSTEM", help="Use this system's Spack configuration.")
@click.option(
    "--prefix",
    type=click.Path(file_okay=False, resolve_path=True),
    help="Where everything goes, instead of spack/RELEASE in EXAWORKS_HOME.",
)
@click.option("--variants", default="", metavar="VARIANTS", help="Variants of the bundle to change: '~swift +maestro'.")
@click.option("--clone", is_flag=True, help="Clone Spack even where $SPACK_ROOT or PATH has one.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Cores to build on.")
@click.option("--until", type=click.Choice(["packages", "concretize"]), help="Stop after this step; go on later.")
@click.option("--package", metavar="HASH", help="Install this one package of the environment concretized before.")
@click.option("--packages", is_flag=True, help="List the packages of that environment as JSON and do nothing.")
@click.option("--no-tests", is_flag=True, help="Leave out the stand-alone tests at the end.")
@click.option("--dry-run", is_flag=True, help="Print the environment and do nothing.")
@click.pass_obj
def install(
    places: Places,
    name: str | None,
    system: str | None,
    prefix: str | None,
    variants: str,
    clone: bool,
    jobs: int | None,
    until: str | None,
    package: str | None,
    packages: bool,
    no_tests: bool,
    dry_run: bool,
) -> None:
    """Install a release with Spack: clone what is missing, concretize, install and test."""
    import shlex
    import sys
    from pathlib import Path

    from exaworks_sdk.errors import InstallError
    from exaworks_sdk.install import spack_prefix
    from exaworks_sdk.release import load
    from exaworks_sdk.spack_environment import environment_text, parse_variants
    from exaworks_sdk.spack_install import Order
    from exaworks_sdk.spack_install import install as carry_out

    release = load(name)
    scope = _scope(system) if system else None
    changed = parse_variants(variants)
    text = environment_text(release, scope=scope, changed=changed)
    if dry_run:
        click.echo(text, nl=False)
        return
    if system and scope:
        _belongs(system, scope)
    if places.checkout is None:
        raise InstallError("the recipes are not installed with the command: run it from a checkout.")
    order = Order(
        release=release,
        prefix=Path(prefix) if prefix else spack_prefix(places, release),
        recipes=places.checkout / "spack_repo" / "exaworks",
        again=shlex.join(["exaworks", *sys.argv[1:]]),
        scope=scope,
        changed=changed,
        clone=clone,
        tests=not no_tests,
        jobs=jobs,
        until=until,
        package=package,
    )
    if packages:
        import json
        from dataclasses import asdict

        from exaworks_sdk.spack_install import packages as listed

        click.echo(json.dumps([asdict(one) for one in listed(order)], indent=1))
        return
    click.echo(carry_out(order, lambda line: click.echo(line, err=True)))


def _scope(system: str) -> Path:
    from exaworks_sdk.errors import InstallError
    from site_configs.load import find, located
    from site_configs.scope import folder_of

    described = find(system)
    folder = folder_of(described, located()[described.system])
    if folder is None:
        raise InstallError(f"{system} has no Spack configuration: its site file names no spack_scope.")
    return folder


def _belongs(system: str, scope: Path) -> None:
    """Refuse a scope whose variables or file systems are not here, before Spack makes folders that nobody looks for.

    Raises:
        InstallError: the message names each value, and the variables to set.
    """
    import os

    from exaworks_sdk.errors import InstallError
    from site_configs.scope_places import lacks

    found = lacks(scope, os.environ)
    if not found:
        return
    unset = sorted({lack.variable for lack in found if lack.variable})
    first = f"Set {', '.join(unset)}, if this is a machine of {system}" if unset else f"Is this a machine of {system}?"
    shown = "\n  ".join(map(str, found))
    raise InstallError(
        f"the Spack configuration of {system} does not fit this machine:\n  {shown}\n"
        f"{first}{'. ' if unset else ' '}Without --site nothing of it is used; --dry-run shows the environment."
    )
