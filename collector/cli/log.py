"""``exaworks collector log``: the audit log as JSON lines."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.options import database_option, examples, open_database


@click.command(
    epilog=examples("log --since 1d", "log --action token --action waiver", "log --action refused --newest 20")
)
@click.option("--since", metavar="AGE", help="Only entries that are not older, such as 12h or 7d. [default: all]")
@click.option(
    "--action", "actions", multiple=True, metavar="NAME", help="Only this action, or group of actions; can be repeated."
)
@click.option("--site", metavar="SITE", help="Only entries about this site.")
@click.option("--writer", metavar="NAME", help="Only entries of this sender, such as token:1f0c22ab.")
@click.option("--newest", type=click.IntRange(min=1), metavar="N", help="Only the newest N entries.")
@database_option
@click.pass_obj
def log(
    places: Any,
    since: str | None,
    actions: tuple[str, ...],
    site: str | None,
    writer: str | None,
    newest: int | None,
    database: str | None,
) -> None:
    """Print who wrote or changed what, and which requests were refused, as one JSON object a line, the oldest first.

    Actions are run.open, records.add, run.close, import.junit, import.e4s, result.add, token.*, sender.*, site.*,
    waiver.*, hook.*, system.*, prune, restore, verify.repair, and refused. Equal refused requests are one entry with a
    count; only the newest 10,000 such entries are kept.
    """
    import json

    from collector.clock import duration_seconds, now_ms
    from collector.store.log import list_entries

    first = 0
    if since is not None:
        seconds = duration_seconds(since)
        if not seconds:
            raise click.BadParameter(f"{since!r} is not an age such as 12h or 7d", param_hint="--since")
        first = now_ms() - seconds * 1000
    with open_database(places, database) as store, store.reading() as connection:
        for entry in list_entries(connection, first, actions, site, writer, newest):
            click.echo(json.dumps(entry, ensure_ascii=False))
