"""Stand-ins for the launchers jsrun, lrun, aprun and PALS's mpiexec: they check their arguments and start the ranks.

A rank is a process of this machine with a variable that names its emulated node. The stand-ins know the options of
jsrun(1), aprun(1) and of the mpiexec of HPE's PALS (ALCF's user guide), and the options in the site file. They refuse
every other option, and every request that exceeds the allocation.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sdk_tests.emulators import client
from sdk_tests.emulators.work import NODE

REFUSED = 1
VERSION = "1.0 (emulated by the ExaWorks SDK)"


@dataclass
class Ranks:
    """The request of a command line: the total of ranks, the limit of ranks per node (None: none), cores per rank."""

    command: list[str]
    count: int = 1
    per_node: int | None = None
    cores: int = 1
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Launcher:
    """The options of one launcher with and without a value, and the variable that contains the number of a rank."""

    rank: str
    valued: tuple[str, ...]
    flags: tuple[str, ...]


LAUNCHERS = {
    "jsrun": Launcher(
        "PMIX_RANK",
        (
            *("n", "nrs", "a", "tasks_per_rs", "c", "cpu_per_rs", "g", "gpu_per_rs", "r", "rs_per_host", "p", "np"),
            *("b", "bind", "d", "launch_distribution", "l", "latency_priority", "M", "smpiargs", "E", "env", "X"),
            *("exit_on_error", "o", "stdio_stdout", "k", "stdio_stderr", "t", "stdio_input", "h", "chdir"),
        ),
        ("i", "immediate", "D"),
    ),
    "lrun": Launcher(
        "PMIX_RANK",
        ("N", "n", "T", "c", "g", "M", "X", "W", "core", "gpu", "threads", "smt"),
        ("1", "M-gpu", "nolbind", "pack", "v", "vvv"),
    ),
    "aprun": Launcher(
        "ALPS_APP_PE",
        ("n", "N", "d", "j", "cc", "S", "e", "r", "L", "m", "t", "p"),
        ("b", "q", "ss", "T", "B"),
    ),
    "mpiexec": Launcher(
        "PALS_RANKID",
        (
            *("n", "np", "ppn", "d", "depth", "cpu-bind", "mem-bind", "gpu-bind", "hostfile", "hosts", "env", "genv"),
            *("wdir", "label-format", "rlimits"),
        ),
        ("genvall", "genvnone", "no-vni", "line-buffer", "label", "l", "exclusive", "shared"),
    ),
}


def run(name: str, arguments: list[str]) -> int:
    """Start the ranks, wait for them, and return the exit code of the first one that fails. A failure ends the rest."""
    if arguments in (["--version"], ["-V"]):  # RADICAL-Pilot and others recognise the kind of mpiexec by its version
        print(f"{name} version {VERSION}")
        return 0
    request = _parse(name, arguments)
    hosts, cores = _allocation(name)
    rank_hosts = _rank_hosts(name, request, hosts, cores)
    ranks = []
    for number, host in enumerate(rank_hosts):
        own = {LAUNCHERS[name].rank: str(number), "PMI_RANK": str(number), "PMI_SIZE": str(request.count), NODE: host}
        ranks.append(subprocess.Popen(request.command, env={**os.environ, **request.env, **own}))

    def terminate(*_: object) -> None:
        for rank in ranks:
            rank.terminate()

    signal.signal(signal.SIGTERM, terminate)
    code = 0
    waiting = {rank.pid: rank for rank in ranks}
    while waiting:
        pid, status = os.wait()
        rank = waiting.pop(pid, None)
        if rank is None:
            continue
        rank.returncode = os.waitstatus_to_exitcode(status)
        if rank.returncode and not code:
            code = rank.returncode if rank.returncode > 0 else 128 - rank.returncode
            for other in waiting.values():
                other.terminate()
    return code


def _parse(name: str, arguments: list[str]) -> Ranks:
    launcher = LAUNCHERS[name]
    site_valued, site_flags = _site_options(name)
    # mpiexec accepts its long options with one dash or two
    given, command = client.options(
        [_two_dashes(argument, launcher) for argument in arguments],
        (*launcher.valued, *site_valued),
        (*launcher.flags, *site_flags),
    )
    command = command[1:] if command[:1] == ["--"] else command
    if not command:
        client.refuse("no command to start")
    request = Ranks(command)
    options = {key: value for key, value in given if value is not None}
    number = {key: _count(key, value) for key, value in options.items() if key in COUNTED}
    if name == "jsrun":
        sets = number.get("n", number.get("nrs"))
        per_set = number.get("a", number.get("tasks_per_rs", 1))
        request.count = sets * per_set if sets is not None else number.get("np", number.get("p", 1))
        per_host = number.get("r", number.get("rs_per_host"))
        request.per_node = per_host * per_set if per_host is not None else None
        request.cores = max(1, number.get("c", number.get("cpu_per_rs", 1)) // per_set)
    elif name == "lrun":
        hosts = number.get("N", 1)
        request.per_node = number.get("T")
        request.count = number.get("n", hosts * (request.per_node or 1))
        request.cores = number.get("c", 1)
    elif name == "aprun":
        request.count, request.per_node, request.cores = number.get("n", 1), number.get("N"), number.get("d", 1)
    else:
        request.count = number.get("n", number.get("np", 1))
        request.per_node, request.cores = number.get("ppn"), number.get("depth", number.get("d", 1))
    for key, value in given:
        if key in ("e", "E", "env") and value:
            variable, _, text = value.partition("=")
            request.env[variable] = text
    return request


COUNTED = ("n", "nrs", "a", "tasks_per_rs", "c", "cpu_per_rs", "r", "rs_per_host", "p", "np", "N", "T", "ppn", "depth")
"""The options of all launchers whose values are counts."""


def _count(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        client.refuse(f"-{name} {text}: not a number of at least 1")
    return int(text)


def _two_dashes(argument: str, launcher: Launcher) -> str:
    """Return the argument, with a second dash if it is a long option of the launcher with one dash."""
    name = argument[1:].partition("=")[0]
    long = argument.startswith("-") and not argument.startswith("--") and len(name) > 1
    return f"-{argument}" if long and name in (*launcher.valued, *launcher.flags) else argument


def _site_options(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the options with and without a value that the site file gives this launcher."""
    try:
        launchers = json.loads((client.folder() / "launchers.json").read_text(encoding="utf-8"))
    except (OSError, client.DownError):
        return (), ()
    arguments: list[str] = launchers.get(name, [])
    valued: list[str] = []
    flags: list[str] = []
    for position, argument in enumerate(arguments):
        if argument.startswith("-"):
            following = arguments[position + 1 : position + 2]
            has_value = "=" in argument or bool(following and not following[0].startswith("-"))
            (valued if has_value else flags).append(argument.lstrip("-").partition("=")[0])
    return tuple(valued), tuple(flags)


