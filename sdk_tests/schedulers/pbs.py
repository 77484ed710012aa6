"""PBS Professional and OpenPBS, used through their own commands: qsub, qstat, qdel, qselect and pbsnodes.

The states are listed in qstat(1B) and pbs_job_attributes(7B). The negative exit codes are listed in the table "Job Exit
Codes" of the PBS Professional Reference Guide; a code above 256 is 256 plus a signal.
"""

from __future__ import annotations

import json
import math
import platform
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    job_name,
    on_a_node,
    only_requested,
    output_files,
    parse_job_id,
    run_command,
    user_name,
)

NEEDED = ("qsub", "qstat", "qdel", "qselect")
FOLDERS = ("/opt/pbs/bin",)
SIGNALS = 64
NO_HISTORY = "not configured to maintain job history"
TERMINATED = 91
"""The substate of a deleted job."""

STATES: Mapping[str, JobState] = {
    "B": JobState.RUNNING,  # an array job of which at least one subjob has started
    "E": JobState.RUNNING,
    "F": JobState.DONE,  # the exit code decides
    "H": JobState.QUEUED,
    "M": JobState.UNKNOWN,  # moved to another server; only that server knows how the job ends
    "Q": JobState.QUEUED,
    "R": JobState.RUNNING,
    "S": JobState.RUNNING,
    "T": JobState.QUEUED,
    "U": JobState.RUNNING,
    "W": JobState.QUEUED,
    "X": JobState.DONE,
}
CODES: Mapping[int, JobState] = {
    -4: JobState.NODE_FAIL,  # aborted when MOM started again
    -5: JobState.NODE_FAIL,
    -6: JobState.NODE_FAIL,
    -14: JobState.NODE_FAIL,  # a sister node was lost
    -20: JobState.NODE_FAIL,  # the first node was lost
    -29: JobState.TIMEOUT,
}


