"""What the Flux payloads share: an instance to work in, inside whatever allocation they are in, and its commands."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

STARTED = time.monotonic()
GIVEN = {}
LEADS = ("FLUX_URI", "FLUX_JOB_", "FLUX_TASK_", "FLUX_KVS_", "FLUX_ENCLOSING_ID", "FLUX_START_URI", "PMI_", "PMIX_")
"""Prefixes of variables that lead to an instance this payload is not meant to work in."""


def brokers(request):
    """Return how many brokers the instance has: one a node of an allocation; right here, as many as the case asks."""
    return request["params"].get("brokers", 1) if request["scheduler"]["kind"] == "local" else request["nodes"]


def start(request):
    """Return the command, its program left out, that starts an instance over the nodes this payload has."""
    count, cores = f"{brokers(request)}", f"{request.get('cores') or 1}"
    kind = request["scheduler"]["kind"]
    if kind == "local":
        return ["flux", "start", f"--test-size={count}"]
    if kind == "slurm":  # without pmi2 each broker would be an instance of its own; a step has no GPU it did not name
        gpus = [f"--gpus-per-node={request['params']['gpus']}"] if request["params"].get("gpus") else []
        return ["srun", "--mpi=pmi2", "-N", count, "-n", count, "-c", cores, *gpus, "flux", "start"]
    if kind == "flux":
        return ["flux", "run", "-N", count, "-n", count, "-c", cores, "flux", "start"]
    return ["flux", "start"]  # one broker, on the node this payload is on


@contextmanager
def instance(request):
    """Lead Flux's commands to an instance: the job's own where Flux runs it, else one that is started and ended."""
    signal.signal(signal.SIGTERM, leave)
    alone(request)
    if request["scheduler"]["kind"] == "flux":
        try:
            yield os.environ["FLUX_URI"]
        finally:  # others may be at work in it: no job of this payload's folder stays
            known = flux("jobs", "-n", "-o", "{id} {cwd}").splitlines()
            left_behind = [line.split()[0] for line in known if line.endswith(f" {os.getcwd()}")]
            if left_behind:
                flux("cancel", *left_behind)
        return
    # It lasts as long as its program, which lasts as long as this end of the pipe, however this process ends.
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


def alone(request):
    """Forget every instance but the one whose job this payload is; remember how long it may take."""
    GIVEN.update(request)
    for name in [name for name in os.environ if name.startswith(LEADS) and request["scheduler"]["kind"] != "flux"]:
        del os.environ[name]


def flux(*words, check=True, **rest):
    """Run one of Flux's commands and return what it printed, or with ``check=False`` all there is to know of it."""
    env = {**os.environ, "FLUX_F58_FORCE_ASCII": "1"}
    done = subprocess.run(["flux", *map(str, words)], stdout=-1, stderr=-1, text=True, env=env, check=False, **rest)
    sys.stderr.write(done.stderr)
    if check and done.returncode:
        raise RuntimeError(f"flux {words[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip() if check else done


COLUMNS = ("id", "name", "status", "returncode", "exception.note", "t_submit", "t_run", "t_cleanup", "t_inactive")


def jobs(ids):
    """Return what Flux knows of these jobs, in the order in which they are given."""
    told = flux("jobs", "-n", "-o", "|".join(f"{{{name}}}" for name in COLUMNS), *ids)
    rows = [dict(zip(COLUMNS, line.split("|"), strict=True)) for line in told.splitlines()]
    known = {row["id"]: row for row in rows}
    return [known[each] for each in ids]


def ended(*ids):
    """Wait until the jobs have ended, within the time this payload has, and return what Flux knows of them.

    Raises:
        RuntimeError: one of them has not.
    """
    for each in ids:
        flux("job", "wait-event", f"--timeout={left()}", each, "clean")
    return jobs(ids)


def left():
    """Return the seconds this payload may still wait for something: its jobs may have to wait for those of others."""
    return round(max(1.0, STARTED + 0.8 * (GIVEN.get("walltime") or 60) - time.monotonic()), 1)


def bindings():
    """Let Python find Flux's own bindings, which lie under its prefix; return where they are."""
    named = flux("env", "printenv", "PYTHONPATH").split(os.pathsep)
    sys.path += [part for part in named if part and part not in sys.path]
    import flux as package

    return os.path.dirname(package.__file__)


def leave(*_):
    """Leave on SIGTERM as on an exception, once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit("ended by SIGTERM")
