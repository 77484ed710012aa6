"""``exaworks collector sender``: old clients that send to ``/result`` with an id and a key of their own."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.options import database_option, examples, json_option, log_change, open_database, token_key

ADD_EXAMPLE = "sender add login1.example.org ornl --system frontier --key-file key"


@click.group(epilog=examples(ADD_EXAMPLE, "sender list"))
def sender() -> None:
    """Old clients that send to /result with an id and a key of their own, and the systems they report for."""


@sender.command(epilog=examples(ADD_EXAMPLE))
@click.argument("name", metavar="ID")
@click.argument("site", metavar="SITE")
@click.option("--system", required=True, help="The system that its results are of.")
@click.option(
    "--key-file", "key_input", type=click.File("r"), required=True, help="File with its key; - reads standard input."
)
@database_option
@click.pass_obj
def add(places: Any, name: str, site: str, system: str, key_input: Any, database: str | None) -> None:
    """Store what a client sends with this ID and this key as results of SITE."""
    from collector.auth.tokens import add_sender
    from collector.clock import now_ms
    from collector.store.decoding import is_name

    for value, where in ((site, "SITE"), (system, "--system")):
        if not is_name(value):
            raise click.BadParameter("use 1 to 128 letters, digits and . _ : + @ -", param_hint=where)
    secret = key_input.read().strip()
    if not secret:
        raise click.BadParameter("the file is empty; it must contain the key of the client", param_hint="--key-file")
    with open_database(places, database) as store, store.writing() as connection:
        add_sender(connection, token_key(connection, places, store), name, secret, site, system, now_ms())
        log_change(connection, "sender.add", site=site, system=system, subject=name)
    click.echo(f"Results from {name} are now stored for {site}/{system}.")


@sender.command("list", epilog=examples("sender list", "sender list --json"))
@json_option
@database_option
@click.pass_obj
def list_(places: Any, as_json: bool, database: str | None) -> None:
    """List the old clients that are registered, without their keys."""
    import json

    from collector.auth.tokens import list_senders
    from collector.clock import iso

    with open_database(places, database) as store, store.reading() as connection:
        rows = list_senders(connection)
    for row in rows:
        for name in ("created", "last_used"):
            row[name] = None if row[name] is None else iso(row[name])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    from tabulate import tabulate

    table = [[row["sender"], f"{row['site']}/{row['system']}", row["created"], row["last_used"] or "-"] for row in rows]
    click.echo(tabulate(table, headers=["id", "system", "created", "last used"]) if rows else "No senders.")


@sender.command(epilog=examples("sender remove login1.example.org"))
@click.argument("name", metavar="ID")
@database_option
@click.pass_obj
def remove(places: Any, name: str, database: str | None) -> None:
    """Refuse what ID sends from now on; its earlier results stay."""
    from collector.auth.tokens import remove_sender

    with open_database(places, database) as store, store.writing() as connection:
        remove_sender(connection, name)
        log_change(connection, "sender.remove", subject=name)
    click.echo(f"Messages from {name} are refused from now on.")
