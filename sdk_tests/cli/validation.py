"""The work of ``exaworks validate``: prepare, run pytest on the packaged cases, and print the summary."""

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
from dashboard_client.schema import Manifest, Record, Selection, Tier
from dashboard_client.upload import push
from dashboard_client.wire import Policy
from sdk_tests.cli import own_cases
from sdk_tests.cli.embedded_collector import EmbeddedCollector, start, still_there
from sdk_tests.cli.output import Output, echo_error
from sdk_tests.errors import PlanError, RunError
from sdk_tests.judging.harness import Harness
from sdk_tests.judging.item_state import CELL
from sdk_tests.model.attempt import Judgement
from sdk_tests.model.case import Case
from sdk_tests.plan import listing
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.options import Options
from sdk_tests.plan.preparation import Preparation
from sdk_tests.plan.prepare import prepare
from sdk_tests.plan.resume import resumed_options
from sdk_tests.recording.run import RunDisplay, with_recorded_deployments
from sdk_tests.report import Progress
from sdk_tests.report.stream import write_safely

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places

INTEGRATION = Path(__file__).resolve().parents[1] / "integration"
PUSH_INTERVAL = 5.0
"""Seconds between two uploads to the embedded collector during a run."""
SHORT_PUSH = Policy(connect_timeout=1, read_timeout=5, attempts=1)


class _Display(RunDisplay):
    """Displays progress, and sends new records to the embedded collector during the run."""

    def __init__(self, progress: Progress, collector: EmbeddedCollector | None, places: Places) -> None:
        self.progress = progress
        self.harness: Harness | None = None
        self.collector = collector
        self._places = places
        self._answers = collector is not None
        self._pushed = 0.0

    def planned(self, manifest: Manifest, prejudged: Mapping[str, Judgement]) -> None:
        if self.harness is not None and self.harness.run is not None and self.harness.preparation.options.cases:
            own_cases.record(self.harness.run.folder, self.harness.preparation.options.cases)
        self.progress.planned(manifest, prejudged)

    def event(self, case_id: str, what: str, detail: str = "") -> None:
        self.progress.event(case_id, what, detail)

    def recorded(self, record: Record, done: int, total: int) -> None:
        self.progress.recorded(record, done, total)

    def tick(self) -> None:
        self.progress.tick()
        if self.collector is not None and self._answers and time.monotonic() - self._pushed >= PUSH_INTERVAL:
            self._push(self.collector)
            self._pushed = time.monotonic()

    def _push(self, collector: EmbeddedCollector) -> None:
        """Send the records so far. If the collector does not answer, stop trying; the end of the run reports that."""
        if self.harness is None or self.harness.run is None:
            return
        try:
            push(self.harness.run.folder, collector.url, collector.token, policy=SHORT_PUSH)
        except UploadError:
            self._answers = False

    def finish(self) -> None:
        self.progress.finish()
        if self.collector is not None and self.harness is not None:
            self.collector = still_there(self.collector, self._places)
            self.harness.collector = (self.collector.url, self.collector.token)


