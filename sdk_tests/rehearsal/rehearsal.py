"""Rehearsals: run a system's own plan on a testbed of this machine with its scheduler, queues, limits and launchers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sdk_tests.errors import TestbedError
from sdk_tests.plan.nesting import label
from sdk_tests.rehearsal.checks import Check, launchers, limits
from sdk_tests.schedulers.registry import kinds
from sdk_tests.testbeds import Testbed, manage
from sdk_tests.testbeds.site_profile import SiteProfile
from site_configs.schema import Collector, Detect, Limits, LocalUse, Modules, Network, SchedulerSpec, State, System

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places

ACCOUNT = "acct-of-nobody"
"""The account that is charged if the variable that the site file names for it is not set."""
PROVES = (
    "the site file is complete: its queues, directives, account and launchers lead to jobs that the scheduler accepts",
    "jobs over a queue's limit of nodes or walltime are refused, and the plan stays within the limits",
    "the plan, the harness and this deployment's components work with this kind of scheduler, and with one job at a "
    "time if the site allows only one",
)
NOT_PROVED = (
    "that the machine itself works: network, file systems, GPUs, modules, compilers, the MPI behind its launchers",
    "that the deployment on the machine works: the cases used the deployment of this rehearsal",
    "anything about performance, queue waits, fair share, or a policy that is not in the site file",
    "that a real scheduler behaves like an emulated one, beyond what its manual pages state",
)


@dataclass(frozen=True)
class RehearsalOptions:
    """The options of the user for all rehearsals."""

    tier: str = "smoke"
    deployment: str | None = None
    nodes: int = 2
    cases: tuple[str, ...] = ()
    components: tuple[str, ...] = ()


@dataclass
class Rehearsal:
    """The result of one system.

    absent: the reason why there is no testbed. left_out: the schedulers that were left out, with the reason. summary:
    the output of ``validate --json``. seconds: the duration. log: the path of the log of ``validate``.
    """

    system: str
    schedulers: list[str] = field(default_factory=list)
    emulated: bool = False
    retired: bool = False
    absent: str | None = None
    left_out: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    summary: dict[str, Any] | None = None
    exit_code: int | None = None
    seconds: float = 0.0
    log: str = ""

    @property
    def code(self) -> int:
        """The exit code: 0 if the plan and every check passed, 3 without a testbed, 130 if interrupted, else 1."""
        if self.absent is not None:
            return 3
        if self.exit_code != 0 or not all(check.passed for check in self.checks):
            return 130 if self.exit_code == 130 else 1
        return 0

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain data for JSON."""
        checks = [{"what": check.what, "passed": check.passed, "answer": check.answer} for check in self.checks]
        return {**asdict(self), "checks": checks, "code": self.code}


