"""Shared by the PSI/J payloads: an executor in the scratch folder, jobs with the site's options, and bounded waits.

PSI/J waits for ever if its polls keep failing, so every wait here has a time limit. When a payload exits, it cancels
its jobs that have not ended, except if it is killed.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from _bindings import bindings

NO_BINDINGS = None
if os.environ.get("FLUX_URI"):  # PSI/J looks for the modules of its executors only once, when it is imported
    try:
        bindings()
    except ImportError as error:
        NO_BINDINGS = error

from psij import Job, JobAttributes, JobExecutor, JobExecutorConfig, JobSpec, ResourceSpecV1  # noqa: E402
from psij.executors.batch.batch_scheduler_executor import BatchSchedulerExecutorConfig  # noqa: E402

HELLO = str(Path(__file__).resolve().parent.parent / "control" / "hello.py")
"""The program of most jobs: prints one line of JSON with its node, its pid and the job id of its environment."""

LONG_OPTIONS = {"C": "constraint", "L": "licenses", "S": "core-spec", "x": "exclude", "w": "nodelist", "G": "gpus"}
"""The long forms of Slurm's short options, see sbatch(1)."""

STARTED = time.monotonic()


class Session:
    """PSI/J's executor for the request's scheduler, and the jobs submitted to it; a context manager."""

    def __init__(self, request, poll=None):
        self.request = request
        self.scheduler = request["scheduler"]
        self.jobs = []
        self.deadline = STARTED + 0.9 * (request.get("limit") or request.get("walltime") or 60)
        kind, folder = self.scheduler["kind"], Path("psij").absolute()
        config = JobExecutorConfig(work_directory=folder)
        if kind not in ("local", "flux"):
            pause = poll or self.scheduler.get("poll") or 5
            config = BatchSchedulerExecutorConfig(
                work_directory=folder, initial_queue_polling_delay=pause, queue_polling_interval=pause
            )
        name = request["params"].get("executor") or (self.scheduler.get("component_names") or {}).get("psij", kind)
        if name == "flux" and NO_BINDINGS is not None:  # PSI/J would only state that it has no such executor
            raise NO_BINDINGS
        self.executor = JobExecutor.get_instance(name, config=config)

    def __enter__(self):
        return self

    def __exit__(self, raised, *_):
        try:
            with ExitStack() as stack:  # cancels every job, even if cancelling another one raises
                for job in self.jobs:
                    stack.callback(job.cancel)
        except Exception as error:
            if raised is None:
                raise
            print(f"a job could not be cancelled: {error}", file=sys.stderr)  # why the payload ends is raised already
        end = time.monotonic() + 10
        while self.scheduler["kind"] == "local" and any(alive(job.native_id) for job in self.jobs):
            if time.monotonic() > end:
                raise TimeoutError("the process of a cancelled job has not ended")
            time.sleep(0.02)  # the local executor reports a job as cancelled before it has killed it

    def submit(self, executable, arguments, **options):
        """Submit ``executable`` with the options of :meth:`spec`; return the job."""
        return self.run(self.spec(executable, arguments, **options))

    def shell(self, script, **options):
        """Submit a shell script; it changes to this folder itself, because some executors ignore the directory."""
        return self.submit("/bin/sh", ["-c", f"cd {shlex.quote(os.getcwd())} || exit 97; {script}"], **options)

    def run(self, spec):
        """Submit a job with this specification; if it has not ended when the payload exits, it is cancelled."""
        job = Job(spec)
        self.executor.submit(job)
        self.jobs.append(job)
        return job

    def spec(self, executable, arguments, *, duration=300, nodes=1, custom=None, **spec):
        """Return the specification of a job with the site's queue, account and directives; ``spec`` goes to JobSpec."""
        attributes = JobAttributes(
            duration=timedelta(seconds=duration),
            queue_name=self.scheduler.get("queue"),
            account=self.scheduler.get("account"),
            custom_attributes={**self._directives(), **(custom or {})} or None,
        )
        if self.scheduler["kind"] == "flux":  # supports neither processes per node nor exclusive nodes
            size = {"process_count": nodes, "cpu_cores_per_process": 1, "exclusive_node_use": False}
        else:
            size = {"processes_per_node": 1, "exclusive_node_use": bool(self.scheduler.get("exclusive"))}
        resources = ResourceSpecV1(node_count=nodes, **size)
        spec.setdefault("directory", Path.cwd())
        if "stdout_path" in spec:  # otherwise the messages of Flux's shell go to the job's stdout
            spec.setdefault("stderr_path", spec["stdout_path"].with_suffix(".err"))
        return JobSpec(executable, arguments, attributes=attributes, resources=resources, **spec)

    def seconds_left(self):
        """Return the seconds until this payload's time limit, which includes the wait in the scheduler's queue."""
        return max(1.0, self.deadline - time.monotonic())

    def wait(self, job, state=None):
        """Wait until the job has ended, or has reached ``state``, and return its status.

        Raises:
            TimeoutError: it did not within the payload's time limit.
        """
        seconds = self.seconds_left()
        status = job.wait(timeout=timedelta(seconds=seconds), target_states=[state] if state else None)
        if status is None:
            raise TimeoutError(f"job {job.native_id} is still {job.status} after {seconds:.0f} s")
        return status

    def _directives(self):
        """Convert lines such as ``--qos=debug`` or ``-l filesystems=home`` into PSI/J's custom attributes."""
        attributes = {}
        for line in self.scheduler.get("directives") or ():
            key, value = re.match(r"-+([\w-]+)[=\s]?\s*(.*)", line).groups()
            if self.scheduler["kind"] == "slurm":  # PSI/J writes all of Slurm's options in the long form
                key = LONG_OPTIONS.get(key, key)
            name = f"{self.scheduler['kind']}.{key}"
            # an attribute has one value; PBS accepts several resources in it, separated by commas
            attributes[name] = f"{attributes[name]},{value}" if name in attributes else value
        return attributes


