"""LSF through its own commands: bsub, bjobs, bkill and bqueues, as of Spectrum LSF 10.1.

The states are those of https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=execution-about-job-states, the reasons of
an end those of https://www.ibm.com/docs/SSWRJV_10.1.0/lsf_admin/termination_reasons_lsf.html.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from sdk_tests.schedulers.base import CommandFailed, Finished, JobSpec, JobState, JobStatus, Probe, SchedulerKind
from sdk_tests.schedulers.commands import ask, blocking, find, job_name, number, output, said

NEEDED = ("bsub", "bjobs", "bkill", "bqueues")
ONCE = ("env", "LSB_NTRIES=1")
"""By default a command that finds no daemon tries again for ever."""
COLUMNS = "jobid stat exit_code exit_reason pend_reason suspend_reason pend_time exec_host"

STATES: Mapping[str, JobState] = {
    "PEND": JobState.QUEUED,
    "PROV": JobState.QUEUED,  # dispatched to a host that is being powered on
    "PSUSP": JobState.QUEUED,
    "WAIT": JobState.QUEUED,
    "RUN": JobState.RUNNING,
    "USUSP": JobState.RUNNING,
    "SSUSP": JobState.RUNNING,
    "DONE": JobState.DONE,
    "EXIT": JobState.FAILED,
    "UNKWN": JobState.UNKNOWN,  # the daemon of its host does not answer: it may come back
    "ZOMBI": JobState.UNKNOWN,  # killed while its host did not answer
}
REASONS: Mapping[str, JobState] = {
    "TERM_RUNLIMIT": JobState.TIMEOUT,
    "TERM_DEADLINE": JobState.TIMEOUT,
    "TERM_OWNER": JobState.CANCELLED,
    "TERM_ADMIN": JobState.CANCELLED,
    "TERM_FORCE_OWNER": JobState.CANCELLED,
    "TERM_FORCE_ADMIN": JobState.CANCELLED,
    "TERM_BUCKET_KILL": JobState.CANCELLED,
    "TERM_PREEMPT": JobState.PREEMPTED,
    "TERM_ZOMBIE": JobState.NODE_FAIL,
    "TERM_CSM_ALLOC": JobState.NODE_FAIL,
    "TERM_CWD_NOTEXIST": JobState.NODE_FAIL,
}


class LsfKind(SchedulerKind):
    """One LSF as the site file describes it; jobs are asked for by nodes, as at LLNL and ORNL."""

    kind = "lsf"
    package = "IBM Spectrum LSF"
    job_variable = "LSB_JOBID"
    speaks = {"psij": "lsf", "parsl": "LSFProvider", "radical": "lsf"}
    reserves = "-U {}"

    def probe(self) -> Probe:
        missing = [name for name in NEEDED if not find(name, self.env)]
        if missing:
            reason = f"{', '.join(missing)}: not on PATH; load or install {self.package}"
            return Probe(kind=self.kind, found=False, reason=reason)
        identity = ask([*ONCE, self._path("lsid")], self.env)
        queues = ask([*ONCE, self._path("bqueues"), "-w"], self.env)
        if queues.exit_code != 0:
            return Probe(kind=self.kind, found=False, reason=said(queues))
        hosts = ask([*ONCE, self._path("bhosts"), "-w"], self.env)
        rows = [line.split() for line in hosts.stdout.splitlines()[1:] if line.strip()]
        first = identity.stdout.partition("\n")[0].partition(",")[0]
        return Probe(
            kind=self.kind,
            found=True,
            version=next((word for word in first.split() if word[:1].isdigit()), None),
            location=self._path("bsub"),
            nodes=tuple(row[0] for row in rows),
            queues=tuple(line.split()[0] for line in queues.stdout.splitlines()[1:] if line.strip()),
            details={"cores": {row[0]: int(row[3]) for row in rows if len(row) > 3 and row[3].isdigit()}},
        )

    def configured(self) -> bool:
        return bool(self.env.get("LSF_ENVDIR") or find("bsub", self.env))

    def submit_argv(self, job: JobSpec) -> list[str]:
        return [*self._bsub(job), "-rn", "-o", str(job.output), str(job.script)]

    def parse_submit(self, done: Finished) -> str:
        return number(done, r"^Job <(\d+)> is submitted")

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        return [*ONCE, self._path("bjobs"), "-a", "-json", "-o", COLUMNS, *ids]

    def parse_status(self, done: Finished) -> dict[str, JobStatus]:
        return {row["JOBID"]: _status(row) for row in _records(done) if "ERROR" not in row}

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        return [*ONCE, self._path("bkill"), *ids]

    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        out, err = output(job.output)
        # LSF joins the words of a command and lets a shell read them again
        return blocking(job.output, [*self._bsub(job), "-K", "-o", out, "-e", err, shlex.join(argv)])

    def ping_argv(self) -> list[str]:
        return [*ONCE, self._path("bqueues"), "-w"]

    def mine_argv(self) -> list[str]:
        return [*ONCE, self._path("bjobs"), "-json", "-o", "jobid sub_cwd"]

    def parse_mine(self, done: Finished) -> dict[str, str]:
        return {row["JOBID"]: row["SUB_CWD"] for row in _records(done) if "ERROR" not in row}

    def scrub(self) -> tuple[str, ...]:
        return ("LSB_", "LS_JOBPID", "LS_SUBCWD", "LS_EXEC", "JSM_", "PMI_", "PMIX_", "OMPI_COMM_")

    def _bsub(self, job: JobSpec) -> list[str]:
        argv = [*ONCE, self._path("bsub"), "-J", job_name(job.name), "-nnodes", str(job.nodes)]
        argv += ["-W", str(minutes(job.walltime))]
        argv += ["-q", job.queue] if job.queue else []
        argv += ["-P", job.account] if job.account else []
        return argv + [word for line in self.directives() for word in shlex.split(line)]

    def _path(self, name: str) -> str:
        return find(name, self.env) or name


def minutes(walltime: float) -> int:
    """Round a walltime up to what LSF keeps, whole minutes."""
    return max(1, math.ceil(walltime / 60))


def _records(done: Finished) -> list[dict[str, str]]:
    # bjobs exits with 255 also where only some of the jobs are unknown to it
    try:
        told: dict[str, Any] = json.loads(done.stdout)
        return list(told["RECORDS"])
    except (ValueError, KeyError, TypeError) as error:
        if done.exit_code == 0:
            raise CommandFailed(f"bjobs: printed no JSON that can be read: {done.stdout[:200]!r}") from error
        raise CommandFailed(said(done)) from error


def _status(row: dict[str, str]) -> JobStatus:
    native, why = row.get("STAT", ""), row.get("EXIT_REASON", "")
    state = STATES.get(native, JobState.UNKNOWN)
    if native == "EXIT":
        state = REASONS.get(why.partition(":")[0].strip(), state)
    code = int(row["EXIT_CODE"]) if row.get("EXIT_CODE", "").isdigit() else None
    signal = None
    if state is JobState.DONE:
        code = 0
    elif code is not None and code > 128:
        signal, code = code - 128, None
    reason = why or row.get("PEND_REASON") or row.get("SUSPEND_REASON") or ""
    waited = row.get("PEND_TIME", "").split()
    started = state not in (JobState.QUEUED, JobState.UNKNOWN)
    return JobStatus(
        state=state,
        native_state=native,
        reason=reason.rstrip("; ") or None,
        nodes=tuple(dict.fromkeys(part.rpartition("*")[2] for part in row.get("EXEC_HOST", "").split(":") if part)),
        exit_code=code if state.ended else None,
        signal=signal if state.ended else None,
        waited=float(waited[0]) if started and waited and waited[0].isdigit() else None,
    )
