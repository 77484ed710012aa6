"""Slurm through its own commands: sbatch, squeue, scancel, srun and scontrol ping, as of 18.08 or later.

The states are those of https://slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES.
"""

from __future__ import annotations

import math
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sdk_tests.schedulers.base import CommandFailed, Finished, JobSpec, JobState, JobStatus, Probe, SchedulerKind
from sdk_tests.schedulers.hostlist import expand

_PROBE_LIMIT = 5.0
_SBIN = ("/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin")

_CONFIGURATIONS = tuple(
    Path(folder, "slurm.conf") for folder in ("/etc/slurm", "/etc/slurm-llnl", "/run/slurm/conf", "/usr/local/etc")
)

_COLUMNS = ("JobID", "State", "exit_code", "SubmitTime", "StartTime", "EndTime", "NodeList", "Reason")
_DEFAULTS_OF_SQUEUE = (
    "SQUEUE_STATES",
    "SQUEUE_USERS",
    "SQUEUE_PARTITION",
    "SQUEUE_QOS",
    "SQUEUE_ACCOUNT",
    "SQUEUE_NAMES",
)
"""A user's own defaults, any of which would hide jobs from us."""

STATES: Mapping[str, JobState] = {
    "PENDING": JobState.QUEUED,
    "CONFIGURING": JobState.QUEUED,
    "POWER_UP_NODE": JobState.QUEUED,
    "REQUEUED": JobState.QUEUED,
    "REQUEUE_FED": JobState.QUEUED,
    "REQUEUE_HOLD": JobState.QUEUED,
    "RESV_DEL_HOLD": JobState.QUEUED,
    "SPECIAL_EXIT": JobState.QUEUED,  # requeued and held after an exit code the site watches for
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
    "REVOKED": JobState.UNKNOWN,  # another cluster of the federation runs it; this one cannot say how it ends
}


class SlurmKind(SchedulerKind):
    """One Slurm as the site file describes it."""

    kind = "slurm"
    job_variable = "SLURM_JOB_ID"
    package = "slurm-wlm (Debian, Ubuntu) or slurm (RHEL, SLES)"
    speaks = {"psij": "slurm", "parsl": "SlurmProvider", "radical": "slurm"}
    reserves = "--reservation={}"

    def probe(self) -> Probe:
        missing = [
            name for name in ("sbatch", "squeue", "scancel", "srun", "scontrol", "sinfo") if not self._find(name)
        ]
        if missing:
            reason = f"{', '.join(missing)}: not on PATH nor in {', '.join(_SBIN)}; install {self.package}"
            return Probe(kind=self.kind, found=False, reason=reason)
        location = self._find("sbatch")
        version = self._ask(["sbatch", "--version"]).stdout.split()
        found = Probe(kind=self.kind, found=True, version=version[-1] if version else None, location=location)
        ping = self._ask(["scontrol", "ping"])
        if ping.exit_code != 0:
            return replace(found, found=False, reason=_said(ping))
        listed = self._ask(["sinfo", "-h", "-N", "-o", "%N|%R|%c|%T"])
        if listed.exit_code != 0:
            return replace(found, found=False, reason=_said(listed))
        rows = [line.split("|") for line in listed.stdout.splitlines() if line.count("|") == 3]
        return replace(
            found,
            nodes=tuple(dict.fromkeys(row[0] for row in rows)),
            queues=tuple(dict.fromkeys(row[1] for row in rows)),
            details={"cores": {row[0]: int(row[2]) for row in rows if row[2].isdigit()}},
        )

    def granted(self) -> tuple[str, ...]:
        return expand(self.env.get("SLURM_JOB_NODELIST", ""))

    def configured(self) -> bool:
        """Whether there is a slurm.conf: without one, Slurm's commands look for a controller in the domain's DNS."""
        scontrol = self._find("scontrol")
        prefixes = [Path(scontrol).resolve().parent.parent] if scontrol else []
        places = [*_CONFIGURATIONS, *(prefix / "etc" / "slurm.conf" for prefix in prefixes)]
        return bool(self.env.get("SLURM_CONF")) or any(place.is_file() for place in places)

    def submit_argv(self, job: JobSpec) -> list[str]:
        argv = [self._path("sbatch"), "--parsable", "--no-requeue", "--export=ALL", *self._wants(job)]
        argv += ["--exclusive"] if self.spec.exclusive else [f"--mincpus={job.cores}"]
        return [*argv, f"--output={job.output}", *self._directives(), str(job.script)]

    def parse_submit(self, done: Finished) -> str:
        if done.exit_code != 0:
            raise CommandFailed(_said(done))
        # A site's submit filter may print before it; the id itself is followed by ;CLUSTER in a federation.
        for line in reversed(done.stdout.splitlines()):
            job_id = line.strip().partition(";")[0]
            if job_id.isdigit():
                return job_id
        raise CommandFailed(f"{done.argv[0]}: printed no job id but {done.stdout.strip()[:200]!r}")

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        return [*self._squeue(), "--states=all", f"--jobs={','.join(ids)}", "--Format", _format(_COLUMNS)]

    def parse_status(self, done: Finished) -> dict[str, JobStatus]:
        if done.exit_code != 0:
            # What squeue says of a single job that it has forgotten; with several it just leaves that one out.
            if "Invalid job id specified" in done.stderr:
                return {}
            raise CommandFailed(_said(done))
        found = {}
        for line in done.stdout.splitlines():
            fields = line.split("|", len(_COLUMNS) - 1)
            if len(fields) != len(_COLUMNS):
                raise CommandFailed(f"squeue: printed a line that cannot be read: {line[:200]!r}")
            found[fields[0].strip()] = _status(*(field.strip() for field in fields[1:]))
        return found

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        return [self._path("scancel"), "--quiet", *ids]

    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        launch = [self._path("srun"), "--export=ALL", *self._wants(job), f"--ntasks={job.nodes}", "--ntasks-per-node=1"]
        launch += ["--exclusive"] if self.spec.exclusive else []
        return [*launch, *self._directives(), *argv]

    def ping_argv(self) -> list[str]:
        # Exits 1 where no controller answers, at once where nothing listens (slurm_ping has no retries; squeue has).
        return [self._path("scontrol"), "ping"]

    def mine_argv(self) -> list[str]:
        return [*self._squeue(), f"--user={os.getuid()}", "--Format", _format(("JobID", "WorkDir"))]

    def parse_mine(self, done: Finished) -> dict[str, str]:
        if done.exit_code != 0:
            raise CommandFailed(_said(done))
        rows = (line.split("|", 1) for line in done.stdout.splitlines() if "|" in line)
        return {job_id.strip(): folder.rstrip("|").strip() for job_id, folder in rows}

    def scrub(self) -> tuple[str, ...]:
        return ("SLURM_", "SLURMD_", "SRUN_", "PMI_", "PMIX_")

    def spared(self) -> tuple[str, ...]:
        return ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT")

    def _wants(self, job: JobSpec) -> list[str]:
        """Return what sbatch and srun are told alike."""
        argv = [f"--job-name={job.name}", f"--nodes={job.nodes}", f"--time={minutes(job.walltime)}"]
        queue = self.spec.queue(job.queue) if job.queue else None
        partition, qos = queue.asks if queue is not None else (job.queue, None)
        argv += [f"--partition={partition}"] if partition else []
        argv += [f"--qos={qos}"] if qos else []
        if job.account:
            argv.append(f"--account={job.account}")
        return argv

    def _directives(self) -> list[str]:
        return [word for line in self.directives() for word in shlex.split(line)]

    def _squeue(self) -> list[str]:
        """Return squeue as nobody has configured it, with instants as seconds since the epoch."""
        forget = [word for name in _DEFAULTS_OF_SQUEUE for word in ("-u", name)]
        return ["env", *forget, "SLURM_TIME_FORMAT=%s", self._path("squeue"), "--noheader"]

    def _find(self, name: str) -> str | None:
        return shutil.which(name, path=os.pathsep.join((self.env.get("PATH", os.defpath), *_SBIN)))

    def _path(self, name: str) -> str:
        return self._find(name) or name

    def _ask(self, argv: list[str]) -> Finished:
        full = (self._path(argv[0]), *argv[1:])
        try:
            done = subprocess.run(
                full, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_LIMIT, check=False
            )
        except subprocess.TimeoutExpired:
            return Finished(full, None, "", "")
        except OSError as error:
            return Finished(full, 127, "", str(error))
        return Finished(
            full, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )


