"""``exaworks collector hook``: addresses that get a message when something changes, or once a day."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.options import (
    database_option,
    examples,
    json_option,
    log_change,
    open_database,
    print_table,
    token_key,
)


@click.group(epilog=examples("hook list"))
def hook() -> None:
    """Addresses that get a message when something newly fails or works again, or once a day."""


@hook.command(
    epilog=examples(
        "hook new https://chat.example.org/hooks/1 --site ornl",
        "hook new mailto:ops@example.org --kind digest --hour 6",
    ),
)
@click.argument("url")
@click.option("--kind", type=click.Choice(["change", "digest"]), default="change", show_default=True)
@click.option("--site", help="Only messages about this site. [default: all]")
@click.option(
    "--hour", type=click.IntRange(0, 23), default=6, show_default=True, help="Hour (UTC) at which a digest is sent."
)
@database_option
@click.pass_obj
def new(places: Any, url: str, kind: str, site: str | None, hour: int, database: str | None) -> None:
    """Send messages to URL. Prints the id of the hook and the key of its signatures.

    A signature is the HMAC-SHA256 of the body, in the header X-ExaWorks-Signature.
    """
    from collector.clock import now_ms
    from collector.notify.hooks import new_hook, signing_key

    with open_database(places, database) as store, store.writing() as connection:
        identity = new_hook(connection, url, kind, site, hour, now_ms())
        key = token_key(connection, places, store)
        log_change(connection, "hook.new", site=site, subject=identity, detail=kind)
    click.echo(f"{identity} {signing_key(key, identity).decode()}")


@hook.command("list", epilog=examples("hook list --json"))
@json_option
@database_option
@click.pass_obj
def list_(places: Any, as_json: bool, database: str | None) -> None:
    """List hooks, the number of messages that wait for each, and the last error."""
    import json

    from collector.clock import iso
    from collector.notify.hooks import list_hooks

    with open_database(places, database) as store, store.reading() as connection:
        rows = list_hooks(connection)
    for row in rows:
        row["made"] = iso(row["made"])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    print_table(["id", "kind", "site", "url", "waiting", "error"], rows, "No hooks.")


@hook.command(epilog=examples("hook remove 1f0c22ab"))
@click.argument("identity", metavar="ID")
@database_option
@click.pass_obj
def remove(places: Any, identity: str, database: str | None) -> None:
    """Remove a hook and the messages that wait for it."""
    from collector.notify.hooks import remove_hook

    with open_database(places, database) as store, store.writing() as connection:
        remove_hook(connection, identity)
        log_change(connection, "hook.remove", subject=identity)
    click.echo(f"Hook {identity} is removed.")
