"""Shared by the Flux payloads: an instance inside the current allocation, and Flux's commands."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

STARTED = time.monotonic()
REQUEST = {}
INSTANCE_VARIABLES = (
    "FLUX_URI",
    "FLUX_JOB_",
    "FLUX_TASK_",
    "FLUX_KVS_",
    "FLUX_ENCLOSING_ID",
    "FLUX_START_URI",
    "PMI_",
    "PMIX_",
)
"""Prefixes of variables that point to another instance than the one this payload uses."""


def brokers(request):
    """Return the number of brokers: one for each node of an allocation; with ``local``, as the case requests."""
    return request["params"].get("brokers", 1) if request["scheduler"]["kind"] == "local" else request["nodes"]


def start(request):
    """Return the command that starts an instance on all nodes of this payload; the program to run is appended to it."""
    count, cores = f"{brokers(request)}", f"{request.get('cores') or 1}"
    kind = request["scheduler"]["kind"]
    if kind == "local":
        return ["flux", "start", f"--test-size={count}"]
    if kind == "slurm":  # without pmi2 each broker is a separate instance; a step gets only the GPUs it requests
        gpus = [f"--gpus-per-node={request['params']['gpus']}"] if request["params"].get("gpus") else []
        return ["srun", "--mpi=pmi2", "-N", count, "-n", count, "-c", cores, *gpus, "flux", "start"]
    if kind == "flux":
        return ["flux", "run", "-N", count, "-n", count, "-c", cores, "flux", "start"]
    return ["flux", "start"]  # one broker, on the node of this payload


@contextmanager
def instance(request):
    """Connect Flux's commands to an instance: that of the job if Flux runs it, otherwise a new, temporary one."""
    detach(request)
    if request["scheduler"]["kind"] == "flux":
        try:
            yield os.environ["FLUX_URI"]
        finally:  # other cases may use the instance: cancel only the jobs of this payload's folder
            known = (line.partition(" ") for line in flux("jobs", "-n", "-o", "{id} {cwd:h}").splitlines())
            remaining = [job for job, _, folder in known if (folder + "/").startswith(os.getcwd() + "/")]
            if remaining:
                flux("cancel", *remaining)
        return
    # The instance ends with its program, and `cat` ends when this end of the pipe closes, however this process ends.
    program = ["sh", "-c", 'echo "$FLUX_URI"; exec cat']
    child = subprocess.Popen([*start(request), *program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        uri = child.stdout.readline().strip()
        if not uri:
            raise RuntimeError(f"the instance did not start: {' '.join(start(request))} ended with {child.wait()}")
        os.environ["FLUX_URI"] = uri
        yield uri
    finally:
        with suppress(BrokenPipeError):
            child.stdin.close()
        try:
            code = child.wait(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
    if code:
        raise RuntimeError(f"the instance ended with {code}")


def detach(request):
    """Remove the variables of every instance except the one that runs this payload; keep the request for its limits."""
    REQUEST.update(request)
    for name in [
        name for name in os.environ if name.startswith(INSTANCE_VARIABLES) and request["scheduler"]["kind"] != "flux"
    ]:
        del os.environ[name]


def flux(*arguments, check=True, **rest):
    """Run one of Flux's commands and return its output; with ``check=False`` return the completed process."""
    env = {**os.environ, "FLUX_F58_FORCE_ASCII": "1"}
    done = subprocess.run(["flux", *map(str, arguments)], stdout=-1, stderr=-1, text=True, env=env, check=False, **rest)
    sys.stderr.write(done.stderr)
    if check and done.returncode:
        raise RuntimeError(f"flux {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip() if check else done


COLUMNS = ("id", "name", "status", "returncode", "exception.note", "t_submit", "t_run", "t_cleanup", "t_inactive")


def jobs(ids):
    """Return Flux's rows of these jobs, in the order of the ids."""
    output = flux("jobs", "-n", "-o", "|".join(f"{{{name}}}" for name in COLUMNS), *ids)
    rows = [dict(zip(COLUMNS, line.split("|"), strict=True)) for line in output.splitlines()]
    known = {row["id"]: row for row in rows}
    return [known[each] for each in ids]


def wait_for_end(*ids):
    """Wait until the jobs have ended, within the time limit of this payload, and return Flux's rows of them.

    Raises:
        RuntimeError: a job has not ended in time.
    """
    for each in ids:
        flux("job", "wait-event", f"--timeout={seconds_left()}", each, "clean")
    return jobs(ids)


def seconds_left():
    """Return the seconds for which this payload may still wait; its jobs may have to wait for jobs of other cases."""
    return round(max(1.0, STARTED + 0.8 * (REQUEST.get("walltime") or 60) - time.monotonic()), 1)
