"""What a private Slurm's daemons read: slurm.conf, munge's key, and the task prolog that marks what jobs start."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shlex
import socket
from pathlib import Path

from sdk_tests.errors import TestbedError
from sdk_tests.testbeds import record
from sdk_tests.testbeds.base import Testbed
from sdk_tests.testbeds.likeness import Likeness
from site_configs.schema import Queue, SchedulerSpec, seconds

PARTITION = "debug"
MAX_TIME = "01:00:00"
MARK = "EXAWORKS_TESTBED_DAEMON"
"""Set for the daemons alone; slurmstepd has it from slurmd."""
JOB_MARK = "EXAWORKS_TESTBED_JOB"
"""Set by the task prolog for whatever a job starts, also where a job clears SLURM_* before it starts something."""


def lay_out(testbed: Testbed, base: Path, like: Likeness | None) -> None:
    """Make the folders, closed to everybody else, and write what the daemons read."""
    try:
        if base != testbed.folder:
            base.mkdir(mode=0o700)
            (base / record.FILE).symlink_to(testbed.folder / record.FILE)
        testbed.folder.chmod(0o700)
        for name in ("munge", "log", "state", "spool", "shims"):
            (base / name).mkdir(mode=0o700, exist_ok=True)
        key = base / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        prolog = base / "task_prolog"
        # Slurm 22.05 leaves its own marker of a prolog in the environment of the task; take it out again.
        prolog.write_text(f"#!/bin/sh\necho 'export {JOB_MARK}={base}'\necho 'unset SLURM_SCRIPT_CONTEXT'\n")
        prolog.chmod(0o700)
        (base / "slurm.conf").write_text(configuration(testbed, base, like))
        if like is not None:
            (base / "job_submit.lua").write_text(submit_filter(like))
            count = like.system.node.gpus
            if count:  # each GPU is a file to Slurm; an empty one will do where nobody opens it
                (base / "gpus").mkdir(mode=0o700)
                for number in range(count):
                    (base / "gpus" / f"gpu{number}").touch()
                files = f"gpu[0-{count - 1}]" if count > 1 else "gpu0"
                (base / "gres.conf").write_text(f"AutoDetect=off\nName=gpu File={base / 'gpus' / files}\n")
        if release(testbed.version) >= (23, 2):
            # Nothing here uses control groups; later versions set them up all the same unless told not to.
            (base / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
    except OSError as error:
        raise TestbedError(f"cannot write the testbed's folder {base}: {error.strerror}") from error


def configuration(testbed: Testbed, base: Path, like: Likeness | None) -> str:
    """Return slurm.conf.

    Scheduling is eager: Slurm's defaults batch submissions for three seconds, which is most of a short test's time.
    Every node is this host under another port. More CPUs than the host has are allowed on purpose (config_overrides).
    """
    user = pwd.getpwuid(os.getuid()).pw_name
    host = socket.gethostname().partition(".")[0]
    control, *ports = testbed.extras["ports"].split()
    memory = max(1024, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20)
    lines = [
        "ClusterName=testbed",
        f"SlurmctldHost={host}(127.0.0.1)",
        f"SlurmctldPort={control}",
        f"SlurmUser={user}",
        f"SlurmdUser={user}",
        "AuthType=auth/munge",
        "CredType=cred/munge",
        f"AuthInfo=socket={base / 'munge' / 'socket'}",
        f"StateSaveLocation={base / 'state'}",
        f"SlurmdSpoolDir={base / 'spool'}/%n",
        f"SlurmctldPidFile={base / 'slurmctld.pid'}",
        f"SlurmdPidFile={base}/slurmd-%n.pid",
        f"SlurmctldLogFile={base / 'log' / 'slurmctld.log'}",
        f"SlurmdLogFile={base / 'log'}/slurmd-%n.log",
        "ProctrackType=proctrack/linuxproc",
        f"TaskProlog={base / 'task_prolog'}",
        "JobCompType=jobcomp/filetxt",
        f"JobCompLoc={base / 'log' / 'jobs.log'}",
        "MpiDefault=pmi2",
        "SchedulerType=sched/backfill",
        "SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_CPU",
        "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny",
        "SlurmdParameters=config_overrides",
        "PropagateResourceLimits=NONE",
        "ReturnToService=2",
        "EnforcePartLimits=ALL",
        "SlurmdTimeout=300",
        "MinJobAge=3600",
        "KillWait=3",
        "InactiveLimit=0",
        "MailProg=/bin/true",
    ]
    names, cores = testbed.extras["names"].split(), testbed.extras["cores"]
    shape = f"CPUs={cores} Boards=1 SocketsPerBoard=1 CoresPerSocket={cores} ThreadsPerCore=1 RealMemory={memory}"
    if like is not None:
        shape += _features(like)
        lines += _site(like, base)
    for name, port in zip(names, ports, strict=True):
        lines.append(f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {shape} State=UNKNOWN")
    usual = f"Nodes={','.join(names)} OverSubscribe={'EXCLUSIVE' if like and like.spec.exclusive else 'YES'} State=UP"
    if like is None:
        lines.append(f"PartitionName={PARTITION} {usual} Default=YES MaxTime={MAX_TIME}")
    else:
        lines += [f"PartitionName={name} {usual} {limits}" for name, limits in partitions(like.spec).items()]
    return "\n".join(lines) + "\n"


def partitions(spec: SchedulerSpec) -> dict[str, str]:
    """Return a site's partitions with their limits; where queues are QOS there is one for all that name none."""
    found: dict[str, list[Queue]] = {}
    for queue in spec.queues:
        found.setdefault(queue.asks[0] or OPEN, []).append(queue)
    default = spec.queue(None)
    first = (default.asks[0] or OPEN) if default is not None else next(iter(found), OPEN)
    told = {}
    for name, queues in found.items():
        nodes = [queue.max_nodes for queue in queues]
        times = [queue.walltime_limit(queue.max_nodes or 1 << 30) for queue in queues]
        limits = [f"Default={'YES' if name == first else 'NO'}", f"MinNodes={min(queue.min_nodes for queue in queues)}"]
        limits.append(f"MaxNodes={'UNLIMITED' if None in nodes else max(n for n in nodes if n)}")
        limits.append(f"MaxTime={'UNLIMITED' if None in times else max(t for t in times if t) // 60}")
        told[name] = " ".join(limits)
    return told


