"""Launch everything, judge as each lands: pytest's run-test loop, turned inside out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from dashboard_client.schema import Cause, CauseClass, Phase
from dashboard_client.schema import Outcome as Verdict
from sdk_tests.classify import Health, blame_site, classify, interrupted, usable
from sdk_tests.errors import RunError
from sdk_tests.health import Healths
from sdk_tests.judge import synthetic_report, verdict
from sdk_tests.landing import Landing, Outcome, Preset
from sdk_tests.leftovers import kill_marked
from sdk_tests.link import Link
from sdk_tests.order import Event, Landed, Left, Message, Order
from sdk_tests.ordering import Orders
from sdk_tests.plan import Cell
from sdk_tests.recording import Recorder
from sdk_tests.resume import owed
from sdk_tests.signals import Signals
from sdk_tests.stash import CELL, LANDED, RAISED, REPORTS
from sdk_tests.strays import clear

if TYPE_CHECKING:
    from sdk_tests.harness import Harness

STOP_LIMIT = 20.0


@dataclass
class _Draft:
    """A judged case whose non-pass waits for the control of its scheduler."""

    item: pytest.Item
    landing: Landing
    preset: Preset


class Loop:
    """One pass over all items of a run; ``run`` returns when each has its record or the run was stopped."""

    def __init__(
        self, harness: Harness, session: pytest.Session, items: dict[str, pytest.Item], signals: Signals
    ) -> None:
        assert harness.folder is not None
        assert harness.manifest is not None
        self.harness, self.session, self.items, self.signals = harness, session, items, signals
        self.prepared = harness.prepared
        self.folder = harness.folder
        self.recorder = Recorder(self.prepared, harness.manifest, harness.folder, harness.private())
        self.attempts = owed(harness.folder)
        self.open = dict(items)
        self.total = len(harness.manifest.planned)
        self.healths = Healths(self.prepared.schedulers)
        self.orders = Orders(self.prepared, self.folder.path, self.folder.private, list(items))
        self.waiting_controls = {
            cell.scheduler for cell in map(_cell, items.values()) if cell.control and cell.preset is None
        }
        self.held: list[Landing] = []
        self.drafts: list[_Draft] = []
        self.submitted: dict[str, set[str]] = {}
        self.stopping: float | None = None

    # -- running ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run everything.

        Raises:
            pytest.Session.Interrupted: a signal stopped the run; what had landed is on disk.
            pytest.Session.Failed: pytest's own -x or --maxfail stopped it.
        """
        presets = [item for item in self.items.values() if _cell(item).preset is not None]
        assert self.harness.manifest is not None
        self.harness.watcher.planned(self.harness.manifest, len(presets))
        link = Link(self.folder.private / "supervisor.log")
        try:
            link.watch(self.signals.wake)
            link.send(self.orders.setup())
            link.send(*(self._order(item) for item in self.items.values() if _cell(item).preset is None))
            for item in presets:
                self._judge(item, None, _cell(item).preset)
            self._until_done(link)
        except RunError as lost:
            self.harness.say(f"error: {lost.format_message()}")
            self._clear_after_lost_supervisor()
            self._give_up(_lost(lost.format_message()), final=True)
        finally:
            self._left(link.close())
        if self.harness.interrupted:
            raise self.session.Interrupted("stopped by a signal; `--resume` goes on with what is owed")
        if self.session.shouldfail:
            raise self.session.Failed(self.session.shouldfail)
        if self.session.shouldstop:
            raise self.session.Interrupted(self.session.shouldstop)

    def _until_done(self, link: Link) -> None:
        ticked = 0.0
        while self.open:
            for message in link.receive(1.0):
                if isinstance(message, Event):
                    self._happened(message)
                elif isinstance(message, Landed):
                    self._landed(message.landing, link)
                elif isinstance(message, Left):
                    self._left([message])
                else:
                    self._give_up(interrupted("the run was stopped before this case ended"), final=False)
                    return
                self._check_stop(link)
            self._check_stop(link)
            if time.monotonic() - ticked >= 1.0:
                ticked = time.monotonic()
                self.harness.watcher.tick()
            if self.stopping is not None and time.monotonic() - self.stopping > STOP_LIMIT:
                self._give_up(interrupted("the run was stopped before this case ended"), final=False)

    def _happened(self, event: Event) -> None:
        if event.what == "submitted":
            self.submitted.setdefault(_cell(self.items[event.case_id]).scheduler, set()).add(event.detail)
        self.harness.watcher.event(event.case_id, event.what, event.detail)

    def _left(self, said: list[Message]) -> None:
        for message in said:
            if isinstance(message, Left):
                self.harness.say(f"warning: left on {message.scheduler}: {message.detail}")

    def _clear_after_lost_supervisor(self) -> None:
        """Do what it would have done at its end: kill the payloads and cancel the jobs it had submitted."""
        kill_marked(f"{self.folder.path.name}/", str(self.orders.work))
        for scheduler, ready in self.prepared.schedulers.items():
            kind = ready.carrier.kind
            failed = clear(kind, kind.env, sorted(self.submitted.get(scheduler, ())), [str(self.orders.work)])
            if failed is not None:
                self._left([Left(scheduler=scheduler, detail=failed)])

    def _check_stop(self, link: Link) -> None:
        if self.stopping is not None:
            return
        if self.signals.count:
            self.harness.interrupted = True
            self.harness.say(
                "stopping: cancelling processes and jobs, keeping what has finished (again: leave at once)"
            )
        elif self.session.shouldfail or self.session.shouldstop:
            self.harness.stopped_early = True
        else:
            return
        self.stopping = time.monotonic()
        link.stop()

    # -- landing ------------------------------------------------------------------------------------------------------

    def _landed(self, landing: Landing, link: Link) -> None:
        item = self.open.get(landing.case_id)
        if item is None or landing.attempt != self.attempts[landing.case_id]:
            return
        cell = _cell(item)
        self.harness.watcher.event(landing.case_id, "landed", landing.ending)
        if usable(landing, cell.case.answer):
            self._judge(item, landing, None)
        elif not cell.control and cell.scheduler in self.waiting_controls and landing.ending != "cancelled":
            self.held.append(landing)
            return
        else:
            self._unusable(item, landing, link)
        if cell.case_id in self.open:  # it is tried once more
            return
        if cell.control and cell.scheduler in self.waiting_controls:
            self.waiting_controls.discard(cell.scheduler)
            self._control_known(cell.scheduler, link)

    def _unusable(self, item: pytest.Item, landing: Landing, link: Link | None) -> None:
        cell = _cell(item)
        health = self.healths.of(cell) if landing.ending != "cancelled" else Health()
        preset = classify(landing, health, cell.control)
        if preset.cause.rule == "interrupted":
            self._record(item, preset, landing, final=False)
            self._tell_pytest(item, preset)
            return
        attempt = self.attempts[cell.case_id]
        if (
            preset.outcome is Verdict.INFRA
            and attempt <= self.prepared.system.limits.infra_retries
            and link is not None
            and not self.stopping
        ):
            self._record(item, preset, landing, final=False)
            self.open[cell.case_id] = item
            self.attempts[cell.case_id] = attempt + 1
            self.harness.watcher.event(cell.case_id, "retry", preset.cause.evidence)
            link.send(self._order(item))
            return
        self._judge(item, landing, preset)

    def _control_known(self, scheduler: str, link: Link) -> None:
        held, self.held = self.held, []
        for landing in held:
            self._landed(landing, link)
        drafts, self.drafts = self.drafts, []
        for draft in drafts:
            if _cell(draft.item).scheduler == scheduler:
                self._settle(draft)
            else:
                self.drafts.append(draft)

    def _judge(self, item: pytest.Item, landing: Landing | None, preset: Preset | None) -> None:
        """Let pytest run the case's test function on what landed, and record what it came to."""
        cell = _cell(item)
        answer = self._outcome(cell, landing) if landing is not None and preset is None else None
        item.stash[LANDED] = (preset, answer)
        reports: dict[str, pytest.TestReport] = {}
        raised: dict[str, type[BaseException]] = {}
        item.stash[REPORTS], item.stash[RAISED] = reports, raised
        # The session as successor keeps session fixtures and still reports an error of this item's own teardown.
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=self.session)
        final = verdict(reports, raised, preset)
        if landing is None:
            self._record(item, final, None, final=True)
            return
        if final is None:
            self._record(item, None, landing, final=True)
            return
        draft = _Draft(item, landing, final)
        if not cell.control and cell.scheduler in self.waiting_controls:
            self.drafts.append(draft)
        else:
            self._settle(draft)

    def _settle(self, draft: _Draft) -> None:
        cell = _cell(draft.item)
        preset = draft.preset
        if cell.control and preset.outcome in (Verdict.FAIL, Verdict.ERROR):
            cause = preset.cause
            evidence = f"the control case itself failed: {cause.evidence}"
            preset = Preset(
                Verdict.INFRA,
                Cause(phase=cause.phase, cls=CauseClass.SITE, rule="control-failed", evidence=evidence),
            )
        elif preset.outcome in (Verdict.FAIL, Verdict.ERROR):
            preset = blame_site(preset, self.healths.of(cell))
        if cell.control and preset.outcome is Verdict.INFRA:
            self.healths.control_failed(cell.scheduler, preset.cause.evidence)
        self._record(draft.item, preset, draft.landing, final=True)

    # -- recording ----------------------------------------------------------------------------------------------------

    def _record(self, item: pytest.Item, preset: Preset | None, landing: Landing | None, *, final: bool) -> None:
        cell = _cell(item)
        record = self.recorder.record(cell, preset, landing, attempt=self.attempts[cell.case_id], final=final)
        self.open.pop(cell.case_id, None)
        done = self.total - len(self.open) - len(self._not_mine())
        self.harness.watcher.recorded(record, done, self.total)

    def _not_mine(self) -> set[str]:
        return {case_id for case_id in self.attempts if case_id not in self.items}

    def _give_up(self, preset: Preset, *, final: bool) -> None:
        """Give every case that is still open a record that says why it has no verdict."""
        self.stopping = self.stopping or time.monotonic()
        held, self.held = self.held, []
        for landing in held:
            self._unusable(self.open[landing.case_id], landing, None)
        for draft in self.drafts:
            self._settle(draft)
        self.drafts.clear()
        for item in list(self.open.values()):
            self._record(item, preset, None, final=final)
            self._tell_pytest(item, preset)

    def _tell_pytest(self, item: pytest.Item, preset: Preset) -> None:
        """Report an item that was not run through pytest's protocol, so that its reporters count it too."""
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        item.ihook.pytest_runtest_logreport(report=synthetic_report(item, preset))
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _order(self, item: pytest.Item) -> Order:
        cell = _cell(item)
        return self.orders.order(cell, self.attempts[cell.case_id])

    def _outcome(self, cell: Cell, landing: Landing) -> Outcome:
        ready = self.prepared.schedulers[cell.scheduler]
        return Outcome(
            case=cell.case,
            case_id=cell.case_id,
            scheduler=ready.kind.kind,
            answer=landing.answers[0] if landing.answers else {},
            exit_code=landing.exit_code,
            nodes=landing.nodes or (ready.kind.granted() if ready.inside else ready.probe.nodes),
            job_ids=landing.job_ids,
            tail=landing.tail,
            params=dict(cell.case.params),
        )


def _cell(item: pytest.Item) -> Cell:
    return item.stash[CELL]


def _lost(message: str) -> Preset:
    return Preset(
        Verdict.ERROR,
        Cause(phase=Phase.RUN, cls=CauseClass.HARNESS, rule="supervisor-gone", evidence=message),
    )
