"""The configuration of a private Slurm: slurm.conf, the key of munge, and the task prolog that marks job processes."""

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
from sdk_tests.testbeds.site_profile import SiteProfile
from site_configs.schema import Queue, SchedulerSpec, seconds

PARTITION = "debug"
MAX_TIME = "01:00:00"
MARK = "EXAWORKS_TESTBED_DAEMON"
"""Set for the daemons only; slurmstepd inherits it from slurmd."""
JOB_MARK = "EXAWORKS_TESTBED_JOB"
"""Set by the task prolog for all processes of a job; it remains if a job clears SLURM_* before it starts something."""


def write_files(testbed: Testbed, base: Path, profile: SiteProfile | None) -> None:
    """Create the folders, closed to other users, and write the files that the daemons read."""
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
        # Slurm 22.05 leaves SLURM_SCRIPT_CONTEXT of the prolog in the environment of the task; remove it.
        prolog.write_text(f"#!/bin/sh\necho 'export {JOB_MARK}={base}'\necho 'unset SLURM_SCRIPT_CONTEXT'\n")
        prolog.chmod(0o700)
        (base / "slurm.conf").write_text(configuration(testbed, base, profile))
        if profile is not None:
            (base / "job_submit.lua").write_text(submit_filter(profile))
            count = profile.system.node.gpus
            if count:  # for Slurm, each GPU is a file; an empty one is enough, since no job opens it
                (base / "gpus").mkdir(mode=0o700)
                for number in range(count):
                    (base / "gpus" / f"gpu{number}").touch()
                files = f"gpu[0-{count - 1}]" if count > 1 else "gpu0"
                (base / "gres.conf").write_text(f"AutoDetect=off\nName=gpu File={base / 'gpus' / files}\n")
        if release(testbed.version) >= (23, 2):
            # Control groups are not used here; later versions set them up unless they are disabled.
            (base / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
    except OSError as error:
        raise TestbedError(f"cannot write the folder of the testbed, {base}: {error.strerror}") from error


def configuration(testbed: Testbed, base: Path, profile: SiteProfile | None) -> str:
    """Return slurm.conf.

    Scheduling starts at once: the defaults of Slurm collect submissions for three seconds, which is most of the time of
    a short test. Every node is this host with another port. Nodes may have more CPUs than the host (config_overrides).
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
        "MaxJobCount=100000",  # jobs are remembered for that long, and the default is 10,000
        "KillWait=3",
        "InactiveLimit=0",
        "MailProg=/bin/true",
    ]
    names, cores = testbed.extras["names"].split(), testbed.extras["cores"]
    shape = f"CPUs={cores} Boards=1 SocketsPerBoard=1 CoresPerSocket={cores} ThreadsPerCore=1 RealMemory={memory}"
    if profile is not None:
        shape += _features(profile)
        lines += _site(profile, base)
    for name, port in zip(names, ports, strict=True):
        lines.append(f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {shape} State=UNKNOWN")
    common = (
        f"Nodes={','.join(names)} OverSubscribe={'EXCLUSIVE' if profile and profile.spec.exclusive else 'YES'} State=UP"
    )
    if profile is None:
        lines.append(f"PartitionName={PARTITION} {common} Default=YES MaxTime={MAX_TIME}")
    else:
        lines += [f"PartitionName={name} {common} {limits}" for name, limits in partitions(profile.spec).items()]
    return "\n".join(lines) + "\n"


def partitions(spec: SchedulerSpec) -> dict[str, str]:
    """Return the partitions of a site with their limits; queues that are only a QOS share one partition."""
    by_partition: dict[str, list[Queue]] = {}
    for queue in spec.queues:
        by_partition.setdefault(queue.partition_and_qos[0] or OPEN, []).append(queue)
    default = spec.queue(None)
    first = (default.partition_and_qos[0] or OPEN) if default is not None else next(iter(by_partition), OPEN)
    lines = {}
    for name, queues in by_partition.items():
        nodes = [queue.max_nodes for queue in queues]
        times = [queue.walltime_limit(queue.max_nodes or 1 << 30) for queue in queues]
        limits = [f"Default={'YES' if name == first else 'NO'}", f"MinNodes={min(queue.min_nodes for queue in queues)}"]
        limits.append(f"MaxNodes={'UNLIMITED' if None in nodes else max(n for n in nodes if n)}")
        limits.append(f"MaxTime={'UNLIMITED' if None in times else max(t for t in times if t) // 60}")
        lines[name] = " ".join(limits)
    return lines


def submit_filter(profile: SiteProfile) -> str:
    """Return job_submit.lua, which checks limits of a QOS or by job size, and an account if the site requires one.

    Slurm keeps QOS in its accounting database, which a testbed does not have. Sites too use a submit filter for rules
    that a partition cannot express.
    """
    rows = []
    for queue in profile.spec.queues:
        partition, qos = queue.partition_and_qos
        steps = "".join(f"{{{step.nodes}, {_minutes(step.max_walltime)}}}, " for step in queue.steps)
        last = f"{{1073741824, {_minutes(queue.max_walltime)}}}" if queue.max_walltime else ""
        least = _minutes(queue.min_walltime) if queue.min_walltime else 0
        rows.append(
            f"  {{name={_lua(queue.name)}, partition={_lua(partition)}, qos={_lua(qos)}, least={queue.min_nodes}, "
            f"most={queue.max_nodes or 1 << 30}, shortest={least}, longest={{{steps}{last}}}}},"
        )
    account = "true" if profile.spec.account_env and os.environ.get(profile.spec.account_env) else "false"
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
    slurm.log_user("there is no QOS %s", job.qos)
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
"""The partition of jobs that name only a QOS."""


def _site(profile: SiteProfile, base: Path) -> list[str]:
    """Return the additional lines of slurm.conf for the directives and nodes of a site."""
    lines = ["AllowSpecResourcesUsage=YES"]
    if any(Path(folder, "job_submit_lua.so").is_file() for folder in _PLUGINS):
        lines.append("JobSubmitPlugins=lua")
    if profile.system.node.gpus:
        lines.append("GresTypes=gpu")
    licenses = [f"{name}:100000" for name in _directive_values(profile, "licenses", "L")]
    return lines + ([f"Licenses={','.join(licenses)}"] if licenses else [])


_PLUGINS = (
    *("/usr/lib/x86_64-linux-gnu/slurm-wlm", "/usr/lib/aarch64-linux-gnu/slurm-wlm"),
    *("/usr/lib64/slurm", "/usr/lib/slurm", "/usr/local/lib/slurm"),
)


def _features(profile: SiteProfile) -> str:
    names = [name for text in _directive_values(profile, "constraint", "C") for name in re.findall(r"[\w.-]+", text)]
    text = f" Features={','.join(dict.fromkeys(names))}" if names else ""
    return text + (f" Gres=gpu:{profile.system.node.gpus}" if profile.system.node.gpus else "")


def _directive_values(profile: SiteProfile, long: str, short: str) -> list[str]:
    """Return the values of an option in the directives of the site."""
    values = []
    arguments = [argument for line in profile.spec.directives for argument in shlex.split(line)]
    for index, argument in enumerate(arguments):
        if argument.startswith(f"--{long}="):
            values.append(argument.partition("=")[2])
        elif argument in (f"--{long}", f"-{short}"):
            values += arguments[index + 1 : index + 2]
    return [name for text in values for name in text.split(",")]


def _minutes(duration: str) -> int:
    return seconds(duration) // 60


def _lua(text: str | None) -> str:
    return "nil" if text is None else f'"{text}"'


def release(version: str | None) -> tuple[int, ...]:
    """Return the year and month of a Slurm release, such as (23, 11)."""
    return tuple(int(part) for part in re.findall(r"\d+", version or "")[:2])