class PbsKind(SchedulerKind):
    """A PBS installation, as the site file describes it."""

    kind = "pbs"
    package = "OpenPBS (openpbs-server, openpbs-client)"
    job_variable = "PBS_JOBID"
    component_names = {"psij": "pbs", "parsl": "PBSProProvider", "radical": "pbspro"}
    reservation_option = "queue"
    _history = True
    """Whether the server keeps the history of ended jobs, so that qstat -x is permitted; learned from its answers."""

    def probe(self) -> Probe:
        missing = [name for name in NEEDED if not find(name, self.env, *FOLDERS)]
        if missing:
            reason = f"{', '.join(missing)}: not on PATH nor in {', '.join(FOLDERS)}; install {self.package}"
            return Probe(kind=self.kind, available=False, installed=False, reason=reason)
        version = run_command([self._path("qstat"), "--version"], self.env)
        if "pbs_version" not in version.stdout:
            return Probe(kind=self.kind, available=False, reason=f"{self._path('qstat')} is not the one of PBS")
        queues = run_command([self._path("qstat"), "-Q", "-f", "-F", "json"], self.env)
        if queues.exit_code != 0:
            return Probe(kind=self.kind, available=False, reason=evidence(queues))
        nodes = run_command([self._path("pbsnodes"), "-a"], self.env)
        cores = re.findall(r"^(\S+)$(?:\n\s+.*)*?\n\s+resources_available\.ncpus = (\d+)", nodes.stdout, re.MULTILINE)
        return Probe(
            kind=self.kind,
            available=True,
            version=version.stdout.partition("=")[2].split()[0],
            location=self._path("qsub"),
            nodes=tuple(re.findall(r"^(\S+)$", nodes.stdout, re.MULTILINE)),
            queues=tuple(_read(queues).get("Queue", {})),
            details={"cores": {name: int(count) for name, count in cores}},
        )

    def configured(self) -> bool:
        return bool(self.env.get("PBS_CONF_FILE")) or Path("/etc/pbs.conf").is_file()

    def submit_argv(self, job: JobSpec) -> list[str]:
        return [*self._qsub(job), "-r", "n", "-j", "oe", "-o", str(job.output), str(job.script)]

    def parse_submit(self, done: CommandResult) -> str:
        return parse_job_id(done, rf"^\s*(\d{{1,18}}(?:\[\])?\.{_SERVER})\s*$")

    def status_argv(self, ids: Sequence[str]) -> list[str]:
        return [self._path("qstat"), *(["-x"] if self._history else []), "-f", "-F", "json", *ids]

    def parse_status(self, done: CommandResult) -> dict[str, JobStatus]:
        if "-x" in done.argv and NO_HISTORY in done.stderr:
            self._history = False
            raise CommandFailed(f"{evidence(done)}; asked without the history from now on")
        statuses = {job: _status(attributes) for job, attributes in _jobs(done).items()}
        return only_requested(statuses, [word for word in done.argv[1:] if _ID.match(word)], self.job_key)

    def cancel_argv(self, ids: Sequence[str]) -> list[str]:
        return [self._path("qdel"), *ids]

    def control_argv(self, argv: Sequence[str], job: JobSpec) -> list[str]:
        out, err = output_files(job.output)
        # -k doe writes the files in place if PBS can do so; otherwise they arrive after qsub has returned
        submit = [*self._qsub(job), "-W", "block=true", "-k", "doe", "-o", out, "-e", err, "--", *argv]
        return blocking_argv(job.output, submit, file_wait=10)

    def ping_argv(self) -> list[str]:
        return [self._path("qstat"), "-Q"]

    def own_jobs_argv(self) -> list[str]:
        # qstat does not accept -u together with -f, so qselect lists the ids
        script = 'ids=$("$1" -u "$2") && { [ -z "$ids" ] || "$3" -f -F json $ids; }'
        return ["sh", "-c", script, "sh", self._path("qselect"), user_name(), self._path("qstat")]

    def parse_own_jobs(self, done: CommandResult) -> dict[str, OwnJob]:
        if done.exit_code == 0 and not done.stdout.strip():
            return {}
        return {
            job: OwnJob(_text(attributes.get("Job_Name")), _work_folder(attributes))
            for job, attributes in _jobs(done).items()
        }

    def describe_argvs(self, job_id: str) -> list[list[str]]:
        return [[self._path("qstat"), "-x", "-f", job_id], [self._path("qstat"), "-f", job_id]]

    def job_key(self, job_id: str) -> str:
        """Compare the number, with the index of an array: the server's name after it may be long, short or absent."""
        return job_id.strip().partition(".")[0]

    def allocation_of(self, environ: Mapping[str, str]) -> AllocationCheck | None:
        job_id = environ.get(self.job_variable)
        if not job_id:
            return None
        done = run_command([self._path("qstat"), "-f", "-F", "json", job_id], self.env)
        try:
            jobs = _jobs(done)
        except CommandFailed as failed:
            return AllocationCheck(job_id, alive=False, reason=f"PBS does not report job {job_id}: {failed}")
        attributes = next((jobs[job] for job in jobs if self.job_key(job) == self.job_key(job_id)), None)
        if attributes is None:
            return AllocationCheck(job_id, alive=False, reason=f"PBS does not know a running job {job_id}")
        status = _status(attributes)
        if status.state is not JobState.RUNNING:
            reason = f"PBS's job {job_id} does not run: its state is {status.native_state}"
            return AllocationCheck(job_id, alive=False, reason=reason)
        if _text(attributes.get("Job_Owner")).partition("@")[0] not in ("", user_name()):
            return AllocationCheck(job_id, alive=False, reason=f"PBS's job {job_id} belongs to another user")
        if on_a_node(status.nodes):
            return AllocationCheck(job_id, alive=True, here=True, nodes=status.nodes)
        listed = ", ".join(status.nodes)
        reason = f"this shell is on {platform.node()}, which is not a node of PBS's job {job_id} ({listed})"
        return AllocationCheck(job_id, alive=False, nodes=status.nodes, reason=reason)

    def allocation_prefixes(self) -> tuple[str, ...]:
        return ("PBS_", "PALS_", "PMI_", "PMIX_")

    def kept_variables(self) -> tuple[str, ...]:
        return ("PBS_CONF_FILE", "PBS_DEFAULT", "PBS_EXEC", "PBS_HOME", "PBS_SERVER")

    def _qsub(self, job: JobSpec) -> list[str]:
        directives = [word for line in self.directives() for word in shlex.split(line)]
        placed = any("place=" in word for word in directives)  # of two places, PBS uses the last one
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
        return find(name, self.env, *FOLDERS) or name


def _read(done: CommandResult) -> dict[str, Any]:
    """Return the answer of qstat -F json.

    OpenPBS 19 to 23 prints invalid JSON for some values of environment variables: digits with leading zeros are not
    quoted, and ``\\,`` is no escape of JSON. If the answer stays invalid after these are mended, or is valid without
    holding its jobs where they belong, the jobs are read one by one, each by the attributes that are needed, so that
    one job's variables do not hide the others.
    """
    text = done.stdout
    jobs = _salvaged(text)
    for attempt in (text, _mended(text)):
        try:
            answer = json.loads(attempt)
        except (ValueError, RecursionError):
            continue
        if isinstance(answer, dict):
            listed = answer.get("Jobs")
            return {"Jobs": jobs | listed} if isinstance(listed, dict) else answer | {"Jobs": jobs}
    if jobs:
        return {"Jobs": jobs}
    if done.exit_code == 0:
        raise CommandFailed(f"qstat: printed invalid JSON: {text[:200]!r}")
    raise CommandFailed(evidence(done))


def _mended(text: str) -> str:
    text = re.sub(r'\\(?!["\\/bfnrtu])', r"\\\\", text)
    return re.sub(r"(:\s*)(-?0\d[\w.]*)(?=\s*[,}\n])", r'\1"\2"', text)


