"""Cobalt, used through its own commands: qsub, qstat, qdel and cqwait, as of 1.0 (github.com/ido/cobalt, man/POSIX).

The states are those that Cobalt's queue manager shows in qstat. The queue manager forgets a job when it ends. The log
that ``--debuglog`` names contains how the job ended; this kind remembers that file for each job it has submitted.
"""

from __future__ import annotations

import math
import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

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
    EMPTY_FOLDER,
    evidence,
    find,
    is_number,
    job_name,
    only_requested,
    output_files,
    parse_job_id,
    run_command,
    user_name,
)
from site_configs.schema import SchedulerSpec

NEEDED = ("qsub", "qstat", "qdel")
COLUMNS = ("JobID", "State", "SubmitTime", "StartTime", "Location")
_LOG = "--debuglog="

STATES: Mapping[str, JobState] = {
    "queued": JobState.QUEUED,
    "user_hold": JobState.QUEUED,
    "admin_hold": JobState.QUEUED,
    "dep_hold": JobState.QUEUED,
    "dep_fail": JobState.QUEUED,
    "maxrun_hold": JobState.QUEUED,
    "preempted": JobState.QUEUED,
    "starting": JobState.RUNNING,
    "running": JobState.RUNNING,
    "killing": JobState.RUNNING,
    "exiting": JobState.RUNNING,
    "preempting": JobState.RUNNING,
    "done": JobState.UNKNOWN,  # visible for a moment only; the log contains how the job ended
}
_ENDS = (
    (re.compile(r"maximum execution time exceeded"), JobState.TIMEOUT),
    (re.compile(r"user delete"), JobState.CANCELLED),
    (re.compile(r"Error: .*execution failure"), JobState.NODE_FAIL),
    (re.compile(r"task completed normally with an exit code of (-?[0-9]{1,9})\b"), JobState.DONE),
)


class CobaltKind(SchedulerKind):
    """A Cobalt installation, as the site file describes it."""

    kind = "cobalt"
    package = "Cobalt"
    job_variable = "COBALT_JOBID"
    component_names = {"psij": "cobalt", "radical": "cobalt"}
    reservation_option = "queue"

    def __init__(self, spec: SchedulerSpec, env: Mapping[str, str]) -> None:
        super().__init__(spec, env)
        self.logs: dict[str, Path] = {}
        self.last_statuses: dict[str, JobStatus] = {}

    def probe(self) -> Probe:
        missing = [name for name in NEEDED if not find(name, self.env)]
        if missing:
            reason = f"{', '.join(missing)}: not on PATH; load or install {self.package}"
            return Probe(kind=self.kind, available=False, installed=False, reason=reason)
        version = run_command([self._path("qstat"), "--version"], self.env)
        if "cobalt" not in version.stdout.lower():
            return Probe(kind=self.kind, available=False, reason=f"{self._path('qstat')} is not the one of Cobalt")
        queues = run_command([self._path("qstat"), "-Q"], self.env)
        if queues.exit_code != 0:
            return Probe(kind=self.kind, available=False, reason=evidence(queues))
        hosts = run_command([self._path("nodelist")], self.env)
        return Probe(
            kind=self.kind,
            available=True,
            version=next(iter(re.findall(r"\d+\.\d+[.\w]*", version.stdout)), None),
            location=self._path("qsub"),
            nodes=_first_column(hosts.stdout),
            queues=_first_column(queues.stdout),
        )

    def configured(self) -> bool:
        return bool(self.env.get("COBALT_CONFIG_FILES")) or Path("/etc/cobalt.conf").is_file()

    def submit_argv(self, job: JobSpec) -> list[str]:
        log = job.output.with_suffix(".cobaltlog")
        argv = [*self._qsub(job), "-o", str(job.output), "-e", str(job.output), f"{_LOG}{log}"]
        return [*argv, "--mode", "script", str(job.script)]

    def parse_submit(self, done: CommandResult) -> str:
        job = parse_job_id(done, r"^\s*(\d{1,18})\s*$")
        log = next((word for word in done.argv if word.startswith(_LOG)), None)
        if log:
            self.logs[job] = Path(log[len(_LOG) :])
        return job

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        return [self._path("qstat"), "-l", f"--header={':'.join(COLUMNS)}", *ids]

    def parse_status(self, done: CommandResult) -> dict[str, JobStatus]:
        # qstat exits with 1 and prints nothing if it knows none of the jobs.
        if done.exit_code != 0 and not (done.exit_code == 1 and not (done.stdout + done.stderr).strip()):
            raise CommandFailed(evidence(done))
        listed = _statuses(done.stdout)
        if done.stdout.strip() and not listed:
            raise CommandFailed(f"qstat: printed no list of jobs: {done.stdout[:200]!r}")
        requested = [word for word in done.argv[1:] if is_number(word)]
        statuses = only_requested(listed, requested, self.job_key)
        self.last_statuses.update(statuses)
        for job in (word for word in requested if word not in statuses):
            ended = self._ended(job)
            if ended is not None:
                statuses[job] = ended
        return statuses

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        return [self._path("qdel"), *ids]

    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        out, err = output_files(job.output)
        log = f"{job.output}/control.cobaltlog"
        # qsub does not wait. cqwait does, but does not return the exit code, which is in the log.
        script = (
            EMPTY_FOLDER + 'rm -f "$LOG"; id=$("$@") || exit; id=$(echo "$id" | tail -n 1); "$WAIT" "$id"; '
            'cat "$OUT" 2>/dev/null; cat "$ERR" >&2 2>/dev/null; '
            'code=$(sed -n "s/.*with an exit code of \\([0-9]*\\);.*/\\1/p" "$LOG"); exit "${code:-1}"'
        )
        variables = [f"OUT={out}", f"ERR={err}", f"LOG={log}", f"WAIT={self._path('cqwait')}"]
        submit = [*self._qsub(job), "-o", out, "-e", err, f"{_LOG}{log}", "--mode", "script", *argv]
        return ["env", *variables, "sh", "-c", script, "sh", *submit]

    def ping_argv(self) -> list[str]:
        return [self._path("qstat"), "-Q"]

    def own_jobs_argv(self) -> list[str]:
        return [self._path("qstat"), "-l", "--header=JobID:JobName:User:OutputDir"]

    def parse_own_jobs(self, done: CommandResult) -> dict[str, OwnJob]:
        if done.exit_code != 0:
            raise CommandFailed(evidence(done))
        return {
            fields["JobID"]: OwnJob(fields["JobName"], fields["OutputDir"])
            for fields in _blocks(done.stdout)
            if fields.keys() >= {"JobName", "OutputDir"} and fields.get("User", user_name()) == user_name()
        }

    def describe_argvs(self, job_id: str) -> list[list[str]]:
        return [[self._path("qstat"), "-l", "-f", job_id]]

    def allocation_of(self, environ: Mapping[str, str]) -> AllocationCheck | None:
        """A script runs on a service node, so that only the job's state and owner can be checked."""
        job_id = environ.get(self.job_variable)
        if not job_id:
            return None
        done = run_command([self._path("qstat"), "-l", "--header=JobID:State:User:Location", job_id], self.env)
        try:
            fields = next((block for block in _blocks(done.stdout) if block.get("JobID") == job_id), {})
        except CommandFailed as failed:
            return AllocationCheck(job_id, alive=False, reason=f"Cobalt does not report job {job_id}: {failed}")
        if STATES.get(fields.get("State", "")) is not JobState.RUNNING:
            return AllocationCheck(job_id, alive=False, reason=f"Cobalt does not know a running job {job_id}")
        if fields.get("User", user_name()) != user_name():
            return AllocationCheck(job_id, alive=False, reason=f"Cobalt's job {job_id} belongs to another user")
        return AllocationCheck(job_id, alive=True, here=True, nodes=(platform.node(),))

    def allocation_prefixes(self) -> tuple[str, ...]:
        return ("COBALT_", "ALPS_", "PMI_")

    def kept_variables(self) -> tuple[str, ...]:
        return ("COBALT_CONFIG_FILES",)

    def _qsub(self, job: JobSpec) -> list[str]:
        argv = [self._path("qsub"), "-n", str(job.nodes), "-t", str(minutes(job.walltime))]
        queue = self.queue(job.queue)
        argv += ["-q", queue] if queue else []
        argv += ["-A", job.account] if job.account else []
        argv += ["--jobname", job_name(job.name)]
        return argv + [word for line in self.directives() for word in shlex.split(line)]

    def _path(self, name: str) -> str:
        return find(name, self.env) or name

    def _ended(self, job: str) -> JobStatus | None:
        """Read the end of a job from its log; None if the log does not contain it."""
        try:
            text = self.logs[job].read_text(encoding="utf-8", errors="replace")
        except (KeyError, OSError):
            return None
        for pattern, state in _ENDS:
            match = pattern.search(text)
            if match is None:
                continue
            line = next(line for line in text.splitlines() if pattern.search(line))
            code = int(match.group(1)) if match.groups() else None
            if code:
                state = JobState.FAILED
            killed = code is not None and code > 128
            before = self.last_statuses.get(job, JobStatus(state, state.value))
            return replace(
                before,
                state=state,
                native_state=state.value,
                reason=line.partition(") ")[2] or line,
                exit_code=None if killed else code,
                signal=code - 128 if killed and code is not None else None,
            )
        return None


