"""Cobalt through its own commands: qsub, qstat, qdel and cqwait, as of 1.0 (github.com/ido/cobalt, man/POSIX).

The states are those Cobalt's queue manager shows in qstat. A job that has ended is no longer known to it; how it ended
stands in the log that ``--debuglog`` names, which this kind remembers for the jobs it has submitted.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sdk_tests.schedulers.base import CommandFailed, Finished, JobSpec, JobState, JobStatus, Probe, SchedulerKind
from sdk_tests.schedulers.commands import ask, find, job_name, number, output, said
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
    "done": JobState.UNKNOWN,  # for a moment; the log tells how
}
_ENDS = (
    (re.compile(r"maximum execution time exceeded"), JobState.TIMEOUT),
    (re.compile(r"user delete"), JobState.CANCELLED),
    (re.compile(r"Error: .*execution failure"), JobState.NODE_FAIL),
    (re.compile(r"task completed normally with an exit code of (-?\d+)"), JobState.DONE),
)


class CobaltKind(SchedulerKind):
    """One Cobalt as the site file describes it."""

    kind = "cobalt"
    package = "Cobalt"
    job_variable = "COBALT_JOBID"
    speaks = {"psij": "cobalt", "radical": "cobalt"}
    reserves = "queue"

    def __init__(self, spec: SchedulerSpec, env: Mapping[str, str]) -> None:
        super().__init__(spec, env)
        self.logs: dict[str, Path] = {}
        self.seen: dict[str, JobStatus] = {}

    def probe(self) -> Probe:
        missing = [name for name in NEEDED if not find(name, self.env)]
        if missing:
            reason = f"{', '.join(missing)}: not on PATH; load or install {self.package}"
            return Probe(kind=self.kind, found=False, reason=reason)
        version = ask([self._path("qstat"), "--version"], self.env)
        if "cobalt" not in version.stdout.lower():
            return Probe(kind=self.kind, found=False, reason=f"{self._path('qstat')} is not that of Cobalt")
        queues = ask([self._path("qstat"), "-Q"], self.env)
        if queues.exit_code != 0:
            return Probe(kind=self.kind, found=False, reason=said(queues))
        hosts = ask([self._path("nodelist")], self.env)
        return Probe(
            kind=self.kind,
            found=True,
            version=next(iter(re.findall(r"\d+\.\d+[.\w]*", version.stdout)), None),
            location=self._path("qsub"),
            nodes=_first(hosts.stdout),
            queues=_first(queues.stdout),
        )

    def configured(self) -> bool:
        return bool(self.env.get("COBALT_CONFIG_FILES")) or Path("/etc/cobalt.conf").is_file()

    def submit_argv(self, job: JobSpec) -> list[str]:
        log = job.output.with_suffix(".cobaltlog")
        argv = [*self._qsub(job), "-o", str(job.output), "-e", str(job.output), f"{_LOG}{log}"]
        return [*argv, "--mode", "script", str(job.script)]

    def parse_submit(self, done: Finished) -> str:
        job = number(done, r"^\s*(\d+)\s*$")
        log = next((word for word in done.argv if word.startswith(_LOG)), None)
        if log:
            self.logs[job] = Path(log[len(_LOG) :])
        return job

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        return [self._path("qstat"), "-l", f"--header={':'.join(COLUMNS)}", *ids]

    def parse_status(self, done: Finished) -> dict[str, JobStatus]:
        # It exits with 1 and says nothing where it knows none of the jobs.
        if done.exit_code != 0 and not (done.exit_code == 1 and not (done.stdout + done.stderr).strip()):
            raise CommandFailed(said(done))
        found = _read(done.stdout)
        self.seen.update(found)
        for job in (word for word in done.argv[1:] if word.isdigit() and word not in found):
            ended = self._ended(job)
            if ended is not None:
                found[job] = ended
        return found

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        return [self._path("qdel"), *ids]

    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        out, err = output(job.output)
        log = f"{job.output}/control.cobaltlog"
        # qsub does not wait; cqwait does, and knows no exit code: that is in the log
        script = (
            'id=$("$@") || exit; id=$(echo "$id" | tail -n 1); "$WAIT" "$id"; '
            'cat "$OUT" 2>/dev/null; cat "$ERR" >&2 2>/dev/null; '
            'code=$(sed -n "s/.*with an exit code of \\([0-9]*\\);.*/\\1/p" "$LOG"); exit "${code:-1}"'
        )
        names = [f"OUT={out}", f"ERR={err}", f"LOG={log}", f"WAIT={self._path('cqwait')}"]
        submit = [*self._qsub(job), "-o", out, "-e", err, f"{_LOG}{log}", "--mode", "script", *argv]
        return ["env", *names, "sh", "-c", script, "sh", *submit]

    def ping_argv(self) -> list[str]:
        return [self._path("qstat"), "-Q"]

    def mine_argv(self) -> list[str]:
        return [self._path("qstat"), "-l", "--header=JobID:OutputDir"]

    def parse_mine(self, done: Finished) -> dict[str, str]:
        if done.exit_code != 0:
            raise CommandFailed(said(done))
        return {fields["JobID"]: fields.get("OutputDir", "") for fields in _blocks(done.stdout)}

    def scrub(self) -> tuple[str, ...]:
        return ("COBALT_", "ALPS_", "PMI_")

    def spared(self) -> tuple[str, ...]:
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
        """Read a job's end from its log; None where the log does not tell of one."""
        try:
            text = self.logs[job].read_text(encoding="utf-8", errors="replace")
        except (KeyError, OSError):
            return None
        for pattern, state in _ENDS:
            found = pattern.search(text)
            if found is None:
                continue
            line = next(line for line in text.splitlines() if pattern.search(line))
            code = int(found.group(1)) if found.groups() else None
            if code:
                state = JobState.FAILED
            killed = code is not None and code > 128
            before = self.seen.get(job, JobStatus(state, state.value))
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
    """Round a walltime up to what Cobalt keeps, whole minutes."""
    return max(1, math.ceil(walltime / 60))


