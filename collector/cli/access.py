"""``exaworks collector token rotate`` and ``site``: who may send, and who may see."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.options import database_option, examples, json_option, key_file, opened


@click.command(epilog=examples("token rotate 1f0c22ab", "token rotate 1f0c22ab --overlap-hours 0"))
@click.argument("identity", metavar="ID")
@click.option(
    "--overlap-hours",
    type=click.IntRange(0, 24 * 90),
    default=168,
    show_default=True,
    help="How long the old token stays valid beside the new one.",
)
@database_option
@click.pass_obj
def rotate(places: Any, identity: str, overlap_hours: int, database: str | None) -> None:
    """Make a token in place of another, for the same site and scope, and print it; the old one then expires.

    A token that was to expire gives its successor the same time to live.
    """
    from collector.auth.tokens import load_key, rotate_token
    from collector.clock import now_ms

    with opened(places, database) as store, store.writing() as connection:
        key = load_key(key_file(places, store.url))
        made = rotate_token(connection, key, identity, now_ms(), overlap_hours * 3_600_000)
    click.echo(made)


@click.group(epilog=examples("site hide ornl", "site list"))
def site() -> None:
    """Which sites anonymous readers see."""


@site.command("list", epilog=examples("site list", "site list --json"))
@json_option
@database_option
@click.pass_obj
def list_(places: Any, as_json: bool, database: str | None) -> None:
    """List sites, and since when they are hidden."""
    import json

    from collector.auth.tokens import list_sites
    from collector.clock import iso

    with opened(places, database) as store, store.reading() as connection:
        rows = list_sites(connection)
    for row in rows:
        row["hidden_since"] = None if row["hidden_since"] is None else iso(row["hidden_since"])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    from tabulate import tabulate

    table = [[row["site"], row["hidden_since"] or "-"] for row in rows]
    click.echo(tabulate(table, headers=["site", "hidden since"]) if rows else "No sites.")


@site.command(epilog=examples("site hide ornl"))
@click.argument("name", metavar="SITE")
@database_option
@click.pass_obj
def hide(places: Any, name: str, database: str | None) -> None:
    """Keep SITE from readers without a token, on pages, in JSON and in badges; it may be hidden before it is known."""
    from collector.auth.tokens import hide_site
    from collector.clock import now_ms
    from collector.store.decoding import is_name

    if not is_name(name):
        raise click.BadParameter("a site is letters, digits and . _ : + @ -", param_hint="SITE")
    with opened(places, database) as store, store.writing() as connection:
        hide_site(connection, name, now_ms())
    click.echo(f"Site {name} is seen by readers with a token only.")


@site.command(epilog=examples("site show ornl"))
@click.argument("name", metavar="SITE")
@database_option
@click.pass_obj
def show(places: Any, name: str, database: str | None) -> None:
    """Let everybody see SITE again."""
    from collector.auth.tokens import show_site

    with opened(places, database) as store, store.writing() as connection:
        show_site(connection, name)
    click.echo(f"Site {name} is seen by everybody who reaches this collector.")


@click.group(epilog=examples("sender add login1.example.org ornl --system frontier --key-file key", "sender list"))
def sender() -> None:
    """Old clients, which send to /result with an id and a key of their own: whose results they are."""


@sender.command(epilog=examples("sender add login1.example.org ornl --system frontier --key-file key"))
@click.argument("name", metavar="ID")
@click.argument("site_name", metavar="SITE")
@click.option("--system", required=True, help="The system that its results are of.")
@click.option("--key-file", "secret", type=click.File("r"), required=True, help="File with its key; - reads it here.")
@database_option
@click.pass_obj
def add(places: Any, name: str, site_name: str, system: str, secret: Any, database: str | None) -> None:
    """Take what a client that calls itself ID and knows the key sends as results of SITE."""
    from collector.auth.tokens import add_sender, load_key
    from collector.clock import now_ms
    from collector.store.decoding import is_name

    for value, where in ((site_name, "SITE"), (system, "--system")):
        if not is_name(value):
            raise click.BadParameter("a name is letters, digits and . _ : + @ -", param_hint=where)
    told = secret.read().strip()
    if not told:
        raise click.BadParameter("the key is empty", param_hint="--key-file")
    with opened(places, database) as store, store.writing() as connection:
        key = load_key(key_file(places, store.url))
        add_sender(connection, key, name, told, site_name, system, now_ms())
    click.echo(f"What {name} sends is of {site_name}/{system}.")


@sender.command("list", epilog=examples("sender list", "sender list --json"))
@json_option
@database_option
@click.pass_obj
def list_senders_(places: Any, as_json: bool, database: str | None) -> None:
    """List the old clients that are known, never their keys."""
    import json

    from collector.auth.tokens import list_senders
    from collector.clock import iso

    with opened(places, database) as store, store.reading() as connection:
        rows = list_senders(connection)
    for row in rows:
        for when in ("created", "last_used"):
            row[when] = None if row[when] is None else iso(row[when])
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
    """Refuse what ID sends from now on; what it sent stays."""
    from collector.auth.tokens import remove_sender

    with opened(places, database) as store, store.writing() as connection:
        remove_sender(connection, name)
    click.echo(f"{name} is refused from now on.")
