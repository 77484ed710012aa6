"""What the Parsl payloads share: a HighThroughputExecutor on this machine or in blocks of the site's scheduler."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import parsl
import psutil
from parsl.addresses import address_by_hostname
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider, LSFProvider, PBSProProvider, SlurmProvider

STARTED = time.monotonic()


@contextmanager
def loaded(request, blocks=1, workers=1, heartbeat=10, executor=None, launcher=None, **config):
    """Load Parsl with one HighThroughputExecutor and yield that; none of its processes and jobs is left afterwards.

    ``executor`` makes it one of another ``kind`` with arguments of its own, ``launcher`` is that of its provider, and
    ``config`` goes to Parsl's Config.
    """
    signal.signal(signal.SIGTERM, leave)
    tools = request.get("bin") or str(Path(sys.executable).parent)
    os.environ["PATH"] = tools + os.pathsep + os.environ.get("PATH", os.defpath)
    scheduler = request["scheduler"]
    # In an allocation the workers run here; only a payload on the login side asks for blocks of its own.
    kind = scheduler["kind"] if request.get("where") == "login" else "local"
    provider = PROVIDERS[kind](
        scheduler,
        init_blocks=blocks,
        min_blocks=blocks,
        max_blocks=blocks,
        worker_init=f"export PATH='{tools}':\"$PATH\"",
        **({"launcher": launcher} if launcher else {}),
    )
    near = kind == "local" or scheduler.get("loopback")
    own = dict(executor or {"max_workers_per_node": workers, "cores_per_worker": 0.1})
    executor = own.pop("kind", HighThroughputExecutor)(
        label="htex",
        provider=provider,
        address="127.0.0.1" if near else address_by_hostname(),  # without one, Parsl asks a public service
        heartbeat_period=heartbeat,
        heartbeat_threshold=60,
        **own,
    )
    # The first blocks are asked for at the strategy's first tick: five seconds by default, also where nothing scales.
    folder = str(Path("runinfo").absolute())
    config = Config([executor], run_dir=folder, strategy="none", strategy_period=0.2, **config)
    blocks = []
    with (
        ExitStack() as stack
    ):  # on leaving, from the last line up: note the blocks, let Parsl cancel them, see them off
        stack.callback(see_off, kind, blocks)
        stack.enter_context(parsl.load(config))
        stack.callback(lambda: blocks.extend(members(kind, provider)))
        yield executor


def left(request):
    """Return the seconds this payload still has for results."""
    limit = request.get("limit") or request.get("walltime") or 60
    return max(1.0, STARTED + 0.9 * limit - time.monotonic())


def local(scheduler, **size):
    return LocalProvider(**size)


def slurm(scheduler, **size):
    return SlurmProvider(
        partition=scheduler.get("queue"),
        account=scheduler.get("account"),
        exclusive=bool(scheduler.get("exclusive")),
        scheduler_options="".join(f"#SBATCH {line}\n" for line in scheduler.get("directives") or ()),
        cmd_timeout=60,
        **size,
    )


def lsf(scheduler, **size):
    return LSFProvider(
        queue=scheduler.get("queue"),
        project=scheduler.get("account"),
        scheduler_options="".join(f"#BSUB {line}\n" for line in scheduler.get("directives") or ()),
        cmd_timeout=60,
        **size,
    )


def pbs(scheduler, **size):
    return PBSProProvider(
        queue=scheduler.get("queue"),
        account=scheduler.get("account"),
        scheduler_options="".join(f"#PBS {line}\n" for line in scheduler.get("directives") or ()),
        walltime="00:10:00",
        cmd_timeout=60,
        **size,
    )


PROVIDERS = {"local": local, "slurm": slurm, "lsf": lsf, "pbs": pbs}
LISTING = {
    "slurm": lambda ids: ["squeue", "--noheader", "--states=PD,R,CG", f"--jobs={','.join(ids)}"],
    "lsf": lambda ids: ["bjobs", "-r", "-noheader", "-o", "jobid", *ids],
    "pbs": lambda ids: ["qstat", *ids],
}
"""The native command that names those of the given jobs that still have processes."""


def leave(*_):
    """Leave on SIGTERM as on an exception, once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit("ended by SIGTERM")


def members(kind, provider):
    """Return what makes up the blocks: the processes of local ones, the job ids of others."""
    ids = [str(job) for job in provider.resources]
    return [each for pid in ids for each in family(int(pid))] if kind == "local" else ids


def see_off(kind, blocks, seconds=40.0):
    """Wait until the blocks have gone, since Parsl cancels them and does not wait; end local processes that stay."""
    end = time.monotonic() + seconds
    while (those := present(kind, blocks)) and time.monotonic() < end:
        time.sleep(0.05)
    for each in those if kind == "local" else ():
        with suppress(psutil.NoSuchProcess):
            each.kill()


def present(kind, blocks):
    """Return those of the blocks' processes or jobs that are still there."""
    if kind == "local":
        return [each for each in blocks if runs(each)]
    return blocks and subprocess.run(LISTING[kind](blocks), capture_output=True).stdout.split()


def family(pid):
    """Return a process and all it has started."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def runs(process):
    """Tell whether a process is there and not merely waiting to be reaped."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
