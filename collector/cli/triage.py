"""``exaworks collector triage``: who works on a cause of failures, what is known, and until when it is hidden."""

from __future__ import annotations

from typing import Any

import click

from collector.cli.options import (
    command_writer,
    database_option,
    examples,
    json_option,
    log_change,
    open_database,
    print_table,
)


@click.group(epilog=examples("triage list"))
def triage() -> None:
    """Owners, notes, links and snoozes of causes of failures."""


@triage.command(
    "set",
    epilog=examples(
        "triage set import-error:typeguard --owner 'workflow group' --link https://bugs.example.org/17",
        "triage set like-0f3c9a7d5e2148bb --site ornl --note 'disk is replaced on Friday' --until 2027-01-31",
    ),
)
@click.argument("cause_key", metavar="CAUSE")
@click.option("--site", default="*", help="Only at this site. [default: every site]")
@click.option("--owner", help="Who works on it.")
@click.option("--note", help="What is known about it.")
@click.option("--link", help="The address of a bug report.")
@click.option("--until", metavar="DAY", help="Hide it until the end of this day, such as 2027-01-31.")
@database_option
@click.pass_obj
def set_(places: Any, /, cause_key: str, site: str, database: str | None, **fields: str | None) -> None:
    """Note something about the failures with the cause key CAUSE, in place of what was noted before.

    The triage page and its JSON show the keys. Without options, the note is removed.
    """
    from collector.errors import Problem, TriageError
    from collector.status.triage import TriageRequest, set_note

    request = TriageRequest(cause_key=cause_key, site=site, **fields)
    try:
        with open_database(places, database) as store, store.writing() as connection:
            stored = set_note(connection, request, command_writer())
            detail = "; ".join(f"{name} {value}" for name, value in fields.items() if value) or None
            action = "triage.set" if stored else "triage.clear"
            log_change(connection, action, site=None if site == "*" else site, subject=cause_key[:256], detail=detail)
    except Problem as problem:
        raise TriageError(f"--{problem.field}: {problem.detail}" if problem.field else problem.detail) from problem
    click.echo("Noted." if stored else "The note is removed.")


@triage.command("list", epilog=examples("triage list --json"))
@json_option
@database_option
@click.pass_obj
def list_(places: Any, as_json: bool, database: str | None) -> None:
    """List what is noted about causes of failures."""
    import json

    from collector.auth.visibility import EVERYTHING
    from collector.clock import now_ms
    from collector.status.triage import triage_notes

    now = now_ms()
    with open_database(places, database) as store, store.reading() as connection:
        notes = triage_notes(connection, EVERYTHING)
    rows = [{"cause": key} | note.facts(now) for (_, key), note in sorted(notes.items())]
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    print_table(["cause", "site", "owner", "note", "link", "snoozed_until", "changed_by"], rows, "No notes.")
