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
from sdk_tests import listing
from sdk_tests.embedded import Embedded, start
from sdk_tests.errors import PlanError, RunError
from sdk_tests.harness import Harness, Watcher
from sdk_tests.plan import Cell
from sdk_tests.prepare import Options, Prepared, prepare
from sdk_tests.report import Progress, summary, summary_json
from sdk_tests.report.stream import tell
from sdk_tests.report.text import fit
from sdk_tests.resume import resumed
from sdk_tests.stash import CELL

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places

INTEGRATION = Path(__file__).with_name("integration")
PUSH_EVERY = 5.0
BRIEFLY = Policy(connect_timeout=1, read_timeout=5, attempts=1)


class _Display(Watcher):
    """Shows progress, and keeps the run's own collector up to date while it goes on."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.harness: Harness | None = None
        self.follow: Embedded | None = None
        self._pushed = 0.0

    def planned(self, manifest: Manifest, presets: int) -> None:
        self.progress.planned(manifest, presets)

    def event(self, case_id: str, what: str, detail: str = "") -> None:
        self.progress.event(case_id, what, detail)

    def recorded(self, record: Record, done: int, total: int) -> None:
        self.progress.recorded(record, done, total)

    def tick(self) -> None:
        self.progress.tick()
        if self.follow is not None and time.monotonic() - self._pushed >= PUSH_EVERY:
            self.follow = self.follow if self._push() else None
            self._pushed = time.monotonic()

    def _push(self) -> bool:
        """Bring the run's own collector up to date; False where it is gone, of which the end of the run tells."""
        assert self.harness is not None
        assert self.follow is not None
        if self.harness.folder is None:
            return True
        try:
            push(self.harness.folder, self.follow.url, self.follow.token, policy=BRIEFLY)
        except UploadError:
            return False
        return True

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
    say = _quiet if given["as_json"] else _say
    try:
        options = resumed(_options(given), places)
        prepared = prepare(options, places, say)
        try:
            return _list(prepared, given["as_json"]) if given["only_list"] else _run(prepared, given["as_json"], say)
        finally:
            prepared.close()
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


def _run(prepared: Prepared, as_json: bool, say: Any) -> int:
    progress = Progress(sys.stderr if as_json else sys.stdout)
    display = _Display(progress)
    harness = Harness(prepared, say=say, watcher=display)
    collector = _collector(prepared, say)
    try:
        if collector is not None:
            harness.collector = (collector.url, collector.token)
            display.harness, display.follow = harness, collector
        _pytest([], harness)
    finally:
        progress.finish()
        if collector is not None:
            collector.close()
    folder, code = harness.folder, harness.exit_code
    if harness.manifest is None or folder is None:
        raise _why_nothing_ran(harness)
    if code is None:
        raise RunError(f"the run was not closed; what it has is in {folder.path}")
    shown = _came_to(folder, as_json, collector is not None)
    error = tell(sys.stdout, lambda: click.echo(shown))
    if error is not None:
        said = f"the summary could not be written: {error}; the results are in {folder.path}"
        if as_json:
            raise RunError(said)
        _quiet(f"warning: {said}")
    return code


def _why_nothing_ran(harness: Harness) -> BaseException:
    if harness.exit_code == 130:
        return KeyboardInterrupt()
    if harness.broken or harness.exit_code is None:
        said = "\n".join(harness.broken) or "pytest did not start"
        return RunError(f"{said}\nthe cases cannot be read, so nothing was run; mend that, or install the SDK again")
    said = "; ".join(harness.unmet) or "the selection matches no case"
    return PlanError(f"{said}; nothing was run. `exaworks validate --list` shows what there is")


def _came_to(folder: RunFolder, as_json: bool, collector: bool) -> str:
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
    fixed = ["-c", str(configuration), "--rootdir", str(configuration.parent), "-p", "sdk_tests.plugin"]
    quiet = ["-p", "no:terminalreporter", "-p", "no:cacheprovider", "-p", "no:stepwise", "--capture=no"]
    pytest.main([*fixed, "--noconftest", *quiet, *arguments, str(INTEGRATION)], plugins=list(plugins))


def _collector(prepared: Prepared, say: Any) -> Embedded | None:
    collector = prepared.system.collector
    if not prepared.options.upload or collector.url is not None or not collector.embedded:
        return None
    try:
        started = start(prepared.places)
    except RunError as error:
        say(f"warning: {error.format_message()}; results stay here and can be pushed later")
        return None
    say(f"dashboard of this run: {started.page}")
    return started


def _list(prepared: Prepared, as_json: bool) -> int:
    prepared.options = replace(prepared.options, upload=False)
    collected = _Listing()
    harness = Harness(prepared, say=_quiet)
    _pytest(["--collect-only", "-q"], harness, collected)
    if harness.broken:
        raise _why_nothing_ran(harness)
    rows = listing.rows(collected.cells, prepared)
    if harness.unmet and all(cell.control for cell in collected.cells) and len(rows) == len(collected.cells):
        raise PlanError("; ".join(harness.unmet))
    if not rows:
        raise PlanError("the selection matches no case on this system")
    click.echo(json.dumps(rows, indent=1) if as_json else listing.table(rows))
    return 0


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    tell(sys.stdout, lambda: click.echo(text))


def _quiet(text: str) -> None:
    tell(sys.stderr, lambda: click.echo(text, err=True))
