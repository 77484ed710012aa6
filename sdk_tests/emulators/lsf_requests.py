"""The values of bsub's options: sizes, requirements, limits, dependencies, arrays; refused as OpenLava 2.2 does."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sdk_tests.emulators import client

LOGIN: tuple[str, ...] = ("PATH", "HOME", "USER")
"""The variables of a job that is submitted with ``-env none``."""
NOT_SUBMITTED = "Job not submitted."

_SECTION = re.compile(r"\b(select|order|rusage|span|same|cu|affinity)\[([^\[\]]*)\]")
_SPAN = re.compile(r"hosts=-?1|ptile=[1-9]\d*")
_COMPARISON = re.compile(r"!?(\w+)(?:\s*(?:==|!=|>=|<=|>|<)\s*[\w.*-]+)?")
_RESOURCES = (
    "r15s",
    "r1m",
    "r15m",
    "ut",
    "pg",
    "io",
    "ls",
    "it",
    "tmp",
    "swp",
    "mem",
    "type",
    "model",
    "status",
    "hname",
    "cpuf",
    "ncpus",
    "ndisks",
    "maxmem",
    "maxswp",
    "maxtmp",
    "rexpri",
    "server",
    "any",
    "LN",
    "CN",
)
"""The resources that a condition may name: those of every LSF, and Summit's for launch and compute nodes."""


def check_requirement(text: str) -> None:
    """Refuse a resource requirement that has no valid syntax: sections, and conditions joined by && and ||."""
    sections = dict(_SECTION.findall(text))
    conditions = [sections.get("select", ""), _SECTION.sub("", text)]
    parts = [part.strip(" ()") for one in conditions if one.strip() for part in re.split(r"&&|\|\|", one)]
    comparisons = [_COMPARISON.fullmatch(part) for part in parts]
    if not all(match and match[1] in _RESOURCES for match in comparisons) or not _SPAN.fullmatch(
        sections.get("span", "hosts=1")
    ):
        client.refuse_plainly("Bad resource requirement syntax. Job not submitted.")


def array(label: str) -> tuple[str, list[int] | None]:
    """Split ``name[1-5:2,9]`` into the name and the indices; without brackets there are no indices."""
    match = re.fullmatch(r"([^\[\]]*)\[([^\[\]]*)\](%\d+)?", label)
    if match is None:
        return label, None
    indices: set[int] = set()
    for part in match[2].split(","):
        numbers = re.fullmatch(r"\s*(\d+)(?:-(\d+)(?::(\d+))?)?\s*", part)
        first, last, step = (
            int(number or default)
            for number, default in zip(
                numbers.groups() if numbers else (None, None, None),
                ("0", numbers[1] if numbers else "0", "1"),
                strict=True,
            )
        )
        if not 0 < first <= last or step < 1:
            client.refuse_plainly("Bad job name. Job not submitted.")
        indices.update(range(first, last + 1, step))
    return match[1], sorted(indices)


def size(options: dict[str, str], per_node: int) -> tuple[int, int]:
    if "nnodes" in options:
        return _count(options["nnodes"]), per_node
    slots = _slots(options.get("n", "1"))
    tile = per_node
    if "span[ptile=" in options.get("R", ""):
        tile = _count(options["R"].partition("span[ptile=")[2].partition("]")[0])
    elif "span[hosts=1]" in options.get("R", ""):
        tile = slots
    return math.ceil(slots / tile), min(slots, tile)


def _slots(text: str) -> int:
    """Return the slots of ``-n``; of a range, the emulator grants the maximum."""
    if not re.fullmatch(r"\d+(,\d+)?", text):
        client.refuse_plainly(f"Bad argument for option -n. {NOT_SUBMITTED}")
    least, most = int(text.partition(",")[0]), int(text.rpartition(",")[2])
    if least < 1:
        client.refuse_plainly(f"The number of processors must be a positive integer. {NOT_SUBMITTED}")
    if least > most:
        client.refuse_plainly(f"Bad argument for option -n. {NOT_SUBMITTED}")
    return most


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        client.refuse_plainly(f"{text}: Illegal job slot or host count")
    return int(text)


