"""What a private Slurm's daemons read: slurm.conf, munge's key, and the task prolog that marks what jobs start."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import socket
from pathlib import Path

from sdk_tests.errors import TestbedError
from sdk_tests.testbeds import Testbed, record

PARTITION = "debug"
MAX_TIME = "01:00:00"
MARK = "EXAWORKS_TESTBED_DAEMON"
"""Set for the daemons alone; slurmstepd has it from slurmd."""
JOB_MARK = "EXAWORKS_TESTBED_JOB"
"""Set by the task prolog for whatever a job starts, also where a job clears SLURM_* before it starts something."""


def lay_out(testbed: Testbed, base: Path, cores: int) -> None:
    """Make the folders, closed to everybody else, and write what the daemons read."""
    try:
        if base != testbed.folder:
            base.mkdir(mode=0o700)
            (base / record.FILE).symlink_to(testbed.folder / record.FILE)
        testbed.folder.chmod(0o700)
        for name in ("munge", "log", "state", "spool"):
            (base / name).mkdir(mode=0o700, exist_ok=True)
        key = base / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        prolog = base / "task_prolog"
        # Slurm 22.05 leaves its own marker of a prolog in the environment of the task; take it out again.
        prolog.write_text(f"#!/bin/sh\necho 'export {JOB_MARK}={base}'\necho 'unset SLURM_SCRIPT_CONTEXT'\n")
        prolog.chmod(0o700)
        (base / "slurm.conf").write_text(configuration(testbed, base, cores))
        if release(testbed.version) >= (23, 2):
            # Nothing here uses control groups; later versions set them up all the same unless told not to.
            (base / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
    except OSError as error:
        raise TestbedError(f"cannot write the testbed's folder {base}: {error.strerror}") from error


def configuration(testbed: Testbed, base: Path, cores: int) -> str:
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
    shape = f"CPUs={cores} Boards=1 SocketsPerBoard=1 CoresPerSocket={cores} ThreadsPerCore=1 RealMemory={memory}"
    for number, port in enumerate(ports, start=1):
        lines.append(f"NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} {shape} State=UNKNOWN")
    nodes = f"n[1-{testbed.nodes}]" if testbed.nodes > 1 else "n1"
    lines.append(f"PartitionName={PARTITION} Nodes={nodes} Default=YES MaxTime={MAX_TIME} OverSubscribe=YES State=UP")
    return "\n".join(lines) + "\n"


def release(version: str | None) -> tuple[int, ...]:
    """Return year and month of a release, which is how Slurm counts."""
    return tuple(int(part) for part in re.findall(r"\d+", version or "")[:2])
