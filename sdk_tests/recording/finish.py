"""Closing a run: count the outcomes, upload the records, and write the reports."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import click
import msgspec

from dashboard_client.compare import compare_with_last_pass
from dashboard_client.durable import write_atomically
from dashboard_client.redact import redact_manifest
from dashboard_client.runs import highest_attempts
from dashboard_client.schema import Record
from dashboard_client.upload import push
from dashboard_client.verdict import closing
from sdk_tests.model.metrics import unused_references
from sdk_tests.model.timeline import Timeline
from sdk_tests.model.timestamps import now
from sdk_tests.recording.run import Run
from sdk_tests.report import html, junit


def finish(
    run: Run,
    *,
    interrupted: bool,
    stopped_early: bool,
    case_ids: Iterable[str],
    leftover_jobs: Sequence[str] = (),
    timeline: Timeline | None = None,
    collector: tuple[str, str] | None = None,
) -> int:
    """Close the run, upload it, and write its reports; return the exit code of ``exaworks validate``.

    interrupted: a signal stopped the run. stopped_early: pytest stopped it (``-x``, ``--maxfail``). case_ids: all cases
    of the system, used to find references that match none; empty where only some schedulers were planned.
    leftover_jobs: what may still be in a queue, for the manifest. timeline: of this session. collector: address and
    token of a collector that this run started. A failed upload changes no verdict: it is reported, and ``exaworks
    results push`` can deliver the results later.
    """
    system = run.preparation.system
    records = run.folder.records()
    effective = highest_attempts(records)
    closed = closing(
        run.folder.manifest, effective, ended=now(), interrupted=interrupted, allowed_skips=system.allowed_skips
    )
    if stopped_early:
        closed = msgspec.structs.replace(closed, state="interrupted")
    if leftover_jobs:
        closed = msgspec.structs.replace(closed, leftover_jobs=list(leftover_jobs))
        manifest = msgspec.structs.replace(run.folder.manifest, closed=closed)
        closed = redact_manifest(manifest, manifest.redaction, **run.private).closed or closed
    run.folder.close(closed)
    for problem in unused_references(system.references, list(case_ids), effective.values()):
        run.echo(f"warning: {problem}")
    if run.preparation.options.upload:
        _upload(run, collector or _site_collector(run))
    _write_reports(run, records, timeline)
    return closed.exit_code


def _write_reports(run: Run, records: list[Record], timeline: Timeline | None) -> None:
    """Write timeline, junit.xml and report.html. A full disk is only reported: the records are already on disk."""
    folder = run.folder
    manifest = folder.manifest
    try:
        if timeline is not None:
            timeline.write(folder.private)
        write_atomically(folder.path / "junit.xml", junit.junit_xml(manifest, records).encode())
        comparison = compare_with_last_pass(folder, folder.path.parent)
        page = html.report_html(manifest, records, comparison=comparison, timeline=timeline)
        write_atomically(folder.path / "report.html", (part.encode() for part in page))
    except OSError as error:
        run.echo(f"error: the report could not be written: {error}. The records are in {folder.path}.")


def _upload(run: Run, target: tuple[str, str] | None) -> None:
    if target is None:
        return
    url, token = target
    try:
        report = push(run.folder, url, token)
    except click.ClickException as error:
        run.echo(f"upload failed: {error.format_message()}")
        run.echo(f"the results are kept; send them later with: exaworks results push {run.folder.path.name} --to {url}")
        return
    run.echo(f"collector {url} has {report.sent + report.already} of {report.total} records of this run")
    for rejection in report.rejected:
        run.echo(f"collector {url} refused the record of {rejection.case_id}: {rejection.reason}")


def _site_collector(run: Run) -> tuple[str, str] | None:
    """Return the collector that the site file names, with the token that its environment variable holds."""
    collector = run.preparation.system.collector
    if collector.url is None:
        return None
    names = [name for name in (collector.token_env, "EXAWORKS_COLLECTOR_TOKEN") if name]
    token = next((os.environ[name] for name in names if os.environ.get(name)), None)
    if token is None:
        run.echo(
            f"not uploaded: no token for the collector {collector.url}; set {names[0]} and run "
            "`exaworks results push last`"
        )
        return None
    return collector.url, token
