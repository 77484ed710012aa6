"""The configuration of a private OpenPBS: its namespaces, pbs.conf, its MOMs, its server, and the rules of a site.

Limits that PBS supports are attributes of its queues (pbs_queue_attributes(7B)). Checks for which a facility has its
own hook (accounts, resources that every job must name, walltimes by job size) are in a hook here too.
"""

from __future__ import annotations

import json
import shlex
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

NETWORK = "10.213.77"
"""Addresses on the loopback device of the daemons' own network; no other process sees them."""
PORT = 15001
"""The port of the server; the other daemons use ports above it."""
SOCKETS = "/var/run/postgresql"
"""Where PostgreSQL creates its socket, if this folder exists; in the namespaces it is a folder of the testbed."""
TEMPORARY = "tmp"
"""The folder for temporary files: one below ``base`` for the daemons and commands, one of each node for its jobs."""
MOM_FOLDERS = {
    "aux": 0o755,
    "checkpoint": 0o700,
    "mom_logs": 0o755,
    "mom_priv": 0o751,
    "mom_priv/jobs": 0o751,
    "mom_priv/hooks": 0o750,
    "mom_priv/hooks/tmp": 0o750,
    "spool": 0o1777,
    "undelivered": 0o1777,
    TEMPORARY: 0o1777,
}
HOOK = '''"""Refuses jobs that the scheduler of the site refuses for reasons other than the limits of queues."""
import pbs

RULES = {rules!r}
event = pbs.event()
job = event.job
requested = job.Resource_List
if RULES["accounts"] is not None and str(job.Account_Name) not in RULES["accounts"]:
    event.reject("account %r is not one that may be charged here" % str(job.Account_Name))
for name in RULES["required"]:
    if requested[name] is None:
        event.reject("Resource: %s is required to be set." % name)
queue = str(job.queue).partition("@")[0] if job.queue else RULES["default_queue"]
chunks = str(requested["select"] or requested["nodes"] or "1").split("+")
nodes = sum(int(chunk.partition(":")[0]) if chunk[:1].isdigit() else 1 for chunk in chunks)
longest = next((limit for size, limit in RULES["steps"].get(queue, []) if nodes <= size), None)
if longest is not None and requested["walltime"] is not None and int(requested["walltime"]) > longest:
    event.reject("Job violates queue and/or server resource limits")
'''
LAUNCH = '''"""Runs jobs in the network and with the host name of this machine, not with those of the daemons."""
import pbs

event = pbs.event()
if not str(event.progname).endswith("nsenter"):
    arguments = [str(argument) for argument in event.argv]
    event.argv = ["nsenter", "--net={base}/net", "--uts={base}/uts", "--", str(event.progname), *arguments[1:]]
    event.progname = {nsenter!r}
'''


def server_name(base: Path) -> str:
    """Return the name of the server, which ends the ids of its jobs; it differs from that of any other testbed.

    PBS names files after the ids of jobs, also in folders that belong to no testbed. The name is a host name as well.
    """
    return "".join(letter if letter.isalnum() else "-" for letter in base.name.removeprefix("exaworks-").lower())


def mom_config(base: Path, node: str) -> str:
    """Return the configuration of the MOM of a node; the temporary folders of its jobs are in a folder of the node."""
    lines = (
        f"$clienthost {server_name(base)}",
        "$usecp *:/ /",
        "$min_check_poll 1",
        "$max_check_poll 2",
        f"$tmpdir {base / node / TEMPORARY}",
    )
    return "".join(f"{line}\n" for line in lines)


def setup(base: Path, nodes: Sequence[str], outside: int) -> str:
    """Return the script that sets the namespaces up: addresses, a host name, and names for all nodes.

    Shared memory and the sockets of PostgreSQL are private too, so nothing of them remains however the daemons end.
    outside: a process in the namespaces in which jobs run; these are bound to files below ``base``.
    """
    addresses = [f"ip address add {NETWORK}.{number}/32 dev lo" for number in range(1, len(nodes) + 2)]
    return "\n".join(
        [
            "set -e",
            f"cd {shlex.quote(str(base))}",
            ": > net; : > uts",
            f"mount --bind /proc/{outside}/ns/net net",
            f"mount --bind /proc/{outside}/ns/uts uts",
            "ip link set lo up",
            *addresses,
            f"hostname {server_name(base)}",
            "mount --bind hosts /etc/hosts",
            "mount -t tmpfs -o mode=1777 tmpfs /dev/shm",
            f"if [ -d {SOCKETS} ]; then mount --bind sockets {SOCKETS}; fi",
            ": > ready",
            "exec sleep infinity",
        ]
    )


