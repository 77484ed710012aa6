"""Flux, used through its own commands: flux batch, flux jobs, flux cancel, flux run, flux ping, as of flux-core 0.60.

The states and results are listed in flux-jobs(1), section JOB STATUS, and in RFC 21. Each job of the harness is a Flux
instance of its own (flux batch), the usual way to run scripts with Flux. Job ids are in the ASCII form of F58.
"""

from __future__ import annotations

import math
import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sdk_tests.schedulers.base import (
    AllocationCheck,
    CommandFailed,
    CommandResult,
    JobSpec,
    JobState,
    JobStatus,
    OwnJob,
    Probe,
    SchedulerKind,
)
from sdk_tests.schedulers.commands import (
    evidence,
    find,
    is_number,
    job_name,
    on_a_node,
    only_requested,
    parse_job_id,
    run_command,
)
from sdk_tests.schedulers.hostlist import expand

TEMPORARY = "FLUX_TESTBED_TMPDIR"
"""Names the folder for the instances of the harness's jobs, if their Flux is a testbed, which removes that folder.
A broker that is killed leaves its files in TMPDIR."""
ASCII_IDS = ("env", "FLUX_F58_FORCE_ASCII=1")
COLUMNS = (
    *("id", "state", "result", "returncode", "t_submit", "t_run", "t_inactive", "nodelist"),
    *("exception.type", "exception.note", "id"),
)
"""The id is the first and the last column: a row with two different ids, or with one, has lost a part."""

STATES: Mapping[str, JobState] = {
    "NEW": JobState.QUEUED,
    "DEPEND": JobState.QUEUED,
    "PRIORITY": JobState.QUEUED,
    "SCHED": JobState.QUEUED,
    "RUN": JobState.RUNNING,
    "CLEANUP": JobState.RUNNING,
    "INACTIVE": JobState.UNKNOWN,  # the result of the job decides
}
RESULTS: Mapping[str, JobState] = {
    "COMPLETED": JobState.DONE,
    "FAILED": JobState.FAILED,
    "CANCELED": JobState.CANCELLED,
    "TIMEOUT": JobState.TIMEOUT,
}
_ID = r"f[1-9A-HJ-NP-Za-km-z]{1,11}"  # 64 bits in base 58
_ROW = re.compile(rf"{_ID}\|")
_NODE_FAILURE = re.compile(
    r"node.?failure|lost (?:contact|connection)|disconnected|No route to host|broker.*(?:lost|down)", re.I
)


