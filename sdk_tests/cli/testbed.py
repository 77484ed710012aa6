"""``exaworks testbed``: private, throw-away schedulers on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

EXAMPLES = """\b
Examples:
  exaworks testbed up slurm --nodes 4        start a private Slurm with four nodes; prints its name
  eval "$(exaworks testbed env slurm-1a2b3c)"
  exaworks testbed list
  exaworks testbed down --all
"""


def _home(context: click.Context) -> Path:
    if context.obj is None:
        from exaworks_sdk.paths import places

        context.obj = places()
    home: Path = context.obj.home
    return home


@click.group(epilog=EXAMPLES)
def testbed() -> None:
    """Private, throw-away schedulers on this machine; no file of the system is changed."""


@testbed.command(
    epilog="""\b
Examples:
  exaworks testbed up slurm                  two nodes
  exaworks testbed up slurm --nodes 4 --cores 16
  exaworks testbed up pbs                    OpenPBS if it is installed, otherwise the emulator
"""
)
@click.argument("kind")
@click.option("--nodes", type=click.IntRange(1, 64), default=2, show_default=True, help="Number of nodes.")
@click.option(
    "--cores", type=click.IntRange(1, 1024), default=None, help="CPUs of each node; may exceed those of the machine."
)
@click.pass_context
def up(context: click.Context, kind: str, nodes: int, cores: int | None) -> None:
    """Start a testbed of KIND (slurm, flux, pbs, or emulated: lsf, cobalt, pbs-emulated); it runs until `down`."""
    from sdk_tests.testbeds import manage

    testbed = manage.up(kind, _home(context), nodes=nodes, cores=cores or manage.CORES)
    click.echo(testbed.id)
    click.echo(f'To use it in this shell: eval "$(exaworks testbed env {testbed.id})"', err=True)


@testbed.command(
    name="list",
    epilog="""\b
Examples:
  exaworks testbed list
  exaworks testbed list --json
""",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@click.pass_context
def list_(context: click.Context, as_json: bool) -> None:
    """List the testbeds; those that a crash left behind are stopped first."""
    import json

    from sdk_tests.testbeds import manage

    home = _home(context)
    for id in manage.reap(home):
        click.echo(f"stopped {id}: its owner or its daemons were gone", err=True)
    rows: list[dict[str, Any]] = [
        {
            "id": one.id,
            "kind": one.kind,
            "version": one.version,
            "nodes": one.nodes,
            "state": manage.state(one),
            "owner": one.owner.pid if one.owner else None,
            "folder": str(one.folder),
            "env": one.env,
        }
        for one in manage.all_testbeds(home)
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    elif rows:
        from tabulate import tabulate

        columns = ("id", "kind", "version", "nodes", "state", "owner", "folder")
        table = [[row[name] if row[name] is not None else "-" for name in columns] for row in rows]
        click.echo(tabulate(table, headers=columns, disable_numparse=True))
    else:
        click.echo(f"no testbeds in {home / 'testbeds'}", err=True)


@testbed.command(
    epilog="""\b
Examples:
  exaworks testbed down slurm-1a2b3c
  exaworks testbed down --all
"""
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Stop every testbed of this user.")
@click.pass_context
def down(context: click.Context, ids: tuple[str, ...], every: bool) -> None:
    """Stop testbeds: end their jobs and daemons and remove their folders."""
    from sdk_tests.testbeds import manage

    if bool(ids) == every:
        raise click.UsageError("give the names of testbeds, or --all")
    home = _home(context)
    manage.reap(home)
    for id in ids or [one.id for one in manage.all_testbeds(home)]:
        manage.down(home, id)
        click.echo(id)


@testbed.command(
    epilog="""\b
Examples:
  eval "$(exaworks testbed env slurm-1a2b3c)"
  sinfo
"""
)
@click.argument("id")
@click.pass_context
def env(context: click.Context, id: str) -> None:
    """Print the shell commands that make this shell use testbed ID."""
    import shlex

    from sdk_tests.testbeds import manage

    for name, value in manage.load(_home(context), id).variables.items():
        if name.endswith("+"):
            click.echo(f'export {name[:-1]}={shlex.quote(value)}"${{{name[:-1]}:+:${name[:-1]}}}"')
        else:
            click.echo(f"export {name}={shlex.quote(value)}")
