"""``exaworks collector waiver``, ``hook``, ``digest`` and ``export``: what people set, and what goes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from collector.cli.options import database_option, examples, json_option, opened


@click.group(epilog=examples("waiver list"))
def waiver() -> None:
    """Failures that stand until a day."""


@waiver.command("add", epilog=examples("waiver add ornl 'parsl/*@slurm' --reason 'new libfabric' --until 2027-01-31"))
@click.argument("site")
@click.argument("cases", metavar="PATTERN")
@click.option("--system", help="One system of the site. [default: all]")
@click.option("--reason", required=True, help="Why it may stand.")
@click.option("--owner", help="Who looks after it.")
@click.option("--until", required=True, metavar="DAY", help="The last day on which it counts, such as 2027-01-31.")
@database_option
@click.pass_obj
def waiver_add(
    places: Any,
    site: str,
    cases: str,
    system: str | None,
    reason: str,
    owner: str | None,
    until: str,
    database: str | None,
) -> None:
    """Let failures of SITE whose case ids fit PATTERN (as a shell's) stand until a day."""
    from collector.errors import Problem, WaiverError
    from collector.status.waivers import Asked, add_waiver

    asked = Asked(site=site, cases=cases, reason=reason, expires=until, system=system, owner=owner)
    try:
        with opened(places, database) as store, store.writing() as connection:
            key = add_waiver(connection, asked, None)
    except Problem as problem:
        name = "--until" if problem.field == "expires" else problem.field
        raise WaiverError(f"{name}: {problem.detail}") from problem
    click.echo(key)


@waiver.command("list", epilog=examples("waiver list --json"))
@json_option
@database_option
@click.pass_obj
def waiver_list(places: Any, as_json: bool, database: str | None) -> None:
    """List the waivers that were set here; those of site files are on the pages."""
    import json

    from collector.auth.visibility import EVERYTHING
    from collector.clock import now_ms
    from collector.status.waivers import described, standing

    now = now_ms()
    with opened(places, database) as store, store.reading() as connection:
        rows = described(standing(connection, EVERYTHING, now), now)
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    from tabulate import tabulate

    columns = ["id", "site", "system", "cases", "reason", "owner", "last_day", "valid"]
    table = [["-" if row[column] is None else row[column] for column in columns] for row in rows]
    click.echo(tabulate(table, headers=[column.replace("_", " ") for column in columns]) if rows else "No waivers.")


@waiver.command("end", epilog=examples("waiver end 3"))
@click.argument("number", type=int)
@database_option
@click.pass_obj
def waiver_end(places: Any, number: int, database: str | None) -> None:
    """End a waiver at once."""
    from collector.errors import WaiverError
    from collector.status.waivers import end_waiver

    with opened(places, database) as store, store.writing() as connection:
        if not end_waiver(connection, number, None):
            raise WaiverError(f"no waiver {number} stands. `exaworks collector waiver list` shows them.")
    click.echo(f"Waiver {number} has ended.")


@click.group(epilog=examples("hook list"))
def hook() -> None:
    """Addresses that are told when something newly fails, works again, or once a day."""


@hook.command(
    "new",
    epilog=examples(
        "hook new https://chat.example.org/hooks/1 --site ornl",
        "hook new mailto:ops@example.org --kind digest --hour 6",
    ),
)
@click.argument("url")
@click.option("--kind", type=click.Choice(["change", "digest"]), default="change", show_default=True)
@click.option("--site", help="Only what concerns this site. [default: all]")
@click.option("--hour", type=click.IntRange(0, 23), default=6, show_default=True, help="When a digest is sent, UTC.")
@database_option
@click.pass_obj
def hook_new(places: Any, url: str, kind: str, site: str | None, hour: int, database: str | None) -> None:
    """Tell URL; prints the id and the key of its signatures (HMAC-SHA256 of the body, in X-ExaWorks-Signature)."""
    from collector.auth.tokens import load_key
    from collector.cli.options import key_file
    from collector.clock import now_ms
    from collector.notify.hooks import new_hook, signing_key

    with opened(places, database) as store, store.writing() as connection:
        identity = new_hook(connection, url, kind, site, hour, now_ms())
        key = load_key(key_file(places, store.url))
    click.echo(f"{identity} {signing_key(key, identity).decode()}")


@hook.command("list", epilog=examples("hook list --json"))
@json_option
@database_option
@click.pass_obj
def hook_list(places: Any, as_json: bool, database: str | None) -> None:
    """List hooks, what waits for each and what went wrong last."""
    import json

    from collector.clock import iso
    from collector.notify.hooks import list_hooks

    with opened(places, database) as store, store.reading() as connection:
        rows = list_hooks(connection)
    for row in rows:
        row["made"] = iso(row["made"])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    from tabulate import tabulate

    columns = ["id", "kind", "site", "url", "waiting", "error"]
    table = [["-" if row[column] is None else row[column] for column in columns] for row in rows]
    click.echo(tabulate(table, headers=columns) if rows else "No hooks.")


@hook.command("remove", epilog=examples("hook remove 1f0c22ab"))
@click.argument("identity", metavar="ID")
@database_option
@click.pass_obj
def hook_remove(places: Any, identity: str, database: str | None) -> None:
    """Forget a hook and what it was still to be told."""
    from collector.notify.hooks import remove_hook

    with opened(places, database) as store, store.writing() as connection:
        remove_hook(connection, identity)
    click.echo(f"Hook {identity} is removed.")


@click.command(epilog=examples("digest", "digest --site ornl --json"))
@click.option("--site", help="Only this site. [default: all]")
@json_option
@database_option
@click.pass_obj
def digest(places: Any, site: str | None, as_json: bool, database: str | None) -> None:
    """Print what newly failed, what has failed for two days and more, and what is missing."""
    import json

    from collector.auth.visibility import EVERYTHING
    from collector.clock import now_ms
    from collector.notify.digest import as_text, digest

    with opened(places, database) as store, store.reading() as connection:
        facts = digest(connection, EVERYTHING if site is None else EVERYTHING.within(site), now_ms())
    click.echo(json.dumps(facts, indent=2) if as_json else as_text(facts).rstrip())


@click.command(epilog=examples("export --to public", "export --to public --runs 30"))
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="A new folder.")
@click.option("--runs", type=click.IntRange(min=1), default=10, show_default=True, help="Runs of each system.")
@click.option("--hidden", is_flag=True, help="Write hidden sites too.")
@database_option
@click.pass_obj
def export(places: Any, folder: Path, runs: int, hidden: bool, database: str | None) -> None:
    """Write the dashboard as files that need no server, such as for GitLab Pages.

    Runs older than the newest ones, records that passed and filters are left out. An earlier export is replaced.
    """
    from collector.auth.visibility import Visibility
    from collector.clock import now_ms
    from collector.server.export import export

    with opened(places, database) as store, store.reading() as connection:
        count = export(connection, Visibility(hidden=hidden), folder, now_ms(), runs)
    click.echo(f"{count} files in {folder}")


COMMANDS = [waiver, hook, digest, export]