class FluxKind(SchedulerKind):
    """The Flux instance that the environment names, as the site file describes it."""

    kind = "flux"
    package = "flux-core"
    job_variable = "FLUX_ENCLOSING_ID"
    component_names = {"psij": "flux", "parsl": "FluxExecutor", "radical": "flux"}
    user_defaults = re.compile(r"FLUX_\w+_FORMAT_DEFAULT")

    def probe(self) -> Probe:
        probe = self.installed()
        if not probe.available:
            return probe
        size = run_command([self._path(), "getattr", "size"], self.env)
        if size.exit_code != 0:
            return Probe(kind=self.kind, available=False, reason=evidence(size))
        resources = run_command(
            [self._path(), "resource", "list", "-n", "-s", "all", "-o", "{nnodes}|{ncores}|{nodelist}"], self.env
        )
        nodes: list[str] = []
        for line in resources.stdout.splitlines():
            nodes += expand(line.rpartition("|")[2])
        queues = run_command([self._path(), "queue", "list", "-n", "-o", "{queue}"], self.env)
        return replace(
            probe,
            nodes=tuple(nodes),  # each broker is a node; brokers on one host have the same name
            queues=tuple(name for name in queues.stdout.split() if name) if queues.exit_code == 0 else (),
        )

    def installed(self) -> Probe:
        if not find("flux", self.env):
            return Probe(
                kind=self.kind,
                available=False,
                installed=False,
                reason=f"flux: not on PATH; load or install {self.package}",
            )
        output = run_command([self._path(), "--version"], self.env).stdout
        version = next(iter(re.findall(r"\d+\.\d+\.\d+", output)), None)
        return Probe(kind=self.kind, available=True, version=version, location=self._path())

    def configured(self) -> bool:
        return bool(self.env.get("FLUX_URI"))

    def submit_argv(self, job: JobSpec) -> list[str]:
        folder = self.env.get(TEMPORARY)
        return [
            *(*ASCII_IDS, self._path(), "batch", *self._job_options(job), *self._size(job)),
            *([f"--env=TMPDIR={folder}"] if folder else []),
            *(f"--output={job.output}", f"--error={job.output}", str(job.script)),
        ]

    def parse_submit(self, done: CommandResult) -> str:
        return parse_job_id(done, rf"^\s*({_ID})\s*$")

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        columns = "|".join("{" + name + ("" if name == "id" else ":h") + "}" for name in COLUMNS)
        return [*ASCII_IDS, self._path(), "jobs", "-n", "-o", columns, *ids]

    def parse_status(self, done: CommandResult) -> dict[str, JobStatus]:
        errors = [line for line in done.stderr.splitlines() if line.strip() and "unknown" not in line]
        if done.exit_code is None or (done.exit_code != 0 and (errors or not done.stderr.strip())):
            raise CommandFailed(evidence(done))
        statuses = {job: _status(*(field.strip() for field in fields)) for job, *fields in _rows(done, len(COLUMNS))}
        requested = done.argv[done.argv.index("-o") + 2 :] if "-o" in done.argv else ()
        return only_requested(statuses, requested, self.job_key)

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        return [self._path(), "cancel", *ids]

    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        return [self._path(), "run", *self._job_options(job), f"--ntasks={job.nodes}", *argv]

    def ping_argv(self) -> list[str]:
        return [self._path(), "ping", "--count=1", "job-manager"]

    def own_jobs_argv(self) -> list[str]:
        return [*ASCII_IDS, self._path(), "jobs", "-n", "-o", "{id}|{name:h}|{cwd:h}|{id}"]

    def parse_own_jobs(self, done: CommandResult) -> dict[str, OwnJob]:
        if done.exit_code != 0:
            raise CommandFailed(evidence(done))
        return {job: OwnJob(name.strip(), folder.strip()) for job, name, folder in _rows(done, 4)}

    def describe_argvs(self, job_id: str) -> list[list[str]]:
        return [[self._path(), "job", "eventlog", job_id], [self._path(), "jobs", "-a", "-o", "long", job_id]]

    def inner_commands(self) -> dict[str, list[str]] | None:
        """A job of the harness is a Flux instance, which its cases share: its jobs and its brokers can be checked."""
        flux = self._path()
        return {
            "list": [*ASCII_IDS, flux, "jobs", "-n", "-o", "{id} {cwd:h}"],
            "cancel": [flux, "cancel"],
            "try": [flux, "run", "--ntasks=1", "true"],
            "busy": [flux, "resource", "list", "-n", "-s", "allocated,down", "-o", "{ncores}"],
        }

    def allocation_of(self, environ: Mapping[str, str]) -> AllocationCheck | None:
        job_id = environ.get(self.job_variable)
        if not job_id:
            return None
        done = run_command([self._path(), "resource", "list", "-n", "-s", "all", "-o", "{nodelist}"], self.env)
        nodes = tuple(name for line in done.stdout.splitlines() for name in expand(line))
        if done.exit_code != 0 or not nodes:
            reason = f"the Flux instance that FLUX_URI names does not answer: {evidence(done)}"
            return AllocationCheck(job_id, alive=False, reason=reason)
        if on_a_node(nodes):
            return AllocationCheck(job_id, alive=True, here=True, nodes=nodes)
        enter = (self._path(), "run", "--nodes=1", "--ntasks=1")
        here = platform.node()
        reason = f"this shell is on {here}, which is not a node of the Flux instance: cases enter it by flux run"
        return AllocationCheck(job_id, alive=True, nodes=nodes, enter=enter, reason=reason)

    def allocation_prefixes(self) -> tuple[str, ...]:
        return ("FLUX_JOB_", "FLUX_TASK_", "FLUX_KVS_", "PMI_", "PMIX_")

    def _job_options(self, job: JobSpec) -> list[str]:
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


def _rows(done: CommandResult, columns: int) -> list[list[str]]:
    """Return the job's id and the columns between the two ids of a row; a note is free text of any number of lines.

    Raises:
        CommandFailed: there are lines, and none of them can be read.
    """
    rows, begun = [], ""
    for line in map(str.rstrip, done.stdout.split("\n")):
        begun = line if _ROW.match(line) else f"{begun} {line.strip()}" if begun else ""
        first, _, rest = begun.partition("|")
        middle, _, last = rest.rpartition("|")
        fields = middle.split("|", columns - 3)
        if last == first and len(fields) == columns - 2:
            rows.append([first, *fields])
            begun = ""
    if done.stdout.strip() and not rows:
        raise CommandFailed(f"flux jobs: printed lines that cannot be read: {done.stdout.strip()[:200]!r}")
    return rows


def _status(
    state: str, result: str, code: str, submitted: str, run: str, inactive: str, nodes: str, kind: str, note: str
) -> JobStatus:
    job_state = STATES.get(state, JobState.UNKNOWN)
    if state == "INACTIVE":
        job_state = RESULTS.get(result, JobState.UNKNOWN)
        if job_state in (JobState.FAILED, JobState.CANCELLED) and _NODE_FAILURE.search(f"{kind} {note}"):
            job_state = JobState.NODE_FAIL
        elif job_state is JobState.CANCELLED and "preempt" in f"{kind} {note}".lower():
            job_state = JobState.PREEMPTED
    ended = job_state.ended
    exit_code = int(code) if ended and is_number(code.removeprefix("-")) and len(code) < 10 else None
    signal = None
    if exit_code is not None and (exit_code < 0 or exit_code > 128):
        signal, exit_code = (-exit_code if exit_code < 0 else exit_code - 128), None
    return JobStatus(
        state=job_state,
        native_state=result if state == "INACTIVE" and result not in ("", "-") else state,
        reason=": ".join(part for part in (kind, note) if part not in ("", "-")) or None,
        submitted=_instant(submitted),
        started=_instant(run),
        ended=_instant(inactive) if ended else None,
        nodes=expand(nodes) if nodes != "-" else (),
        exit_code=exit_code,
        signal=signal,
    )


def _instant(text: str) -> float | None:
    match = re.fullmatch(r"\d{1,11}(?:\.\d{1,9})?", text, re.ASCII)
    return float(text) or None if match else None
