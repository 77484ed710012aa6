"""The harness as a pytest plugin: it plans the cells, opens the run, passes the items to the loop, closes the run."""

from __future__ import annotations

import errno
from collections.abc import Generator
from functools import cached_property

import click
import pytest

from dashboard_client.runs import RunFolder
from sdk_tests.errors import RunError
from sdk_tests.judging.comparison import Compared, comparison
from sdk_tests.judging.item_state import CELL, COMPARISON, EXCEPTIONS, JUDGE_INPUT, REPORTS
from sdk_tests.judging.loop import Loop
from sdk_tests.judging.signals import Signals
from sdk_tests.judging.timekeeping import Timekeeping
from sdk_tests.model.metrics import answer_metrics, compare
from sdk_tests.plan.cells import Cell, cells, selected, unmatched, without_idle_controls
from sdk_tests.plan.preparation import Echo, Preparation
from sdk_tests.plan.resume import unfinished_attempts
from sdk_tests.plan.target import shared
from sdk_tests.recording.finish import finish
from sdk_tests.recording.run import Run, RunDisplay, open_run, reopen_run

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE)
"""Errors of a file system that can hit any file of a run."""


class Harness:
    """One run within one pytest session.

    run: None until the run is open. exit_code: None until it is closed. collection_errors: modules that could not be
    collected. unmatched: parts of the selection that match no case. If there is any of the two, nothing runs. case_ids:
    all cases of the system; empty where only some of its schedulers were planned.
    """

    def __init__(
        self,
        preparation: Preparation,
        *,
        echo: Echo,
        display: RunDisplay | None = None,
        collector: tuple[str, str] | None = None,
    ) -> None:
        self.preparation = preparation
        self.echo = echo
        self.display = display or RunDisplay()
        self.collector = collector
        self.run: Run | None = None
        self.exit_code: int | None = None
        self.internal_error: BaseException | None = None
        self.collection_errors: list[str] = []
        self.unmatched: list[str] = []
        self.case_ids: list[str] = []
        self._compared: Compared | None = None
        self._interrupted = False
        self._stopped_early = False
        self._leftover_jobs: list[str] = []
        self._times: Timekeeping | None = None

    @cached_property
    def resumed_run(self) -> RunFolder | None:
        """The earlier run that this one continues."""
        name = self.preparation.options.resume
        return None if name is None else RunFolder.open(name, self.preparation.places.runs)

    # -- collection ---------------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """Start the preflight of this machine, beside the collection."""
        if not session.config.option.collectonly:
            self.preparation.start_preflight()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        declared = getattr(metafunc.function, "exaworks_cases", None)
        if declared is not None:
            declared_cells = cells(declared, self.preparation)
            metafunc.fixturenames.append("_cell")
            metafunc.parametrize("_cell", declared_cells, ids=[cell.case_id for cell in declared_cells])

    @pytest.fixture
    def _cell(self) -> None:
        """Hold the parameter; its value is not used."""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.collection_errors.append(f"{report.nodeid}: {report.longreprtext.strip()}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept: list[pytest.Item] = []
        dropped: list[pytest.Item] = []
        options = self.preparation.options
        all_cells = [cell for cell in map(_cell_of, items) if cell]
        self.case_ids = [] if options.selection.schedulers else [cell.case_id for cell in all_cells]
        if self.resumed_run is None:
            self.unmatched = unmatched(all_cells, options.selection)
            every = [cell for cell in all_cells if selected(cell, options.selection)]
            chosen = without_idle_controls(every, options.selection)
            wanted = {cell.case_id for cell in chosen}
        else:
            wanted = set(unfinished_attempts(self.resumed_run))
        for item in items:
            cell = _cell_of(item)
            if cell is None:
                (dropped if hasattr(getattr(item, "function", None), "exaworks_cases") else kept).append(item)
            elif cell.case_id in wanted:
                item.stash[CELL] = cell
                reason = cell.waiver or cell.case.xfail or self._broken_on(cell)
                if reason:
                    item.add_marker(pytest.mark.xfail(reason=reason, strict=False))
                kept.append(item)
            else:
                dropped.append(item)
        if dropped:
            config.hook.pytest_deselected(items=dropped)
            items[:] = kept

    def _broken_on(self, cell: Cell) -> str | None:
        """Return why the case is known to fail on its scheduler, or on every scheduler of that kind."""
        scheduler = self.preparation.schedulers.get(cell.scheduler)
        names = (shared(cell.scheduler), scheduler.kind.kind if scheduler else shared(cell.scheduler))
        return next((cell.case.broken_on[name] for name in names if name in cell.case.broken_on), None)

    # -- the run ------------------------------------------------------------------------------------------------------

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note a Ctrl-C before the run has its own handlers; pytest's own reasons to stop have other types."""
        self._interrupted = self._interrupted or excinfo.type is KeyboardInterrupt

    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.config.option.collectonly:
            return None
        if self.collection_errors and not session.config.option.continue_on_collection_errors:
            raise session.Interrupted(f"{len(self.collection_errors)} errors during collection: nothing was run")
        if self.unmatched:
            raise session.Interrupted("; ".join(self.unmatched))
        items = {item.stash[CELL].case_id: item for item in session.items if CELL in item.stash}
        for item in session.items:
            if CELL not in item.stash:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=session)
        if not items and self.resumed_run is None:
            return True
        with Signals() as signals:  # before the plan is written, so that every planned case gets its record
            self.run = self._open([item.stash[CELL] for item in items.values()])
            signals.console = self.run.folder.private / "console.log"
            with self.run.folder.lock():
                loop = Loop(self.run, session, items, signals)
                self._times = loop.times
                try:
                    loop.run()
                finally:
                    self._interrupted = self._interrupted or loop.interrupted
                    self._stopped_early = loop.stopped_early
                    self._leftover_jobs = loop.leftover_jobs
        return True

    def _open(self, planned: list[Cell]) -> Run:
        if self.resumed_run is not None:
            return reopen_run(self.preparation, self.resumed_run, self.display, self.echo)
        return open_run(self.preparation, planned, self.display, self.echo)

    # -- judging ------------------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """After a test function that raised nothing, compare the figures of the case with the site's references."""
        self._compared = None
        result = yield
        _, outcome = pyfuncitem.stash.get(JUDGE_INPUT, (None, None))
        if outcome is not None:
            compare(outcome.case_id, answer_metrics(outcome.answer), self.preparation.system.references)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> None:
        """Keep what an assertion compared: its message shortens the values."""
        self._compared = Compared(op, left, right)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if CELL in item.stash:
            item.stash.setdefault(REPORTS, {})[report.when or ""] = report
            if call.excinfo is not None:
                item.stash.setdefault(EXCEPTIONS, {})[report.when or ""] = call.excinfo.type
                if report.when == "call":
                    item.stash[COMPARISON] = comparison(call.excinfo, self._compared)
        return report

    # -- the end ------------------------------------------------------------------------------------------------------

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> bool | None:
        """Keep what ended the session. pytest prints a traceback only of what is a defect."""
        self.internal_error = error = excinfo.value
        if isinstance(error, OSError) and error.errno in FULL:
            self.internal_error = RunError(f"{error.filename or self.preparation.places.runs}: {error.strerror}")
        return isinstance(self.internal_error, click.ClickException) or None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.config.option.collectonly:
            return
        if self.run is None:
            self.exit_code = 130 if self._interrupted else 1 if session.testsfailed else 2
        else:
            self.display.finish()
            self.exit_code = finish(
                self.run,
                interrupted=self._interrupted,
                stopped_early=self._stopped_early,
                case_ids=self.case_ids,
                leftover_jobs=self._leftover_jobs,
                timeline=self._times.timeline() if self._times is not None else None,
                collector=self.collector,
            )
        if session.exitstatus != pytest.ExitCode.INTERNAL_ERROR:
            session.exitstatus = self.exit_code
        else:
            self.exit_code = session.exitstatus = 1


def _cell_of(item: pytest.Item) -> Cell | None:
    callspec = getattr(item, "callspec", None)
    parameter = callspec.params.get("_cell") if callspec is not None else None
    return parameter if isinstance(parameter, Cell) else None
