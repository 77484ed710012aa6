"""``exaworks release lock``: the concretized Spack environments of a release, one for each system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exaworks_sdk.paths import Places
    from exaworks_sdk.release import Release
    from exaworks_sdk.spack.licences import SpackPackage
    from site_configs.schema import System


@click.command(
    epilog="""\b
Examples:
  exaworks release lock --site llnl/dane        concretize for one system, with the Spack in SPACK_ROOT
  exaworks release lock --all                   for every active system with a Spack scope, one after the other
  exaworks release lock --check                 compare all locks with manifest and scopes; needs no Spack

\b
Exit codes: 0 made, or in agreement; 1 --check found a lock that is absent or differs; 2 a lock could not be made.
"""
)
@click.argument("name", required=False)
@click.option("--site", "names", metavar="SITE/SYSTEM", multiple=True, help="The system; may be repeated.")
@click.option("--all", "every", is_flag=True, help="Every active system whose site file names a Spack scope.")
@click.option("--check", is_flag=True, help="Make nothing; compare the locks with manifest, scopes and site files.")
@click.pass_obj
def lock(places: Places, name: str | None, names: tuple[str, ...], every: bool, check: bool) -> None:
    """Make the Spack lock of release NAME, or of the newest, for a system; it is a file of the checkout.

    Spack must be at the commits that the manifest names. It concretizes with the scope of the system for the machine
    that `spack_host` of the site file describes, whatever machine it runs on. `exaworks install --site` uses the lock.
    """
    import os

    from exaworks_sdk.errors import ReleaseError
    from exaworks_sdk.release import load
    from exaworks_sdk.releasing.lock import LockRequest, make_lock
    from exaworks_sdk.spack.lock import lock_file

    if places.checkout is None:
        raise ReleaseError("locks are files of a checkout: run the command from a checkout.")
    if bool(names) == every and not check:
        raise click.UsageError("name systems with --site, or use --all, but not both")
    chosen = load(name)
    if check:
        found = list(all_differences(places.checkout, chosen, names))
        click.echo("\n".join(found) or "the locks agree with manifest, scopes and site files")
        raise SystemExit(1 if found else 0)
    with_scope = _systems(names)
    for system, scope in with_scope:
        if system.spack_host is None:
            raise ReleaseError(
                f"{system.system}: its site file has no spack_host: os, target and glibc of the machine."
            )
        request = LockRequest(
            release=chosen,
            system=system.system,
            scope=scope,
            host=system.spack_host,
            recipes=places.checkout / "spack_repo" / "exaworks",
            target=lock_file(places.checkout, chosen, system.system),
            cache=places.home / "spack" / "locks",
        )
        made = make_lock(request, os.environ, lambda line: click.echo(line, err=True))
        click.echo(f"{request.target}: {len(made)} packages to build")
        _keep_licences(places.checkout, chosen, made)


def _keep_licences(checkout: Path, release: Release, made: list[SpackPackage]) -> None:
    """Add the licences of a new lock to those of the others, without packages that no lock has any more."""
    import msgspec

    from exaworks_sdk.errors import ReleaseError
    from exaworks_sdk.spack.licences import merged, packages_of, read_licences, write_licences
    from exaworks_sdk.spack.lock import lock_file, read_lock

    paths = [lock_file(checkout, release, system.system) for system, _ in _systems(())]
    present = {
        (each.name, each.version) for path in paths if path.is_file() for each in packages_of(read_lock(path), {})
    }
    try:
        known = read_licences(release)
    except ReleaseError:
        known = []
    new = {(each.name, each.version) for each in made}
    run_before = {(each.name, each.version) for each in known if each.run}
    others = [each for each in known if (each.name, each.version) in present - new]
    newly = [msgspec.structs.replace(each, run=each.run or (each.name, each.version) in run_before) for each in made]
    write_licences(release, merged([*others, *newly]))


def _systems(names: tuple[str, ...]) -> list[tuple[System, Path]]:
    """Return the systems, each with its Spack scope: those with these names, or all that are active and have one."""
    from exaworks_sdk.errors import ReleaseError
    from site_configs.load import find, site_files, systems
    from site_configs.schema import State
    from site_configs.scope import folder_of

    files = site_files({})
    chosen = [find(name, environ={}) for name in names] or systems({})
    pairs = [(system, folder_of(system, files[system.system])) for system in chosen]
    for system, scope in pairs:
        if scope is None and names:
            raise ReleaseError(f"{system.system} has no Spack configuration: its site file names no spack_scope.")
    return [(system, scope) for system, scope in pairs if scope is not None and system.state is State.ACTIVE]


def all_differences(checkout: Path, release: Release, names: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield how the locks of systems differ from manifest, scope and site file; a lock that is absent differs."""
    from exaworks_sdk.spack.lock import disagreements, lock_file, read_lock

    for system, scope in _systems(names):
        path = lock_file(checkout, release, system.system)
        if not path.is_file():
            yield f"{system.system}: there is no lock: exaworks release lock --site {system.system}"
            continue
        for line in disagreements(read_lock(path), release, scope, system.spack_host):
            yield f"{system.system}: {line}"
