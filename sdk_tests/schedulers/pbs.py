"""PBS Professional and OpenPBS through their own commands: qsub, qstat, qdel, qselect and pbsnodes.

The states are those of qstat(1B) and pbs_job_attributes(7B); the negative exit codes those of the table "Job Exit
Codes" of the PBS Professional Reference Guide, where a code above 256 is 256 plus a signal.
"""

from __future__ import annotations

import json
import math
import os
import pwd
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sdk_tests.schedulers.base import CommandFailed, Finished, JobSpec, JobState, JobStatus, Probe, SchedulerKind
from sdk_tests.schedulers.commands import ask, blocking, find, job_name, number, output, said

NEEDED = ("qsub", "qstat", "qdel", "qselect")
PLACES = ("/opt/pbs/bin",)
SIGNALS = 64
TERMINATED = 91
"""The substate of a job that somebody deleted."""

STATES: Mapping[str, JobState] = {
    "B": JobState.RUNNING,  # an array of which something runs
    "E": JobState.RUNNING,
    "F": JobState.DONE,  # and then the exit code decides
    "H": JobState.QUEUED,
    "M": JobState.UNKNOWN,  # moved to another server, which alone knows how it ends
    "Q": JobState.QUEUED,
    "R": JobState.RUNNING,
    "S": JobState.RUNNING,
    "T": JobState.QUEUED,
    "U": JobState.RUNNING,
    "W": JobState.QUEUED,
    "X": JobState.DONE,
}
CODES: Mapping[int, JobState] = {
    -4: JobState.NODE_FAIL,  # aborted when MOM came up again
    -5: JobState.NODE_FAIL,
    -6: JobState.NODE_FAIL,
    -14: JobState.NODE_FAIL,  # a sister node was lost
    -20: JobState.NODE_FAIL,  # its first node was lost
    -29: JobState.TIMEOUT,
}


class PbsKind(SchedulerKind):
    """One PBS as the site file describes it."""

    kind = "pbs"
    package = "OpenPBS (openpbs-server, openpbs-client)"
    job_variable = "PBS_JOBID"
    speaks = {"psij": "pbs", "parsl": "PBSProProvider", "radical": "pbspro"}
    reserves = "queue"

    def probe(self) -> Probe:
        missing = [name for name in NEEDED if not find(name, self.env, *PLACES)]
        if missing:
            reason = f"{', '.join(missing)}: not on PATH nor in {', '.join(PLACES)}; install {self.package}"
            return Probe(kind=self.kind, found=False, reason=reason)
        version = ask([self._path("qstat"), "--version"], self.env)
        if "pbs_version" not in version.stdout:
            return Probe(kind=self.kind, found=False, reason=f"{self._path('qstat')} is not that of PBS")
        queues = ask([self._path("qstat"), "-Q", "-f", "-F", "json"], self.env)
        if queues.exit_code != 0:
            return Probe(kind=self.kind, found=False, reason=said(queues))
        nodes = ask([self._path("pbsnodes"), "-a"], self.env)
        cores = re.findall(r"^(\S+)$(?:\n\s+.*)*?\n\s+resources_available\.ncpus = (\d+)", nodes.stdout, re.MULTILINE)
        return Probe(
            kind=self.kind,
            found=True,
            version=version.stdout.partition("=")[2].split()[0],
            location=self._path("qsub"),
            nodes=tuple(re.findall(r"^(\S+)$", nodes.stdout, re.MULTILINE)),
            queues=tuple(_json(queues).get("Queue", {})),
            details={"cores": {name: int(count) for name, count in cores}},
        )

    def configured(self) -> bool:
        return bool(self.env.get("PBS_CONF_FILE")) or Path("/etc/pbs.conf").is_file()

    def submit_argv(self, job: JobSpec) -> list[str]:
        return [*self._qsub(job), "-r", "n", "-j", "oe", "-o", str(job.output), str(job.script)]

    def parse_submit(self, done: Finished) -> str:
        return number(done, r"^(\d+(?:\[\])?\.\S+)$")

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        return [self._path("qstat"), "-x", "-f", "-F", "json", *ids]

    def parse_status(self, done: Finished) -> dict[str, JobStatus]:
        return {job: _status(told) for job, told in _jobs(done).items()}

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        return [self._path("qdel"), *ids]

    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        out, err = output(job.output)
        # written in place where PBS can; else the files follow the job's end, with which qsub returns
        submit = [*self._qsub(job), "-W", "block=true", "-k", "doe", "-o", out, "-e", err, "--", *argv]
        return blocking(job.output, submit, settle=10)

    def ping_argv(self) -> list[str]:
        return [self._path("qstat"), "-Q"]

    def mine_argv(self) -> list[str]:
        # -u and -f exclude each other
        script = 'ids=$("$1" -u "$2") && { [ -z "$ids" ] || "$3" -f -F json $ids; }'
        user = pwd.getpwuid(os.getuid()).pw_name
        return ["sh", "-c", script, "sh", self._path("qselect"), user, self._path("qstat")]

    def parse_mine(self, done: Finished) -> dict[str, str]:
        if done.exit_code == 0 and not done.stdout.strip():
            return {}
        return {job: told.get("Variable_List", {}).get("PBS_O_WORKDIR", "") for job, told in _jobs(done).items()}

    def scrub(self) -> tuple[str, ...]:
        return ("PBS_", "PALS_", "PMI_", "PMIX_")

    def spared(self) -> tuple[str, ...]:
        return ("PBS_CONF_FILE", "PBS_DEFAULT", "PBS_EXEC", "PBS_HOME", "PBS_SERVER")

    def _qsub(self, job: JobSpec) -> list[str]:
        directives = [word for line in self.directives() for word in shlex.split(line)]
        placed = any("place=" in word for word in directives)  # of two, the last one counts
        place = [] if placed else ["-l", f"place=scatter{':excl' * self.spec.exclusive}"]
        span = math.ceil(job.walltime)
        walltime = f"{span // 3600:02d}:{span // 60 % 60:02d}:{span % 60:02d}"
        argv = [self._path("qsub"), "-N", job_name(job.name), "-V"]
        argv += ["-l", f"select={job.nodes}:ncpus={job.cores}", *place, "-l", f"walltime={walltime}"]
        queue = self.queue(job.queue)
        argv += ["-q", queue] if queue else []
        argv += ["-A", job.account] if job.account else []
        return argv + directives

    def _path(self, name: str) -> str:
        return find(name, self.env, *PLACES) or name


