"""The loop of a run: start every attempt, and judge each one as soon as it has ended. It replaces pytest's own loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from dashboard_client.schema import Cause, CauseClass, Phase
from dashboard_client.schema import Outcome as Verdict
from sdk_tests.diagnosis import completed
from sdk_tests.errors import RunError
from sdk_tests.execution import temporary_folder
from sdk_tests.execution.leftover_jobs import clear
from sdk_tests.execution.marked_processes import kill_marked
from sdk_tests.execution.messages import AttemptFinished, CleanupFailed, Event, GiveUp, LaunchRequest, Message
from sdk_tests.execution.supervisor_link import Link
from sdk_tests.judging.blocked import blocked, components_of, runs_here
from sdk_tests.judging.classification import (
    Health,
    blame_site,
    control_failed,
    interrupted,
    repeatable,
    usable,
)
from sdk_tests.judging.deployment_damage import DeploymentDamage
from sdk_tests.judging.explanation import Explanations
from sdk_tests.judging.item_state import CELL, COMPARISON, EXCEPTIONS, JUDGE_INPUT, REPORTS
from sdk_tests.judging.judge import synthetic_report, verdict
from sdk_tests.judging.scheduler_health import SchedulerHealths
from sdk_tests.judging.signals import Signals
from sdk_tests.judging.timekeeping import Timekeeping
from sdk_tests.model.attempt import AttemptResult, Judgement, Outcome
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.launch_requests import LaunchRequests
from sdk_tests.plan.needs import tried_launchers
from sdk_tests.plan.preflight import PreflightResult
from sdk_tests.plan.resume import unfinished_attempts
from sdk_tests.plan.shared_fixtures import shared_fixtures
from sdk_tests.recording.recorder import Recorder
from sdk_tests.recording.run import Run

STARTING_INTERVAL = 0.1
"""Seconds after which the loop looks again whether the preflight of this machine has ended."""
NO_FIXTURES: Mapping[str, str] = {}
STOP_LIMIT = 20.0
"""Seconds that the supervisor has to stop everything; then the loop ends without it."""


@dataclass
class _PendingJudgement:
    """A judged case that did not pass and that waits for the control case of its scheduler."""

    item: pytest.Item
    result: AttemptResult
    judgement: Judgement


class Loop:
    """One pass over all items of a run; ``run`` returns when each has its record or the run was stopped.

    interrupted: a signal stopped the run. stopped_early: pytest stopped it (``-x``, ``--maxfail``). leftover_jobs: what
    may still be in a queue at the end, with the command that cancels it.
    """

    def __init__(self, run: Run, session: pytest.Session, items: dict[str, pytest.Item], signals: Signals) -> None:
        self._run, self.session, self.items, self.signals = run, session, items, signals
        self.preparation, self.folder = run.preparation, run.folder
        self.interrupted = False
        self.stopped_early = False
        self.leftover_jobs: list[str] = []
        self.recorder = Recorder(run)
        self.attempts = unfinished_attempts(run.folder)
        self.open = dict(items)
        self.total = len(run.manifest.planned)
        self.deselected = len(self.attempts.keys() - items.keys())
        """Unfinished cases of a resumed run that this session does not run."""
        self.healths = SchedulerHealths(self.preparation.schedulers)
        self.damages = {
            target.label: DeploymentDamage(target.deployment, self.preparation.components)
            for target in self.preparation.targets
        }
        self.requests = LaunchRequests(self.preparation, self.folder.path, self.folder.private, list(items))
        self._setup = self.requests.setup()
        self.times = Timekeeping(self.preparation, self._setup)
        self.explanations = Explanations(self.preparation, self.folder, self.requests)
        self.waiting_controls = {
            cell.scheduler for cell in map(_cell, items.values()) if cell.control and cell.judgement is None
        }
        """Schedulers whose control case has no verdict so far."""
        self.held_results: list[AttemptResult] = []
        """Results that cannot be classified before the control case of their scheduler has a verdict."""
        self.pending_judgements: list[_PendingJudgement] = []
        self.repeated: set[str] = set()
        """Cases of which an attempt did not count, because of the conditions on this machine or in its allocation."""
        self.submitted: dict[str, set[str]] = {}
        """The ids of the jobs that the supervisor submitted, by scheduler."""
        self.stopping: float | None = None
        """When the run began to stop, in monotonic seconds."""

    # -- running ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run everything.

        Raises:
            pytest.Session.Interrupted: a signal stopped the run; the records so far are on disk.
            pytest.Session.Failed: pytest's own -x or --maxfail stopped it.
        """
        judged_by_plan = [item for item in self.items.values() if _cell(item).judgement is not None]
        prejudged = {cell.case_id: cell.judgement for cell in map(_cell, judged_by_plan) if cell.judgement is not None}
        self._run.display.planned(self._run.manifest, prejudged)
        if self.requests.session:
            self._clean_up()
        link = Link(self.folder.private / "supervisor.log")
        try:
            link.watch(self.signals.wake)
            link.send(self._setup)
            runnable = [item for item in self.items.values() if _cell(item).judgement is None]
            link.send(*(self._launch_request(item) for item in runnable if _cell(item).control))
            since = time.time()
            if not self._while_components_start(link):
                return
            judged_by_plan += self._block(runnable)
            self.times.waited("start of each component, before its cases", since)
            runnable = [item for item in runnable if _cell(item).judgement is None and not _cell(item).control]
            fixtures = shared_fixtures(map(_cell, runnable), self.preparation)
            link.send_together(self._launch_request(item, fixtures) for item in runnable)
            for item in judged_by_plan:
                self._judge(item, None, _cell(item).judgement)
            self._until_done(link)
        except RunError as error:
            self._run.echo(f"error: {error.format_message()}")
            self._clean_up()
            self.interrupted = self.interrupted or bool(self.signals.count)
            if self.interrupted or self.stopping is not None:  # a batch system signals all processes of a job at once
                self._close_open_cases(interrupted("the run was stopped before this case ended"), final=False)
            else:
                self._close_open_cases(_supervisor_gone(error.format_message()), final=True)
        finally:
            self._report_failed_cleanup(link.close())
            self._keep_scratch_folders()
        if self.interrupted:
            raise self.session.Interrupted("stopped by a signal; use --resume to run the unfinished cases")
        if self.session.shouldfail:
            raise self.session.Failed(self.session.shouldfail)
        if self.session.shouldstop:
            raise self.session.Interrupted(self.session.shouldstop)

    def _block(self, runnable: list[pytest.Item]) -> list[pytest.Item]:
        """Wait for the preflight of this machine, and return the items that it blocks, each with its verdict."""
        results: dict[str, PreflightResult] = {}
        if self.signals.count:  # its wake-up may have been read already
            return []
        for target in self.preparation.targets:
            result = target.preflight.result(self.signals.wake) if target.preflight is not None else None
            if result is None:  # there is none, or a signal stops the run
                return []
            results[target.label] = result
        for note in dict.fromkeys(note for result in results.values() for note in result.notes):
            self._run.echo(f"note: {note}")
        blocked_items = []
        for item in runnable:
            cell = _cell(item)
            scheduler = self.preparation.schedulers[cell.scheduler]
            here = not cell.control and runs_here(cell, scheduler)
            launchers = tried_launchers(cell.case, scheduler, self.preparation.target(cell.label).contents)
            failure = results[cell.label].blocking((*components_of(cell), *launchers)) if here else None
            if failure is not None:
                judgement = self.damages[cell.label].explain(blocked(failure), components_of(cell))
                item.stash[CELL] = replace(cell, judgement=judgement)
                blocked_items.append(item)
        return blocked_items

    def _keep_scratch_folders(self) -> None:
        try:
            self.requests.close()
        except OSError as error:
            self._run.echo(f"warning: the files of the cases stay in {self.requests.work.parent}: {error}")

    def _until_done(self, link: Link) -> None:
        last_tick = 0.0
        while self.open:
            if not self._receive(link, 1.0):
                return
            self._check_stop(link)
            if time.monotonic() - last_tick >= 1.0:
                last_tick = time.monotonic()
                self._run.display.tick()
            if self.stopping is not None and time.monotonic() - self.stopping > STOP_LIMIT:
                self._close_open_cases(interrupted("the run was stopped before this case ended"), final=False)

    def _receive(self, link: Link, timeout: float) -> bool:
        """Handle what the supervisor reports within ``timeout`` seconds; return False if it has stopped."""
        for message in link.receive(timeout):
            if isinstance(message, Event):
                self._on_event(message)
            elif isinstance(message, AttemptFinished):
                self._on_attempt_finished(message.result, link)
            elif isinstance(message, CleanupFailed):
                self._report_failed_cleanup([message])
            else:
                self._close_open_cases(interrupted("the run was stopped before this case ended"), final=False)
                return False
            self._check_stop(link)
        return True

    def _while_components_start(self, link: Link) -> bool:
        """Judge the control cases while the preflight of this machine runs; return False if the run has stopped."""
        preflights = [target.preflight for target in self.preparation.targets if target.preflight is not None]
        while any(each.runs() for each in preflights) and not self.signals.count:
            if not self._receive(link, STARTING_INTERVAL):
                return False
        return True

    def _on_event(self, event: Event) -> None:
        if event.what == "submitted":
            self.submitted.setdefault(_cell(self.items[event.case_id]).scheduler, set()).add(event.detail)
        self._run.display.event(event.case_id, event.what, event.detail)

    def _report_failed_cleanup(self, messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, CleanupFailed):
                by_hand = f"; cancel them by hand: {message.command}" if message.command else ""
                self.leftover_jobs.append(f"{message.scheduler}: {message.detail}{by_hand}")
                self._run.echo(f"warning: jobs may be left on {message.scheduler}: {message.detail}{by_hand}")

    def _clean_up(self) -> None:
        """Do what a supervisor does at its end, for one that was killed in this or in an earlier session of the run.

        Kills the processes of cases, and cancels the jobs of all sessions of this run and those of its payloads.
        """
        killed = kill_marked(f"{self.folder.path.name}/", str(self.requests.work))
        if killed:
            names = ", ".join(sorted(set(killed)))
            self._run.echo(f"ended {len(killed)} processes that cases of this run had left: {names}")
        temporary_folder.remove_all(self.folder.path.name)
        for name, scheduler in self.preparation.schedulers.items():
            kind = scheduler.outermost.kind
            ids, token = sorted(self.submitted.get(name, ())), self.requests.run_token
            left = clear(kind, kind.env, ids, [str(self.requests.work)], token) if kind.batch else None
            if left is not None:
                self._report_failed_cleanup([CleanupFailed(scheduler=name, detail=left[0], command=left[1])])

    def _check_stop(self, link: Link) -> None:
        if self.stopping is not None:
            return
        if self.signals.count:
            self.interrupted = True
            self._run.echo(
                "stopping: processes and jobs are cancelled, finished results are kept (a second signal exits at once)"
            )
        elif self.session.shouldfail or self.session.shouldstop:
            self.stopped_early = True
        else:
            return
        self.stopping = time.monotonic()
        link.stop()

    # -- judging ------------------------------------------------------------------------------------------------------

    def _on_attempt_finished(self, result: AttemptResult, link: Link) -> None:
        self.times.finished(result)
        item = self.open.get(result.case_id)
        if item is None or result.attempt != self.attempts[result.case_id]:
            return
        cell = _cell(item)
        self._run.display.event(result.case_id, "finished", result.ending)
        if usable(result, cell.case.answer):
            self._judge(item, result, None, link)
        elif not cell.control and cell.scheduler in self.waiting_controls and result.ending != "cancelled":
            self.held_results.append(result)
            return
        else:
            self._classify(item, result, link)
        if cell.case_id in self.open:  # another attempt was requested
            return
        if cell.control and cell.scheduler in self.waiting_controls:
            self.waiting_controls.discard(cell.scheduler)
            self._on_control_judged(cell.scheduler, link)

    def _classify(self, item: pytest.Item, result: AttemptResult, link: Link | None) -> None:
        """Record an attempt that no test function can judge; request another attempt where the site allows that.

        link: None where nothing can be started any more.
        """
        cell = _cell(item)
        health = self.healths.of(cell) if result.ending != "cancelled" else Health()
        judgement = self.explanations.of_ending(cell, result, health)
        if judgement.cause.rule == "interrupted":
            self._record(item, judgement, result, final=False)
            self._report_to_pytest(item, judgement)
            return
        if self._must_repeat(cell, result, link):
            self._attempt_again(item, result, judgement, link, repeatable(result))
            return
        if judgement.outcome is Verdict.INFRA and link is not None and not self.stopping:
            attempt = self.attempts[cell.case_id] - len(self.repeated & {cell.case_id})
            if attempt <= self.preparation.system.limits.infra_retries:
                self._attempt_again(item, result, judgement, link, judgement.cause.evidence)
                return
        self._judge(item, result, judgement, link)

    def _must_repeat(self, cell: Cell, result: AttemptResult, link: Link | None) -> bool:
        """Return whether a non-pass came about under conditions that a case alone on a healthy machine has not."""
        return bool(link and not self.stopping and repeatable(result) and cell.case_id not in self.repeated)

    def _attempt_again(
        self, item: pytest.Item, result: AttemptResult, judgement: Judgement, link: Link | None, reason: str
    ) -> None:
        """Record an attempt that does not count, and request the next one: alone, if the conditions were at fault."""
        assert link is not None
        cell, alone = _cell(item), bool(repeatable(result))
        self._record(item, judgement, result, final=False)
        self.open[cell.case_id] = item
        self.attempts[cell.case_id] += 1
        if alone:
            self.repeated.add(cell.case_id)
        self._run.display.event(cell.case_id, "retry", reason)
        link.send(self._requested(self.requests.request(cell, self.attempts[cell.case_id], alone=alone)))

    def _on_control_judged(self, scheduler: str, link: Link) -> None:
        """Judge what waited for the control case of a scheduler; if it failed, wait no longer for the other cases."""
        failure = self.healths.failed_control(scheduler)
        if failure is not None:
            link.send(GiveUp(scheduler, failure))
        results, self.held_results = self.held_results, []
        for result in results:
            self._on_attempt_finished(result, link)
        pending, self.pending_judgements = self.pending_judgements, []
        for each in pending:
            if _cell(each.item).scheduler == scheduler:
                self._finalize(each)
            else:
                self.pending_judgements.append(each)

    def _judge(
        self,
        item: pytest.Item,
        result: AttemptResult | None,
        judgement: Judgement | None,
        link: Link | None = None,
    ) -> None:
        """Let pytest run the case's test function on an attempt, and record the verdict.

        judgement: the verdict, if it is known already; the test function then has nothing to assert on. link: None
        where nothing can be started any more.
        """
        cell = _cell(item)
        outcome = self._outcome(cell, result) if result is not None and judgement is None else None
        item.stash[JUDGE_INPUT] = (judgement, outcome)
        reports: dict[str, pytest.TestReport] = {}
        exceptions: dict[str, type[BaseException]] = {}
        item.stash[REPORTS], item.stash[EXCEPTIONS] = reports, exceptions
        if COMPARISON in item.stash:  # of an earlier attempt
            del item.stash[COMPARISON]
        # The session as next item keeps session fixtures and still reports an error of this item's own teardown.
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=self.session)
        final = verdict(reports, exceptions, judgement)
        if result is None or final is None:
            self._record(item, final, result, final=True)
            return
        if judgement is None:
            final = self.explanations.of_judgement(cell, final, result, item.stash.get(COMPARISON, None))
        if judgement is None and self._must_repeat(cell, result, link):
            self._attempt_again(item, result, final, link, repeatable(result))
            return
        pending = _PendingJudgement(item, result, final)
        if not cell.control and cell.scheduler in self.waiting_controls:
            self.pending_judgements.append(pending)
        else:
            self._finalize(pending)

    def _finalize(self, pending: _PendingJudgement) -> None:
        """Record a judgement other than a pass, after a check whether the site is at fault."""
        cell, judgement = _cell(pending.item), pending.judgement
        if cell.control and judgement.outcome in (Verdict.FAIL, Verdict.ERROR, Verdict.INFRA):
            judgement = control_failed(judgement)
        elif judgement.outcome in (Verdict.FAIL, Verdict.ERROR):
            judgement = blame_site(judgement, self.healths.of(cell))
            judgement = self.damages[cell.label].explain(judgement, components_of(cell))
        if cell.control and judgement.outcome is Verdict.INFRA:
            self.healths.control_failed(cell.scheduler, completed(judgement))
        self._record(pending.item, judgement, pending.result, final=True)

    # -- recording ----------------------------------------------------------------------------------------------------

    def _record(
        self, item: pytest.Item, judgement: Judgement | None, result: AttemptResult | None, *, final: bool
    ) -> None:
        cell = _cell(item)
        record = self.recorder.record(cell, judgement, result, attempt=self.attempts[cell.case_id], final=final)
        self.open.pop(cell.case_id, None)
        done = self.total - len(self.open) - self.deselected
        self._run.display.recorded(record, done, self.total)

    def _close_open_cases(self, judgement: Judgement, *, final: bool) -> None:
        """Write a record for every case that is still open; ``judgement`` states why such a case has no verdict."""
        self.stopping = self.stopping or time.monotonic()
        results, self.held_results = self.held_results, []
        for result in results:
            self._classify(self.open[result.case_id], result, None)
        for pending in self.pending_judgements:
            self._finalize(pending)
        self.pending_judgements.clear()
        for item in list(self.open.values()):
            self._record(item, judgement, None, final=final)
            self._report_to_pytest(item, judgement)

    def _report_to_pytest(self, item: pytest.Item, judgement: Judgement) -> None:
        """Report an item that pytest's run-test protocol never ran, so that pytest's reporters count it too."""
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        item.ihook.pytest_runtest_logreport(report=synthetic_report(item, judgement))
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _launch_request(self, item: pytest.Item, fixtures: Mapping[str, str] = NO_FIXTURES) -> LaunchRequest:
        cell = _cell(item)
        fixture = fixtures.get(cell.case_id)
        return self._requested(self.requests.request(cell, self.attempts[cell.case_id], fixture=fixture))

    def _requested(self, request: LaunchRequest) -> LaunchRequest:
        self.times.requested(request)
        return request

    def _outcome(self, cell: Cell, result: AttemptResult) -> Outcome:
        scheduler = self.preparation.schedulers[cell.scheduler]
        return Outcome(
            case=cell.case,
            case_id=cell.case_id,
            scheduler=scheduler.kind.kind,
            answer=result.answers[0] if result.answers else {},
            exit_code=result.exit_code,
            nodes=result.nodes or (scheduler.allocation_nodes if scheduler.inside else scheduler.probe.nodes),
            job_ids=result.job_ids,
            tail=result.tail,
            params=dict(cell.case.params),
        )


def _cell(item: pytest.Item) -> Cell:
    return item.stash[CELL]


def _supervisor_gone(message: str) -> Judgement:
    return Judgement(
        Verdict.ERROR,
        Cause(phase=Phase.RUN, cls=CauseClass.HARNESS, rule="supervisor-gone", evidence=message),
    )
