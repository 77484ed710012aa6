"""Stand-ins for the launchers jsrun, lrun, aprun and PALS's mpiexec: they check their arguments and start the ranks.

A rank is a process of this machine that is told which of the job's nodes it is on. Known are the options of jsrun(1),
aprun(1) and of mpiexec as HPE's PALS has it (ALCF's user guide), and those the site's file names; any other is refused,
and so is what the allocation does not hold.
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
    """What a command line asks for: ranks in all, at most so many a node (None: as fit), cores for each."""

    command: list[str]
    count: int = 1
    per_node: int | None = None
    cores: int = 1
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Launcher:
    """The options of one launcher: those with a value, those without, and the variable that holds a rank's number."""

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


def run(name: str, words: list[str]) -> int:
    """Start the ranks, wait for them, and return the first failing one's exit code; a failure ends the others."""
    if words in (["--version"], ["-V"]):  # by which RADICAL-Pilot and others tell one mpiexec from another
        print(f"{name} version {VERSION}")
        return 0
    asked = _read(name, words)
    hosts, cores = _allocation(name)
    places = _places(name, asked, hosts, cores)
    ranks = []
    for number, host in enumerate(places):
        own = {LAUNCHERS[name].rank: str(number), "PMI_RANK": str(number), "PMI_SIZE": str(asked.count), NODE: host}
        ranks.append(subprocess.Popen(asked.command, env={**os.environ, **asked.env, **own}))

    def leave(*_: object) -> None:
        for rank in ranks:
            rank.terminate()

    signal.signal(signal.SIGTERM, leave)
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


def _read(name: str, words: list[str]) -> Ranks:
    launcher = LAUNCHERS[name]
    site_valued, site_flags = _site(name)
    # mpiexec takes its long options with one dash or two
    given, command = client.options(
        [_two_dashes(word, launcher) for word in words],
        (*launcher.valued, *site_valued),
        (*launcher.flags, *site_flags),
    )
    command = command[1:] if command[:1] == ["--"] else command
    if not command:
        client.refuse("no command to start")
    asked = Ranks(command)
    options = {key: value for key, value in given if value is not None}
    number = {key: _count(key, value) for key, value in options.items() if key in COUNTED}
    if name == "jsrun":
        sets = number.get("n", number.get("nrs"))
        per_set = number.get("a", number.get("tasks_per_rs", 1))
        asked.count = sets * per_set if sets is not None else number.get("np", number.get("p", 1))
        per_host = number.get("r", number.get("rs_per_host"))
        asked.per_node = per_host * per_set if per_host is not None else None
        asked.cores = max(1, number.get("c", number.get("cpu_per_rs", 1)) // per_set)
    elif name == "lrun":
        hosts = number.get("N", 1)
        asked.per_node = number.get("T")
        asked.count = number.get("n", hosts * (asked.per_node or 1))
        asked.cores = number.get("c", 1)
    elif name == "aprun":
        asked.count, asked.per_node, asked.cores = number.get("n", 1), number.get("N"), number.get("d", 1)
    else:
        asked.count = number.get("n", number.get("np", 1))
        asked.per_node, asked.cores = number.get("ppn"), number.get("depth", number.get("d", 1))
    for key, value in given:
        if key in ("e", "E", "env") and value:
            variable, _, text = value.partition("=")
            asked.env[variable] = text
    return asked


COUNTED = ("n", "nrs", "a", "tasks_per_rs", "c", "cpu_per_rs", "r", "rs_per_host", "p", "np", "N", "T", "ppn", "depth")
"""Options that count something, of one launcher or another."""


def _count(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        client.refuse(f"-{name} {text}: not a number of at least 1")
    return int(text)


def _two_dashes(word: str, launcher: Launcher) -> str:
    name = word[1:].partition("=")[0]
    long = word.startswith("-") and not word.startswith("--") and len(name) > 1
    return f"-{word}" if long and name in (*launcher.valued, *launcher.flags) else word


def _site(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the options that the site's file names for this launcher, with and without a value."""
    try:
        told = json.loads((client.folder() / "launchers.json").read_text(encoding="utf-8"))
    except (OSError, client.DownError):
        return (), ()
    words: list[str] = told.get(name, [])
    valued: list[str] = []
    flags: list[str] = []
    for place, word in enumerate(words):
        if word.startswith("-"):
            following = words[place + 1 : place + 2]
            has_value = "=" in word or bool(following and not following[0].startswith("-"))
            (valued if has_value else flags).append(word.lstrip("-").partition("=")[0])
    return tuple(valued), tuple(flags)


def _allocation(name: str) -> tuple[list[str], int]:
    """Return the job's nodes and the cores it has on each."""
    env: Mapping[str, str] = os.environ
    if "LSB_MCPU_HOSTS" in env:
        words = env["LSB_MCPU_HOSTS"].split()
        return words[::2], int(words[1])
    if "PBS_NODEFILE" in env:
        hosts = list(dict.fromkeys(Path(env["PBS_NODEFILE"]).read_text(encoding="utf-8").split()))
        return hosts, int(env.get("NCPUS", "1"))
    if "COBALT_PARTNAME" in env:
        cores = max(node["cores"] for node in client.ask("cluster")["nodes"])
        return env["COBALT_PARTNAME"].split(","), cores
    client.refuse(f"{name} works inside an allocation, and this is none")


def _places(name: str, asked: Ranks, hosts: list[str], cores: int) -> list[str]:
    """Return the node of each rank: node after node, as many on each as are asked for or fit."""
    fit = max(1, cores // asked.cores)
    per_node = asked.per_node if asked.per_node is not None else max(1, -(-asked.count // len(hosts)))
    if name == "aprun" and asked.per_node is None:
        per_node = min(fit, asked.count)
    if per_node > fit and name != "mpiexec":  # PALS lets ranks share cores; the others refuse
        client.refuse(f"{per_node} ranks of {asked.cores} cores do not fit on a node of {cores}")
    if asked.count > per_node * len(hosts):
        client.refuse(f"{asked.count} ranks at {per_node} a node need more than the job's {len(hosts)} nodes")
    return [hosts[number // per_node] for number in range(asked.count)]


COMMANDS = {name: (lambda words, name=name: run(name, words)) for name in LAUNCHERS}