def _json(done: Finished) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        if done.exit_code == 0:
            raise CommandFailed(f"qstat: printed no JSON that can be read: {done.stdout[:200]!r}") from error
        raise CommandFailed(said(done)) from error
    return told


def _jobs(done: Finished) -> dict[str, dict[str, Any]]:
    """Return attributes by job; of several jobs, qstat reports those it knows and fails for the others."""
    told = _json(done)
    complaints = [line for line in done.stderr.splitlines() if line.strip() and "Unknown Job Id" not in line]
    if done.exit_code != 0 and complaints:
        raise CommandFailed(said(done))
    jobs = told.get("Jobs", {})
    if not isinstance(jobs, dict) or not all(isinstance(job, dict) and "job_state" in job for job in jobs.values()):
        raise CommandFailed(f"qstat: told jobs without a state: {done.stdout[:200]!r}")
    return jobs


def _status(told: dict[str, Any]) -> JobStatus:
    native = str(told["job_state"])
    state = STATES.get(native, JobState.UNKNOWN)
    exit_code = signal = None
    if state is JobState.DONE:
        code = told.get("Exit_status")
        state = _end(code, told)
        if isinstance(code, int) and code > 256:
            signal = code - 256
        elif isinstance(code, int) and 128 < code <= 128 + SIGNALS:
            signal = code - 128  # so says the shell that ran the script
        else:
            exit_code = code
    started = _instant(told.get("stime"))
    hosts = [part.partition("/")[0] for part in str(told.get("exec_host", "")).split("+") if part]
    return JobStatus(
        state=state,
        native_state=native,
        reason=told.get("comment") or None,
        submitted=_instant(told.get("ctime")),
        started=started if hosts else None,
        ended=_instant(told.get("mtime")) if state.ended else None,
        nodes=tuple(dict.fromkeys(hosts)),
        exit_code=exit_code,
        signal=signal,
    )


def _end(code: Any, told: dict[str, Any]) -> JobState:
    if code in CODES:
        return CODES[code]
    if "exceeded resource walltime" in str(told.get("comment", "")):
        return JobState.TIMEOUT
    if told.get("substate") == TERMINATED or code is None:
        return JobState.CANCELLED
    return JobState.DONE if code == 0 else JobState.FAILED


def _instant(text: Any) -> float | None:
    try:
        return time.mktime(time.strptime(str(text), "%a %b %d %H:%M:%S %Y"))
    except (ValueError, OverflowError):
        return None
