"""``exaworks collector prune``, ``backup``, ``restore`` and ``verify``: maintenance of the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from collector.cli.options import database_option, examples, json_option, log_change, open_database

DAY_MS = 86_400_000


@click.command(
    epilog=examples(
        "prune",
        "prune --tails-days 14 --bodies-days 90 --tier smoke",
        "prune --tails-days 90 --bodies-days 730 --dry-run",
    )
)
@click.option(
    "--tails-days",
    type=click.IntRange(min=1),
    help="Delete output tails of runs that started more than this many days ago. [default: 180]",
)
@click.option(
    "--bodies-days",
    type=click.IntRange(min=1),
    help="Delete whole records of such runs; their verdicts stay. [default: 1095]",
)
@click.option("--log-days", type=click.IntRange(min=1), help="Delete older entries of the audit log. [default: 400]")
@click.option(
    "--tier",
    "tiers",
    multiple=True,
    type=click.Choice(["smoke", "integration", "scale"]),
    help="Only runs of this tier; may be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be deleted, and delete nothing.")
@json_option
@database_option
@click.pass_obj
def prune(
    places: Any,
    tails_days: int | None,
    bodies_days: int | None,
    log_days: int | None,
    tiers: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    database: str | None,
) -> None:
    """Delete old data: output tails first, then whole records. Verdicts, causes and history always stay.

    Without an age, the defaults apply; with one, only what it names is deleted. Nothing else ever deletes data. The
    server may run meanwhile. The file of a SQLite database becomes smaller; PostgreSQL uses the space again, and with
    `exaworks collector partition` it gives back the space of whole months.
    """
    import json

    from collector.clock import now_ms
    from collector.store import retention
    from collector.store.log import delete_entries
    from collector.store.space import give_back

    if tails_days is None and bodies_days is None and log_days is None:
        tails_days, bodies_days = retention.TAILS_DAYS, retention.BODIES_DAYS
        log_days = None if tiers else retention.LOG_DAYS
    now, counts = now_ms(), {}
    entries = freed = 0
    with open_database(places, database) as store:
        for name, level, days in (
            ("tails", retention.TAILS, tails_days),
            ("bodies", retention.BODIES, bodies_days),
        ):
            if days is not None:
                counts[name] = vars(retention.prune(store, level, now - days * DAY_MS, dry_run, tiers))
        with store.writing() as connection:
            if log_days is not None:
                entries = delete_entries(connection, now - log_days * DAY_MS, dry_run)
            if not dry_run:
                detail = ", ".join(f"{name} of {count['runs']} runs" for name, count in counts.items())
                log_change(connection, "prune", detail=f"{detail or 'nothing'}; {entries} entries of this log")
        if not dry_run:
            freed = give_back(store)
    if as_json:
        click.echo(json.dumps({**counts, "log_entries": entries, "freed_bytes": freed}, indent=2))
        return
    verb = "would be deleted" if dry_run else "were deleted"
    for name, count in counts.items():
        click.echo(f"{name} of {count['records']} records in {count['runs']} runs {verb}: {count['bytes']} bytes")
    if log_days is not None:
        click.echo(f"{entries} entries of the audit log {verb}")
    dropped = sum(count["partitions"] for count in counts.values())
    if dropped:
        click.echo(f"among them whole months: {dropped} partitions {verb}")
    if freed:
        click.echo(f"the file of the database is {freed} bytes shorter")


@click.command(epilog=examples("backup collector-20261122.backup"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@database_option
@click.pass_obj
def backup(places: Any, file: Path, database: str | None) -> None:
    """Write the whole database, as of one instant, to FILE. The server may run meanwhile.

    Keep the file token.key with it: without that key, all tokens must be created again.
    """
    from collector.store.backup import backup

    with open_database(places, database) as store:
        counts = backup(store, file)
    click.echo(f"{file}: {counts['runs']} runs, {counts['records']} records, {file.stat().st_size} bytes")


@click.command(epilog=examples("restore collector-20261122.backup --database postgresql://collector@db/collector"))
@click.argument("file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@database_option
@click.pass_obj
def restore(places: Any, file: Path, database: str | None) -> None:
    """Restore a backup into an empty database. A backup of SQLite fits PostgreSQL too, and the other way round."""
    from collector.store.backup import restore

    with open_database(places, database) as store:
        counts = restore(store, file)
        with store.writing() as connection:
            log_change(connection, "restore", detail=f"{counts['runs']} runs, {counts['records']} records")
    click.echo(
        f"{counts['runs']} runs and {counts['records']} records are restored. `exaworks collector verify` checks them."
    )


@click.command(epilog=examples("verify", "verify --repair"))
@click.option("--repair", is_flag=True, help="Store the recomputed roll-ups.")
@json_option
@database_option
@click.pass_obj
def verify(places: Any, repair: bool, as_json: bool, database: str | None) -> None:
    """Check every record against its digest, recompute the roll-ups that the pages show, and compare them.

    Writers wait meanwhile. The exit code is 0 if everything is right, else 1.
    """
    import json

    from collector.store.recompute import verify

    with open_database(places, database) as store, store.exclusive() as connection:
        report = verify(connection)
        if repair:
            log_change(connection, "verify.repair", detail=f"{report.wrong} problems")
            connection.commit()
        else:
            connection.rollback()
    if as_json:
        counts = {"runs": report.runs, "records": report.records, "bodies": report.bodies, "wrong": report.wrong}
        click.echo(json.dumps({**counts, "problems": report.problems}, indent=2))
    else:
        for line in report.problems:
            click.echo(line, err=True)
        click.echo(
            f"{report.runs} runs, {report.records} records, {report.bodies} bodies: "
            + (f"{report.wrong} problems" if report.wrong else "no problems")
        )
    click.get_current_context().exit(1 if report.wrong else 0)
