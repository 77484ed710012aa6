"""``exaworks install``: build and install a release with Spack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from exaworks_sdk.paths import Places
    from exaworks_sdk.release import Release


@click.command(
    epilog="""\b
Examples:
  exaworks install                               install the newest release
  exaworks install --site llnl/tuolumne          use the site's compilers and externals
  exaworks install --scope spack_repo/scopes/debian12     use the compilers and libraries of Debian 12
  exaworks install --variants '~swift +maestro' --prefix /opt/exaworks
  exaworks install --dry-run                     only print the Spack environment
  exaworks doctor install                        what this machine lacks for it
To continue an interrupted installation, run the same command again. To validate the installed release:
  exaworks validate --deployment spack                       without --prefix
  exaworks validate --deployment spack:PREFIX/environment    with --prefix PREFIX
"""
)
@click.option("--release", "name", metavar="RELEASE", help="The release. [default: the newest]")
@click.option("--site", "system", metavar="SITE/SYSTEM", help="Use this system's Spack configuration.")
@click.option(
    "--scope",
    "folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    help="Use a folder of Spack configuration, such as spack_repo/scopes/debian12 on Debian 12.",
)
@click.option(
    "--prefix",
    type=click.Path(file_okay=False, resolve_path=True),
    help="The folder for everything. [default: spack/RELEASE in EXAWORKS_HOME]",
)
@click.option("--variants", default="", metavar="VARIANTS", help="Variants of the bundle to change: '~swift +maestro'.")
@click.option("--clone", is_flag=True, help="Clone Spack even if $SPACK_ROOT or PATH has one.")
@click.option("--no-lock", is_flag=True, help="Concretize, even if the release has a lock for the system.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Number of cores to build with.")
@click.option("--until", type=click.Choice(["packages", "concretize"]), help="Stop after this step.")
@click.option("--package", metavar="HASH", help="Install only this package of the concretized environment.")
@click.option("--packages", is_flag=True, help="Only list the packages of the concretized environment, as JSON.")
@click.option("--no-tests", is_flag=True, help="Do not run the stand-alone tests at the end.")
@click.option("--dry-run", is_flag=True, help="Only print the Spack environment.")
@click.pass_obj
def install(
    places: Places,
    name: str | None,
    system: str | None,
    folder: str | None,
    prefix: str | None,
    variants: str,
    clone: bool,
    no_lock: bool,
    jobs: int | None,
    until: str | None,
    package: str | None,
    packages: bool,
    no_tests: bool,
    dry_run: bool,
) -> None:
    """Install a release with Spack: clone Spack if it is missing, concretize, install and test.

    Flux and Swift/T are built from source. `exaworks doctor install` shows beforehand what this machine lacks for it. A
    cloned Spack gets a Python of its own. The progress shows each package and how long the rest may take.

    With --site, the release's lock for the system is used instead of concretizing, if there is one and the variants are
    the default ones. Then everybody on the system gets the same packages.
    """
    import shlex
    import signal
    import sys
    from pathlib import Path

    from exaworks_sdk.errors import InstallError
    from exaworks_sdk.install import spack_prefix
    from exaworks_sdk.release import load
    from exaworks_sdk.spack.environment import environment_text, parse_variants
    from exaworks_sdk.spack.install import InstallRequest
    from exaworks_sdk.spack.install import install as install_release

    release = load(name)
    if system and folder:
        raise click.UsageError("--site and --scope exclude each other: a site file names a scope of its own")
    scope = _scope(system) if system else Path(folder) if folder else None
    changed = parse_variants(variants)
    text = environment_text(release, scope=scope, changed=changed)
    if dry_run:
        click.echo(text, nl=False)
        return
    if scope:
        _check_scope(system, scope)
    if places.checkout is None:
        raise InstallError("the Spack recipes are part of a checkout only: run the command from a checkout.")
    request = InstallRequest(
        release=release,
        prefix=Path(prefix) if prefix else spack_prefix(places, release),
        recipes=places.checkout / "spack_repo" / "exaworks",
        resume_command=shlex.join(["exaworks", *sys.argv[1:]]),
        scope=scope,
        changed=changed,
        clone=clone,
        bootstrap=places.checkout / "containers" / "spack-python.lock",
        tests=not no_tests,
        jobs=jobs,
        until=until,
        package=package,
        lock=None if no_lock or changed else _lock(places.checkout, release, system, scope),
    )
    if packages:
        import json
        from dataclasses import asdict

        from exaworks_sdk.spack.install import packages as list_packages

        click.echo(json.dumps([asdict(entry) for entry in list_packages(request)], indent=1))
        return
    signal.signal(signal.SIGTERM, _as_interrupt)  # Spack then removes incomplete installations, as on Ctrl-C
    try:
        deployment = install_release(request, lambda line: click.echo(line, err=True))
    except KeyboardInterrupt:
        click.echo(f"interrupted; to continue: {request.resume_command}", err=True)
        click.get_current_context().exit(130)
    if until is None and package is None:
        named = deployment if prefix else "spack"
        click.echo(f"Installed. To validate it: exaworks validate --deployment {shlex.quote(named)}", err=True)
    click.echo(deployment)


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _scope(system: str) -> Path:
    from exaworks_sdk.errors import InstallError
    from site_configs.load import find, site_files
    from site_configs.scope import folder_of

    description = find(system)
    folder = folder_of(description, site_files()[description.system])
    if folder is None:
        raise InstallError(f"{system} has no Spack configuration: its site file names no spack_scope.")
    return folder


def _lock(checkout: Path, release: Release, system: str | None, scope: Path | None) -> Path | None:
    """Return the release's lock for a system, if there is one that agrees with its scope."""
    from exaworks_sdk.spack.lock import disagreements, lock_file, read_lock
    from site_configs.load import find

    if system is None or scope is None:
        return None
    path = lock_file(checkout, release, system)
    if not path.is_file():
        return None
    found = disagreements(read_lock(path), release, scope, find(system).spack_host)
    for line in found:
        click.echo(f"the lock of the release for {system} is not used: {line}", err=True)
    return None if found else path


def _check_scope(system: str | None, scope: Path) -> None:
    """Check that this machine has the variables and file systems of a scope, before Spack creates unwanted folders.

    Raises:
        InstallError: some are absent; the message names each value, and the variables to set.
    """
    import os

    from exaworks_sdk.errors import InstallError
    from site_configs.scope_places import missing_places

    missing = missing_places(scope, os.environ)
    if not missing:
        return
    unset = ", ".join(sorted({entry.variable for entry in missing if entry.variable}))
    entries = "\n  ".join(map(str, missing))
    if system:
        owner, option = f"of {system}", "--site"
        advice = f"If this is a machine of {system}, set {unset}." if unset else f"Is this a machine of {system}?"
    else:
        owner, option = f"in {scope}", "--scope"
        advice = f"If it is meant for this machine, set {unset}." if unset else "Is it meant for this machine?"
    raise InstallError(
        f"the Spack configuration {owner} does not fit this machine:\n  {entries}\n"
        f"{advice} Without {option}, this configuration is not used; --dry-run prints the environment."
    )
