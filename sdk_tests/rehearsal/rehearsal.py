"""Rehearsals: a system's own plan on a testbed here that has its scheduler, queues, limits and launchers."""

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
from sdk_tests.testbeds.likeness import Likeness
from site_configs.schema import Collector, Detect, Limits, LocalUse, Modules, Network, SchedulerSpec, State, System

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places

ACCOUNT = "acct-of-nobody"
"""The account that is charged where the site's file names a variable for one and that is not set."""
PROVES = (
    "the site file is whole: its queues, directives, account and launchers make jobs that such a scheduler accepts",
    "jobs beyond a queue's limits in nodes or walltime are refused, and the plan stays within them",
    "the plan, the harness and this deployment's components work through this kind of scheduler, with one job at a "
    "time where the site allows one",
)
NOT_PROVED = (
    "anything of the machine itself: network, file systems, GPUs, modules, compilers, the MPI behind its launchers",
    "the deployment that the machine has: what ran is the one of this rehearsal",
    "performance, queue waits, fair share, and any policy that is not in the site file",
    "where a scheduler is emulated: the real one, beyond what its manual pages say",
)


@dataclass(frozen=True)
class Wishes:
    """What the person asked for."""

    tier: str = "smoke"
    deployment: str | None = None
    nodes: int = 2
    cases: tuple[str, ...] = ()
    components: tuple[str, ...] = ()


@dataclass
class Rehearsal:
    """What came of one system. absent: why there is no testbed. summary: what ``validate --json`` told."""

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
        """0 where the plan passed and every check did, 3 where it could not be rehearsed here, else 1."""
        if self.absent is not None:
            return 3
        if self.exit_code != 0 or not all(check.passed for check in self.checks):
            return 130 if self.exit_code == 130 else 1
        return 0

    def told(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "code": self.code}


class Stage:
    """Rehearses systems one beside the other; ``stop`` ends the runs that go on, from any thread."""

    def __init__(self, places: Places, wishes: Wishes, echo: Callable[[str], None]) -> None:
        self.places, self.wishes, self.echo = places, wishes, echo
        self.stopped = False
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.folder = places.home / "rehearsals" / f"{stamp}-{os.getpid()}"
        self.folder.mkdir(parents=True, mode=0o700)

    def all(self, systems: Sequence[System], at_once: int) -> list[Rehearsal]:
        """Rehearse every system, so many at a time; those that take the longest are begun first."""
        for system in systems:
            for spec in system.schedulers:
                if spec.account_env:
                    os.environ.setdefault(spec.account_env, ACCOUNT)
        with ThreadPoolExecutor(max_workers=at_once) as pool:
            futures = {system.system: pool.submit(self.one, system) for system in sorted(systems, key=_jobs_at_once)}
            try:
                return [futures[system.system].result() for system in systems]
            except KeyboardInterrupt:
                self.stop()
                for future in futures.values():
                    future.cancel()
                raise

    def stop(self) -> None:
        self.stopped = True
        with self._lock:
            for process in self._running:
                process.terminate()

    def one(self, system: System) -> Rehearsal:
        """Bring a testbed up for each of its schedulers, try limits and launchers, run the plan, and take all down."""
        began = time.monotonic()
        made = Rehearsal(system.system, retired=system.state is State.RETIRED)
        folder = self.folder / system.system.replace("/", "-")
        folder.mkdir(mode=0o700)
        beds: list[Testbed] = []
        try:
            self._rehearse(system, made, folder, beds)
        except TestbedError as error:
            made.absent = made.absent or error.format_message()
        finally:
            for bed in beds:
                manage.down(self.places.home, bed.id)
            made.seconds = round(time.monotonic() - began, 1)
            (folder / "rehearsal.json").write_text(json.dumps(made.told(), indent=1))
        self.echo(f"{system.system}: {word(made)} after {made.seconds:.0f} s")
        return made

    def _rehearse(self, system: System, made: Rehearsal, folder: Path, beds: list[Testbed]) -> None:
        specs: list[SchedulerSpec] = []
        env = dict(os.environ)
        for spec in system.schedulers:
            if spec.nested:
                continue
            made.schedulers.append(spec.label)
            bed = manage.up(
                spec.kind, self.places.home, nodes=self.wishes.nodes, owner_pid=os.getpid(), like=Likeness(system, spec)
            )
            beds.append(bed)
            made.emulated = made.emulated or bed.scheduler.emulated
            env = manage.environment(bed, env)
            specs.append(bed.scheduler)
            kind = kinds()[spec.kind](bed.scheduler, env)
            account = env.get(spec.account_env) if spec.account_env else None
            made.checks += limits(kind, folder, self.wishes.nodes, account)
            made.checks += launchers(kind, folder, self.wishes.nodes, account)
        for spec in system.schedulers if specs else []:
            if spec.nested:
                seen = kinds()[spec.kind](spec, env).installed()
                if seen.found:  # as it is on PATH here: its modules are the machine's
                    made.schedulers.append(label(system, spec))
                    specs.append(msgspec.structs.replace(spec, modules=[]))
                else:
                    made.left_out.append(f"{label(system, spec)}: {seen.reason}")
        made.schedulers += system.testbeds if not specs else []
        site_file = folder / "system.yaml"
        site_file.write_bytes(msgspec.json.format(msgspec.json.encode(likeness_of(system, specs))))
        if not self.stopped:
            self._validate(made, folder, site_file, env)

    def _validate(self, made: Rehearsal, folder: Path, site_file: Path, env: Mapping[str, str]) -> None:
        wishes = self.wishes
        argv = [sys.executable, "-I", "-m", "exaworks_sdk", "validate", "--site-file", str(site_file), "--json"]
        argv += ["--no-upload", "--tier", wishes.tier, "--trigger", "rehearsal"]
        argv += ["--deployment", wishes.deployment] if wishes.deployment else []
        argv += [word for case in wishes.cases for word in ("--case", case)]
        argv += [word for component in wishes.components for word in ("--component", component)]
        log = folder / "validate.log"
        made.log = str(log)
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
                said, _ = process.communicate()
            finally:
                with self._lock:
                    self._running.discard(process)
        made.exit_code = process.returncode
        try:
            made.summary = json.loads(said)
        except ValueError:
            made.summary = None


