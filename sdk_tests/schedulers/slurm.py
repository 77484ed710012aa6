"""Slurm 18.08 or later, used through its own commands: sbatch, squeue, scancel, srun and scontrol ping.

The states are listed in https://slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES.
"""

from __future__ import annotations

import math
import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
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
from sdk_tests.schedulers.commands import is_number, on_a_node, only_requested, parse_job_id
from sdk_tests.schedulers.hostlist import expand

_PROBE_LIMIT = 5.0
_SBIN = ("/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin")

_CONFIGURATIONS = tuple(
    Path(folder, "slurm.conf") for folder in ("/etc/slurm", "/etc/slurm-llnl", "/run/slurm/conf", "/usr/local/etc")
)

_COLUMNS = ("JobID", "State", "exit_code", "SubmitTime", "StartTime", "EndTime", "NodeList", "Reason", "JobID")
_ACCOUNTED = ("JobID", "State", "ExitCode", "Submit", "Start", "End", "NodeList", "JobID")
_ALLOCATION = ("JobID", "State", "UserID", "NodeList", "JobID")
_OWN = ("JobID", "Name", "WorkDir", "JobID")
"""The id is the first and the last column: a row with two different ids, or with one, has lost a part."""
_ID = re.compile(r"\d{1,18}(?:[_+]\d{1,18})?(?:;[\w.-]+)?", re.ASCII)

STATES: Mapping[str, JobState] = {
    "PENDING": JobState.QUEUED,
    "CONFIGURING": JobState.QUEUED,
    "POWER_UP_NODE": JobState.QUEUED,
    "REQUEUED": JobState.QUEUED,
    "REQUEUE_FED": JobState.QUEUED,
    "REQUEUE_HOLD": JobState.QUEUED,
    "RESV_DEL_HOLD": JobState.QUEUED,
    "SPECIAL_EXIT": JobState.QUEUED,  # requeued and held because of an exit code that the site has listed
    "RUNNING": JobState.RUNNING,
    "COMPLETING": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "STAGE_OUT": JobState.RUNNING,
    "STOPPED": JobState.RUNNING,
    "SUSPENDED": JobState.RUNNING,
    "UPDATE_DB": JobState.RUNNING,
    "COMPLETED": JobState.DONE,
    "FAILED": JobState.FAILED,
    "OUT_OF_MEMORY": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
    "TIMEOUT": JobState.TIMEOUT,
    "DEADLINE": JobState.TIMEOUT,
    "BOOT_FAIL": JobState.NODE_FAIL,
    "LAUNCH_FAILED": JobState.NODE_FAIL,
    "NODE_FAIL": JobState.NODE_FAIL,
    "RECONFIG_FAIL": JobState.NODE_FAIL,
    "PREEMPTED": JobState.PREEMPTED,
    "REVOKED": JobState.UNKNOWN,  # another cluster of the federation runs the job; this one does not know its end
}