def minutes(text: str | None, hosts: Sequence[str]) -> float:
    """Return the run limit of ``-W``, ``[hours:]minutes[/host]``, in minutes; 0 is no limit, so the default."""
    if text is None:
        return 60.0
    limit, _, host = text.partition("/")
    if not re.fullmatch(r"(\d+:)?\d+", limit):
        client.refuse_plainly(f"{text}: Bad RUNLIMIT specification. {NOT_SUBMITTED}")
    if host and host not in hosts:
        client.refuse_plainly(f"{host}: Bad host specification. {NOT_SUBMITTED}")
    return client.seconds(limit) or 60.0  # [hours:]minutes has the form of [minutes:]seconds


def check_limits(options: Mapping[str, str], hosts: Sequence[str]) -> None:
    """Refuse limits and host names that bsub refuses, of options that change nothing here."""
    if "c" in options and not re.fullmatch(r"(\d+:)?\d+(/.*)?", options["c"]):
        client.refuse_plainly(f"{options['c']}: Bad CPULIMIT specification. {NOT_SUBMITTED}")
    for host in options.get("m", "").split():
        if host.partition("+")[0] not in (*hosts, "all", os.uname().nodename):
            client.refuse_plainly(f"{host}: Bad host name, host group name or cluster name. {NOT_SUBMITTED}")


def instant(text: str | None) -> float:
    """Return the time of ``-b``, ``[[month:]day:]hour:minute``, in seconds since the epoch; 0 if there is none."""
    if text is None:
        return 0.0
    now = time.localtime()
    try:
        *day, hour, minute = (int(part) for part in text.split(":"))
        month, date = (day[0], day[1]) if len(day) == 2 else (now.tm_mon, day[0] if day else now.tm_mday)
        when = time.mktime(time.strptime(f"{now.tm_year}-{month}-{date} {hour}:{minute}", "%Y-%m-%d %H:%M"))
    except (ValueError, IndexError):
        client.refuse_plainly(f"{text}: Bad time specification. {NOT_SUBMITTED}")
    return when + 86400 if not day and when < time.time() else when


# -- dependencies -----------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*(&&|\|\||[()]|[^\s()&|]+)")
KINDS = {"done": "ok", "exit": "failed", "ended": "ended", "started": "started"}


def dependency(text: str | None, known: Callable[[str], list[int]]) -> list[Any] | None:
    """Return the condition of ``-w``: ``done(ID)``, ``exit(ID)``, ``ended(ID)``, ``started(ID)``, joined by && and ||.

    known: the numbers of the jobs with an id or a name. The exit code of ``exit(ID, CODE)`` is not compared.
    """
    if text is None:
        return None
    tokens = _TOKEN.findall(text)

    def wrong() -> None:
        client.refuse_plainly(f"{text}: Dependency condition syntax error. {NOT_SUBMITTED}")

    def take(expected: str | None = None) -> str:
        token = tokens.pop(0) if tokens else ""
        if not token or (expected is not None and token != expected):
            wrong()
        return token

    def jobs(name: str) -> list[int]:
        numbers = known(name.strip("\"'"))
        if not numbers:
            client.refuse_plainly(f"{name}: No matching job found. {NOT_SUBMITTED}")
        return numbers

    def single() -> list[Any]:
        token = take()
        if token == "(":  # noqa: S105
            inner = either()
            take(")")
            return inner
        if token in KINDS and tokens[:1] == ["("]:
            take("(")
            name = take().partition(",")[0]
            while tokens and tokens[0] != ")":
                take()
            take(")")
            return [KINDS[token], *jobs(name)]
        if token in ("&&", "||", ")"):
            wrong()
        return ["ok", *jobs(token)]

    def both() -> list[Any]:
        parts = [single()]
        while tokens[:1] == ["&&"]:
            take()
            parts.append(single())
        return ["and", *parts]

    def either() -> list[Any]:
        parts = [both()]
        while tokens[:1] == ["||"]:
            take()
            parts.append(both())
        return ["or", *parts]

    condition = either()
    if tokens:
        wrong()
    return condition


def environment(values: list[str]) -> dict[str, str]:
    """Return the environment that the values of ``-env`` select: all, none, or named variables. Values add up."""
    own: dict[str, str] = dict(os.environ)
    if not values:
        return own
    parts = [part.strip() for value in values for part in value.split(",")]
    kept: dict[str, str] = own if "all" in parts else {name: own[name] for name in LOGIN if name in own}
    for part in parts:
        name, sign, value = part.partition("=")
        if sign:
            kept[name] = value
        elif part.startswith("~"):
            kept.pop(part[1:], None)
        elif part in own and part not in ("all", "none"):
            kept[part] = own[part]
    return kept
