"""Flux through its own commands: flux batch, flux jobs, flux cancel, flux run and flux ping, as of flux-core 0.60.

States and results are those of flux-jobs(1), JOB STATUS, and of RFC 21. A job of the harness is a Flux instance of its
own (flux batch), as Flux's users run scripts; its id is kept in the plain ASCII form of F58.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sdk_tests.schedulers.base import CommandFailed, Finished, JobSpec, JobState, JobStatus, Probe, SchedulerKind
from sdk_tests.schedulers.commands import ask, find, job_name, number, said
from sdk_tests.schedulers.hostlist import expand

PLAIN = ("env", "FLUX_F58_FORCE_ASCII=1")
COLUMNS = (
    *("id", "state", "result", "returncode", "t_submit", "t_run", "t_inactive", "nodelist"),
    *("exception.type", "exception.note"),
)

STATES: Mapping[str, JobState] = {
    "NEW": JobState.QUEUED,
    "DEPEND": JobState.QUEUED,
    "PRIORITY": JobState.QUEUED,
    "SCHED": JobState.QUEUED,
    "RUN": JobState.RUNNING,
    "CLEANUP": JobState.RUNNING,
    "INACTIVE": JobState.UNKNOWN,  # and then its result decides
}
RESULTS: Mapping[str, JobState] = {
    "COMPLETED": JobState.DONE,
    "FAILED": JobState.FAILED,
    "CANCELED": JobState.CANCELLED,
    "TIMEOUT": JobState.TIMEOUT,
}
_NODE = re.compile(
    r"node.?failure|lost (?:contact|connection)|disconnected|No route to host|broker.*(?:lost|down)", re.I
)


class FluxKind(SchedulerKind):
    """The Flux instance that the environment leads to, as the site file describes it."""

    kind = "flux"
    package = "flux-core"
    job_variable = "FLUX_ENCLOSING_ID"
    speaks = {"psij": "flux", "parsl": "FluxExecutor", "radical": "flux"}

    def probe(self) -> Probe:
        found = self.installed()
        if not found.found:
            return found
        size = ask([self._path(), "getattr", "size"], self.env)
        if size.exit_code != 0:
            return Probe(kind=self.kind, found=False, reason=said(size))
        listed = ask(
            [self._path(), "resource", "list", "-n", "-s", "all", "-o", "{nnodes}|{ncores}|{nodelist}"], self.env
        )
        nodes: list[str] = []
        for line in listed.stdout.splitlines():
            nodes += expand(line.rpartition("|")[2])
        queues = ask([self._path(), "queue", "list", "-n", "-o", "{queue}"], self.env)
        return replace(
            found,
            nodes=tuple(nodes),  # brokers that share a host share its name, and each is a node
            queues=tuple(name for name in queues.stdout.split() if name) if queues.exit_code == 0 else (),
        )

    def installed(self) -> Probe:
        if not find("flux", self.env):
            return Probe(kind=self.kind, found=False, reason=f"flux: not on PATH; load or install {self.package}")
        said = ask([self._path(), "--version"], self.env).stdout
        version = next(iter(re.findall(r"\d+\.\d+\.\d+", said)), None)
        return Probe(kind=self.kind, found=True, version=version, location=self._path())

    def configured(self) -> bool:
        return bool(self.env.get("FLUX_URI"))

    def submit_argv(self, job: JobSpec) -> list[str]:
        return [
            *(*PLAIN, self._path(), "batch", *self._wants(job), *self._size(job)),
            *(f"--output={job.output}", f"--error={job.output}", str(job.script)),
        ]

    def parse_submit(self, done: Finished) -> str:
        return number(done, r"^(f[1-9A-HJ-NP-Za-km-z]+)$")

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        columns = "|".join("{" + name + ("" if name == "id" else ":h") + "}" for name in COLUMNS)
        return [*PLAIN, self._path(), "jobs", "-n", "-o", columns, *ids]

    def parse_status(self, done: Finished) -> dict[str, JobStatus]:
        complaints = [line for line in done.stderr.splitlines() if line.strip() and "unknown" not in line]
        if done.exit_code is None or (done.exit_code != 0 and (complaints or not done.stderr.strip())):
            raise CommandFailed(said(done))
        found = {}
        for line in done.stdout.splitlines():
            fields = line.split("|", len(COLUMNS) - 1)
            if len(fields) != len(COLUMNS):
                raise CommandFailed(f"flux jobs: printed a line that cannot be read: {line[:200]!r}")
            found[fields[0].strip()] = _status(*(field.strip() for field in fields[1:]))
        return found

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        return [self._path(), "cancel", *ids]

    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        return [self._path(), "run", *self._wants(job), f"--ntasks={job.nodes}", *argv]

    def ping_argv(self) -> list[str]:
        return [self._path(), "ping", "--count=1", "job-manager"]

    def mine_argv(self) -> list[str]:
        return [*PLAIN, self._path(), "jobs", "-n", "-o", "{id}|{cwd:h}"]

    def parse_mine(self, done: Finished) -> dict[str, str]:
        if done.exit_code != 0:
            raise CommandFailed(said(done))
        rows = (line.split("|", 1) for line in done.stdout.splitlines() if "|" in line)
        return {job.strip(): folder.strip() for job, folder in rows}

    def scrub(self) -> tuple[str, ...]:
        return ("FLUX_JOB_", "FLUX_TASK_", "FLUX_KVS_", "PMI_", "PMIX_")

    def _wants(self, job: JobSpec) -> list[str]:
        argv = [f"--job-name={job_name(job.name)}", f"--nodes={job.nodes}"]
        argv.append(f"--time-limit={math.ceil(job.walltime)}s")
        argv += [f"--queue={job.queue}"] if job.queue else []
        argv += [f"--bank={job.account}"] if job.account else []
        return argv + [word for line in self.spec.directives for word in shlex.split(line)]

    def _size(self, job: JobSpec) -> list[str]:
        if self.spec.exclusive:
            return ["--exclusive"]
        return [f"--nslots={job.nodes}", f"--cores-per-slot={job.cores}"]

    def _path(self) -> str:
        return find("flux", self.env) or "flux"


def _status(
    state: str, result: str, code: str, submitted: str, run: str, inactive: str, nodes: str, kind: str, note: str
) -> JobStatus:
    known = STATES.get(state, JobState.UNKNOWN)
    if state == "INACTIVE":
        known = RESULTS.get(result, JobState.UNKNOWN)
        if known in (JobState.FAILED, JobState.CANCELLED) and _NODE.search(f"{kind} {note}"):
            known = JobState.NODE_FAIL
        elif known is JobState.CANCELLED and "preempt" in f"{kind} {note}".lower():
            known = JobState.PREEMPTED
    ended = known.ended
    number_of_exit = int(code) if ended and re.fullmatch(r"-?\d+", code) else None
    killed = number_of_exit is not None and (number_of_exit < 0 or number_of_exit > 128)
    signal = None
    if killed and number_of_exit is not None:
        signal = -number_of_exit if number_of_exit < 0 else number_of_exit - 128
    return JobStatus(
        state=known,
        native_state=result if state == "INACTIVE" and result not in ("", "-") else state,
        reason=": ".join(part for part in (kind, note) if part not in ("", "-")) or None,
        submitted=_instant(submitted),
        started=_instant(run),
        ended=_instant(inactive) if ended else None,
        nodes=expand(nodes) if nodes != "-" else (),
        exit_code=None if killed else number_of_exit,
        signal=signal,
    )


def _instant(text: str) -> float | None:
    try:
        return float(text) or None
    except ValueError:
        return None