class SlurmKind(SchedulerKind):
    """A Slurm installation, as the site file describes it."""

    kind = "slurm"
    job_variable = "SLURM_JOB_ID"
    package = "slurm-wlm (Debian, Ubuntu) or slurm (RHEL, SLES)"
    component_names = {"psij": "slurm", "parsl": "SlurmProvider", "radical": "slurm"}
    user_defaults = re.compile(r"(?:SBATCH|SQUEUE|SCANCEL|SINFO|SACCT|SALLOC|SRUN|SCONTROL|SSTAT)_(?!ACCOUNT$)\w+")
    reservation_option = "--reservation={}"

    def probe(self) -> Probe:
        missing = [
            name for name in ("sbatch", "squeue", "scancel", "srun", "scontrol", "sinfo") if not self._find(name)
        ]
        if missing:
            reason = f"{', '.join(missing)}: not on PATH nor in {', '.join(_SBIN)}; install {self.package}"
            return Probe(kind=self.kind, available=False, installed=False, reason=reason)
        location = self._find("sbatch")
        version = self._run(["sbatch", "--version"]).stdout.split()
        probe = Probe(kind=self.kind, available=True, version=version[-1] if version else None, location=location)
        ping = self._run(["scontrol", "ping"])
        if ping.exit_code != 0:
            return replace(probe, available=False, reason=_evidence(ping))
        sinfo = self._run(["sinfo", "-h", "-N", "-o", "%N|%R|%c|%T"])
        if sinfo.exit_code != 0:
            return replace(probe, available=False, reason=_evidence(sinfo))
        rows = [line.split("|") for line in sinfo.stdout.splitlines() if line.count("|") == 3]
        return replace(
            probe,
            nodes=tuple(dict.fromkeys(row[0] for row in rows)),
            queues=tuple(dict.fromkeys(row[1] for row in rows)),
            details={"cores": {row[0]: int(row[2]) for row in rows if row[2].isdecimal()}},
        )

    def allocation_nodes(self) -> tuple[str, ...]:
        return expand(self.env.get("SLURM_JOB_NODELIST", ""))

    def configured(self) -> bool:
        """Whether a slurm.conf exists. Without one, Slurm's commands search the DNS of the domain for a controller."""
        scontrol = self._find("scontrol")
        prefixes = [Path(scontrol).resolve().parent.parent] if scontrol else []
        paths = [*_CONFIGURATIONS, *(prefix / "etc" / "slurm.conf" for prefix in prefixes)]
        return bool(self.env.get("SLURM_CONF")) or any(path.is_file() for path in paths)

    def submit_argv(self, job: JobSpec) -> list[str]:
        argv = [self._path("sbatch"), "--parsable", "--no-requeue", "--export=ALL", *self._job_options(job)]
        argv += ["--exclusive"] if self.spec.exclusive else [f"--mincpus={job.cores}"]
        output = str(job.output).replace("%", "%%")
        return [*argv, f"--output={output}", *self._directives(), str(job.script)]

    def parse_submit(self, done: CommandResult) -> str:
        if done.exit_code != 0:
            raise CommandFailed(_evidence(done))
        # A site's submit filter may print lines before the id. With several clusters, ;CLUSTER follows the id.
        return parse_job_id(replace(done, argv=_evident(done).argv), rf"^\s*({_ID.pattern})\s*$")

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        return _joined(
            [*self._squeue(cluster), "--states=all", f"--jobs={','.join(numbers)}", "--Format", _format(_COLUMNS)]
            for cluster, numbers in _by_cluster(ids).items()
        )

    def parse_status(self, done: CommandResult) -> dict[str, JobStatus]:
        if done.exit_code != 0:
            # This is the error if the only job of the query is no longer known; of several jobs, squeue omits that one.
            if "Invalid job id specified" in done.stderr:
                return {}
            raise CommandFailed(_evidence(done))
        statuses = {
            job_id: _status(*(field.strip() for field in fields)) for job_id, *fields in self._rows(done, len(_COLUMNS))
        }
        return only_requested(statuses, _requested(done), self._number)

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        return _joined(
            [self._path("scancel"), "--quiet", *_clusters(cluster), *numbers]
            for cluster, numbers in _by_cluster(ids).items()
        )

    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        srun = [self._path("srun"), "--export=ALL", *self._job_options(job)]
        srun += [f"--ntasks={job.nodes}", "--ntasks-per-node=1"]
        srun += ["--exclusive"] if self.spec.exclusive else []
        return [*srun, *self._directives(), *argv]

    def ping_argv(self) -> list[str]:
        # Exits 1 if no controller answers, and immediately if nothing listens: unlike squeue, it does not retry.
        return [self._path("scontrol"), "ping"]

    def own_jobs_argv(self) -> list[str]:
        return [*self._squeue(self._cluster()), f"--user={os.getuid()}", "--Format", _format(_OWN)]

    def parse_own_jobs(self, done: CommandResult) -> dict[str, OwnJob]:
        if done.exit_code != 0:
            raise CommandFailed(_evidence(done))
        return {job_id: OwnJob(name.strip(), folder.strip()) for job_id, name, folder in self._rows(done, len(_OWN))}

    def recent_jobs_argv(self) -> list[str]:
        return [*self._squeue(self._cluster()), "--states=all", f"--user={os.getuid()}", "--Format", _format(_OWN)]

    def describe_argvs(self, job_id: str) -> list[list[str]]:
        number, _, cluster = job_id.partition(";")
        described = [[self._path("scontrol"), *_clusters(cluster), "show", "job", number]]
        if self._find("sacct"):
            columns = "--format=JobID,State,ExitCode,DerivedExitCode,Reason,NodeList,ReqMem,MaxRSS,Elapsed"
            described.append([self._path("sacct"), *_clusters(cluster), "--parsable2", columns, f"--jobs={number}"])
        return described

    def accounting_argv(self, ids: Sequence[str]) -> list[str] | None:
        if not self._find("sacct"):
            return None
        columns = f"--format={','.join(_ACCOUNTED)}"
        sacct = ["env", "SLURM_TIME_FORMAT=%s", self._path("sacct"), "--allocations", "--noheader", "--parsable2"]
        return _joined(
            [*sacct, *_clusters(cluster), f"--jobs={','.join(numbers)}", columns]
            for cluster, numbers in _by_cluster(ids).items()
        )

    def parse_accounting(self, done: CommandResult) -> dict[str, JobStatus]:
        if done.exit_code != 0:
            raise CommandFailed(_evidence(done))
        statuses = {
            job_id: _status(*(field.strip() for field in [*fields, ""]))
            for job_id, *fields in self._rows(done, len(_ACCOUNTED))
        }
        return only_requested(statuses, _requested(done), self._number)

    def job_key(self, job_id: str) -> str:
        """Compare the job and its cluster; a step (``12.batch``) or a component (``12+1``) is part of its job."""
        cluster = job_id.strip().partition(";")[2]
        return self._number(job_id) + (f";{cluster}" if cluster else "")

    def _number(self, job_id: str) -> str:
        """Return the job's number, without its cluster."""
        number = job_id.strip().partition(";")[0]
        match = re.match(r"\d+(?:_\d+)?", number, re.ASCII)
        return match.group() if match else number

    def allocation_of(self, environ: Mapping[str, str]) -> AllocationCheck | None:
        job_id = environ.get(self.job_variable)
        if not job_id:
            return None
        number = job_id.partition(";")[0]
        asked = self._run([*self._squeue(self._cluster()), f"--jobs={number}", "--Format", _format(_ALLOCATION)])
        rows = [
            fields
            for identity, *fields in self._rows(asked, len(_ALLOCATION), strict=False)
            if self._number(identity) == self._number(job_id)
        ]
        if asked.exit_code != 0 or not rows:
            return AllocationCheck(job_id, alive=False, reason=f"Slurm does not know a running job {job_id}")
        state, owner, listed = (field.strip() for field in rows[0])
        nodes = expand(listed)
        if STATES.get(state.partition(" ")[0]) is not JobState.RUNNING or not nodes:
            return AllocationCheck(job_id, alive=False, reason=f"Slurm's job {job_id} does not run: {state}")
        if owner != str(os.getuid()):
            return AllocationCheck(job_id, alive=False, reason=f"Slurm's job {job_id} belongs to another user")
        if on_a_node(nodes, environ.get("SLURMD_NODENAME")):
            return AllocationCheck(job_id, alive=True, here=True, nodes=nodes)
        enter = (self._path("srun"), f"--jobid={number}", "--nodes=1", "--ntasks=1", "--export=ALL", "--overlap")
        here = platform.node()
        reason = f"this shell is on {here}, which is not a node of job {job_id} ({listed}): cases enter the job by srun"
        return AllocationCheck(job_id, alive=True, nodes=nodes, enter=enter, reason=reason)

    def allocation_prefixes(self) -> tuple[str, ...]:
        return ("SLURM_", "SLURMD_", "SRUN_", "PMI_", "PMIX_")

    def kept_variables(self) -> tuple[str, ...]:
        return ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT")

    def _job_options(self, job: JobSpec) -> list[str]:
        """Return the options that sbatch and srun share."""
        argv = [f"--job-name={job.name}", f"--nodes={job.nodes}", f"--time={minutes(job.walltime)}"]
        queue = self.spec.queue(job.queue) if job.queue else None
        partition, qos = queue.partition_and_qos if queue is not None else (job.queue, None)
        argv += [f"--partition={partition}"] if partition else []
        argv += [f"--qos={qos}"] if qos else []
        if job.account:
            argv.append(f"--account={job.account}")
        return argv

    def _directives(self) -> list[str]:
        return [word for line in self.directives() for word in shlex.split(line)]

    def _cluster(self) -> str:
        """Return the cluster that the site's directives name; empty for the default one."""
        match = re.search(r"(?:^| )(?:--clusters?[= ]|-M ?)(\S+)", " ".join(self._directives()))
        return match.group(1) if match else ""

    def _squeue(self, cluster: str = "") -> list[str]:
        """Return squeue with times in seconds since the epoch."""
        return ["env", "SLURM_TIME_FORMAT=%s", self._path("squeue"), "--noheader", *_clusters(cluster)]

    def _rows(self, done: CommandResult, columns: int, *, strict: bool = True) -> list[list[str]]:
        """Return the readable rows: the job's id, its cluster included, and the columns between the two ids of a row.

        Raises:
            CommandFailed: there are lines, and none of them can be read; with ``strict`` only.
        """
        named = [word.partition("=")[2] for word in done.argv if word.startswith("--clusters=")]
        cluster, rows, unreadable = (named[0] if len(named) == 1 else ""), [], ""
        for line in done.stdout.split("\n"):
            if line.startswith("CLUSTER: "):
                cluster = line.partition(": ")[2].strip()
                continue
            first, _, rest = line.strip().partition("|")
            middle, _, last = rest.removesuffix("|").rpartition("|")
            fields = middle.split("|", columns - 3)
            if len(fields) == columns - 2 and first.strip() == last.strip() and _ID.fullmatch(first.strip()):
                rows.append([first.strip() + (f";{cluster}" if cluster else ""), *fields])
            elif line.strip():
                unreadable = unreadable or line
        if strict and unreadable and not rows:
            program = next((Path(word).name for word in done.argv if word.startswith("/")), done.argv[0])
            raise CommandFailed(f"{program}: printed a line that cannot be read: {unreadable[:200]!r}")
        return rows

    def _find(self, name: str) -> str | None:
        return shutil.which(name, path=os.pathsep.join((self.env.get("PATH", os.defpath), *_SBIN)))

    def _path(self, name: str) -> str:
        return self._find(name) or name

    def _run(self, argv: list[str]) -> CommandResult:
        full = (self._path(argv[0]), *argv[1:])
        try:
            done = subprocess.run(
                full, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_LIMIT, check=False
            )
        except subprocess.TimeoutExpired:
            return CommandResult(full, None, "", "")
        except OSError as error:
            return CommandResult(full, 127, "", str(error))
        return CommandResult(
            full, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )


