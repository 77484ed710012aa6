"""``exaworks collector prune|backup|restore|verify``: looking after the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from collector.cli.options import database_option, examples, json_option, opened

DAY_MS = 86_400_000


@click.command(
    epilog=examples(
        "prune --tails-days 90",
        "prune --tails-days 14 --bodies-days 90 --tier smoke",
        "prune --tails-days 90 --bodies-days 730 --dry-run",
    )
)
@click.option("--tails-days", type=click.IntRange(min=1), help="Drop output tails of runs that began so long ago.")
@click.option("--bodies-days", type=click.IntRange(min=1), help="Drop whole records then; their verdicts stay.")
@click.option(
    "--tier",
    "tiers",
    multiple=True,
    type=click.Choice(["smoke", "integration", "scale"]),
    help="Only runs of it; may be given again.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go.")
@json_option
@database_option
@click.pass_obj
def prune(
    places: Any,
    tails_days: int | None,
    bodies_days: int | None,
    tiers: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    database: str | None,
) -> None:
    """Let go of what is old: output tails first, then whole records. Verdicts, causes and history always stay.

    The server may go on meanwhile. SQLite keeps the room for new records rather than giving it back.
    """
    import json

    from collector.clock import now_ms
    from collector.store.retention import BODIES, TAILS, prune

    if tails_days is None and bodies_days is None:
        raise click.UsageError("say what: --tails-days, --bodies-days, or both")
    told = {}
    with opened(places, database) as store:
        for name, level, days in (("tails", TAILS, tails_days), ("bodies", BODIES, bodies_days)):
            if days is not None:
                told[name] = vars(prune(store, level, now_ms() - days * DAY_MS, dry_run, tiers))
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for name, count in told.items():
        verb = "would go" if dry_run else "went"
        click.echo(f"{name} of {count['records']} records in {count['runs']} runs {verb}: {count['bytes']} bytes")


@click.command(epilog=examples("backup collector-20261122.backup"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@database_option
@click.pass_obj
def backup(places: Any, file: Path, database: str | None) -> None:
    """Write the whole database to FILE as it is at one instant; the server may go on meanwhile.

    Keep the file token.key with it: without that key, tokens have to be made anew.
    """
    from collector.store.backup import backup

    with opened(places, database) as store:
        counts = backup(store, file)
    click.echo(f"{file}: {counts['runs']} runs, {counts['records']} records, {file.stat().st_size} bytes")


@click.command(epilog=examples("restore collector-20261122.backup --database postgresql://collector@db/collector"))
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@database_option
@click.pass_obj
def restore(places: Any, file: Path, database: str | None) -> None:
    """Fill an empty database from a backup: SQLite's into PostgreSQL too, and the other way."""
    from collector.store.backup import restore

    with opened(places, database) as store:
        counts = restore(store, file)
    click.echo(f"{counts['runs']} runs and {counts['records']} records are restored. `collector verify` checks them.")


@click.command(epilog=examples("verify", "verify --repair"))
@click.option("--repair", is_flag=True, help="Keep the roll-ups that were rebuilt.")
@json_option
@database_option
@click.pass_obj
def verify(places: Any, repair: bool, as_json: bool, database: str | None) -> None:
    """Check every record against its digest, rebuild what pages show from the records, and compare.

    Writers wait meanwhile. Exits 0 where all is right, 1 where something is not.
    """
    import json

    from collector.store.recompute import verify

    with opened(places, database) as store, store.held() as connection:
        findings = verify(connection)
        if repair:
            connection.commit()
        else:
            connection.rollback()
    if as_json:
        click.echo(json.dumps(vars(findings), indent=2))
    else:
        for line in findings.said:
            click.echo(line, err=True)
        click.echo(
            f"{findings.runs} runs, {findings.records} records, {findings.bodies} bodies: "
            + (f"{findings.wrong} things are wrong" if findings.wrong else "all is right")
        )
    click.get_current_context().exit(1 if findings.wrong else 0)
