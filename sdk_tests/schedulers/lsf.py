"""LSF, used through its own commands: bsub, bjobs, bkill and bqueues, as of Spectrum LSF 10.1, and as of OpenLava.

The site file names the dialect: whether jobs request nodes or job slots, and whether bjobs prints JSON. Without it, the
probe finds it out.

The states are listed in https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=execution-about-job-states, the
termination reasons in https://www.ibm.com/docs/SSWRJV_10.1.0/lsf_admin/termination_reasons_lsf.html.
"""

from __future__ import annotations

import json
import math
import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

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
    blocking_argv,
    evidence,
    find,
    finishing_command,
    is_number,
    job_name,
    on_a_node,
    only_requested,
    parse_job_id,
    run_command,
    user_name,
)
from sdk_tests.schedulers.lsf_long import read_long
from site_configs.probes.lsf import dialect
from site_configs.values import Dialect

NEEDED = ("bsub", "bjobs", "bkill", "bqueues")
ONCE = ("env", "LSB_NTRIES=1")
"""By default, a command that cannot reach the daemon retries for ever."""
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
    "UNKWN": JobState.UNKNOWN,  # the daemon on the host of the job does not answer, but may answer again
    "ZOMBI": JobState.UNKNOWN,  # killed while the host of the job did not answer
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


FILE_WAIT = 10
"""Seconds to wait for the files of a control job, which may become visible after ``bsub -K`` has returned."""