_SERVER = r"[A-Za-z0-9](?:[\w.-]*\w)?"
"""The name of a server in a job id: that of a host, which begins and ends with a letter or a digit."""
_ID = re.compile(rf"\d{{1,18}}(?:\[\d{{0,18}}\])?\.{_SERVER}", re.ASCII)
_JOB = re.compile(rf'"({_ID.pattern})":\s*\{{', re.ASCII)
_ATTRIBUTE = re.compile(
    r'"(Job_Name|job_state|Job_Owner|comment|ctime|stime|mtime|exec_host|Exit_status|substate|PBS_O_WORKDIR)":\s*'
    r'(?:"((?:[^"\\]|\\.)*)"|(-?\d{1,18}\b))',
    re.ASCII,
)


def _salvaged(text: str) -> dict[str, dict[str, Any]]:
    """Read the needed attributes of each job out of an answer that is no JSON."""
    starts = [*_JOB.finditer(text)]
    jobs: dict[str, dict[str, Any]] = {}
    for start, following in zip(starts, [*starts[1:], None], strict=False):  # the list may be empty
        block = text[start.end() : following.start() if following else len(text)]
        attributes: dict[str, Any] = {}
        for name, quoted, number in _ATTRIBUTE.findall(block):
            attributes.setdefault(name, int(number) if number else _unescaped(quoted))
        if "job_state" in attributes:
            attributes["Variable_List"] = {"PBS_O_WORKDIR": attributes.get("PBS_O_WORKDIR", "")}
            jobs[start.group(1)] = attributes
    return jobs


def _jobs(done: CommandResult) -> dict[str, dict[str, Any]]:
    """Return the attributes of each job. qstat reports the jobs it knows, and fails if it does not know all of them."""
    answer = _read(done)
    errors = [line for line in done.stderr.splitlines() if line.strip() and "Unknown Job Id" not in line]
    jobs = answer.get("Jobs", {})
    if done.exit_code != 0 and errors and not jobs:
        raise CommandFailed(evidence(done))
    readable = {
        job: attributes
        for job, attributes in (jobs.items() if isinstance(jobs, dict) else ())
        if _ID.fullmatch(job) and isinstance(attributes, dict) and isinstance(attributes.get("job_state"), str)
    }
    if jobs and not readable:
        raise CommandFailed(f"qstat: reported jobs without a state: {done.stdout[:200]!r}")
    return readable


def _work_folder(attributes: Mapping[str, Any]) -> str:
    variables = attributes.get("Variable_List")
    return _text(variables.get("PBS_O_WORKDIR")) if isinstance(variables, dict) else ""


def _unescaped(quoted: str) -> str:
    """Return the text of a JSON string; unchanged if it is none."""
    try:
        return str(json.loads(f'"{quoted}"', strict=False))
    except ValueError:
        return quoted


def _text(value: Any) -> str:
    """Return a text that can be encoded in UTF-8; empty if the value is no text."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _exit_status(attributes: Mapping[str, Any]) -> int | None:
    code = attributes.get("Exit_status")
    return code if type(code) is int and abs(code) < 1 << 31 else None


def _status(attributes: dict[str, Any]) -> JobStatus:
    native = _text(attributes["job_state"])
    state = STATES.get(native, JobState.UNKNOWN)
    exit_code = signal = None
    if state is JobState.DONE:
        code = _exit_status(attributes)
        state = _end_state(code, attributes)
        if code is not None and 256 < code <= 256 + SIGNALS:
            signal = code - 256
        elif code is not None and 128 < code <= 128 + SIGNALS:
            signal = code - 128  # reported by the shell that ran the script
        else:
            exit_code = code
    started = _instant(attributes.get("stime"))
    hosts = [part.partition("/")[0] for part in _text(attributes.get("exec_host")).split("+") if part]
    return JobStatus(
        state=state,
        native_state=native,
        reason=_text(attributes.get("comment")) or None,
        submitted=_instant(attributes.get("ctime")),
        started=started if hosts else None,
        ended=_instant(attributes.get("mtime")) if state.ended else None,
        nodes=tuple(dict.fromkeys(hosts)),
        exit_code=exit_code,
        signal=signal,
    )


def _end_state(code: int | None, attributes: dict[str, Any]) -> JobState:
    if code is not None and code in CODES:
        return CODES[code]
    if "exceeded resource walltime" in _text(attributes.get("comment")):
        return JobState.TIMEOUT
    if attributes.get("substate") == TERMINATED or code is None:
        return JobState.CANCELLED
    return JobState.DONE if code == 0 else JobState.FAILED


def _instant(text: Any) -> float | None:
    try:
        return time.mktime(time.strptime(_text(text), "%a %b %d %H:%M:%S %Y"))
    except (ValueError, OverflowError):
        return None
