"""``exaworks collector site``: hide sites from anonymous readers, and show them again."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.options import database_option, examples, json_option, log_change, open_database, print_table


@click.group(epilog=examples("site hide ornl", "site list"))
def site() -> None:
    """Which sites anonymous readers may see."""


@site.command("list", epilog=examples("site list", "site list --json"))
@json_option
@database_option
@click.pass_obj
def list_(places: Any, as_json: bool, database: str | None) -> None:
    """List sites, and since when they are hidden."""
    import json

    from collector.auth.tokens import list_sites
    from collector.clock import iso

    with open_database(places, database) as store, store.reading() as connection:
        rows = list_sites(connection)
    for row in rows:
        row["hidden_since"] = None if row["hidden_since"] is None else iso(row["hidden_since"])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    print_table(["site", "hidden_since"], rows, "No sites.")


@site.command(epilog=examples("site hide ornl"))
@click.argument("name", metavar="SITE")
@database_option
@click.pass_obj
def hide(places: Any, name: str, database: str | None) -> None:
    """Hide SITE from readers without a token: on pages, in JSON and in badges. SITE may be unknown yet."""
    from collector.auth.tokens import hide_site
    from collector.clock import now_ms
    from collector.store.decoding import is_name

    if not is_name(name):
        raise click.BadParameter("use 1 to 128 letters, digits and . _ : + @ -", param_hint="SITE")
    with open_database(places, database) as store, store.writing() as connection:
        hide_site(connection, name, now_ms())
        log_change(connection, "site.hide", site=name)
    click.echo(f"Site {name} is now visible only with a token.")


@site.command(epilog=examples("site show ornl"))
@click.argument("name", metavar="SITE")
@database_option
@click.pass_obj
def show(places: Any, name: str, database: str | None) -> None:
    """Show SITE to everybody again."""
    from collector.auth.tokens import show_site

    with open_database(places, database) as store, store.writing() as connection:
        show_site(connection, name)
        log_change(connection, "site.show", site=name)
    click.echo(f"Site {name} is now visible to everybody who can reach this collector.")
