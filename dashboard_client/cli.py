"""``exaworks results``: display, compare, push, export and import the results of runs."""

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

    RUN is the id of a run, a unique beginning of its id, 'last' for the newest run, or the path of its folder
    (which must contain a slash).
    """


@results.command("list", context_settings=SETTINGS, epilog=_epilog("list", "list --json"))
@JSON
@click.pass_obj
def list_(places: Any, as_json: bool) -> None:
    """List the recorded runs, oldest first."""
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
                else [row["state"], row.get("exit_code"), _format_counts(row["counts"], row["missing"])]
            )
            for row in rows
        ]
        click.echo(tabulate(table, headers=["run", "system", "started", "state", "exit", "cases"]))


@results.command(context_settings=SETTINGS, epilog=_epilog("show", "show 20261122T1205", "show last --json"))
@RUN
@JSON
@click.pass_obj
def show(places: Any, run: str, as_json: bool) -> None:
    """Show the result of a run, with the cause of every case that did not pass.

    RUN may also be an archive written by 'export'.
    """
    from dashboard_client.view import run_as_text, run_as_tree

    with _open_run(run, places) as folder:
        if as_json:
            _print_json(run_as_tree(folder))
        else:
            click.echo(run_as_text(folder))


@results.command(
    context_settings=SETTINGS,
    epilog=_epilog(
        "push last --to https://status.example.org",
        "push results.tar.gz --to https://status.example.org --token-file ~/.config/exaworks/token",
    ),
)
@RUN
@click.option(
    "--to", "url", required=True, envvar="EXAWORKS_COLLECTOR_URL", show_envvar=True, help="URL of the collector."
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that contains the token. [default: the token is read from EXAWORKS_COLLECTOR_TOKEN]",
)
@click.option(
    "--insecure-http", is_flag=True, help="Allow plain http to another machine; the token is then unencrypted."
)
@click.option(
    "--allow-unclosed", is_flag=True, help="Exit with 0 also for a run that is not closed, for example while it runs."
)
@JSON
@click.pass_obj
def push(
    places: Any, run: str, url: str, token_file: Path | None, insecure_http: bool, allow_unclosed: bool, as_json: bool
) -> None:
    """Push a run, or an archive of one, to a collector. A repeated push sends only what is not acknowledged yet.

    The exit code is 0 when the collector has every record of a closed run. It is 1 when the collector rejected a record
    or did not answer, and when the run is not closed: it is still running, or it was ended before its last case.
    """
    import msgspec

    from dashboard_client.upload import push as push_run
    from dashboard_client.wire import Policy

    token = _token(token_file)
    if insecure_http:
        click.echo("warning: the token is sent unencrypted", err=True)
    with _open_run(run, places) as folder:
        report = push_run(folder, url, token, policy=Policy(insecure_http=insecure_http), progress=_progress())
    unclosed = report.closed is None and report.unclosed is None
    exit_code = 0 if allow_unclosed and unclosed and not report.rejected else report.exit_code
    if as_json:
        _print_json(msgspec.to_builtins(report) | {"exit_code": exit_code})
    else:
        closed = f"closed (sequence number {report.closed})" if report.closed is not None else "not closed yet"
        click.echo(
            f"{report.run_id}: {report.sent} records sent, {report.already} sent before, "
            f"{len(report.rejected)} rejected; the run is {closed} at {report.url}"
        )
    if report.torn:
        click.echo("note: the last line of records.jsonl is torn or still being written; it was not sent", err=True)
    for rejection in report.rejected:
        click.echo(f"rejected: {rejection.case_id} ({rejection.record_id[:12]}): {rejection.reason}", err=True)
    if unclosed:
        click.echo(
            f"{'note' if allow_unclosed else 'error'}: run {report.run_id} is not closed: it still runs, or it was "
            "ended before its last case. Its planned cases without a result will be missing on the dashboard. To "
            f"complete it: exaworks validate --resume {report.run_id}",
            err=True,
        )
    if report.unclosed:
        click.echo(f"the collector did not close the run: {report.unclosed}", err=True)
    click.get_current_context().exit(exit_code)


@results.command(
    "import",
    context_settings=SETTINGS,
    epilog=_epilog(
        "import junit.xml --system frontier --to https://status.example.org",
        "import ctest.xml --system frontier --component flux --stale-after 3d --to https://status.example.org",
        "import testsuite-20261122.json --system polaris --run e4s-20261122 --to https://status.example.org",
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--system", required=True, help="The system on which the tests ran.")
@click.option("--site", help="The site of the system; not needed if the token is valid for one site only.")
@click.option(
    "--format", "file_format", type=click.Choice(["junit", "e4s"]), help="[default: e4s for a .json file, else junit]"
)
@click.option("--run", help="Id of the run. [default: derived from the file's content]")
@click.option("--component", help="The component of all tests, a column of the dashboard. [default: imported]")
@click.option("--scheduler", help="The scheduler that ran the tests. [default: local]")
@click.option(
    "--stale-after", metavar="DURATION", help="Age from which the results are stale: 36h, 3d. [default: the system's]"
)
@click.option(
    "--timezone", metavar="ZONE", help="Zone of times without one: -06:00, America/Denver. [default: this machine's]"
)
@click.option(
    "--to", "url", required=True, envvar="EXAWORKS_COLLECTOR_URL", show_envvar=True, help="URL of the collector."
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that contains the token. [default: the token is read from EXAWORKS_COLLECTOR_TOKEN]",
)
@click.option(
    "--insecure-http", is_flag=True, help="Allow plain http to another machine; the token is then unencrypted."
)
@JSON
def import_(
    file: Path,
    url: str,
    token_file: Path | None,
    insecure_http: bool,
    as_json: bool,
    file_format: str | None,
    **parameters: str,
) -> None:
    """Send a result file of another tool to a collector: JUnit XML (pytest, CTest, ReFrame, ...) or E4S JSON.

    The file is sent unchanged: nothing in it is redacted. Sending it again changes nothing. Its age counts from the
    times in it, or from its modification time if it has none.
    """
    import msgspec

    from dashboard_client.importing import send_file
    from dashboard_client.wire import Policy

    if file_format is None:
        file_format = "e4s" if file.suffix == ".json" else "junit"
    given = {name: value for name, value in parameters.items() if value is not None}
    report = send_file(file, file_format, given, url, _token(token_file), Policy(insecure_http=insecure_http))
    if as_json:
        _print_json(msgspec.to_builtins(report))
    else:
        state = "stored" if report.stored else "stored before"
        counts = _format_counts(report.counts, 0)
        click.echo(f"{report.run_id}: {report.records} records ({counts}), {state}, {len(report.rejected)} rejected")
        click.echo(f"read as {report.dialect}; started {report.started}, stale after {report.stale_after}")
    click.get_current_context().exit(1 if report.rejected else 0)


@results.command(
    context_settings=SETTINGS, epilog=_epilog("preview", "preview last --file records.jsonl > preview.jsonl")
)
@RUN
@click.option("--file", "file_name", metavar="NAME", help="Print the bytes of this file only.")
@JSON
@click.pass_obj
def preview(places: Any, run: str, file_name: str | None, as_json: bool) -> None:
    """Print the exact bytes that would leave this machine. No other file of a run is ever pushed or exported."""
    import hashlib

    from dashboard_client.archive import preview as outbox
    from dashboard_client.errors import RunFolderError

    with _open_run(run, places) as folder:
        files = [(name, data, hashlib.sha256(data).hexdigest()) for name, data in outbox(folder)]
    if file_name is not None:
        files = [entry for entry in files if entry[0] == file_name]
        if not files:
            raise RunFolderError(
                f"{file_name}: not a file of run {run} that is pushed or exported; "
                f"'exaworks results preview {run} --json' lists those files"
            )
    if as_json:
        _print_json([{"name": name, "bytes": len(data), "sha256": digest} for name, data, digest in files])
        return
    for name, data, digest in files:
        if file_name is None:
            click.echo(f"==> {name}: {len(data)} bytes, sha256 {digest}", err=True)
        click.echo(data, nl=False)


@results.command(context_settings=SETTINGS, epilog=_epilog("export last", "export 20261122 --to results.tar.gz"))
@RUN
@click.option(
    "--to",
    default=".",
    show_default="current folder",
    type=click.Path(path_type=Path),
    help="Where to write: a folder, or a file name that ends in .tar.gz or .tgz.",
)
@click.pass_obj
def export(places: Any, run: str, to: Path) -> None:
    """Export a run as an archive that another machine can push, and print the path of the archive."""
    from dashboard_client.archive import export as export_run

    with _open_run(run, places) as folder:
        click.echo(export_run(folder, to))


@results.command(context_settings=SETTINGS, epilog=_epilog("compare 20261121 last", "compare A B --json"))
@click.argument("a")
@click.argument("b")
@JSON
@click.pass_obj
def compare(places: Any, a: str, b: str, as_json: bool) -> None:
    """Show what changed from run A to run B: the outcomes of cases, and the software stack."""
    import msgspec

    from dashboard_client.compare import compare as compare_runs
    from dashboard_client.view import comparison_as_text

    with _open_run(a, places) as before, _open_run(b, places) as after:
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
def _open_run(name: str, places: Any) -> Iterator[RunFolder]:
    """Open a run by its name, or an archive by its path."""
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
            raise ResultsError(f"{path}: cannot read the token: {error}") from error
    token = os.environ.get("EXAWORKS_COLLECTOR_TOKEN", "").strip()
    if not token:
        raise ResultsError("no token: set EXAWORKS_COLLECTOR_TOKEN, or name a file with --token-file")
    return token


def _progress() -> Any:
    """Return a callback that shows the progress on a terminal; None for a log, where the last line is enough."""
    import sys

    if not sys.stderr.isatty():
        return None
    return lambda done, total: click.echo(
        f"\r{done} of {total} records" + ("\n" if done == total else ""), nl=False, err=True
    )


def _format_counts(counts: dict[str, int], missing: int) -> str:
    parts = [f"{number} {outcome}" for outcome, number in (counts | {"missing": missing}).items() if number]
    return ", ".join(parts) or "none"


def _print_json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
