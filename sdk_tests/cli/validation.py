"""What ``exaworks validate`` does: prepare, run pytest on the packaged cases, and print what it came to."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from dashboard_client.errors import UploadError
from dashboard_client.runs import RunFolder
from dashboard_client.schema import Manifest, Record, Selection, Tier
from dashboard_client.upload import push
from dashboard_client.wire import Policy
from sdk_tests.cli.embedded_collector import Embedded, start
from sdk_tests.errors import PlanError, RunError
from sdk_tests.judging.harness import Harness
from sdk_tests.judging.item_state import CELL
from sdk_tests.plan import listing
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.options import Options
from sdk_tests.plan.preparation import Echo, Preparation
from sdk_tests.plan.prepare import prepare
from sdk_tests.plan.resume import resumed
from sdk_tests.recording.run import RunDisplay
from sdk_tests.report import Progress, summary, summary_json
from sdk_tests.report.stream import write_safely
from sdk_tests.report.text import fit

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places

INTEGRATION = Path(__file__).resolve().parents[1] / "integration"
PUSH_EVERY = 5.0
BRIEFLY = Policy(connect_timeout=1, read_timeout=5, attempts=1)


class _Display(RunDisplay):
    """Shows progress, and keeps the collector that this run started up to date while the run goes on."""

    def __init__(self, progress: Progress, collector: Embedded | None) -> None:
        self.progress = progress
        self.harness: Harness | None = None
        self._collector = collector
        self._pushed = 0.0

    def planned(self, manifest: Manifest, prejudged: int) -> None:
        self.progress.planned(manifest, prejudged)

    def event(self, case_id: str, what: str, detail: str = "") -> None:
        self.progress.event(case_id, what, detail)

    def recorded(self, record: Record, done: int, total: int) -> None:
        self.progress.recorded(record, done, total)

    def tick(self) -> None:
        self.progress.tick()
        if self._collector is not None and time.monotonic() - self._pushed >= PUSH_EVERY:
            self._push(self._collector)
            self._pushed = time.monotonic()

    def _push(self, collector: Embedded) -> None:
        """Push what is recorded so far; stop doing so when the collector is gone, which the end of the run reports."""
        if self.harness is None or self.harness.run is None:
            return
        try:
            push(self.harness.run.folder, collector.url, collector.token, policy=BRIEFLY)
        except UploadError:
            self._collector = None

    def finish(self) -> None:
        self.progress.finish()


class _Listing:
    """Takes the items of a session that is only collected."""

    def __init__(self) -> None:
        self.cells: list[Cell] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.cells = [item.stash[CELL] for item in items if CELL in item.stash]


def run(places: Places, given: Mapping[str, Any]) -> int:
    """Validate and return the exit code of the design.

    Raises:
        click.ClickException: exit code 2: nothing could be run, with the reason.
    """
    # A termination unwinds like Ctrl-C until the run's own handlers take over, so that testbeds and servers go down.
    signal.signal(signal.SIGTERM, _as_interrupt)
    for name in ("stdout", "stderr"):  # closed by whoever started this; pytest wants one
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    echo = _echo_error if given["as_json"] else _echo
    try:
        options = resumed(_options(given), places)
        preparation = prepare(options, places, echo)
        try:
            return (
                _list(preparation, given["as_json"])
                if given["only_list"]
                else _run(preparation, given["as_json"], echo)
            )
        finally:
            preparation.close()
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return 130


def _options(given: Mapping[str, Any]) -> Options:
    chosen = (given["cases"], given["components"], given["schedulers"])
    selection = Selection(
        cases=list(given["cases"]),
        components=list(given["components"]),
        schedulers=list(given["schedulers"]),
        tier=Tier(given["tier"]),
        nodes=given["nodes"],
        partial=any(chosen) or given["nodes"] is not None,
    )
    return Options(
        site=given["site"],
        site_file=given["site_file"],
        deployment=given["deployment"],
        selection=selection,
        max_jobs=given["max_jobs"],
        upload=not given["no_upload"],
        resume=given["resume"],
        trigger=given["trigger"],
        wheelhouse=given["wheelhouse"],
    )


def _run(preparation: Preparation, as_json: bool, echo: Echo) -> int:
    progress = Progress(sys.stderr if as_json else sys.stdout)
    collector = _collector(preparation, echo)
    try:
        display = _Display(progress, collector)
        target = (collector.url, collector.token) if collector is not None else None
        harness = Harness(preparation, echo=echo, display=display, collector=target)
        display.harness = harness
        _pytest([], harness)
    finally:
        progress.finish()
        if collector is not None:
            collector.close()
    if harness.run is None:
        raise _why_nothing_ran(harness)
    folder = harness.run.folder
    if harness.exit_code is None:
        raise RunError(f"the run was not closed; its results so far are in {folder.path}")
    text = _summary(folder, as_json, collector is not None)
    error = write_safely(sys.stdout, lambda: click.echo(text))
    if error is not None:
        message = f"the summary could not be written: {error}; the results are in {folder.path}"
        if as_json:
            raise RunError(message)
        _echo_error(f"warning: {message}")
    return harness.exit_code


def _why_nothing_ran(harness: Harness) -> BaseException:
    if harness.exit_code == 130:
        return KeyboardInterrupt()
    if harness.collection_errors or harness.exit_code is None:
        message = "\n".join(harness.collection_errors) or "pytest did not start"
        return RunError(
            f"{message}\nThe cases cannot be read, so nothing was run. Mend that, or install the SDK again."
        )
    message = "; ".join(harness.unmet) or "the selection matches no case"
    return PlanError(f"{message}; nothing was run. `exaworks validate --list` shows the cases of this system")


def _summary(folder: RunFolder, as_json: bool, collector: bool) -> str:
    effective = folder.effective()
    if as_json:
        return json.dumps(summary_json(folder.manifest, effective, folder.path), indent=1)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    lines = [
        fit(summary(folder.manifest, effective, colour=colour), sys.stdout.encoding),
        f"results: {folder.path}",
        f"report:  {folder.path / 'report.html'}",
    ]
    return "\n".join([*lines, "dashboard: exaworks collector serve"] if collector else lines)


def _pytest(arguments: list[str], *plugins: object) -> None:
    """Run pytest on the packaged cases, apart from any configuration or plugin of the user's."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    os.environ.pop("PYTEST_PLUGINS", None)
    configuration = Path(__file__).with_name("validate.ini")
    fixed = ["-c", str(configuration), "--rootdir", str(configuration.parent), "-p", "sdk_tests.judging.plugin"]
    quiet = ["-p", "no:terminalreporter", "-p", "no:cacheprovider", "-p", "no:stepwise", "--capture=no"]
    pytest.main([*fixed, "--noconftest", *quiet, *arguments, str(INTEGRATION)], plugins=list(plugins))


