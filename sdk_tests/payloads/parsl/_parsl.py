"""Shared by the Parsl payloads: a HighThroughputExecutor on this machine or in blocks of the site's scheduler."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import _payload
import parsl
import psutil
from parsl.addresses import address_by_hostname
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider, LSFProvider, PBSProProvider, SlurmProvider

shared = None
"""The executor of the fixture in whose process payloads run one after another."""


@contextmanager
def loaded(request, **options):
    """Load Parsl with one HighThroughputExecutor and yield it; afterwards none of its processes and jobs remains.

    ``options``: those of :func:`configured`. In the process of a fixture, it is the fixture's, which remains.
    """
    if shared is not None:
        yield shared
        return
    kind, config = configured(request, **options)
    (executor,) = config.executors
    blocks = []
    # On exit, in reverse order: list the blocks, let Parsl cancel them, and wait until they have ended.
    with ExitStack() as stack:
        stack.callback(wait_for_blocks_end, kind, blocks)
        stack.enter_context(parsl.load(config))
        stack.callback(lambda: blocks.extend(members(kind, executor.provider)))
        yield executor


def configured(request, blocks=1, workers=1, heartbeat=10, executor=None, launcher=None, **config):
    """Return the kind of the blocks, and Parsl's configuration with one HighThroughputExecutor.

    ``executor``: arguments of the executor, and ``kind`` for another class. ``launcher``: the launcher of its provider.
    ``config``: further arguments of Parsl's Config.
    """
    tools = request.get("bin") or str(Path(sys.executable).parent)
    os.environ["PATH"] = tools + os.pathsep + os.environ.get("PATH", os.defpath)
    scheduler = request["scheduler"]
    # In an allocation the workers run on this node; only a payload on the login node requests blocks of its own.
    kind = scheduler["kind"] if request.get("where") == "login" else "local"
    provider = PROVIDERS[kind](
        {**scheduler, "cores": request.get("cores") or 1},
        init_blocks=blocks,
        min_blocks=blocks,
        max_blocks=blocks,
        worker_init=f"export PATH='{tools}':\"$PATH\"",
        **({"launcher": launcher} if launcher else {}),
    )
    loopback = kind == "local" or scheduler.get("loopback")
    own = dict(executor or {"max_workers_per_node": workers, "cores_per_worker": 0.1})
    executor = own.pop("kind", HighThroughputExecutor)(
        label="htex",
        provider=provider,
        address="127.0.0.1" if loopback else address_by_hostname(),  # without an address, Parsl asks a public service
        heartbeat_period=heartbeat,
        heartbeat_threshold=60,
        **own,
    )
    # Parsl requests the first blocks in the first period of its strategy, by default 5 s, even if nothing scales.
    folder = str(Path("runinfo").absolute())
    return kind, Config([executor], run_dir=folder, strategy="none", strategy_period=0.2, **config)


def seconds_left(request):
    """Return the seconds for which this payload may still wait for results."""
    limit = request.get("limit") or request.get("walltime") or 60
    return max(1.0, _payload.began + 0.9 * limit - time.monotonic())


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
    directives = list(scheduler.get("directives") or ())
    if scheduler.get("job_size") == "slots":
        cores = scheduler["cores"]
        nodes = size.pop("nodes_per_block", 1)
        size.update(request_by_nodes=False, cores_per_node=cores, cores_per_block=nodes * cores)
        size["bsub_redirection"] = True  # without it, LSF takes the file for a command and reads none of its directives
        directives += ["-x"] if scheduler.get("exclusive") and "-x" not in directives else []
    return LSFProvider(
        queue=scheduler.get("queue"),
        project=scheduler.get("account"),
        scheduler_options="".join(f"#BSUB {line}\n" for line in directives),
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
    "lsf": lambda ids: ["sh", "-c", f"bjobs -w {' '.join(ids)} | awk '$3 ~ /^(RUN|[US]SUSP)$/'"],
    "pbs": lambda ids: ["qstat", *ids],
}
"""For each scheduler, the native command that lists those of the given jobs that still have processes."""


def members(kind, provider):
    """Return the members of the blocks: the processes of local blocks, the job ids of others."""
    ids = [str(job) for job in provider.resources]
    return [each for pid in ids for each in process_tree(int(pid))] if kind == "local" else ids


def wait_for_blocks_end(kind, blocks, seconds=40.0):
    """Wait until the blocks have ended, because Parsl only cancels them; kill local processes that do not end."""
    end = time.monotonic() + seconds
    while (remaining := live_members(kind, blocks)) and time.monotonic() < end:
        time.sleep(0.05)
    for each in remaining if kind == "local" else ():
        with suppress(psutil.NoSuchProcess):
            each.kill()


def live_members(kind, blocks):
    """Return the processes or jobs of the blocks that have not ended."""
    if kind == "local":
        return [each for each in blocks if is_running(each)]
    return blocks and subprocess.run(LISTING[kind](blocks), capture_output=True).stdout.split()


def process_tree(pid):
    """Return a process and all its descendants."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def is_running(process):
    """Return whether a process exists and is not a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