def minutes(walltime: float) -> int:
    """Round a walltime in seconds up to whole minutes, the unit of Cobalt."""
    return max(1, math.ceil(walltime / 60))


def _first_column(table: str) -> tuple[str, ...]:
    """Return the first column of a table of Cobalt, without the header and the line below it."""
    return tuple(line.split()[0] for line in table.splitlines()[2:] if line.strip())


def _blocks(text: str) -> list[dict[str, str]]:
    """Parse the output of qstat -l: a block of ``Name : value`` lines for each job, of which the first begins a line.

    Raises:
        CommandFailed: there are lines, and no job can be read.
    """
    blocks: list[dict[str, str]] = []
    readable = False
    for line in text.split("\n"):
        name, sign, value = line.partition(":")
        if line.strip() and not line[:1].isspace():
            readable = bool(sign)
            blocks += [{}] if readable else []
        if sign and readable:
            blocks[-1].setdefault(name.strip(), value.strip())
    jobs = [block for block in blocks if is_number(block.get("JobID", ""))]
    if text.strip() and not jobs:
        raise CommandFailed(f"qstat: printed lines that cannot be read: {text.strip()[:200]!r}")
    return jobs


def _statuses(text: str) -> dict[str, JobStatus]:
    statuses = {}
    for fields in _blocks(text):
        if "State" not in fields:
            continue
        location = fields.get("Location", "None")
        statuses[fields["JobID"]] = JobStatus(
            state=STATES.get(fields["State"], JobState.UNKNOWN),
            native_state=fields["State"],
            submitted=_instant(fields.get("SubmitTime", "")),
            started=_instant(fields.get("StartTime", "")),
            nodes=() if location in ("", "None", "N/A") else tuple(location.split(",")),
        )
    return statuses


def _instant(text: str) -> float | None:
    for pattern in ("%a %b %d %H:%M:%S %Y %z", "%a %b %d %H:%M:%S %Y"):
        try:
            return datetime.strptime(text.partition(" (")[0], pattern).timestamp()
        except (ValueError, OverflowError):
            continue
    return None