def _collector(preparation: Preparation, echo: Any) -> Embedded | None:
    collector = preparation.system.collector
    if not preparation.options.upload or collector.url is not None or not collector.embedded:
        return None
    try:
        started = start(preparation.places)
    except RunError as error:
        echo(f"warning: {error.format_message()}; results stay here and can be pushed later")
        return None
    echo(f"dashboard of this run: {started.page}")
    return started


def _list(preparation: Preparation, as_json: bool) -> int:
    preparation.options = replace(preparation.options, upload=False)
    collected = _Listing()
    harness = Harness(preparation, echo=_echo_error)
    _pytest(["--collect-only", "-q"], harness, collected)
    if harness.collection_errors:
        raise _why_nothing_ran(harness)
    rows = listing.rows(collected.cells, preparation)
    if harness.unmet and all(cell.control for cell in collected.cells) and len(rows) == len(collected.cells):
        raise PlanError("; ".join(harness.unmet))
    if not rows:
        raise PlanError("the selection matches no case on this system")
    click.echo(json.dumps(rows, indent=1) if as_json else listing.table(rows))
    return 0


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _echo(text: str) -> None:
    write_safely(sys.stdout, lambda: click.echo(text))


def _echo_error(text: str) -> None:
    write_safely(sys.stderr, lambda: click.echo(text, err=True))
