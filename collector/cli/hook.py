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
        "hook new https://hooks.slack.com/services/T0/B0/x --shape slack --component parsl --class distribution",
        "hook new https://chat.example.org/hooks/1 --site ornl --event change --event regression --quiet 22-6",
        "hook new https://gitlab.example.org/api/v4/projects/7/issues --shape gitlab --token-variable GITLAB_TOKEN",
        "hook new mailto:ops@example.org --kind digest --hour 6",
    ),
)
@click.argument("url")
@click.option("--kind", type=click.Choice(["change", "digest"]), default="change", show_default=True)
@click.option("--site", help="Only messages about this site. [default: all]")
@click.option(
    "--hour", type=click.IntRange(0, 23), default=6, show_default=True, help="Hour (UTC) at which a digest is sent."
)
@click.option(
    "--shape",
    type=click.Choice(["json", "slack", "mattermost", "teams", "matrix", "gitlab"]),
    default="json",
    show_default=True,
    help="What the receiver expects.",
)
@click.option(
    "--event",
    "events",
    multiple=True,
    type=click.Choice(["change", "silent", "regression", "waiver"]),
    help="Can be repeated. [default: change, silent]",
)
@click.option("--component", "components", multiple=True, help="Only this component and its pairs; can be repeated.")
@click.option("--owner", "owners", multiple=True, help="Only systems of this owner; can be repeated.")
@click.option("--class", "classes", multiple=True, help="Only failures of this fault class; can be repeated.")
@click.option("--quiet", metavar="HOURS", help="No messages between these hours (UTC), such as 22-6; they wait.")
@click.option(
    "--gather",
    type=click.IntRange(0, 1440),
    help="Minutes to wait for further failures with the same cause. [default: 10; 0 for json]",
)
@click.option("--token-variable", metavar="NAME", help="The server's variable with the token, for matrix and gitlab.")
@database_option
@click.pass_obj
def new(
    places: Any,
    /,
    url: str,
    kind: str,
    site: str | None,
    hour: int,
    database: str | None,
    **options: Any,
) -> None:
    """Send messages to URL. Prints the id of the hook and the key of its signatures.

    A signature is the HMAC-SHA256 of the body, in the header X-ExaWorks-Signature; only the shape json has it.
    """
    from collector.clock import now_ms
    from collector.notify.hooks import new_hook, signing_key
    from collector.notify.options import make_options

    chosen = make_options(**options)
    with open_database(places, database) as store, store.writing() as connection:
        identity = new_hook(connection, url, kind, site, hour, now_ms(), chosen)
        key = token_key(connection, places, store)
        log_change(connection, "hook.new", site=site, subject=identity, detail=f"{kind} {chosen.shape}")
    click.echo(f"{identity} {signing_key(key, identity).decode()}")


@hook.command(epilog=examples("hook test 1f0c22ab --public-url https://status.example.org"))
@click.argument("identity", metavar="ID")
@click.option("--public-url", help="The address with which links in the message begin.")
@database_option
@click.pass_obj
def test(places: Any, identity: str, public_url: str | None, database: str | None) -> None:
    """Send a test message to a hook now, in its shape, and report whether it was accepted."""
    from collector.errors import HookError
    from collector.notify.delivery import send_test
    from collector.notify.hooks import list_hooks
    from collector.notify.options import HookOptions

    with open_database(places, database) as store, store.reading() as connection:
        row = next((each for each in list_hooks(connection) if each["id"] == identity), None)
        if row is None:
            raise HookError(f"no hook {identity[:40]!r}. `exaworks collector hook list` shows their ids.")
        key = token_key(connection, places, store)
    error = send_test(row["url"], HookOptions(**row["options"]), key, identity, public_url)
    if error is not None:
        raise HookError(f"hook {identity}: {error}")
    click.echo(f"Hook {identity} accepted the message.")


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
    shown = [{**row, "shape": row["options"].get("shape", "json")} for row in rows]
    print_table(["id", "kind", "shape", "site", "url", "waiting", "error"], shown, "No hooks.")


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