class LsfKind(SchedulerKind):
    """An LSF installation, as the site file describes it."""

    kind = "lsf"
    package = "IBM Spectrum LSF"
    job_variable = "LSB_JOBID"
    component_names = {"psij": "lsf", "parsl": "LSFProvider", "radical": "lsf"}
    user_defaults = re.compile(r"(?:BSUB|LSB_BJOBS|LSB_BHIST|LSB_SUB)_\w+|LSB_DEFAULTQUEUE")
    reservation_option = "-U {}"

    def probe(self) -> Probe:
        missing = [name for name in NEEDED if not find(name, self.env)]
        if missing:
            reason = f"{', '.join(missing)}: not on PATH; load or install {self.package}"
            return Probe(kind=self.kind, available=False, installed=False, reason=reason)
        identity = run_command([*ONCE, self._path("lsid")], self.env)
        queues = run_command([*ONCE, self._path("bqueues"), "-w"], self.env)
        if queues.exit_code != 0:
            return Probe(kind=self.kind, available=False, reason=evidence(queues))
        hosts = run_command([*ONCE, self._path("bhosts"), "-w"], self.env)
        rows = [line.split() for line in hosts.stdout.splitlines()[1:] if line.strip()]
        first = identity.stdout.partition("\n")[0].partition(",")[0]
        if self.spec.dialect is None:
            self.spec = msgspec.structs.replace(self.spec, dialect=dialect(self.env))
        return Probe(
            kind=self.kind,
            available=True,
            version=next((word for word in first.split() if word[:1].isdecimal()), None),
            location=self._path("bsub"),
            nodes=tuple(row[0] for row in rows),
            queues=tuple(line.split()[0] for line in queues.stdout.splitlines()[1:] if line.strip()),
            details={"cores": {row[0]: int(row[3]) for row in rows if len(row) > 3 and row[3].isdecimal()}},
        )

    def configured(self) -> bool:
        return bool(self.env.get("LSF_ENVDIR") or find("bsub", self.env))

    @property
    def nodewise(self) -> bool:
        """Whether jobs request nodes, not job slots."""
        return self.spec.dialect in (None, Dialect.CSM)

    @property
    def classic(self) -> bool:
        """Whether bjobs prints no JSON."""
        return self.spec.dialect is Dialect.CLASSIC

    def submit_argv(self, job: JobSpec) -> list[str]:
        argv = [*self._bsub(job), *([] if self.classic else ["-rn"]), "-o", str(job.output)]
        if self.nodewise:
            return [*argv, str(job.script)]
        return ["env", f"SCRIPT={job.script}", "sh", "-c", 'exec "$@" < "$SCRIPT"', "sh", *argv]

    def parse_submit(self, done: CommandResult) -> str:
        return parse_job_id(done, r"^Job <(\d{1,18})> is submitted")

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        return self._bjobs(["-a"], COLUMNS, ids)

    def parse_status(self, done: CommandResult) -> dict[str, JobStatus]:
        statuses = {row["JOBID"]: _status(row) for row in self._rows(done) if "STAT" in row}
        requested = [word for word in done.argv[1:] if _ID.fullmatch(word)]
        return only_requested(statuses, requested, self.job_key)

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        return [*ONCE, self._path("bkill"), *ids]

    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        # LSF joins the arguments of a command with spaces and runs the result in a shell. It writes a report about the
        # job into the file of -o, before or after the program's own output, and not before bsub -K has returned.
        report, command = str(Path(job.output) / "control.report"), finishing_command(argv, job.output)
        return blocking_argv(
            job.output, [*self._bsub(job), "-K", "-o", report, command], file_wait=FILE_WAIT, refused=255
        )

    def ping_argv(self) -> list[str]:
        return [*ONCE, self._path("bqueues"), "-w"]

    def own_jobs_argv(self) -> list[str]:
        return self._bjobs([], "jobid job_name sub_cwd", [])

    def parse_own_jobs(self, done: CommandResult) -> dict[str, OwnJob]:
        rows = [row for row in self._rows(done) if row.keys() >= {"JOB_NAME", "SUB_CWD"}]
        return {row["JOBID"]: OwnJob(row["JOB_NAME"], row["SUB_CWD"]) for row in rows}

    def describe_argvs(self, job_id: str) -> list[list[str]]:
        return [[self._path(name), "-l", job_id] for name in ("bjobs", "bhist") if find(name, self.env)]

    def job_key(self, job_id: str) -> str:
        """Compare the number, with the index of an array element."""
        match = re.match(r"\d+(?:\[\d+\])?", job_id.strip(), re.ASCII)
        return match.group() if match else job_id.strip()

    def allocation_of(self, environ: Mapping[str, str]) -> AllocationCheck | None:
        job_id = environ.get(self.job_variable)
        if not job_id:
            return None
        done = run_command(self._bjobs([], f"{COLUMNS} user", [job_id]), self.env)
        try:
            row = next((row for row in self._rows(done) if self.job_key(row["JOBID"]) == self.job_key(job_id)), None)
        except CommandFailed as failed:
            return AllocationCheck(job_id, alive=False, reason=f"LSF does not report job {job_id}: {failed}")
        if row is None:
            return AllocationCheck(job_id, alive=False, reason=f"LSF does not know a running job {job_id}")
        status = _status(row)
        if status.state is not JobState.RUNNING:
            reason = f"LSF's job {job_id} does not run: its state is {status.native_state}"
            return AllocationCheck(job_id, alive=False, reason=reason)
        if row.get("USER", "") not in ("", user_name()):
            return AllocationCheck(job_id, alive=False, reason=f"LSF's job {job_id} belongs to another user")
        if on_a_node(status.nodes):
            return AllocationCheck(job_id, alive=True, here=True, nodes=status.nodes)
        reason = f"this shell is on {platform.node()}, which is not a host of LSF's job {job_id}"
        return AllocationCheck(job_id, alive=False, nodes=status.nodes, reason=reason)

    def allocation_prefixes(self) -> tuple[str, ...]:
        return ("LSB_", "LS_JOBPID", "LS_SUBCWD", "LS_EXEC", "JSM_", "PMI_", "PMIX_", "OMPI_COMM_")

    def view(self, nodes: int) -> dict[str, Any]:
        """Add how jobs request their size (``job_size``: nodes or slots), and whether bjobs has ``-json``."""
        return {**super().view(nodes), "job_size": "nodes" if self.nodewise else "slots", "json": not self.classic}

    def unable(self, component: str) -> str | None:
        if component == "psij" and self.classic:
            return (
                "psij 0.9.11's executor for LSF asks for the status of jobs only with `bjobs -json`, which this LSF "
                "does not have (dialect: classic)"
            )
        requesting = {"psij": "psij 0.9.11's executor for LSF", "maestro": "maestro 1.2's adapter for LSF"}
        if component in requesting and not self.nodewise:
            return (
                f"{requesting[component]} requests nodes with `#BSUB -nnodes`, which only an LSF with IBM's Cluster "
                f"System Manager has; the dialect of this one is {self.spec.dialect.value}"  # type: ignore[union-attr]
            )
        return None

    def _bsub(self, job: JobSpec) -> list[str]:
        words = [word for line in self.directives() for word in shlex.split(line)]
        argv = [*ONCE, self._path("bsub"), "-J", job_name(job.name)]
        if self.nodewise:
            argv += ["-nnodes", str(job.nodes)]
        else:
            requirements, words = _requirements(words)
            if not any("span[" in text for text in requirements):
                requirements.append(f"span[ptile={job.cores}]")
            argv += ["-n", str(job.nodes * job.cores), "-R", " ".join(requirements)]
            argv += ["-x"] if self.spec.exclusive and "-x" not in words else []
        argv += ["-W", str(minutes(job.walltime))]
        argv += ["-q", job.queue] if job.queue else []
        argv += ["-P", job.account] if job.account else []
        return argv + words

    def _bjobs(self, options: Sequence[str], columns: str, ids: Sequence[str]) -> list[str]:
        form = ["-l"] if self.classic else ["-json", "-o", columns]
        return [*ONCE, self._path("bjobs"), *options, *form, *ids]

    def _rows(self, done: CommandResult) -> list[dict[str, str]]:
        if not self.classic:
            return _records(done)
        rows = read_long(done.stdout, self.env.get("HOME") or str(Path("~").expanduser()))
        asked = {self.job_key(word) for word in done.argv if re.fullmatch(r"\d+(\[\d+\])?", word, re.ASCII)}
        rows = [row for row in rows if not asked or self.job_key(row["JOBID"]) in asked]
        if rows or (done.exit_code is not None and _knows_none(done)):
            return rows
        if done.exit_code == 0:
            raise CommandFailed(f"bjobs: printed no list of jobs: {done.stdout[:200]!r}")
        raise CommandFailed(evidence(done))

    def _path(self, name: str) -> str:
        return find(name, self.env) or name


