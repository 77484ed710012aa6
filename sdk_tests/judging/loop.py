"""Launch everything, judge as each lands: pytest's run-test loop, turned inside out."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from dashboard_client.schema import Cause, CauseClass, Phase
from dashboard_client.schema import Outcome as Verdict
from sdk_tests.errors import RunError
from sdk_tests.execution.leftover_jobs import clear
from sdk_tests.execution.marked_processes import kill_marked
from sdk_tests.execution.messages import AttemptFinished, CleanupFailed, Event, LaunchRequest, Message
from sdk_tests.execution.supervisor_link import Link
from sdk_tests.judging.classification import Health, blame_site, classify, interrupted, usable
from sdk_tests.judging.item_state import ANSWERED, CELL, RAISED, REPORTS
from sdk_tests.judging.judge import synthetic_report, verdict
from sdk_tests.judging.scheduler_health import SchedulerHealths
from sdk_tests.judging.signals import Signals
from sdk_tests.model.attempt import AttemptResult, Judgement, Outcome
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.launch_requests import LaunchRequests
from sdk_tests.plan.resume import unfinished_attempts
from sdk_tests.recording.recorder import Recorder
from sdk_tests.recording.run import Run

STOP_LIMIT = 20.0


@dataclass
class _Draft:
    """A judged case whose non-pass waits for the control of its scheduler."""

    item: pytest.Item
    result: AttemptResult
    judgement: Judgement


class Loop:
    """One pass over all items of a run; ``run`` returns when each has its record or the run was stopped."""

    def __init__(self, run: Run, session: pytest.Session, items: dict[str, pytest.Item], signals: Signals) -> None:
        self._run, self.session, self.items, self.signals = run, session, items, signals
        self.preparation, self.folder = run.preparation, run.folder
        self.interrupted = False
        self.stopped_early = False
        self.recorder = Recorder(run)
        self.attempts = unfinished_attempts(run.folder)
        self.open = dict(items)
        self.total = len(run.manifest.planned)
        self.healths = SchedulerHealths(self.preparation.schedulers)
        self.requests = LaunchRequests(self.preparation, self.folder.path, self.folder.private, list(items))
        self.waiting_controls = {
            cell.scheduler for cell in map(_cell, items.values()) if cell.control and cell.judgement is None
        }
        self.held: list[AttemptResult] = []
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
        judgements = [item for item in self.items.values() if _cell(item).judgement is not None]
        self._run.display.planned(self._run.manifest, len(judgements))
        link = Link(self.folder.private / "supervisor.log")
        try:
            link.watch(self.signals.wake)
            link.send(self.requests.setup())
            link.send(*(self._launch_request(item) for item in self.items.values() if _cell(item).judgement is None))
            for item in judgements:
                self._judge(item, None, _cell(item).judgement)
            self._until_done(link)
        except RunError as lost:
            self._run.echo(f"error: {lost.format_message()}")
            self._clear_after_lost_supervisor()
            self._give_up(_lost(lost.format_message()), final=True)
        finally:
            self._report_failed_cleanup(link.close())
        if self.interrupted:
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
                elif isinstance(message, AttemptFinished):
                    self._attempt_finished(message.result, link)
                elif isinstance(message, CleanupFailed):
                    self._report_failed_cleanup([message])
                else:
                    self._give_up(interrupted("the run was stopped before this case ended"), final=False)
                    return
                self._check_stop(link)
            self._check_stop(link)
            if time.monotonic() - ticked >= 1.0:
                ticked = time.monotonic()
                self._run.display.tick()
            if self.stopping is not None and time.monotonic() - self.stopping > STOP_LIMIT:
                self._give_up(interrupted("the run was stopped before this case ended"), final=False)

    def _happened(self, event: Event) -> None:
        if event.what == "submitted":
            self.submitted.setdefault(_cell(self.items[event.case_id]).scheduler, set()).add(event.detail)
        self._run.display.event(event.case_id, event.what, event.detail)

    def _report_failed_cleanup(self, said: list[Message]) -> None:
        for message in said:
            if isinstance(message, CleanupFailed):
                self._run.echo(f"warning: left on {message.scheduler}: {message.detail}")

    def _clear_after_lost_supervisor(self) -> None:
        """Do what it would have done at its end: kill the payloads and cancel the jobs it had submitted."""
        kill_marked(f"{self.folder.path.name}/", str(self.requests.work))
        for scheduler, ready in self.preparation.schedulers.items():
            kind = ready.outermost.kind
            failed = clear(kind, kind.env, sorted(self.submitted.get(scheduler, ())), [str(self.requests.work)])
            if failed is not None:
                self._report_failed_cleanup([CleanupFailed(scheduler=scheduler, detail=failed)])

    def _check_stop(self, link: Link) -> None:
        if self.stopping is not None:
            return
        if self.signals.count:
            self.interrupted = True
            self._run.echo("stopping: cancelling processes and jobs, keeping what has finished (again: leave at once)")
        elif self.session.shouldfail or self.session.shouldstop:
            self.stopped_early = True
        else:
            return
        self.stopping = time.monotonic()
        link.stop()

    # -- landing ------------------------------------------------------------------------------------------------------

    def _attempt_finished(self, result: AttemptResult, link: Link) -> None:
        item = self.open.get(result.case_id)
        if item is None or result.attempt != self.attempts[result.case_id]:
            return
        cell = _cell(item)
        self._run.display.event(result.case_id, "finished", result.ending)
        if usable(result, cell.case.answer):
            self._judge(item, result, None)
        elif not cell.control and cell.scheduler in self.waiting_controls and result.ending != "cancelled":
            self.held.append(result)
            return
        else:
            self._unusable(item, result, link)
        if cell.case_id in self.open:  # it is tried once more
            return
        if cell.control and cell.scheduler in self.waiting_controls:
            self.waiting_controls.discard(cell.scheduler)
            self._control_known(cell.scheduler, link)

    def _unusable(self, item: pytest.Item, result: AttemptResult, link: Link | None) -> None:
        cell = _cell(item)
        health = self.healths.of(cell) if result.ending != "cancelled" else Health()
        judgement = classify(result, health, cell.control)
        if judgement.cause.rule == "interrupted":
            self._record(item, judgement, result, final=False)
            self._report_to_pytest(item, judgement)
            return
        attempt = self.attempts[cell.case_id]
        if (
            judgement.outcome is Verdict.INFRA
            and attempt <= self.preparation.system.limits.infra_retries
            and link is not None
            and not self.stopping
        ):
            self._record(item, judgement, result, final=False)
            self.open[cell.case_id] = item
            self.attempts[cell.case_id] = attempt + 1
            self._run.display.event(cell.case_id, "retry", judgement.cause.evidence)
            link.send(self._launch_request(item))
            return
        self._judge(item, result, judgement)

    def _control_known(self, scheduler: str, link: Link) -> None:
        held, self.held = self.held, []
        for result in held:
            self._attempt_finished(result, link)
        drafts, self.drafts = self.drafts, []
        for draft in drafts:
            if _cell(draft.item).scheduler == scheduler:
                self._settle(draft)
            else:
                self.drafts.append(draft)

    def _judge(self, item: pytest.Item, result: AttemptResult | None, judgement: Judgement | None) -> None:
        """Let pytest run the case's test function on what landed, and record what it came to."""
        cell = _cell(item)
        answer = self._outcome(cell, result) if result is not None and judgement is None else None
        item.stash[ANSWERED] = (judgement, answer)
        reports: dict[str, pytest.TestReport] = {}
        raised: dict[str, type[BaseException]] = {}
        item.stash[REPORTS], item.stash[RAISED] = reports, raised
        # The session as successor keeps session fixtures and still reports an error of this item's own teardown.
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=self.session)
        final = verdict(reports, raised, judgement)
        if result is None:
            self._record(item, final, None, final=True)
            return
        if final is None:
            self._record(item, None, result, final=True)
            return
        draft = _Draft(item, result, final)
        if not cell.control and cell.scheduler in self.waiting_controls:
            self.drafts.append(draft)
        else:
            self._settle(draft)

    def _settle(self, draft: _Draft) -> None:
        cell = _cell(draft.item)
        judgement = draft.judgement
        if cell.control and judgement.outcome in (Verdict.FAIL, Verdict.ERROR):
            cause = judgement.cause
            evidence = f"the control case itself failed: {cause.evidence}"
            judgement = Judgement(
                Verdict.INFRA,
                Cause(phase=cause.phase, cls=CauseClass.SITE, rule="control-failed", evidence=evidence),
            )
        elif judgement.outcome in (Verdict.FAIL, Verdict.ERROR):
            judgement = blame_site(judgement, self.healths.of(cell))
        if cell.control and judgement.outcome is Verdict.INFRA:
            self.healths.control_failed(cell.scheduler, judgement.cause.evidence)
        self._record(draft.item, judgement, draft.result, final=True)

    # -- recording ----------------------------------------------------------------------------------------------------

    def _record(
        self, item: pytest.Item, judgement: Judgement | None, result: AttemptResult | None, *, final: bool
    ) -> None:
        cell = _cell(item)
        record = self.recorder.record(cell, judgement, result, attempt=self.attempts[cell.case_id], final=final)
        self.open.pop(cell.case_id, None)
        done = self.total - len(self.open) - len(self._not_mine())
        self._run.display.recorded(record, done, self.total)

    def _not_mine(self) -> set[str]:
        return {case_id for case_id in self.attempts if case_id not in self.items}

    def _give_up(self, judgement: Judgement, *, final: bool) -> None:
        """Give every case that is still open a record that says why it has no verdict."""
        self.stopping = self.stopping or time.monotonic()
        held, self.held = self.held, []
        for result in held:
            self._unusable(self.open[result.case_id], result, None)
        for draft in self.drafts:
            self._settle(draft)
        self.drafts.clear()
        for item in list(self.open.values()):
            self._record(item, judgement, None, final=final)
            self._report_to_pytest(item, judgement)

    def _report_to_pytest(self, item: pytest.Item, judgement: Judgement) -> None:
        """Report an item that was not run through pytest's protocol, so that its reporters count it too."""
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        item.ihook.pytest_runtest_logreport(report=synthetic_report(item, judgement))
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _launch_request(self, item: pytest.Item) -> LaunchRequest:
        cell = _cell(item)
        return self.requests.request(cell, self.attempts[cell.case_id])

    def _outcome(self, cell: Cell, result: AttemptResult) -> Outcome:
        ready = self.preparation.schedulers[cell.scheduler]
        return Outcome(
            case=cell.case,
            case_id=cell.case_id,
            scheduler=ready.kind.kind,
            answer=result.answers[0] if result.answers else {},
            exit_code=result.exit_code,
            nodes=result.nodes or (ready.kind.granted() if ready.inside else ready.probe.nodes),
            job_ids=result.job_ids,
            tail=result.tail,
            params=dict(cell.case.params),
        )


def _cell(item: pytest.Item) -> Cell:
    return item.stash[CELL]


def _lost(message: str) -> Judgement:
    return Judgement(
        Verdict.ERROR,
        Cause(phase=Phase.RUN, cls=CauseClass.HARNESS, rule="supervisor-gone", evidence=message),
    )