def _jobs_at_once(system: System) -> int:
    """Return how many jobs a user may have: where that is one, each case waits for the one before."""
    return min((spec.max_jobs for spec in system.schedulers if not spec.nested), default=1000)


def likeness_of(system: System, specs: list[SchedulerSpec]) -> System:
    """Return what the plan is made from: the system with its testbeds' schedulers, and without what is not here.

    The name says that it is a rehearsal, so that no result of one passes for a result of the machine.
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
        redaction="full",
    )


def word(made: Rehearsal) -> str:
    """Return what came of a rehearsal in a word or two."""
    if made.absent is not None:
        return "not here"
    return {0: "passed", 130: "stopped"}.get(made.code, "FAILED")


def table(rehearsals: Sequence[Rehearsal]) -> str:
    """Return the table at the end, a row a system."""
    from tabulate import tabulate

    rows = []
    for made in rehearsals:
        counts = made.summary["counts"] if made.summary else {}
        cases = " ".join(f"{count} {name}" for name, count in counts.items() if count)
        checked = f"{sum(check.passed for check in made.checks)}/{len(made.checks)}" if made.checks else "-"
        what = "emulated" if made.emulated else "real" if made.absent is None else "-"
        name = made.system + (" (retired)" if made.retired else "")
        rows.append(
            (name, ", ".join(made.schedulers), what, cases or "-", checked, f"{made.seconds:.0f} s", word(made))
        )
    heads = ("system", "scheduler", "software", "cases", "limits and launchers", "took", "result")
    return tabulate(rows, headers=heads)


def report(rehearsals: Sequence[Rehearsal]) -> str:
    """Return the table, what went wrong or was left out with its reason, and what this proves and does not."""
    lines = [table(rehearsals), ""]
    for made in rehearsals:
        if made.absent is not None:
            lines.append(f"{made.system}: not here: {made.absent}")
        lines += [f"{made.system}: left out: {text}" for text in made.left_out]
        lines += [f"{made.system}: FAILED {check.what}: {check.said}" for check in made.checks if not check.passed]
        for case in (made.summary or {}).get("cases", ()):
            if case["outcome"] not in ("pass",):
                cause = case["cause"] or {}
                lines.append(f"{made.system}: {case['outcome']} {case['case_id']}: {cause.get('evidence', '')}")
        if made.summary is None and made.absent is None:
            lines.append(f"{made.system}: the run told nothing; see {made.log}")
    lines += ["", "A rehearsal proves that", *(f"  - {text}" for text in PROVES)]
    lines += ["It does not prove", *(f"  - {text}" for text in NOT_PROVED)]
    return "\n".join(lines)