def minutes(walltime: float) -> int:
    """Round a walltime up to what Slurm keeps, whole minutes."""
    return max(1, math.ceil(walltime / 60))


def _format(columns: Sequence[str]) -> str:
    """Return the --Format that ends every column, however wide, with a bar; a reason may hold spaces and commas."""
    return ",".join(f"{name}:|" for name in columns)


def _status(state: str, code: str, submitted: str, started: str, ended: str, nodes: str, reason: str) -> JobStatus:
    known = STATES.get(state.partition(" ")[0], JobState.UNKNOWN)
    reason = reason.rstrip("|").strip()
    held = expand(nodes)
    exit_code, signal = _wait_status(code) if known.ended else (None, None)
    return JobStatus(
        state=known,
        native_state=state,
        reason=None if reason in ("", "None") else reason,
        submitted=_instant(submitted),
        # A job that has no nodes has not started, whatever estimate or end stands in these columns.
        started=_instant(started) if held else None,
        ended=_instant(ended) if known.ended else None,
        nodes=held,
        exit_code=exit_code,
        signal=signal,
    )


def _wait_status(text: str) -> tuple[int | None, int | None]:
    """Read wait(2)'s status word, or CODE:SIGNAL, into exit code and signal, one of which is None."""
    code, colon, sign = text.partition(":")
    if not code.isdigit() or (colon and not sign.isdigit()):
        return None, None
    status = (int(code) << 8 | int(sign)) if colon else int(code)
    return (None, status & 0x7F) if status & 0x7F else (status >> 8 & 0xFF, None)


def _instant(text: str) -> float | None:
    if text.isdigit():
        return float(text) or None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _said(done: Finished) -> str:
    """Return the evidence line, with the program's bare name and without the frame of stars of scontrol ping."""
    argv = done.argv[next((n for n, word in enumerate(done.argv) if word.startswith("/")), 0) :]
    kept = "\n".join(line for line in done.stdout.splitlines() if not line.startswith("***") and line[:3] != "** ")
    return replace(done, argv=(Path(argv[0]).name, *argv[1:]), stdout=kept).line
