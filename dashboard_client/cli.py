"""``exaworks results``: what earlier runs came to, and how their results leave this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dashboard_client.runs import RunFolder

SETTINGS = {"help_option_names": ["-h", "--help"]}
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
RUN = click.argument("run", default="last")


def _epilog(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  exaworks results {line}" for line in lines)


@click.group(
    context_settings=SETTINGS,
    epilog=_epilog("list", "show last", "push last --to https://status.example.org", "compare 20261121 last"),
)
def results() -> None:
    """Show, compare and push the results of runs.

    A RUN is the beginning of its id where that is unique, 'last', or its folder (a path with a slash).
    """


@results.command("list", context_settings=SETTINGS, epilog=_epilog("list", "list --json"))
@JSON
@click.pass_obj
def list_(places: Any, as_json: bool) -> None:
    """List the runs of this place, oldest first."""
    from tabulate import tabulate

    from dashboard_client.errors import ResultsError
    from dashboard_client.runs import list_runs
    from dashboard_client.verdict import count

    rows = []
    for run in list_runs(places.runs):
        row: dict[str, Any] = {"run": run.path.name, "path": str(run.path), "problem": None}
        try:
            manifest = run.manifest
            row |= {"site": manifest.site, "system": manifest.system, "started": manifest.started, "state": "open"}
            if manifest.closed is not None:
                row |= {"state": manifest.closed.state, "exit_code": manifest.closed.exit_code}
            row |= count(manifest, run.effective())
        except ResultsError as error:
            row["problem"] = error.message
        rows.append(row)
    if as_json:
        _print_json(rows)
    elif not rows:
        click.echo(f"No runs in {places.runs} yet.")
    else:
        table = [
            [row["run"], f"{row.get('site', '?')}/{row.get('system', '?')}", row.get("started")]
            + (
                [f"damaged: {row['problem']}", None, None]
                if row["problem"]
                else [row["state"], row.get("exit_code"), _counts(row["counts"], row["missing"])]
            )
            for row in rows
        ]
        click.echo(tabulate(table, headers=["run", "system", "started", "state", "exit", "cases"]))


@results.command(context_settings=SETTINGS, epilog=_epilog("show", "show 20261122T1205", "show last --json"))
@RUN
@JSON
@click.pass_obj
def show(places: Any, run: str, as_json: bool) -> None:
    """Show what a run came to, with the cause of everything that did not pass.

    RUN may also be an archive made by 'export'.
    """
    from dashboard_client.view import run_as_text, run_as_tree

    with _opened(run, places) as folder:
        if as_json:
            _print_json(run_as_tree(folder))
        else:
            click.echo(run_as_text(folder))


@results.command(
    context_settings=SETTINGS,
    epilog=_epilog(
        "push last --to https://status.example.org",
        "push carried.tar.gz --to https://status.example.org --token-file ~/.config/exaworks/token",
    ),
)
@RUN
@click.option("--to", "url", required=True, envvar="EXAWORKS_COLLECTOR_URL", show_envvar=True, help="The collector.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that holds the token; default: EXAWORKS_COLLECTOR_TOKEN from the environment.",
)
@click.option("--insecure-http", is_flag=True, help="Send the token unencrypted to another machine.")
@JSON
@click.pass_obj
def push(places: Any, run: str, url: str, token_file: Path | None, insecure_http: bool, as_json: bool) -> None:
    """Push a run, or an archive of one, to a collector; repeating it sends only what is not acknowledged yet.

    Exits 0 when the collector has everything, 1 when it refused something or did not answer.
    """
    import msgspec

    from dashboard_client.upload import push as push_run
    from dashboard_client.wire import Policy

    token = _token(token_file)
    if insecure_http:
        click.echo("warning: the token travels unencrypted", err=True)
    with _opened(run, places) as folder:
        report = push_run(folder, url, token, policy=Policy(insecure_http=insecure_http), progress=_progress())
    if as_json:
        _print_json(msgspec.to_builtins(report) | {"exit_code": report.exit_code})
    else:
        closed = f"closed as {report.closed}" if report.closed is not None else "not closed yet"
        click.echo(
            f"{report.run_id}: {report.sent} records sent, {report.already} sent before, "
            f"{len(report.rejected)} rejected; {closed} at {report.url}"
        )
    if report.torn:
        click.echo("note: the last line of the records is torn or still being written; it was not sent", err=True)
    for rejection in report.rejected:
        click.echo(f"rejected: {rejection.case_id} ({rejection.record_id[:12]}): {rejection.reason}", err=True)
    if report.unclosed:
        click.echo(f"not closed: {report.unclosed}", err=True)
    click.get_current_context().exit(report.exit_code)


@results.command(
    "import",
    context_settings=SETTINGS,
    epilog=_epilog(
        "import junit.xml --system frontier --to https://status.example.org",
        "import testsuite-20261122.json --system polaris --run e4s-20261122 --to https://status.example.org",
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--system", required=True, help="The system that the results are of.")
@click.option("--site", help="Its site; a token of one site says it already.")
@click.option("--format", "form", type=click.Choice(["junit", "e4s"]), help="[default: e4s for .json, else junit]")
@click.option("--run", help="Name of the run. [default: made from the file's content]")
@click.option("--component", help="What the tests are of. [default: as each test is named]")
@click.option("--scheduler", help="What carried the tests. [default: local]")
@click.option("--to", "url", required=True, envvar="EXAWORKS_COLLECTOR_URL", show_envvar=True, help="The collector.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that holds the token; default: EXAWORKS_COLLECTOR_TOKEN from the environment.",
)
@click.option("--insecure-http", is_flag=True, help="Send the token unencrypted to another machine.")
@JSON
def import_(
    file: Path, url: str, token_file: Path | None, insecure_http: bool, as_json: bool, form: str | None, **said: str
) -> None:
    """Send a result file of another tool to a collector: JUnit XML (pytest, ReFrame, Spack) or E4S JSON.

    The file is sent as it is: nothing in it is redacted. Sending it again changes nothing.
    """
    import msgspec

    from dashboard_client.importing import send_file
    from dashboard_client.wire import Policy

    if form is None:
        form = "e4s" if file.suffix == ".json" else "junit"
    asked = {name: value for name, value in said.items() if value is not None}
    sent = send_file(file, form, asked, url, _token(token_file), Policy(insecure_http=insecure_http))
    if as_json:
        _print_json(msgspec.to_builtins(sent))
    else:
        kept = "stored" if sent.stored else "there already"
        counted = _counts(sent.counts, 0)
        click.echo(f"{sent.run_id}: {sent.records} records ({counted}), {kept}, {len(sent.rejected)} rejected")
    click.get_current_context().exit(1 if sent.rejected else 0)


@results.command(
    context_settings=SETTINGS, epilog=_epilog("preview", "preview last --file records.jsonl > what-leaves.jsonl")
)
@RUN
@click.option("--file", "wanted", metavar="NAME", help="Print this file's bytes and nothing else.")
@JSON
@click.pass_obj
def preview(places: Any, run: str, wanted: str | None, as_json: bool) -> None:
    """Print the very bytes that would leave this machine: no other file of a run is ever pushed or exported."""
    import hashlib

    from dashboard_client.archive import preview as outbox
    from dashboard_client.errors import RunFolderError

    with _opened(run, places) as folder:
        files = [(name, data, hashlib.sha256(data).hexdigest()) for name, data in outbox(folder)]
    if wanted is not None:
        files = [entry for entry in files if entry[0] == wanted]
        if not files:
            raise RunFolderError(f"{wanted}: is no file of {run} that leaves")
    if as_json:
        _print_json([{"name": name, "bytes": len(data), "sha256": digest} for name, data, digest in files])
        return
    for name, data, digest in files:
        if wanted is None:
            click.echo(f"==> {name}: {len(data)} bytes, sha256 {digest}", err=True)
        click.echo(data, nl=False)


@results.command(context_settings=SETTINGS, epilog=_epilog("export last", "export 20261122 --to carried.tar.gz"))
@RUN
@click.option(
    "--to",
    default=".",
    show_default="here",
    type=click.Path(path_type=Path),
    help="Folder, or file name that ends in .tar.gz or .tgz.",
)
@click.pass_obj
def export(places: Any, run: str, to: Path) -> None:
    """Write what may leave of a run into an archive, to be pushed from another machine; print its path."""
    from dashboard_client.archive import export as export_run

    with _opened(run, places) as folder:
        click.echo(export_run(folder, to))


@results.command(context_settings=SETTINGS, epilog=_epilog("compare 20261121 last", "compare A B --json"))
@click.argument("a")
@click.argument("b")
@JSON
@click.pass_obj
def compare(places: Any, a: str, b: str, as_json: bool) -> None:
    """Show what changed from run A to run B: cases that turned, and what differs in the stack beneath them."""
    import msgspec

    from dashboard_client.compare import compare as compare_runs
    from dashboard_client.view import comparison_as_text

    with _opened(a, places) as before, _opened(b, places) as after:
        comparison = compare_runs(before, after)
    if as_json:
        _print_json(msgspec.to_builtins(comparison))
    else:
        click.echo(comparison_as_text(comparison))


@results.command(context_settings=SETTINGS, epilog=_epilog("schema", "schema manifest > manifest.schema.json"))
@click.argument("model", type=click.Choice(["record", "manifest", "closing"]), default="record")
def schema(model: str) -> None:
    """Print the JSON Schema (draft 2020-12) of a record, a manifest or a closing."""
    from dashboard_client.schema import Closing, Manifest, Record, json_schema

    models: dict[str, type] = {"record": Record, "manifest": Manifest, "closing": Closing}
    _print_json(json_schema(models[model]))


@contextlib.contextmanager
def _opened(name: str, places: Any) -> Iterator[RunFolder]:
    """Open a run by name, or an archive by its file."""
    from dashboard_client.archive import SUFFIXES, open_archive
    from dashboard_client.runs import RunFolder

    if name.endswith(SUFFIXES) and not Path(name).is_dir():
        with open_archive(Path(name)) as run:
            yield run
    else:
        yield RunFolder.open(name, places.runs)


def _token(path: Path | None) -> str:
    import os

    from dashboard_client.errors import ResultsError

    if path is not None:
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ResultsError(f"{path}: the token cannot be read from it: {error}") from error
    token = os.environ.get("EXAWORKS_COLLECTOR_TOKEN", "").strip()
    if not token:
        raise ResultsError("no token: set EXAWORKS_COLLECTOR_TOKEN, or name a file with --token-file")
    return token


def _progress() -> Any:
    """Count along on a terminal; in a log the last line is enough."""
    import sys

    if not sys.stderr.isatty():
        return None
    return lambda done, total: click.echo(
        f"\r{done} of {total} records" + ("\n" if done == total else ""), nl=False, err=True
    )


def _counts(counts: dict[str, int], missing: int) -> str:
    parts = [f"{number} {outcome}" for outcome, number in (counts | {"missing": missing}).items() if number]
    return ", ".join(parts) or "none"


def _print_json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
