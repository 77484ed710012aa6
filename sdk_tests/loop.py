"""Launch everything, judge as each lands: pytest's run-test loop, turned inside out."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dashboard_client.schema import Cause, CauseClass, Phase
from dashboard_client.schema import Outcome as Verdict
from sdk_tests.case import Case
from sdk_tests.classify import Health, blame_site, classify, interrupted, usable
from sdk_tests.errors import RunError
from sdk_tests.harness import CELL, LANDED, RAISED, REPORTS
from sdk_tests.judge import synthetic_report, verdict
from sdk_tests.landing import Landing, Outcome, Preset
from sdk_tests.link import Link
from sdk_tests.order import Event, Gone, Landed, Order, SchedulerSetup, Setup
from sdk_tests.plan import Cell
from sdk_tests.probe import PAYLOADS
from sdk_tests.procs import kill_marked
from sdk_tests.recording import Recorder
from sdk_tests.resume import owed
from site_configs.schema import seconds

if TYPE_CHECKING:
    from sdk_tests.harness import Harness

COMMAND_LIMIT = 5.0
STOP_LIMIT = 20.0


@dataclass
class _Draft:
    """A judged case whose non-pass waits for the control of its scheduler."""

    item: pytest.Item
    landing: Landing
    preset: Preset


class Loop:
    """One pass over all items of a run; ``run`` returns when each has its record or the run was stopped."""

    def __init__(self, harness: Harness, session: pytest.Session, items: dict[str, pytest.Item]) -> None:
        assert harness.folder is not None
        assert harness.manifest is not None
        self.harness, self.session, self.items = harness, session, items
        self.prepared = harness.prepared
        self.folder = harness.folder
        self.recorder = Recorder(self.prepared, harness.manifest, harness.folder, harness.private())
        self.attempts = owed(harness.folder)
        self.open = dict(items)
        self.total = len(harness.manifest.planned)
        self.controls: dict[str, str | None] = {}
        self.waiting_controls = {
            cell.scheduler for cell in map(_cell, items.values()) if cell.control and cell.preset is None
        }
        self.held: list[Landing] = []
        self.drafts: list[_Draft] = []
        self.pings: dict[str, tuple[float, str | None]] = {}
        self.submitted: dict[str, set[str]] = {}
        self.signals = 0
        self.stopping: float | None = None
        self.work = self._work_folder()

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
        restore = self._handle_signals()
        link = Link(self.folder.private / "supervisor.log")
        try:
            link.watch(self._wake)
            link.send(self._setup())
            link.send(*(self._order(item) for item in self.items.values() if _cell(item).preset is None))
            for item in presets:
                self._judge(item, None, _cell(item).preset)
            self._until_done(link)
        except RunError as lost:
            self.harness.say(f"error: {lost.format_message()}")
            self._clear_after_lost_supervisor()
            self._give_up(_lost(lost.format_message()), final=True)
        finally:
            link.close()
            restore()
        if self.harness.interrupted:
            raise self.session.Interrupted("stopped by a signal; `--resume` goes on with what is owed")
        if self.session.shouldfail:
            raise self.session.Failed(self.session.shouldfail)

    def _until_done(self, link: Link) -> None:
        ticked = 0.0
        while self.open:
            for message in link.receive(1.0):
                if isinstance(message, Event):
                    self._happened(message)
                elif isinstance(message, Landed):
                    self._landed(message.landing, link)
                elif isinstance(message, Gone):
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

    def _clear_after_lost_supervisor(self) -> None:
        """Do what it would have done at its end: kill the payloads and cancel the jobs it had submitted."""
        kill_marked(f"{self.folder.path.name}/", str(self.work))
        for scheduler, ids in self.submitted.items():
            kind = self.prepared.schedulers[scheduler].kind
            _command(kind.cancel_argv(sorted(ids)), kind.env)

    def _check_stop(self, link: Link) -> None:
        if self.stopping is not None:
            return
        if self.signals:
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

    def _handle_signals(self) -> Callable[[], None]:
        """Make signals set a flag only, so that no record is torn; a second leaves at once; a hang-up is ignored."""

        def noticed(number: int, _: Any) -> None:
            self.signals += 1
            if self.signals > 1:
                os._exit(130)  # the supervisor sees its pipe end and kills and cancels everything

        def hung_up(*_: Any) -> None:
            log = os.open(self.folder.private / "console.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for fd in (1, 2):
                if os.isatty(fd):
                    os.dup2(log, fd)
            os.close(log)

        self._wake, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {number: signal.signal(number, noticed) for number in (signal.SIGINT, signal.SIGTERM)}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hung_up)
        wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)

        def restore() -> None:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(write)
            os.close(self._wake)

        return restore

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
        if cell.control and cell.scheduler in self.waiting_controls:
            self.waiting_controls.discard(cell.scheduler)
            self._control_known(cell.scheduler, link)

    def _unusable(self, item: pytest.Item, landing: Landing, link: Link) -> None:
        cell = _cell(item)
        health = self._health(cell) if landing.ending != "cancelled" else Health()
        preset = classify(landing, health, cell.control)
        if preset.cause.rule == "interrupted":
            self._record(item, preset, landing, final=False)
            self._tell_pytest(item, preset)
            return
        attempt = self.attempts[cell.case_id]
        if (
            preset.outcome is Verdict.INFRA
            and attempt <= self.prepared.system.limits.infra_retries
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
            self._passed(cell)
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
            preset = blame_site(preset, self._health(cell))
        if cell.control and preset.outcome is Verdict.INFRA:
            self.controls[cell.scheduler] = preset.cause.evidence
        self._record(draft.item, preset, draft.landing, final=True)

    def _passed(self, cell: Cell) -> None:
        if cell.control:
            self.controls[cell.scheduler] = None

    def _health(self, cell: Cell) -> Health:
        """Ask once every few seconds whether the scheduler still answers; its control's verdict is known already."""
        ready = self.prepared.schedulers[cell.scheduler]
        control = None if cell.control else self.controls.get(cell.scheduler)
        if not ready.kind.batch:
            return Health(control=control)
        asked, dead = self.pings.get(cell.scheduler, (-1e9, None))
        if time.monotonic() - asked > 2.0:
            dead = _command(ready.kind.ping_argv(), ready.kind.env)
            self.pings[cell.scheduler] = (time.monotonic(), dead)
        return Health(control=control, dead=dead)

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

    # -- orders -------------------------------------------------------------------------------------------------------

    def _work_folder(self) -> Path:
        work = self.prepared.system.work_dir
        if work is None:
            folder = self.folder.private / "work"
        else:
            folder = Path(os.path.expandvars(work)).expanduser() / "exaworks" / self.folder.path.name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def _setup(self) -> Setup:
        prepared = self.prepared
        deployment = prepared.deployment
        cores = len(os.sched_getaffinity(0))
        node = prepared.system.node
        jobs = self.folder.private / "jobs" if prepared.system.work_dir is None else self.work / "jobs"
        jobs = jobs / secrets.token_hex(2)
        jobs.mkdir(parents=True, exist_ok=True)
        return Setup(
            folder=str(jobs),
            envs={
                "deployment": dict(deployment.environ),
                "harness": prepared.environ,
                "inside": {**prepared.outer, **deployment.delta},
            },
            deltas={"deployment": dict(deployment.delta), "harness": {}},
            schedulers={
                name: SchedulerSetup(
                    spec=ready.kind.spec, env=ready.kind.env, payload_cores=node.usable_cores or node.cores or 2
                )
                for name, ready in prepared.schedulers.items()
            },
            local_cores=prepared.system.local.bound(cores),
            login_slots=max(4, 2 * prepared.system.local.bound(cores)),
            python=sys.executable,
            mark=self.folder.path.name,
        )

    def _order(self, item: pytest.Item) -> Order:
        cell = _cell(item)
        case, prepared = cell.case, self.prepared
        ready = prepared.schedulers[cell.scheduler]
        attempt = self.attempts[cell.case_id]
        number = list(self.items).index(cell.case_id)
        slug = "".join(c if c.isalnum() or c in ".-" else "-" for c in cell.case_id)
        scratch = self.work / f"{number:03d}-{slug[:40]}-{attempt}"
        scratch.mkdir(exist_ok=True)
        waits = ready.kind.batch and not ready.inside
        wait = float(seconds(prepared.system.limits.queue_wait)) if waits else 0.0
        limit = case.total if case.total is not None else case.walltime + wait
        view = {**ready.kind.view(case.nodes), "loopback": ready.testbed is not None or not ready.kind.batch}
        request = {
            "params": dict(case.params),
            "scratch": str(scratch),
            "nodes": case.nodes,
            "cores": case.cores,
            "where": case.where,
            "walltime": case.walltime,
            "limit": limit,
            "bin": prepared.deployment.bin,
            "scheduler": view,
        }
        payload = _payload(case)
        argv = [str(payload), json.dumps(request)]
        if payload.suffix == ".py":  # anything else is a program in its own right
            argv.insert(0, sys.executable if cell.control else prepared.deployment.python)
        if not cell.control:
            argv = prepared.deployment.wrap(argv)
        return Order(
            case_id=cell.case_id,
            attempt=attempt,
            argv=argv,
            env="inside" if ready.inside else "harness" if cell.control else "deployment",
            scratch=str(scratch),
            scheduler=cell.scheduler,
            where="login" if ready.inside else case.where,
            nodes=case.nodes,
            cores=case.cores,
            jobs=case.jobs,
            walltime=case.walltime,
            limit=limit,
            queue_wait=wait,
            answer=case.answer,
            queue=view["queue"],
            account=view["account"],
        )

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


def _payload(case: Case) -> Path:
    """A payload's file: below this package, or absolute where a case brings its own."""
    return PAYLOADS / case.payload


def _lost(message: str) -> Preset:
    return Preset(
        Verdict.ERROR,
        Cause(phase=Phase.RUN, cls=CauseClass.HARNESS, rule="supervisor-gone", evidence=message),
    )


def _command(argv: list[str], env: dict[str, str]) -> str | None:
    """Run a short native command; return None where it exits 0, else a line of evidence."""
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_LIMIT, check=False, text=True
        )
    except subprocess.TimeoutExpired:
        return f"{' '.join(argv)}: no answer within {COMMAND_LIMIT:g} s"
    except OSError as error:
        return f"{' '.join(argv)}: {error}"
    if done.returncode == 0:
        return None
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return f"{' '.join(argv)}: exit {done.returncode}: {said[-1] if said else 'no message'}"
