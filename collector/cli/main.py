"""``exaworks collector``: serve, and the tokens of those who send to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from collector.cli.access import rotate, sender, site
from collector.cli.administration import COMMANDS
from collector.cli.options import database_option, key_file, opened
from collector.cli.store import backup, prune, restore, verify

PROCESS_TOKEN = "EXAWORKS_COLLECTOR_EPHEMERAL_TOKEN"  # noqa: S105

EXAMPLES = """\b
Examples:
  exaworks collector serve                          open the dashboard on this machine's results
  exaworks collector token new ornl --scope upload  make a token for a site's CI
"""

SERVE_EXAMPLES = """\b
Examples:
  exaworks collector serve
  exaworks collector serve --port 0 --ready-file ready.json
  exaworks collector serve --database postgresql://collector@db.example.org/collector
"""

NEW_EXAMPLES = """\b
Examples:
  exaworks collector token new ornl
  exaworks collector token new '*' --scope read --days 30
"""

LIST_EXAMPLES = """\b
Examples:
  exaworks collector token list
  exaworks collector token list --json
"""

REVOKE_EXAMPLES = """\b
Examples:
  exaworks collector token revoke 1f0c22ab
"""


@click.group(epilog=EXAMPLES)
def collector() -> None:
    """The server that takes results from every site and draws the status pages."""


@collector.command(epilog=SERVE_EXAMPLES)
@database_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8350, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--allow-remote", is_flag=True, help="Permit an address that other machines reach.")
@click.option("--private", is_flag=True, help="Ask readers for a token too.")
@click.option("--ready-file", type=click.Path(path_type=Path, dir_okay=False), help="Written once it accepts.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Written with a token to upload and read that ends with this process.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="YAML file: issuers of identity tokens, and how often a sender may ask.",
)
@click.option("--exit-with", type=click.IntRange(min=1), metavar="PID", help="End when that process has ended.")
@click.pass_obj
def serve(
    places: Any,
    database: str | None,
    host: str,
    port: int,
    allow_remote: bool,
    private: bool,
    ready_file: Path | None,
    token_file: Path | None,
    config_file: Path | None,
    exit_with: int | None,
) -> None:
    """Serve the collector until Ctrl-C.

    The address is printed, and written to the ready file as JSON {url, pid, started, token_file} once connections are
    accepted; both files are removed at the end. With the default database they are ready.json and token in the
    collector's folder, which only you can read. A token in EXAWORKS_COLLECTOR_EPHEMERAL_TOKEN is accepted by this
    process alone, for uploading and reading.
    """
    given = os.environ.pop(PROCESS_TOKEN, None) or None
    from collector.server.serve import Options, serve
    from collector.store.database import database_url

    url = database_url(database, places.collector)
    if database is None:
        ready_file = ready_file or places.collector / "ready.json"
        token_file = token_file or places.collector / "token"
    options = Options(
        url=url,
        key_file=key_file(places, url),
        host=host,
        port=port,
        allow_remote=allow_remote,
        ready_file=ready_file,
        token_file=token_file,
        exit_with=exit_with,
        private=private,
        process_token=given,
        config_file=config_file,
    )
    serve(options, say=lambda line: click.echo(line, err=True))


@collector.group(epilog=EXAMPLES)
def token() -> None:
    """Tokens of those who send results or read a private dashboard."""


@token.command("new", epilog=NEW_EXAMPLES)
@click.argument("site")
@click.option("--scope", type=click.Choice(["upload", "read", "admin"]), default="upload", show_default=True)
@click.option("--days", type=click.IntRange(min=1, max=3650), help="Days until it expires. [default: never]")
@database_option
@click.pass_obj
def new(places: Any, site: str, scope: str, days: int | None, database: str | None) -> None:
    """Make a token for SITE ('*' for any) and print it; it cannot be shown again."""
    from collector.auth.tokens import ANY_SITE, load_key, new_token
    from collector.clock import now_ms
    from collector.store.decoding import is_name

    if site != ANY_SITE and not is_name(site):
        raise click.BadParameter("a site is letters, digits and . _ : + @ -, or '*' for any", param_hint="SITE")
    now = now_ms()
    expires = None if days is None else now + days * 86_400_000
    with opened(places, database) as store, store.writing() as connection:
        made = new_token(connection, load_key(key_file(places, store.url)), site, scope, now, expires)
    click.echo(made)


@token.command("list", epilog=LIST_EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@database_option
@click.pass_obj
def list_(places: Any, as_json: bool, database: str | None) -> None:
    """List tokens, never their secrets."""
    import json

    from collector.auth.tokens import list_tokens
    from collector.clock import iso, now_ms

    with opened(places, database) as store, store.reading() as connection:
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
    from tabulate import tabulate

    columns = ["id", "site", "scope", "state", "created", "expires", "last_used", "successor"]
    table = [[row[column] or "-" for column in columns] for row in rows]
    click.echo(tabulate(table, headers=[column.replace("_", " ") for column in columns]) if rows else "No tokens.")


@token.command(epilog=REVOKE_EXAMPLES)
@click.argument("identity", metavar="ID")
@database_option
@click.pass_obj
def revoke(places: Any, identity: str, database: str | None) -> None:
    """End a token at once."""
    from collector.auth.tokens import revoke_token
    from collector.clock import now_ms

    with opened(places, database) as store, store.writing() as connection:
        revoke_token(connection, identity, now_ms())
    click.echo(f"Token {identity} is revoked.")


token.add_command(rotate)
collector.add_command(site)
for _command in (sender, backup, prune, restore, verify):
    collector.add_command(_command)
for command in COMMANDS:
    collector.add_command(command)