def _allocation(name: str) -> tuple[list[str], int]:
    """Return the nodes of the job and its number of cores on each of them."""
    env: Mapping[str, str] = os.environ
    if "LSB_MCPU_HOSTS" in env:
        hosts_and_cores = env["LSB_MCPU_HOSTS"].split()
        return hosts_and_cores[::2], int(hosts_and_cores[1])
    if "PBS_NODEFILE" in env:
        hosts = list(dict.fromkeys(Path(env["PBS_NODEFILE"]).read_text(encoding="utf-8").split()))
        return hosts, int(env.get("NCPUS", "1"))
    if "COBALT_PARTNAME" in env:
        cores = max(node["cores"] for node in client.request("cluster")["nodes"])
        return env["COBALT_PARTNAME"].split(","), cores
    client.refuse(f"{name} must run inside an allocation, and no variable of one is set")


def _rank_hosts(name: str, request: Ranks, hosts: list[str], cores: int) -> list[str]:
    """Return the node of each rank. Ranks fill one node after the other, up to the requested number or the cores."""
    fit = max(1, cores // request.cores)
    per_node = request.per_node if request.per_node is not None else max(1, -(-request.count // len(hosts)))
    if name == "aprun" and request.per_node is None:
        per_node = min(fit, request.count)
    if per_node > fit and name != "mpiexec":  # PALS lets ranks share cores; the other launchers refuse
        client.refuse(f"{per_node} ranks of {request.cores} cores do not fit on a node of {cores}")
    if request.count > per_node * len(hosts):
        client.refuse(f"{request.count} ranks at {per_node} a node need more than the job's {len(hosts)} nodes")
    return [hosts[number // per_node] for number in range(request.count)]


COMMANDS = {name: (lambda arguments, name=name: run(name, arguments)) for name in LAUNCHERS}