def alive(pid):
    """Return whether a process of this machine exists and is not a zombie."""
    try:
        stat = Path(f"/proc/{int(pid)}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def wait_for_file(path, seconds=20.0):
    """Wait for a file that a job writes on its node; on a shared file system it appears late and without an event.

    Raises:
        TimeoutError: the file did not appear in time.
    """
    end = time.monotonic() + seconds
    while not (path.exists() and path.stat().st_size):
        if time.monotonic() > end:
            raise TimeoutError(f"no {path} after {seconds:g} s")
        time.sleep(0.05)
    return path


def printed_objects(path, job):
    """Return the JSON objects that a job printed, one on each line.

    Raises:
        RuntimeError: the job did not complete; what it and its launcher wrote to stderr is then on stderr.
    """
    status = job.status
    if status.state.name != "COMPLETED":
        errors = job.spec.stderr_path
        if errors and Path(errors).exists():
            print(
                f"--- {errors}", *Path(errors).read_text(errors="replace").splitlines()[-20:], sep="\n", file=sys.stderr
            )
        how = f"{status.state.name} with exit code {status.exit_code}"
        raise RuntimeError(f"the job {job.native_id} ended as {how}: {status.message or 'PSI/J has no message'}")
    try:
        lines = wait_for_file(path).read_text(encoding="utf-8").splitlines()
    except TimeoutError as error:
        raise TimeoutError(f"PSI/J reports the job {job.native_id} as COMPLETED, but there is {error}") from None
    return [json.loads(line) for line in lines]


def comparable_id(scheduler, job):
    """Return a job's id in a form in which ids can be compared, because Flux writes the same id in several forms."""
    if scheduler["kind"] != "flux" or job is None:
        return job
    return subprocess.run(
        ["flux", "job", "id", "--to=dec", job], capture_output=True, text=True, check=True
    ).stdout.strip()


def status_of(job, status=None):
    """Return PSI/J's current status of a job, or the given status, as plain values."""
    status = status or job.status
    answer = {"native_id": str(job.native_id), "state": status.state.name, "exit_code": status.exit_code}
    return {**answer, "message": status.message}
