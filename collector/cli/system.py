"""``exaworks collector system``: rename systems, take them out of use, and delete them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from collector.cli.options import database_option, examples, json_option, log_change, open_database, print_table

if TYPE_CHECKING:
    _Pair = click.ParamType[tuple[str, str], Any]
else:  # click's types have no parameters at run time before 8.4
    _Pair = click.ParamType


class SystemName(_Pair):
    """SITE/SYSTEM, as a pair of names."""

    name = "SITE/SYSTEM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        from collector.store.decoding import is_name

        if isinstance(value, tuple):
            return value
        parts = str(value).split("/")
        if len(parts) != 2 or not all(is_name(part) for part in parts):
            self.fail(f"{value!r} is not SITE/SYSTEM, such as ornl/frontier", param, ctx)
        return parts[0], parts[1]


NAME = SystemName()


@click.group(epilog=examples("system list", "system rename ornl/frontier ornl/frontier1"))
def system() -> None:
    """Systems that were renamed or are out of use."""


@system.command("list", epilog=examples("system list --json"))
@json_option
@database_option
@click.pass_obj
def list_(places: Any, as_json: bool, database: str | None) -> None:
    """List systems: when each last sent something, when it was retired, and its former names."""
    import json

    from collector.clock import iso
    from collector.store.systems import list_systems

    with open_database(places, database) as store, store.reading() as connection:
        rows = list_systems(connection)
    for row in rows:
        for name in ("contact", "retired"):
            row[name] = None if row[name] is None else iso(row[name])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        row["former_names"] = ", ".join(row["former_names"]) or None
    print_table(["site", "system", "contact", "retired", "former_names"], rows, "No systems.")


@system.command(epilog=examples("system rename ornl/frontier ornl/frontier1"))
@click.argument("old", type=NAME, metavar="SITE/SYSTEM")
@click.argument("new", type=NAME, metavar="NEW_SITE/NEW_SYSTEM")
@database_option
@click.pass_obj
def rename(places: Any, old: tuple[str, str], new: tuple[str, str], database: str | None) -> None:
    """Give a system another name. Its history stays, and what is sent under the old name still belongs to it."""
    from collector.store.systems import rename_system

    with open_database(places, database) as store, store.writing() as connection:
        rename_system(connection, old, new)
        log_change(connection, "system.rename", site=new[0], system=new[1], detail=f"was {old[0]}/{old[1]}")
    click.echo(f"System {old[0]}/{old[1]} is now {new[0]}/{new[1]}. Change the name in its site file too.")


@system.command(epilog=examples("system retire ornl/summit"))
@click.argument("name", type=NAME, metavar="SITE/SYSTEM")
@database_option
@click.pass_obj
def retire(places: Any, name: tuple[str, str], database: str | None) -> None:
    """Take a system out of use: it leaves the board, triage and messages. Its history stays.

    A run that starts later takes it into use again.
    """
    from collector.clock import now_ms
    from collector.store.systems import retire_system

    with open_database(places, database) as store, store.writing() as connection:
        retire_system(connection, name, now_ms())
        log_change(connection, "system.retire", site=name[0], system=name[1])
    click.echo(f"System {name[0]}/{name[1]} is out of use. Its history stays at /systems/{name[0]}/{name[1]}.")


@system.command(epilog=examples("system delete ornl/test --yes"))
@click.argument("name", type=NAME, metavar="SITE/SYSTEM")
@click.confirmation_option(prompt="The runs and the history of this system cannot be restored. Continue?")
@database_option
@click.pass_obj
def delete(places: Any, name: tuple[str, str], database: str | None) -> None:
    """Delete a system with all its runs, records and history."""
    from collector.store.space import give_back
    from collector.store.systems import delete_system

    with open_database(places, database) as store:
        with store.writing() as connection:
            deleted = delete_system(connection, name)
            detail = f"{deleted.runs} runs, {deleted.records} records"
            log_change(connection, "system.delete", site=name[0], system=name[1], detail=detail)
        give_back(store)
    click.echo(f"System {name[0]}/{name[1]} is deleted: {deleted.runs} runs and {deleted.records} records.")
