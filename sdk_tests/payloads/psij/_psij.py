"""What the PSI/J payloads share: an executor in the scratch folder, jobs as the site wants them, waits with an end.

PSI/J by itself waits for ever where its polls keep failing, so every wait here is bounded; jobs still alive when a
payload leaves, unless it is killed, are cancelled.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path


def flux_bindings():
    """Let Python find Flux's own bindings, which lie under its prefix."""
    try:
        found = subprocess.run(["flux", "env", "printenv", "PYTHONPATH"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return
    sys.path += [part for part in found.stdout.strip().split(os.pathsep) if part and part not in sys.path]


if os.environ.get("FLUX_URI"):  # PSI/J looks once, as it is imported, for what its executors need
    flux_bindings()

from psij import Job, JobAttributes, JobExecutor, JobExecutorConfig, JobSpec, ResourceSpecV1  # noqa: E402
from psij.executors.batch.batch_scheduler_executor import BatchSchedulerExecutorConfig  # noqa: E402

HELLO = str(Path(__file__).resolve().parent.parent / "control" / "hello.py")
"""What most jobs run: one line of JSON with the node, the pid and the job id in its environment."""

LONG = {"C": "constraint", "L": "licenses", "S": "core-spec", "x": "exclude", "w": "nodelist", "G": "gpus"}
"""Slurm's short options that sites ask for, sbatch(1)."""

STARTED = time.monotonic()


class Session:
    """PSI/J's executor for the request's scheduler, and the jobs given to it; used in a ``with``."""

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
        name = request["params"].get("executor") or (self.scheduler.get("speaks") or {}).get("psij", kind)
        self.executor = JobExecutor.get_instance(name, config=config)

    def __enter__(self):
        signal.signal(signal.SIGTERM, leave)
        return self

    def __exit__(self, *_):
        with ExitStack() as stack:  # every one, also where cancelling another raises
            for job in self.jobs:
                stack.callback(job.cancel)
        end = time.monotonic() + 10
        while self.scheduler["kind"] == "local" and any(alive(job.native_id) for job in self.jobs):
            if time.monotonic() > end:
                raise TimeoutError("a cancelled job's process is still there")
            time.sleep(0.02)  # the local executor calls a job cancelled before it has killed it

    def submit(self, executable, arguments, **given):
        """Submit ``executable`` with what :meth:`spec` takes; return the job."""
        return self.run(self.spec(executable, arguments, **given))

    def shell(self, script, **given):
        """Submit a script for the shell; it runs in this folder also where PSI/J hands no directory on."""
        return self.submit("/bin/sh", ["-c", f"cd {shlex.quote(os.getcwd())} || exit 97; {script}"], **given)

    def run(self, spec):
        """Submit a job of this specification; it is cancelled where it still is there when the payload leaves."""
        job = Job(spec)
        self.executor.submit(job)
        self.jobs.append(job)
        return job

    def spec(self, executable, arguments, *, duration=300, nodes=1, custom=None, **spec):
        """Specify a job in the site's queue, with its account and directives; ``spec`` goes to PSI/J's JobSpec."""
        attributes = JobAttributes(
            duration=timedelta(seconds=duration),
            queue_name=self.scheduler.get("queue"),
            account=self.scheduler.get("account"),
            custom_attributes={**self._directives(), **(custom or {})} or None,
        )
        if self.scheduler["kind"] == "flux":  # which knows neither processes per node nor nodes of one's own
            size = {"process_count": nodes, "cpu_cores_per_process": 1, "exclusive_node_use": False}
        else:
            size = {"processes_per_node": 1, "exclusive_node_use": bool(self.scheduler.get("exclusive"))}
        resources = ResourceSpecV1(node_count=nodes, **size)
        spec.setdefault("directory", Path.cwd())
        if "stdout_path" in spec:  # Flux would mix into it what its own shell has to say
            spec.setdefault("stderr_path", spec["stdout_path"].with_suffix(".err"))
        return JobSpec(executable, arguments, attributes=attributes, resources=resources, **spec)

    def left(self):
        """Return the seconds this payload still has, the wait in the scheduler's queue included."""
        return max(1.0, self.deadline - time.monotonic())

    def settle(self, job, state=None):
        """Wait until the job has ended, or has reached ``state``, and return its status.

        Raises:
            TimeoutError: it did not in the time the payload has.
        """
        left = self.left()
        status = job.wait(timeout=timedelta(seconds=left), target_states=[state] if state else None)
        if status is None:
            raise TimeoutError(f"job {job.native_id} is still {job.status} after {left:.0f} s")
        return status

    def _directives(self):
        """Turn lines such as ``--qos=debug`` or ``-l filesystems=home`` into PSI/J's custom attributes."""
        found = {}
        for line in self.scheduler.get("directives") or ():
            key, value = re.match(r"-+([\w-]+)[=\s]?\s*(.*)", line).groups()
            if self.scheduler["kind"] == "slurm":  # PSI/J writes every one of Slurm's as a long option
                key = LONG.get(key, key)
            name = f"{self.scheduler['kind']}.{key}"
            # an attribute has one value; PBS takes several resources in one, with commas between
            found[name] = f"{found[name]},{value}" if name in found else value
        return found


def leave(*_):
    """Leave on SIGTERM as on an exception, once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit("ended by SIGTERM")


def alive(pid):
    """Tell whether a process of this machine is there."""
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return True


def until(path, seconds=20.0):
    """Wait for a file that a job writes on its node: shared file systems tell of it late, and by no event.

    Raises:
        TimeoutError: it did not come.
    """
    end = time.monotonic() + seconds
    while not (path.exists() and path.stat().st_size):
        if time.monotonic() > end:
            raise TimeoutError(f"no {path} after {seconds:g} s")
        time.sleep(0.05)
    return path


def said(path):
    """Return the JSON objects a job printed, one a line."""
    return [json.loads(line) for line in until(path).read_text(encoding="utf-8").splitlines()]


def one_id(scheduler, job):
    """Return a job's id in the one form in which two can be compared: Flux writes the same id in several."""
    if scheduler["kind"] != "flux" or job is None:
        return job
    return subprocess.run(
        ["flux", "job", "id", "--to=dec", job], capture_output=True, text=True, check=True
    ).stdout.strip()


def told(job, status=None):
    """Return what PSI/J says of a job now, or said with ``status``, as plain values."""
    status = status or job.status
    answer = {"native_id": str(job.native_id), "state": status.state.name, "exit_code": status.exit_code}
    return {**answer, "message": status.message}
