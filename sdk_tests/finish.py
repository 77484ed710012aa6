"""Closing a run: the count, the renderings, and the upload."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
import msgspec

from dashboard_client.compare import since_last_pass
from dashboard_client.durable import write_whole
from dashboard_client.runs import RunFolder
from dashboard_client.verdict import closing
from sdk_tests.clock import now
from sdk_tests.metrics import unused
from sdk_tests.report import html, junit

if TYPE_CHECKING:
    from sdk_tests.harness import Harness


def finish(harness: Harness) -> None:
    """Close the run, write what people and programs read, and upload; sets the exit code first of all.

    An upload that fails is said and changes no verdict: the results are here, and ``exaworks results push`` delivers
    them.
    """
    folder = harness.folder
    assert folder is not None
    allowed = harness.prepared.system.allowed_skips
    effective = folder.effective()
    count = closing(folder.manifest, effective, ended=now(), interrupted=harness.interrupted, allowed_skips=allowed)
    if harness.stopped_early:
        count = msgspec.structs.replace(count, state="interrupted")
    folder.close(count)
    harness.exit_code = count.exit_code
    for said in unused(harness.prepared.system.references, harness.case_ids, effective.values()):
        harness.say(f"warning: {said}")
    if harness.prepared.options.upload:
        upload(folder, harness)
    render(folder, harness)


def render(folder: RunFolder, harness: Harness) -> None:
    """Write junit.xml and report.html; a full disk is said, since the records are already safe."""
    manifest, records = folder.manifest, folder.records()
    try:
        write_whole(folder.path / "junit.xml", junit.junit_xml(manifest, records).encode())
        comparison = since_last_pass(folder, folder.path.parent)
        write_whole(folder.path / "report.html", html.report_html(manifest, records, comparison=comparison).encode())
    except OSError as error:
        harness.say(f"error: the report could not be written: {error}. The records are in {folder.path}.")


def upload(folder: RunFolder, harness: Harness) -> bool:
    """Push to the site's collector, if it has one; return whether everything was acknowledged."""
    from dashboard_client.upload import push

    target = harness.collector or site_collector(harness)
    if target is None:
        return False
    url, token = target
    try:
        report = push(folder, url, token)
    except click.ClickException as error:
        harness.say(f"upload failed: {error.format_message()}")
        harness.say(f"nothing is lost: exaworks results push {folder.path.name} --to {url}")
        return False
    harness.say(f"collector {url} has {report.sent + report.already} of {report.total} records of this run")
    for rejection in report.rejected:
        harness.say(f"collector refused {rejection.case_id}: {rejection.reason}")
    return not report.rejected


def site_collector(harness: Harness) -> tuple[str, str] | None:
    """The collector that the site file names, with the token its environment variable holds."""
    collector = harness.prepared.system.collector
    if collector.url is None:
        return None
    names = [name for name in (collector.token_env, "EXAWORKS_COLLECTOR_TOKEN") if name]
    token = next((os.environ[name] for name in names if os.environ.get(name)), None)
    if token is None:
        harness.say(f"not uploaded: no token for {collector.url}; set {names[0]} and run `exaworks results push last`")
        return None
    return collector.url, token