def minutes(walltime: float) -> int:
    """Round a walltime in seconds up to whole minutes, the unit of LSF."""
    return max(1, math.ceil(walltime / 60))


def _requirements(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take the values of ``-R`` out of the words of a command; OpenLava refuses a second ``-R``."""
    values, rest = [], []
    remaining = iter(words)
    for word in remaining:
        if word == "-R":
            values.append(next(remaining, ""))
        else:
            rest.append(word)
    return [value for value in values if value], rest


def _knows_none(done: CommandResult) -> bool:
    """Return whether bjobs states, and states only, that it knows none of the jobs."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if done.stdout.strip():
        return False
    if not lines:
        return done.exit_code == 0
    return all(re.fullmatch(r"No (unfinished )?job found|Job <[^<>]*> is not found", line) for line in lines)


def _records(done: CommandResult) -> list[dict[str, str]]:
    """Return the records of the jobs that bjobs knows; it also exits with 255 if it does not know some of them.

    bjobs does not escape quotation marks in a job's name or reason; then the records are read one by one.
    """
    try:
        answer = json.loads(done.stdout)
        records = answer["RECORDS"] if isinstance(answer, dict) else None
    except (ValueError, KeyError, RecursionError):
        records = None
    if not isinstance(records, list):
        records = [dict(_FIELD.findall(block)) for block in re.findall(r"\{[^{}]*\}", done.stdout)]
        if not any("JOBID" in record for record in records):
            if done.exit_code == 0:
                raise CommandFailed(f"bjobs: printed invalid JSON: {done.stdout[:200]!r}")
            raise CommandFailed(evidence(done))
    rows = [{name: _text(value) for name, value in record.items()} for record in records if isinstance(record, dict)]
    return [row for row in rows if "ERROR" not in row and _ID.fullmatch(row.get("JOBID", ""))]


def _text(value: object) -> str:
    """Return a text that can be encoded in UTF-8; empty if the value is neither a text nor a number."""
    return str(value).encode(errors="replace").decode() if isinstance(value, str | int) else ""


_ID = re.compile(r"\d{1,18}(?:\[\d{1,18}\])?", re.ASCII)
_FIELD = re.compile(r'"([A-Z_]+)"\s*:\s*"(.*?)"\s*(?=,\s*"[A-Z_]+"\s*:|\}|\n)', re.DOTALL)


def _status(row: dict[str, str]) -> JobStatus:
    native, exit_reason = row.get("STAT", ""), row.get("EXIT_REASON", "")
    state = STATES.get(native, JobState.UNKNOWN)
    if native == "EXIT":
        state = REASONS.get(exit_reason.partition(":")[0].strip(), state)
    code = int(row["EXIT_CODE"]) if is_number(row.get("EXIT_CODE", "")) and len(row["EXIT_CODE"]) < 10 else None
    signal = None
    if state is JobState.DONE:
        code = 0
    elif code is not None and code > 128:
        signal, code = code - 128, None
    reason = exit_reason or row.get("PEND_REASON") or row.get("SUSPEND_REASON") or ""
    pend_time = row.get("PEND_TIME", "").split()
    started = state not in (JobState.QUEUED, JobState.UNKNOWN)
    times = {name: float(row[name]) if row.get(name) else None for name in ("SUBMITTED", "STARTED", "ENDED")}
    return JobStatus(
        state=state,
        native_state=native,
        reason=reason.rstrip("; ") or None,
        submitted=times["SUBMITTED"],
        started=times["STARTED"],
        ended=times["ENDED"],
        nodes=tuple(dict.fromkeys(part.rpartition("*")[2] for part in row.get("EXEC_HOST", "").split(":") if part)),
        exit_code=code if state.ended else None,
        signal=signal if state.ended else None,
        queue_wait=float(pend_time[0]) if started and pend_time and is_number(pend_time[0]) else None,
    )
