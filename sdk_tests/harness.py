"""The harness as a pytest plugin: plans the cells, opens the run, hands items to the loop, and closes the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from datetime import datetime, timezone
from typing import Any

import pytest

from dashboard_client.provenance import harness as provenance
from dashboard_client.redact import redact_manifest
from dashboard_client.runs import RunFolder, new_run_id
from dashboard_client.schema import Deployment, Manifest, Waiver
from exaworks_sdk import __version__
from sdk_tests.clock import utc
from sdk_tests.errors import RunError
from sdk_tests.metrics import compare, measured
from sdk_tests.plan import Cell, cells, pruned, selected, unmet
from sdk_tests.prepare import Prepared
from sdk_tests.resume import owed
from sdk_tests.stash import CELL, LANDED, RAISED, REPORTS


class Watcher:
    """What a front end may listen to; the default listens to nothing."""

    def planned(self, manifest: Manifest, presets: int) -> None:
        """The run is open."""

    def event(self, case_id: str, what: str, detail: str = "") -> None:
        """Something happened to a case."""

    def recorded(self, record: Any, done: int, total: int) -> None:
        """A record is on disk."""

    def tick(self) -> None:
        """About once a second."""

    def finish(self) -> None:
        """Nothing more will run."""


class Harness:
    """One run within one pytest session. ``exit_code`` is None until the run is closed."""

    def __init__(self, prepared: Prepared, *, say: Callable[[str], None], watcher: Watcher | None = None) -> None:
        self.prepared = prepared
        self.say = say
        self.watcher = watcher or Watcher()
        self.folder: RunFolder | None = None
        self.manifest: Manifest | None = None
        self.exit_code: int | None = None
        self.interrupted = False
        self.stopped_early = False
        self.broken: list[str] = []  # what could not be collected: then nothing runs
        self.unmet: list[str] = []  # what was asked for and takes no case in: then nothing runs
        self.case_ids: list[str] = []  # of all cases on the system, where all its schedulers were looked at
        self.collector: tuple[str, str] | None = None

    # -- collection ---------------------------------------------------------------------------------------------------

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        declared = getattr(metafunc.function, "exaworks_cases", None)
        if declared is not None:
            spread = cells(declared, self.prepared)
            metafunc.fixturenames.append("_cell")
            metafunc.parametrize("_cell", spread, ids=[cell.case_id for cell in spread])

    @pytest.fixture
    def _cell(self) -> None:
        """Only carries the parameter."""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(f"{report.nodeid}: {report.longreprtext.strip()}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept: list[pytest.Item] = []
        dropped: list[pytest.Item] = []
        options = self.prepared.options
        spread = [cell for cell in map(_cell_of, items) if cell]
        wanted = {cell.case_id for cell in pruned([cell for cell in spread if selected(cell, options.selection)])}
        resumed = self._owed()
        self.case_ids = [] if options.selection.schedulers else [cell.case_id for cell in spread]
        self.unmet = unmet(spread, options.selection) if resumed is None else []
        for item in items:
            cell = _cell_of(item)
            if cell is None:
                (dropped if hasattr(getattr(item, "function", None), "exaworks_cases") else kept).append(item)
            elif cell.case_id in (wanted if resumed is None else resumed):
                item.stash[CELL] = cell
                reason = cell.waiver or cell.case.xfail or self._broken(cell)
                if reason:
                    item.add_marker(pytest.mark.xfail(reason=reason, strict=False))
                kept.append(item)
            else:
                dropped.append(item)
        if dropped:
            config.hook.pytest_deselected(items=dropped)
            items[:] = kept

    def _broken(self, cell: Cell) -> str | None:
        """Why the case is known to fail on that scheduler, or on any of its kind."""
        ready = self.prepared.schedulers.get(cell.scheduler)
        names = (cell.scheduler, ready.kind.kind if ready else cell.scheduler)
        return next((cell.case.broken_on[name] for name in names if name in cell.case.broken_on), None)

    def _owed(self) -> dict[str, int] | None:
        if self.prepared.options.resume is None:
            return None
        self.folder = RunFolder.open(self.prepared.options.resume, self.prepared.places.runs)
        return owed(self.folder)

    # -- the run ------------------------------------------------------------------------------------------------------

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Stopped before the run had its own handlers; pytest's own reasons to stop are of another type."""
        self.interrupted = self.interrupted or excinfo.type is KeyboardInterrupt

    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.config.option.collectonly:
            return None
        if self.broken and not session.config.option.continue_on_collection_errors:
            raise session.Interrupted(f"{len(self.broken)} errors during collection: nothing was run")
        if self.unmet:
            raise session.Interrupted("; ".join(self.unmet))
        items = {item.stash[CELL].case_id: item for item in session.items if CELL in item.stash}
        for item in session.items:
            if CELL not in item.stash:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=session)
        if not items and self.folder is None:
            return True
        from sdk_tests.loop import Loop
        from sdk_tests.signals import Signals

        with Signals() as signals:  # from before the plan is on disk: what is planned then gets its record
            self._open([item.stash[CELL] for item in items.values()])
            assert self.folder is not None
            signals.console = self.folder.private / "console.log"
            with self.folder.lock():
                Loop(self, session, items, signals).run()
        return True

    def _open(self, planned: list[Cell]) -> None:
        prepared = self.prepared
        if self.folder is not None:
            self.manifest = self.folder.manifest
            known = {deployment.digest for deployment in self.manifest.deployments}
            if prepared.found.digest not in known:
                raise RunError(
                    f"run {self.manifest.run_id} tested another state of its deployment; start a new run instead"
                )
            return
        from site_configs.load import digest

        system = prepared.system
        begun = time.time()
        started = utc(begun)
        assert started is not None
        manifest = Manifest(
            run_id=new_run_id(system.name, datetime.fromtimestamp(begun, timezone.utc)),
            site=system.site,
            system=system.name,
            started=started,
            trigger=prepared.options.trigger,
            harness=provenance(prepared.places.checkout, __version__, digest(system)),
            release=prepared.release.name if prepared.release else None,
            selection=prepared.options.selection,
            planned=[cell.planned() for cell in planned],
            deployments=[
                Deployment(name=prepared.deployment.name, kind=prepared.deployment.kind, digest=prepared.found.digest)
            ],
            redaction=system.redaction,
            cadence=system.cadence,
            stale_after=system.stale_after,
            waivers=[Waiver(cases=w.cases, reason=w.reason, expires=w.expires, owner=w.owner) for w in system.waivers],
            owner=system.owner,
        )
        self.manifest = redact_manifest(manifest, system.redaction, **self.private())
        self.folder = RunFolder.create(prepared.places.runs, self.manifest)

    def private(self) -> dict[str, Any]:
        """What redaction masks: values of secret variables, the home folder, the user's name."""
        import getpass
        import os

        try:
            user = getpass.getuser()
        except (OSError, KeyError):  # no entry for this uid, as in some containers
            user = str(os.getuid())
        system = self.prepared.system
        named = [system.collector.token_env, *(spec.account_env for spec in system.schedulers)]
        secrets = [v for k, v in os.environ.items() if _secret(k) and len(v) >= 8]
        secrets += [os.environ[name] for name in named if name and os.environ.get(name)]
        return {"secrets": secrets, "home": os.path.expanduser("~"), "user": user}  # noqa: PTH111

    # -- judging ------------------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Where the case's own test function was content, hold its figures against the site's references."""
        result = yield
        _, answered = pyfuncitem.stash.get(LANDED, (None, None))
        if answered is not None:
            compare(answered.case_id, measured(answered.answer), self.prepared.system.references)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if CELL in item.stash:
            item.stash.setdefault(REPORTS, {})[report.when or ""] = report
            if call.excinfo is not None:
                item.stash.setdefault(RAISED, {})[report.when or ""] = call.excinfo.type
        return report

    # -- the end ------------------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.config.option.collectonly:
            return
        if self.folder is None or self.manifest is None:
            self.exit_code = 130 if self.interrupted else 1 if session.testsfailed else 2
        else:
            from sdk_tests.finish import finish

            self.watcher.finish()
            finish(self)
        assert self.exit_code is not None
        if session.exitstatus != pytest.ExitCode.INTERNAL_ERROR:
            session.exitstatus = self.exit_code
        else:
            self.exit_code = session.exitstatus = 1


def _secret(variable: str) -> bool:
    return any(word in variable.upper() for word in ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "PRIVATE_KEY"))


def _cell_of(item: pytest.Item) -> Cell | None:
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get("_cell") if callspec is not None else None
    return found if isinstance(found, Cell) else None