def _first(table: str) -> tuple[str, ...]:
    """Return the first column of one of Cobalt's tables, below its line of signs."""
    return tuple(line.split()[0] for line in table.splitlines()[2:] if line.strip())


def _blocks(text: str) -> list[dict[str, str]]:
    """Read qstat -l: a block of ``Name : value`` lines for each job."""
    blocks: list[dict[str, str]] = []
    for line in text.splitlines():
        name, sign, value = line.partition(":")
        if sign and not line[:1].isspace():
            blocks.append({})
        elif line.strip() and (not sign or not blocks):
            raise CommandFailed(f"qstat: printed a line that cannot be read: {line[:200]!r}")
        if sign:
            blocks[-1][name.strip()] = value.strip()
    return blocks


def _read(text: str) -> dict[str, JobStatus]:
    found = {}
    for fields in _blocks(text):
        if "State" not in fields or not fields.get("JobID", "").isdigit():
            raise CommandFailed(f"qstat: told a job without a state: {text[:200]!r}")
        where = fields.get("Location", "None")
        found[fields["JobID"]] = JobStatus(
            state=STATES.get(fields["State"], JobState.UNKNOWN),
            native_state=fields["State"],
            submitted=_instant(fields.get("SubmitTime", "")),
            started=_instant(fields.get("StartTime", "")),
            nodes=() if where in ("", "None", "N/A") else tuple(where.split(",")),
        )
    return found


def _instant(text: str) -> float | None:
    for pattern in ("%a %b %d %H:%M:%S %Y %z", "%a %b %d %H:%M:%S %Y"):
        try:
            return datetime.strptime(text.partition(" (")[0], pattern).timestamp()
        except ValueError:
            continue
    return None
