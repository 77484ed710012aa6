"""``exaworks collector waiver``: failures that are accepted until a day."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.options import database_option, examples, json_option, log_change, open_database, print_table


@click.group(epilog=examples("waiver list"))
def waiver() -> None:
    """Failures that are accepted until a day."""


@waiver.command(epilog=examples("waiver add ornl 'parsl/*@slurm' --reason 'new libfabric' --until 2027-01-31"))
@click.argument("site")
@click.argument("cases", metavar="PATTERN")
@click.option("--system", help="One system of the site. [default: all]")
@click.option("--reason", required=True, help="Why the failures are accepted.")
@click.option("--owner", help="Who is responsible for it.")
@click.option("--until", required=True, metavar="DAY", help="The last day of the waiver, such as 2027-01-31.")
@database_option
@click.pass_obj
def add(
    places: Any,
    site: str,
    cases: str,
    system: str | None,
    reason: str,
    owner: str | None,
    until: str,
    database: str | None,
) -> None:
    """Accept failures of SITE whose case ids match the shell pattern PATTERN, until a day."""
    from collector.errors import Problem, WaiverError
    from collector.status.waivers import WaiverRequest, add_waiver

    request = WaiverRequest(site=site, cases=cases, reason=reason, expires=until, system=system, owner=owner)
    try:
        with open_database(places, database) as store, store.writing() as connection:
            key = add_waiver(connection, request, None)
            place = {"site": site, "system": system, "subject": str(key)}
            log_change(connection, "waiver.add", detail=f"{cases} until {until}: {reason}", **place)
    except Problem as problem:
        name = "--until" if problem.field == "expires" else problem.field
        raise WaiverError(f"{name}: {problem.detail}") from problem
    click.echo(key)


@waiver.command("list", epilog=examples("waiver list --json"))
@json_option
@database_option
@click.pass_obj
def list_(places: Any, as_json: bool, database: str | None) -> None:
    """List the waivers that were added here; the pages also show those of site files."""
    import json

    from collector.auth.visibility import EVERYTHING
    from collector.clock import now_ms
    from collector.status.waivers import administrator_waivers, describe_waivers

    now = now_ms()
    with open_database(places, database) as store, store.reading() as connection:
        rows = describe_waivers(administrator_waivers(connection, EVERYTHING, now), now)
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    print_table(["id", "site", "system", "cases", "reason", "owner", "last_day", "valid"], rows, "No waivers.")


@waiver.command(epilog=examples("waiver end 3"))
@click.argument("number", type=int)
@database_option
@click.pass_obj
def end(places: Any, number: int, database: str | None) -> None:
    """End a waiver at once."""
    from collector.errors import WaiverError
    from collector.status.waivers import end_waiver

    with open_database(places, database) as store, store.writing() as connection:
        if not end_waiver(connection, number, None):
            raise WaiverError(
                f"no waiver {number}, or it has already ended. `exaworks collector waiver list` shows the numbers."
            )
        log_change(connection, "waiver.end", subject=str(number))
    click.echo(f"Waiver {number} has ended.")
