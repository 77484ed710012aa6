"""``exaworks release``: the contents of releases, and their pip deployments on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from exaworks_sdk.releasing.cli_conda import conda
from exaworks_sdk.releasing.cli_cut import cut
from exaworks_sdk.releasing.cli_lock import lock
from exaworks_sdk.releasing.cli_wheels import wheels

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places


@click.group()
def release() -> None:
    """Show releases and the versions of their components, and install their pip environments."""


@release.command("list", epilog="\b\nExamples:\n  exaworks release list\n  exaworks release list --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_releases(as_json: bool) -> None:
    """List all releases, newest first."""
    import json

    from exaworks_sdk.release import names

    click.echo(json.dumps(names()) if as_json else "\n".join(names()))


@release.command(
    epilog="""\b
Examples:
  exaworks release show                 show the newest release
  exaworks release show 2026.11 --json
  exaworks release show --pins          print the pip requirements of a deployment
"""
)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--pins", is_flag=True, help="Print the pip requirements from which the release's lock is compiled.")
def show(name: str | None, as_json: bool, pins: bool) -> None:
    """Show the components of release NAME, or of the newest."""
    import msgspec
    from tabulate import tabulate

    from exaworks_sdk.release import load

    shown = load(name)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
    elif pins:
        click.echo("\n".join([*shown.requirements(), *shown.build_tools]))
    else:
        rows = [(c.name, c.version, c.pypi or "-", c.spack_spec, c.licence, c.url) for c in shown.components]
        click.echo(f"Release {shown.name}\n")
        click.echo(
            tabulate(rows, ("component", "version", "PyPI", "Spack", "licence", "upstream"), disable_numparse=True)
        )
        click.echo(f"\nPinned dependencies: {', '.join(f'{name} {version}' for name, version in shown.pins.items())}")


@release.command(
    epilog="""\b
Examples:
  exaworks release install                       install the newest and print its folder
  source "$(exaworks release install)/bin/activate"
  exaworks release install 2026.11 --python python3.12
  exaworks release install --wheelhouse DIR      install without a network
"""
)
@click.argument("name", required=False)
@click.option("--python", metavar="COMMAND", help="The Python to create the environment with. [default: this one]")
@click.option(
    "--wheelhouse",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    help="Install only from this folder.",
)
@click.pass_obj
def install(places: Places, name: str | None, python: str | None, wheelhouse: str | None) -> None:
    """Create the pip environment of release NAME, or of the newest, if it is absent; print its folder."""
    from pathlib import Path

    from exaworks_sdk.install import pip_deployment
    from exaworks_sdk.release import load

    folder = pip_deployment(
        places,
        load(name),
        python=python,
        wheelhouse=Path(wheelhouse) if wheelhouse else None,
        progress=lambda line: click.echo(line, err=True),
    )
    click.echo(folder)


@release.command(
    epilog="\b\nExamples:\n  exaworks release diff 2026.11 2027.05\n  exaworks release diff 2026.11 2027.05 --json"
)
@click.argument("before")
@click.argument("after")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(before: str, after: str, as_json: bool) -> None:
    """Show the versions that differ between release BEFORE and release AFTER."""
    import json

    from tabulate import tabulate

    from exaworks_sdk.release import load
    from exaworks_sdk.releasing.notes import changes

    differences = changes(load(before), load(after))
    if as_json:
        entries = [{"name": c.name, "before": c.before, "after": c.after, "change": c.kind} for c in differences]
        click.echo(json.dumps(entries, indent=2))
    elif differences:
        rows = [(c.name, c.before or "-", c.after or "-", c.kind) for c in differences]
        click.echo(tabulate(rows, ("component", before, after, ""), disable_numparse=True))
    else:
        click.echo(f"Releases {before} and {after} have the same versions.")


@release.command(
    epilog="""\b
Examples:
  exaworks release lag                  check the newest release
  exaworks release lag 2026.11 --json
"""
)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def lag(name: str | None, as_json: bool) -> None:
    """Show which components of release NAME, or of the newest, have newer versions upstream.

    The versions come from pip's index or, for a component that is not there, from the tags of its repository. If
    one of them does not answer, the version is shown as unknown, with the reason.
    """
    import json

    from tabulate import tabulate

    from exaworks_sdk.release import load
    from exaworks_sdk.releasing.upstream import upstream

    chosen = load(name)
    published = [upstream(component) for component in chosen.components]
    if as_json:
        entries = [
            {"name": u.name, "version": u.version, "newest": u.newest, "behind": u.behind, "reason": u.reason}
            for u in published
        ]
        click.echo(json.dumps(entries, indent=2))
    else:
        rows = [
            (u.name, u.version, u.newest or "?", u.reason or ("behind" if u.behind else "newest")) for u in published
        ]
        click.echo(tabulate(rows, ("component", chosen.name, "upstream", ""), disable_numparse=True))


@release.command(
    epilog="""\b
Examples:
  exaworks release licenses                    a table; strong copyleft is marked
  exaworks release licenses --spack            the packages that Spack builds, from the release's locks
  exaworks release licenses --spdx > exaworks.spdx.json
"""
)
@click.argument("name", required=False)
@click.option("--spdx", is_flag=True, help="Print a document of SPDX 2.3, in JSON.")
@click.option("--spack", is_flag=True, help="The packages that Spack builds instead of those of the pip deployment.")
def licenses(name: str | None, spdx: bool, spack: bool) -> None:
    """List the licence of every package of release NAME, or of the newest: components and pip deployment.

    With --spack, the packages that Spack builds on any system that has a lock, as their recipes declare them. A package
    that is used in the build only is not part of what is installed.
    """
    import json

    from exaworks_sdk.release import load
    from exaworks_sdk.releasing.licences import licence_table, spdx_document

    chosen = load(name)
    if spack:
        from exaworks_sdk.spack.licences import read_licences, spack_table

        packages = read_licences(chosen)
        click.echo(json.dumps(spdx_document(chosen, packages), indent=1) if spdx else spack_table(packages, "simple"))
        return
    click.echo(json.dumps(spdx_document(chosen), indent=1) if spdx else licence_table(chosen, "simple"))


@release.command(epilog="\b\nExamples:\n  exaworks release page 2026.11 > docs/releases/2026.11.md")
@click.argument("name", required=False)
def page(name: str | None) -> None:
    """Print the documentation page of release NAME, or of the newest."""
    from exaworks_sdk.release import load
    from exaworks_sdk.releasing.notes import page as text

    click.echo(text(load(name)), nl=False)


@release.command(epilog="\b\nExamples:\n  exaworks release environments\n  exaworks release environments 2026.11")
@click.argument("name", required=False)
@click.pass_obj
def environments(places: Places, name: str | None) -> None:
    """Write the Spack environments of release NAME, or of the newest, into the checkout.

    There is a general environment, and one for each system that has a Spack configuration.
    """
    from exaworks_sdk.errors import ReleaseError
    from exaworks_sdk.release import load
    from exaworks_sdk.spack.environment import environment_files
    from site_configs.load import site_files, systems
    from site_configs.scope import folder_of

    if places.checkout is None:
        raise ReleaseError("the Spack environments are files of a checkout: run the command from a checkout.")
    files = site_files({})
    folders = {system.system: folder_of(system, files[system.system]) for system in systems({})}
    scopes = {system: folder for system, folder in folders.items() if folder is not None}
    for path, text in environment_files(load(name), places.checkout / "spack_repo" / "environments", scopes).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        click.echo(path)


release.add_command(conda)
release.add_command(cut)
release.add_command(lock)
release.add_command(wheels)
