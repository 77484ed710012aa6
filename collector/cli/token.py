"""``exaworks collector token``: create, list, revoke and rotate tokens."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.options import (
    database_option,
    examples,
    json_option,
    key_file,
    log_change,
    open_database,
    print_table,
    token_key,
)


@click.group(epilog=examples("token new ornl --scope upload", "token list"))
def token() -> None:
    """Tokens of those who send results or read a private dashboard."""


@token.command(epilog=examples("token new ornl", "token new '*' --scope read --days 30"))
@click.argument("site")
@click.option("--scope", type=click.Choice(["upload", "read", "triage", "admin"]), default="upload", show_default=True)
@click.option("--days", type=click.IntRange(min=1, max=3650), help="Days until it expires. [default: never]")
@database_option
@click.pass_obj
def new(places: Any, site: str, scope: str, days: int | None, database: str | None) -> None:
    """Create a token for SITE ('*' for any site) and print it. It cannot be shown again."""
    from collector.auth.tokens import ANY_SITE, new_token
    from collector.clock import now_ms
    from collector.store.decoding import is_name

    if site != ANY_SITE and not is_name(site):
        message = "use 1 to 128 letters, digits and . _ : + @ -, or '*' for any site"
        raise click.BadParameter(message, param_hint="SITE")
    now = now_ms()
    expires = None if days is None else now + days * 86_400_000
    with open_database(places, database) as store, store.writing() as connection:
        secret = new_token(connection, token_key(connection, places, store), site, scope, now, expires)
        log_change(connection, "token.new", site=site, subject=secret.split("_")[1], detail=scope)
    click.echo(secret)


@token.command("list", epilog=examples("token list", "token list --json"))
@json_option
@database_option
@click.pass_obj
def list_(places: Any, as_json: bool, database: str | None) -> None:
    """List tokens, without their secrets."""
    import json

    from collector.auth.tokens import list_tokens
    from collector.clock import iso, now_ms

    with open_database(places, database) as store, store.reading() as connection:
        rows = list_tokens(connection)
    now = now_ms()
    for row in rows:
        ended = row["revoked"] is not None or (row["expires"] is not None and row["expires"] <= now)
        state = "revoked" if row["revoked"] is not None else "expired" if ended else "valid"
        for name in ("created", "expires", "revoked", "last_used"):
            row[name] = None if row[name] is None else iso(row[name])
        row["state"] = state
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    columns = ["id", "site", "scope", "state", "created", "expires", "last_used", "successor"]
    print_table(columns, rows, "No tokens.")


@token.command(epilog=examples("token revoke 1f0c22ab"))
@click.argument("identity", metavar="ID")
@database_option
@click.pass_obj
def revoke(places: Any, identity: str, database: str | None) -> None:
    """Revoke a token at once."""
    from collector.auth.tokens import revoke_token
    from collector.clock import now_ms

    with open_database(places, database) as store, store.writing() as connection:
        revoke_token(connection, identity, now_ms())
        log_change(connection, "token.revoke", subject=identity)
    click.echo(f"Token {identity} is revoked.")


@token.command(epilog=examples("token rotate 1f0c22ab", "token rotate 1f0c22ab --overlap-hours 0"))
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
    """Replace a token by a new one with the same site and scope, and print the new one. The old one then expires.

    If the old token has an expiry, the new one gets the same time to live.
    """
    from collector.auth.tokens import rotate_token
    from collector.clock import now_ms

    with open_database(places, database) as store, store.writing() as connection:
        key = token_key(connection, places, store)
        secret = rotate_token(connection, key, identity, now_ms(), overlap_hours * 3_600_000)
        log_change(connection, "token.rotate", subject=identity, detail=f"successor {secret.split('_')[1]}")
    click.echo(secret)


@token.command("replace-key", epilog=examples("token replace-key"))
@click.confirmation_option(prompt="All tokens and old clients stop to work. Continue?")
@database_option
@click.pass_obj
def replace_key(places: Any, database: str | None) -> None:
    """Use the token.key that is there now, because the one of this database is lost.

    It is created if there is none. All tokens are revoked and all old clients removed; create them again afterwards.
    """
    from collector.auth.tokens import load_key, replace_key
    from collector.clock import now_ms

    with open_database(places, database) as store, store.writing() as connection:
        file = key_file(places, store.url)
        revoked, removed = replace_key(connection, load_key(file), now_ms())
        log_change(connection, "token.replace-key", detail=f"{revoked} tokens revoked, {removed} old clients removed")
    click.echo(f"{file} is the key of this database now: {revoked} tokens revoked, {removed} old clients removed.")