def hosts(base: Path, nodes: Sequence[str], before: str) -> str:
    """Return /etc/hosts for the daemons: their own names, followed by the file of this machine."""
    own = [f"{NETWORK}.{number} {name}" for number, name in enumerate((server_name(base), *nodes), start=1)]
    return "\n".join(["127.0.0.1 localhost", *own, before])


def database_port(base: Path) -> int:
    """Return the port after which PostgreSQL names its socket; where ``SOCKETS`` does not exist, it is in /tmp."""
    return 20000 + zlib.crc32(base.name.encode()) % 30000


def configuration(root: Path, base: Path) -> str:
    """Return pbs.conf."""
    lines = {
        "PBS_EXEC": root,
        "PBS_HOME": base / "home",
        "PBS_SERVER": server_name(base),
        "PBS_START_SERVER": 1,
        "PBS_START_SCHED": 1,
        "PBS_START_COMM": 1,
        "PBS_START_MOM": 0,
        "PBS_CORE_LIMIT": "unlimited",
        "PBS_DATA_SERVICE_PORT": database_port(base),
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def mom_port(number: int) -> int:
    """Return the port of the MOM of node ``number``, from 1; it also uses the port above."""
    return PORT + 100 + 2 * number


def commands(
    nodes: Sequence[str], cores: int, gpus: int, queues: list[dict[str, Any]], default: str, resources: Sequence[str]
) -> Iterator[str]:
    """Yield the commands for qmgr(8B), line by line."""
    yield "set server flatuid = True"
    yield "set server acl_roots = root@*"
    yield "set server job_history_enable = True"
    yield "set server scheduler_iteration = 1"
    yield "set server node_fail_requeue = 1"
    for name in resources:
        yield f"create resource {name} type = string"
    for queue in queues:
        name = queue["name"]
        yield f"create queue {name} queue_type = Execution"
        yield f"set queue {name} kill_delay = 2"
        for bound, sizes in (("max", queue["max_nodes"]), ("min", queue["min_nodes"])):
            if sizes:
                yield f"set queue {name} resources_{bound}.nodect = {sizes}"
            if queue[f"{bound}_walltime"]:
                yield f"set queue {name} resources_{bound}.walltime = {int(queue[f'{bound}_walltime'])}"
        for limit, most in (("max_run", queue["max_running"]), ("max_queued", queue["max_queued"])):
            if most:
                yield f'set queue {name} {limit} = "[u:PBS_GENERIC={most}]"'
        yield f"set queue {name} enabled = True"
        yield f"set queue {name} started = True"
    yield f"set server default_queue = {default}"
    yield "delete queue workq"
    for number, name in enumerate(nodes, start=1):
        yield f"create node {name} Mom = {name}, Port = {mom_port(number)}"
        yield f"set node {name} resources_available.ncpus = {cores}"
        if gpus:
            yield f"set node {name} resources_available.ngpus = {gpus}"


def hook(accounts: list[str] | None, required: list[str], queues: list[dict[str, Any]], default: str) -> str:
    """Return the hook that checks rules for which PBS has no attribute, as Python for the interpreter in its server."""
    rules = {
        "accounts": accounts,
        "required": required,
        "default_queue": default,
        "steps": {queue["name"]: queue["steps"] for queue in queues if queue["steps"]},
    }
    return HOOK.format(rules=json.loads(json.dumps(rules)))


def launch(base: Path, nsenter: str) -> str:
    """Return the hook that starts the shell of each job in the network of this machine."""
    return LAUNCH.format(base=base, nsenter=nsenter)