def submit_filter(like: Likeness) -> str:
    """Return job_submit.lua: limits that belong to a QOS or depend on a job's size, and an account where one is asked.

    Slurm keeps QOS in its accounting database, which a testbed does not have; a submit filter is how sites check what
    a partition cannot express.
    """
    rows = []
    for queue in like.spec.queues:
        partition, qos = queue.asks
        steps = "".join(f"{{{step.nodes}, {_minutes(step.max_walltime)}}}, " for step in queue.steps)
        last = f"{{1073741824, {_minutes(queue.max_walltime)}}}" if queue.max_walltime else ""
        least = _minutes(queue.min_walltime) if queue.min_walltime else 0
        rows.append(
            f"  {{name={_lua(queue.name)}, partition={_lua(partition)}, qos={_lua(qos)}, least={queue.min_nodes}, "
            f"most={queue.max_nodes or 1 << 30}, shortest={least}, longest={{{steps}{last}}}}},"
        )
    account = "true" if like.spec.account_env and os.environ.get(like.spec.account_env) else "false"
    return FILTER.replace("QUEUES", "\n".join(rows)).replace("ACCOUNT", account)


FILTER = """local queues = {
QUEUES
}
local unknown = 4294967294
function slurm_job_submit(job, partitions, uid)
  if ACCOUNT and job.account == nil then
    slurm.log_user("an account is required: --account")
    return slurm.ERROR
  end
  for _, queue in ipairs(queues) do
    if (queue.partition == nil or job.partition == queue.partition) and job.qos == queue.qos then
      local nodes = job.min_nodes
      if nodes == nil or nodes >= unknown then nodes = 1 end
      if nodes > queue.most or nodes < queue.least then
        slurm.log_user("queue %s takes jobs of %d to %d nodes", queue.name, queue.least, queue.most)
        return slurm.ERROR
      end
      local time = job.time_limit
      if time ~= nil and time < unknown then
        if time < queue.shortest then
          slurm.log_user("queue %s takes jobs of at least %d minutes", queue.name, queue.shortest)
          return slurm.ERROR
        end
        for _, step in ipairs(queue.longest) do
          if nodes <= step[1] then
            if time > step[2] then
              slurm.log_user("queue %s gives %d nodes at most %d minutes", queue.name, nodes, step[2])
              return slurm.ERROR
            end
            break
          end
        end
      end
      return slurm.SUCCESS
    end
  end
  if job.qos ~= nil then
    slurm.log_user("no QOS is called %s here", job.qos)
    return slurm.ERROR
  end
  return slurm.SUCCESS
end
function slurm_job_modify(job, record, partitions, uid)
  return slurm.SUCCESS
end
return slurm.SUCCESS
"""
OPEN = "open"
"""The partition of jobs that name a QOS alone."""


def _site(like: Likeness, base: Path) -> list[str]:
    """Return the lines that a site's directives and node need beyond a plain Slurm."""
    lines = ["AllowSpecResourcesUsage=YES"]
    if any(Path(folder, "job_submit_lua.so").is_file() for folder in _PLUGINS):
        lines.append("JobSubmitPlugins=lua")
    if like.system.node.gpus:
        lines.append("GresTypes=gpu")
    licenses = [f"{name}:100000" for name in _asked(like, "licenses", "L")]
    return lines + ([f"Licenses={','.join(licenses)}"] if licenses else [])


_PLUGINS = (
    *("/usr/lib/x86_64-linux-gnu/slurm-wlm", "/usr/lib/aarch64-linux-gnu/slurm-wlm"),
    *("/usr/lib64/slurm", "/usr/lib/slurm", "/usr/local/lib/slurm"),
)


def _features(like: Likeness) -> str:
    names = [name for text in _asked(like, "constraint", "C") for name in re.findall(r"[\w.-]+", text)]
    text = f" Features={','.join(dict.fromkeys(names))}" if names else ""
    return text + (f" Gres=gpu:{like.system.node.gpus}" if like.system.node.gpus else "")


def _asked(like: Likeness, long: str, short: str) -> list[str]:
    """Return the values that the site's directives give to an option."""
    found = []
    words = [word for line in like.spec.directives for word in shlex.split(line)]
    for place, word in enumerate(words):
        if word.startswith(f"--{long}="):
            found.append(word.partition("=")[2])
        elif word in (f"--{long}", f"-{short}"):
            found += words[place + 1 : place + 2]
    return [name for text in found for name in text.split(",")]


def _minutes(duration: str) -> int:
    return seconds(duration) // 60


def _lua(text: str | None) -> str:
    return "nil" if text is None else f'"{text}"'


def release(version: str | None) -> tuple[int, ...]:
    """Return year and month of a release, which is how Slurm counts."""
    return tuple(int(part) for part in re.findall(r"\d+", version or "")[:2])