class RehearsalRunner:
    """Rehearses systems concurrently. Any thread may call ``stop`` to end the active runs."""

    def __init__(self, places: Places, options: RehearsalOptions, echo: Callable[[str], None]) -> None:
        self.places, self.options, self.echo = places, options, echo
        self.stopped = False
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.folder = places.home / "rehearsals" / f"{stamp}-{os.getpid()}"
        self.folder.mkdir(parents=True, mode=0o700)

    def run_all(self, systems: Sequence[System], at_once: int) -> list[Rehearsal]:
        """Rehearse every system, at most ``at_once`` at a time. Those that take the longest start first."""
        for system in systems:
            for spec in system.schedulers:
                if spec.account_env:
                    os.environ.setdefault(spec.account_env, ACCOUNT)
        with ThreadPoolExecutor(max_workers=at_once) as pool:
            futures = {
                system.system: pool.submit(self.run_one, system) for system in sorted(systems, key=_jobs_at_once)
            }
            try:
                return [futures[system.system].result() for system in systems]
            except KeyboardInterrupt:
                self.stop()
                for future in futures.values():
                    future.cancel()
                raise

    def stop(self) -> None:
        """End the active runs, and start no other."""
        self.stopped = True
        with self._lock:
            for process in self._running:
                process.terminate()

    def run_one(self, system: System) -> Rehearsal:
        """Start a testbed for each scheduler of a system, run the checks and the plan, and stop the testbeds."""
        started = time.monotonic()
        rehearsal = Rehearsal(system.system, retired=system.state is State.RETIRED)
        folder = self.folder / system.system.replace("/", "-")
        folder.mkdir(mode=0o700)
        testbeds: list[Testbed] = []
        try:
            self._rehearse(system, rehearsal, folder, testbeds)
        except TestbedError as error:
            rehearsal.absent = rehearsal.absent or error.format_message()
        finally:
            for testbed in testbeds:
                manage.down(self.places.home, testbed.id)
            rehearsal.seconds = round(time.monotonic() - started, 1)
            (folder / "rehearsal.json").write_text(json.dumps(rehearsal.as_dict(), indent=1))
        self.echo(f"{system.system}: {result_text(rehearsal)} after {rehearsal.seconds:.0f} s")
        return rehearsal

    def _rehearse(self, system: System, rehearsal: Rehearsal, folder: Path, testbeds: list[Testbed]) -> None:
        specs: list[SchedulerSpec] = []
        env = dict(os.environ)
        for spec in system.schedulers:
            if spec.nested:
                continue
            rehearsal.schedulers.append(spec.label)
            testbed = manage.up(
                spec.kind,
                self.places.home,
                nodes=self.options.nodes,
                owner_pid=os.getpid(),
                profile=SiteProfile(system, spec),
            )
            testbeds.append(testbed)
            rehearsal.emulated = rehearsal.emulated or testbed.scheduler.emulated
            env = manage.environment(testbed, env)
            specs.append(testbed.scheduler)
            kind = kinds()[spec.kind](testbed.scheduler, env)
            account = env.get(spec.account_env) if spec.account_env else None
            rehearsal.checks += limits(kind, folder, self.options.nodes, account)
            rehearsal.checks += launchers(kind, folder, self.options.nodes, account)
        for spec in system.schedulers if specs else []:
            if spec.nested:
                probe = kinds()[spec.kind](spec, env).installed()
                if probe.available:  # the programs are on PATH here; the modules belong to the machine
                    rehearsal.schedulers.append(label(system, spec))
                    specs.append(msgspec.structs.replace(spec, modules=[]))
                else:
                    rehearsal.left_out.append(f"{label(system, spec)}: {probe.reason}")
        rehearsal.schedulers += system.testbeds if not specs else []
        site_file = folder / "system.yaml"
        site_file.write_bytes(msgspec.json.format(msgspec.json.encode(rehearsal_system(system, specs))))
        if not self.stopped:
            self._validate(rehearsal, folder, site_file, env)

    def _validate(self, rehearsal: Rehearsal, folder: Path, site_file: Path, env: Mapping[str, str]) -> None:
        options = self.options
        argv = [sys.executable, "-I", "-m", "exaworks_sdk", "validate", "--site-file", str(site_file), "--json"]
        argv += ["--no-upload", "--tier", options.tier, "--trigger", "rehearsal"]
        argv += ["--deployment", options.deployment] if options.deployment else []
        argv += [word for case in options.cases for word in ("--case", case)]
        argv += [word for component in options.components for word in ("--component", component)]
        log = folder / "validate.log"
        rehearsal.log = str(log)
        with log.open("wb") as errors:
            process = subprocess.Popen(
                argv,
                env={**env, "EXAWORKS_HOME": str(self.places.home)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
            with self._lock:
                self._running.add(process)
            try:
                output, _ = process.communicate()
            finally:
                with self._lock:
                    self._running.discard(process)
        rehearsal.exit_code = process.returncode
        try:
            rehearsal.summary = json.loads(output)
        except ValueError:
            rehearsal.summary = None


def _jobs_at_once(system: System) -> int:
    """Return the number of jobs a user may have. If it is one, cases run one after the other, which takes longest."""
    return min((spec.max_jobs for spec in system.schedulers if not spec.nested), default=1000)


def rehearsal_system(system: System, specs: list[SchedulerSpec]) -> System:
    """Return the system for the plan: with the schedulers of its testbeds, without what exists only on the machine.

    The system gets the name ``rehearsal/SITE-NAME``, so that nobody takes its results for results of the machine.
    """
    return msgspec.structs.replace(
        system,
        system=f"rehearsal/{system.site}-{system.name}",
        description=f"Rehearsal of {system.system} on {os.uname().nodename}: {system.description}",
        state=State.ACTIVE,
        detect=Detect(),
        schedulers=specs,
        testbeds=[] if specs else system.testbeds,
        local=LocalUse() if specs else system.local,
        limits=Limits(queue_wait="00:10:00"),
        deployment=None if specs else system.deployment,
        promises=[],
        modules=Modules(),
        network=Network(),
        collector=Collector(),
        work_dir=None,
        spack_scope=None,
        sources=[],
        redaction="full",
    )


def result_text(rehearsal: Rehearsal) -> str:
    """Return the result of a rehearsal in one word."""
    if rehearsal.absent is not None:
        return "unavailable"
    return {0: "passed", 130: "stopped"}.get(rehearsal.code, "FAILED")


def table(rehearsals: Sequence[Rehearsal]) -> str:
    """Return the table of results, one row per system."""
    from tabulate import tabulate

    rows = []
    for rehearsal in rehearsals:
        counts = rehearsal.summary["counts"] if rehearsal.summary else {}
        cases = " ".join(f"{count} {name}" for name, count in counts.items() if count)
        passed = sum(check.passed for check in rehearsal.checks)
        checks = f"{passed}/{len(rehearsal.checks)}" if rehearsal.checks else "-"
        software = "emulated" if rehearsal.emulated else "real" if rehearsal.absent is None else "-"
        name = rehearsal.system + (" (retired)" if rehearsal.retired else "")
        names, duration = ", ".join(rehearsal.schedulers), f"{rehearsal.seconds:.0f} s"
        rows.append((name, names, software, cases or "-", checks, duration, result_text(rehearsal)))
    headers = ("system", "scheduler", "software", "cases", "limits and launchers", "duration", "result")
    return tabulate(rows, headers=headers)


def report(rehearsals: Sequence[Rehearsal]) -> str:
    """Return the table, every failure and omission with its reason, and what a rehearsal proves and does not prove."""
    lines = [table(rehearsals), ""]
    for rehearsal in rehearsals:
        if rehearsal.absent is not None:
            lines.append(f"{rehearsal.system}: cannot be rehearsed here: {rehearsal.absent}")
        lines += [f"{rehearsal.system}: left out: {text}" for text in rehearsal.left_out]
        lines += [
            f"{rehearsal.system}: FAILED {check.what}: {check.answer}" for check in rehearsal.checks if not check.passed
        ]
        for case in (rehearsal.summary or {}).get("cases", ()):
            if case["outcome"] not in ("pass",):
                cause = case["cause"] or {}
                lines.append(f"{rehearsal.system}: {case['outcome']} {case['case_id']}: {cause.get('evidence', '')}")
        if rehearsal.summary is None and rehearsal.absent is None:
            lines.append(f"{rehearsal.system}: the run printed no result; see {rehearsal.log}")
    lines += ["", "A rehearsal proves that", *(f"  - {text}" for text in PROVES)]
    lines += ["It does not prove", *(f"  - {text}" for text in NOT_PROVED)]
    return "\n".join(lines)