class _DeclaredCases:
    """A pytest plugin that stores the cases of a session in which nothing is run."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        self.cases += getattr(getattr(item, "function", None), "exaworks_cases", ())


class _CollectedCells:
    """A pytest plugin that stores the cells of a session in which nothing is run."""

    def __init__(self) -> None:
        self.cells: list[Cell] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.cells = [item.stash[CELL] for item in items if CELL in item.stash]


def run(places: Places, given: Mapping[str, Any]) -> int:
    """Run the command and return its exit code.

    Raises:
        click.ClickException: nothing could be run; exit code 2, and the message states the reason.
    """
    # Until the run has its own handlers, SIGTERM works like Ctrl-C, so that testbeds and servers are stopped.
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:  # it was deleted; pytest and many components cannot start without one
        os.chdir("/")
    for name in ("stdout", "stderr"):  # the caller has closed it; pytest needs one
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    output = Output(
        as_json=given["as_json"], verbose=given.get("verbose", False), quiet=given.get("quiet", False) is True
    )
    echo = output.echo
    try:
        options = own_cases.resumed(with_recorded_deployments(resumed_options(_options(given), places)))
        if options.cases is not None:
            own_cases.check_folder(options.cases)
        options = replace(options, declared=_declared_cases(options))
        preparation = prepare(options, places, echo, try_early=not given["only_list"])
        try:
            return _list(preparation, given["as_json"]) if given["only_list"] else _run(preparation, output)
        finally:
            preparation.close()
    except KeyboardInterrupt:
        click.echo("interrupted before anything was run; to run it, start the same command again", err=True)
        return 130


def _options(given: Mapping[str, Any]) -> Options:
    chosen = (given["cases"], given["components"], given["schedulers"])
    selection = Selection(
        cases=list(given["cases"]),
        components=list(given["components"]),
        schedulers=list(given["schedulers"]),
        tier=Tier(given["tier"]),
        nodes=given["nodes"],
        partial=any(chosen) or given["nodes"] is not None or given["cases_folder"] is not None,
    )
    return Options(
        site=given["site"],
        site_file=given["site_file"],
        deployments=given["deployments"],
        selection=selection,
        max_jobs=given["max_jobs"],
        upload=not given["no_upload"],
        resume=given["resume"],
        trigger=given["trigger"],
        wheelhouse=given["wheelhouse"],
        cases=given["cases_folder"],
    )


def _run(preparation: Preparation, output: Output) -> int:
    progress = output.progress()
    collector = _collector(preparation, output.echo)
    display = _Display(progress, collector, preparation.places)
    try:
        target = (collector.url, collector.token) if collector is not None else None
        harness = Harness(preparation, echo=output.echo, display=display, collector=target)
        display.harness = harness
        _pytest([], preparation.options.cases, harness)
    finally:
        progress.finish()
        if display.collector is not None:
            display.collector.close()
    if harness.run is None:
        raise _error_without_run(harness)
    folder = harness.run.folder
    if harness.exit_code is None:
        reason = f"{_internal_error(harness)}; " if harness.internal_error else ""
        raise RunError(f"{reason}the run was not closed; its results so far are in {folder.path}")
    if harness.internal_error is not None:
        echo_error(f"Error: {_internal_error(harness)}")
    text = output.summary(folder, dashboard=collector is not None)
    error = write_safely(sys.stdout, lambda: click.echo(text))
    if error is not None:
        message = f"the summary could not be written: {error}; the results are in {folder.path}"
        if output.as_json:
            raise RunError(message)
        echo_error(f"warning: {message}")
    return harness.exit_code


def _internal_error(harness: Harness) -> str:
    """Return what ended the session: an error with a sentence of its own, or a defect of the harness."""
    error = harness.internal_error
    if isinstance(error, click.ClickException):
        return error.format_message()
    return f"a defect of the harness ended the run: {type(error).__name__}: {error}"


def _error_without_run(harness: Harness) -> BaseException:
    if harness.exit_code == 130:
        return KeyboardInterrupt()
    if harness.internal_error is not None:
        return RunError(f"{_internal_error(harness)}; nothing was run")
    if harness.collection_errors or harness.exit_code is None:
        message = "\n".join(harness.collection_errors) or "pytest did not start"
        return RunError(
            f"{message}\nThe cases cannot be imported, so nothing was run. "
            "Correct the errors above, or install the SDK again."
        )
    message = "; ".join(harness.unmatched) or "the selection matches no case"
    return PlanError(f"{message}; nothing was run. `exaworks validate --list` shows the cases of this system")


def _pytest(arguments: list[str], cases: Path | None, harness: Harness, *plugins: object) -> None:
    """Run pytest on the packaged cases, or those of a folder."""
    paths, own = [INTEGRATION], []
    if cases is not None:
        paths, own = [own_cases.CONTROL, cases], [own_cases.OwnCases(cases, harness)]
    pytest.main(_arguments(arguments, paths), plugins=[harness, *own, *plugins])


def _arguments(arguments: list[str], paths: list[Path]) -> list[str]:
    """Return the arguments of pytest for the cases in some places, without any configuration or plugin of the user."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    os.environ.pop("PYTEST_PLUGINS", None)
    configuration = Path(__file__).with_name("validate.ini")
    fixed = ["-c", str(configuration), "--rootdir", str(configuration.parent), "-p", "sdk_tests.judging.plugin"]
    quiet = ["-p", "no:terminalreporter", "-p", "no:cacheprovider", "-p", "no:stepwise", "--capture=no"]
    return [*fixed, "--noconftest", *quiet, *arguments, *map(str, paths)]


def _collector(preparation: Preparation, echo: Any) -> EmbeddedCollector | None:
    collector = preparation.system.collector
    if not preparation.options.upload or collector.url is not None or not collector.embedded:
        return None
    try:
        started = start(preparation.places)
    except RunError as error:
        echo(
            f"warning: {error.format_message()}; the results are kept, and `exaworks results push` can send them later"
        )
        return None
    page = started.page(preparation.system.site)
    echo(f"dashboard of this run: {page}  (opens once; `exaworks collector link` prints another address)")
    return started


def _declared_cases(options: Options) -> tuple[Case, ...] | None:
    """Return all cases that may be selected; None if every testbed is needed anyway, or if they cannot be imported."""
    selection = options.selection
    if not (selection.cases or selection.components or selection.nodes or options.cases):
        return None
    declared = _DeclaredCases()
    paths = [INTEGRATION] if options.cases is None else [own_cases.CONTROL, options.cases]
    code = pytest.main(_arguments(["--collect-only", "-q"], paths), plugins=[declared])
    return tuple(declared.cases) if code == pytest.ExitCode.OK else None


def collected_cells(preparation: Preparation) -> list[Cell]:
    """Return the cells that the options of a preparation select, without running anything.

    Raises:
        click.ClickException: the cases cannot be imported.
    """
    return _collect(preparation)[1]


def _collect(preparation: Preparation) -> tuple[Harness, list[Cell]]:
    preparation.options = replace(preparation.options, upload=False)
    collected = _CollectedCells()
    harness = Harness(preparation, echo=echo_error)
    _pytest(["--collect-only", "-q"], preparation.options.cases, harness, collected)
    if harness.collection_errors or harness.internal_error:
        raise _error_without_run(harness)
    return harness, collected.cells


def _list(preparation: Preparation, as_json: bool) -> int:
    harness, planned = _collect(preparation)
    rows = listing.rows(planned, preparation)
    if preparation.options.cases is not None:  # the reasons that follow the planned cases are about the packaged cases
        rows = rows[: len(planned)]
    if harness.unmatched and all(cell.control for cell in planned) and len(rows) == len(planned):
        raise PlanError("; ".join(harness.unmatched))
    if not rows:
        raise PlanError("the selection matches no case on this system")
    click.echo(json.dumps(rows, indent=1) if as_json else listing.table(rows))
    return 0


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