def _by_cluster(ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the numbers of jobs by cluster: the id of a job on another than the default cluster ends in ;CLUSTER."""
    numbers: dict[str, list[str]] = {}
    for job_id in ids:
        number, _, cluster = job_id.partition(";")
        numbers.setdefault(cluster, []).append(number)
    return numbers


def _clusters(cluster: str) -> list[str]:
    return [f"--clusters={cluster}"] if cluster else []


def _joined(commands: Iterable[list[str]]) -> list[str]:
    """Return one command that runs all: a cluster needs one of its own."""
    several = list(commands)
    return several[0] if len(several) == 1 else ["sh", "-c", "\n".join(map(shlex.join, several))]


def minutes(walltime: float) -> int:
    """Round a walltime in seconds up to whole minutes, the unit of Slurm."""
    return max(1, math.ceil(walltime / 60))


def _format(columns: Sequence[str]) -> str:
    """Return a --Format that ends each column of any width with a bar, since a reason may contain spaces and commas."""
    return ",".join(f"{name}:|" for name in columns)


def _status(state: str, code: str, submitted: str, started: str, ended: str, nodes: str, reason: str) -> JobStatus:
    job_state = STATES.get(state.partition(" ")[0], JobState.UNKNOWN)
    names = expand(nodes)
    exit_code, signal = _wait_status(code) if job_state.ended else (None, None)
    return JobStatus(
        state=job_state,
        native_state=state,
        reason=None if reason in ("", "None") else reason,
        submitted=_instant(submitted),
        # A job without nodes has not started, even if this column contains an estimate or an end.
        started=_instant(started) if names else None,
        ended=_instant(ended) if job_state.ended else None,
        nodes=names,
        exit_code=exit_code,
        signal=signal,
    )


def _wait_status(text: str) -> tuple[int | None, int | None]:
    """Parse a status word of wait(2), or CODE:SIGNAL, into exit code and signal. One of the two is None."""
    code, colon, sign = text.partition(":")
    if not is_number(code) or (colon and not is_number(sign)) or max(len(code), len(sign)) > 9:
        return None, None
    status = (int(code) << 8 | int(sign)) if colon else int(code)
    return (None, status & 0x7F) if status & 0x7F else (status >> 8 & 0xFF, None)


def _instant(text: str) -> float | None:
    try:
        if is_number(text):
            return float(text) if len(text) < 12 and float(text) else None
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _requested(done: CommandResult) -> list[str]:
    """Return the jobs that a command asks about; a command for several clusters is a script."""
    return [number for jobs in re.findall(r"--jobs=([\w+,]+)", " ".join(done.argv)) for number in jobs.split(",")]


def _evidence(done: CommandResult) -> str:
    """Return the evidence line, with the bare name of the program and without the asterisks of scontrol ping."""
    return _evident(done).evidence


def _evident(done: CommandResult) -> CommandResult:
    argv = done.argv[next((n for n, word in enumerate(done.argv) if word.startswith("/")), 0) :]
    kept = "\n".join(line for line in done.stdout.splitlines() if not line.startswith("***") and line[:3] != "** ")
    return replace(done, argv=(Path(argv[0]).name, *argv[1:]), stdout=kept)
