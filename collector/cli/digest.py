"""``exaworks collector digest``: what failed, what is missing and what got worse."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.options import database_option, examples, json_option, open_database


@click.command(epilog=examples("digest", "digest --site ornl --json"))
@click.option("--site", help="Only this site. [default: all]")
@json_option
@database_option
@click.pass_obj
def digest(places: Any, site: str | None, as_json: bool, database: str | None) -> None:
    """Print what newly failed, what has failed for two days or longer, what is missing, and what measures worse."""
    import json

    from collector.auth.visibility import EVERYTHING
    from collector.clock import now_ms
    from collector.notify.digest import as_text, digest
    from collector.store.overdue import viewing

    now = now_ms()
    with open_database(places, database) as store, viewing(store, now) as connection:
        facts = digest(connection, EVERYTHING if site is None else EVERYTHING.within(site), now)
    click.echo(json.dumps(facts, indent=2) if as_json else as_text(facts).rstrip())
