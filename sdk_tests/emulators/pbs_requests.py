"""The values of qsub's options: resources, dependencies, attributes, arrays, names; refused as OpenPBS 23.06 does."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sdk_tests.emulators import client

USAGE = "\nusage: qsub [option]... [script | -- command [argument]...]"
OWN = ("select", "place", "walltime", "nodes", "ncpus", "mem", "mpiprocs", "pmem", "vmem", "pvmem", "cput", "nodect")
CHUNK = ("ncpus", "mpiprocs", "ompthreads", "mem", "host", "vnode", "arch", "ppn")
SIZES = ("mem", "pmem", "vmem", "pvmem")
ALONE = ("ncpus", "mem", "vmem", "mpiprocs")
"""Resources of a whole job, which are an error beside ``select`` in the case of ncpus."""
ARRANGEMENT = r"free|pack|scatter|vscatter"
PLACE = re.compile(rf"(?:{ARRANGEMENT}|excl|shared|exclhost|group=\w+)(?::(?:excl|shared|exclhost|group=\w+))*")
ATTRIBUTES = ("block", "depend", "group_list", "run_count", "sandbox", "stagein", "stageout", "umask", "pwd")
DEPENDENCIES = {"after": "started", "afterok": "ok", "afternotok": "failed", "afterany": "ended"}
VALUES = {
    "c": re.compile(r"[nsu]|[cw](?:=\d+)?"),
    "j": re.compile(r"oe|eo|n"),
    "k": re.compile(r"n|(?!.*(.).*\1)[doe]{1,3}"),
    "m": re.compile(r"n|[abej]+"),
    "p": re.compile(r"[+-]?\d{1,4}"),
    "r": re.compile(r"[yn]"),
    "R": re.compile(r"[oe]{1,2}"),
    "S": re.compile(r"/.*"),
    "J": re.compile(r"\d+-\d+(?::[1-9]\d*)?(?:%[1-9]\d*)?"),
    "a": re.compile(r"(?:\d{2}){2,6}(?:\.\d{2})?"),
    "W": re.compile(r"\w+=.*", re.DOTALL),
}
NAME = re.compile(r"[\w+][\w.+-]*", re.ASCII)
LONGEST_NAME = 230
ILLEGAL = "Illegal attribute or resource value"


def check(given: Sequence[tuple[str, str | None]]) -> None:
    """Refuse values that qsub itself refuses."""
    for option, value in given:
        pattern = VALUES.get(option)
        if value is not None and pattern is not None and not pattern.fullmatch(value):
            _illegal(option)
        if option == "p" and value is not None and not -1024 <= int(value) <= 1023:
            _illegal("p")
        if option == "N" and value is not None:
            check_name(value)
    for option in ("e", "o"):
        path = dict(given).get(option)
        if path and path.count(":") and not re.fullmatch(r"[\w.-]*:.*", path):
            _illegal(option)


def check_name(name: str) -> None:
    """Refuse the name of a job, or of a script without ``-N``, that qsub refuses."""
    if len(name) > LONGEST_NAME:
        client.refuse("Job name is too long")
    if not NAME.fullmatch(name):
        _illegal("N")


def _illegal(option: str) -> None:
    client.refuse(f"illegal -{option} value{USAGE}")


# -- resources --------------------------------------------------------------------------------------------------------


def resources(values: Sequence[str], cluster: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a job requests, as its attributes show it, and as the engine takes it."""
    known = (*cluster["resources"], *(["ngpus"] if any(node["gpus"] for node in cluster["nodes"]) else []))
    listed = _listed(values, known)
    for name in cluster["required"]:
        if name not in listed:
            client.refuse(f"Resource: {name} is required to be set.", 32)
    if "select" in listed and "nodes" in listed:
        client.refuse("Cannot be used with select or place: nodes", 6)
    if "select" in listed and "ncpus" in listed:
        client.refuse('"-lresource=" cannot be used with "select" or "place", resource is: ncpus', 5)
    if "place" in listed and "select" not in listed:
        client.refuse('Cannot have "place" without "select"', 7)
    selection, place = _selection(listed), listed.get("place")
    chunks = [_chunk(chunk, known) for chunk in selection.split("+")]
    nodes = sum(count for count, _, _ in chunks)
    if nodes < 1:
        client.refuse(ILLEGAL, 166)
    walltime = _seconds(listed.get("walltime") or "01:00:00")
    default = "scatter" if "nodes" in listed else "free" if "select" in listed else "pack"
    shown = {
        **listed,
        "ncpus": sum(count * cores for count, cores, _ in chunks),
        "nodect": nodes,
        "place": place or default,
        "select": selection,
        "walltime": client.clock(walltime),
    }
    if mem := [chunk.partition("mem=")[2].partition(":")[0] for chunk in selection.split("+") if "mem=" in chunk]:
        shown.setdefault("mem", mem[0])
    lines = {"resources": dict(sorted(shown.items())), "mpiprocs": max(processes for _, _, processes in chunks)}
    exclusive = "excl" in (place or "")
    return lines, {
        "nodes": nodes,
        "cores": max(cores for _, cores, _ in chunks),
        "walltime": walltime,
        "exclusive": exclusive,
    }


def _listed(values: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Return the resources of ``-l``; of two values for one, the last counts."""
    listed: dict[str, str] = {}
    for part in (part for text in values for part in text.split(",")):
        name, sign, value = part.partition("=")
        if name not in OWN and name not in known:
            client.refuse(f"Unknown resource Resource_List.{name}", 187)
        if not sign or (name in SIZES and not _is_size(value)) or (name == "place" and not PLACE.fullmatch(value)):
            client.refuse(f"{ILLEGAL} Resource_List.{name}", 166)
        listed[name] = value
    return {name: value for name, value in listed.items() if value}


def _selection(listed: Mapping[str, str]) -> str:
    """Return the chunks of a job: its ``select``, or what PBS makes of ``nodes`` or of resources without a chunk."""
    if "select" in listed:
        return listed["select"]
    if "nodes" in listed:
        count, *properties = listed["nodes"].split(":")
        processes = next((part[4:] for part in properties if part.startswith("ppn=")), None)
        return f"{count}:ncpus={processes}:mpiprocs={processes}" if processes else f"{count}:ncpus=1"
    alone = [f"{name}={listed[name]}" for name in ALONE if name in listed and name != "ncpus"]
    return ":".join([f"1:ncpus={listed.get('ncpus', '1')}", *alone])


def _chunk(text: str, known: Sequence[str]) -> tuple[int, int, int]:
    """Return how many nodes a chunk requests, and the cores and MPI processes of each."""
    count, *properties = text.split(":")
    if not count.isdecimal():
        if "=" not in count:
            client.refuse(f"{ILLEGAL} Resource_List.select", 166)
        count, properties = "1", [count, *properties]
    options = {}
    for part in properties:
        name, sign, value = part.partition("=")
        if name not in CHUNK and name not in known:
            client.refuse(f"Unknown resource: {name}", 187)
        wrong = not sign or (name in SIZES and not _is_size(value))
        if wrong or (name in ("ncpus", "mpiprocs", "ompthreads", "ngpus") and not value.isdecimal()):
            client.refuse(f"{ILLEGAL} select.{name}", 166)
        options[name] = value
    return int(count), int(options.get("ncpus") or 1), int(options.get("mpiprocs") or 1)


def _is_size(text: str) -> bool:
    return re.fullmatch(r"\d+(?:[kmgtp]?[bw])?", text, re.IGNORECASE) is not None


def _seconds(text: str) -> float:
    try:
        if not re.fullmatch(r"(?:\d+:){0,3}\d+(?:\.\d*)?", text):
            raise ValueError
        return math.ceil(client.seconds(text))
    except ValueError:
        client.refuse(f"{ILLEGAL} Resource_List.walltime", 166)


# -- other attributes -------------------------------------------------------------------------------------------------


def attributes(text: str) -> dict[str, str]:
    """Return the attributes of ``-W``."""
    found = dict(part.partition("=")[::2] for part in re.split(r",(?=\w+=)", text)) if text else {}
    for name in found:
        if name not in ATTRIBUTES:
            client.refuse("Error (15002) submitting job", 154)
    if found.get("block", "true") not in ("true", "false"):
        _illegal("W")
    return found


def dependency(text: str, known: Callable[[str], list[int]]) -> list[Any] | None:
    """Return the condition of the attribute ``depend``. known: the numbers of the jobs with an id."""
    conditions = []
    for part in text.split(",") if text else []:
        kind, *ids = part.split(":")
        if (
            kind not in DEPENDENCIES
            or not ids
            or not all(re.fullmatch(r"\d+(\[\d*\])?(\.[\w.-]+)?", one) for one in ids)
        ):
            _illegal("W")
        conditions += [[DEPENDENCIES[kind], *(number for one in ids for number in known(one))]]
    return ["and", *conditions] if conditions else None


def indices(text: str | None) -> list[int] | None:
    """Return the indices of an array, of ``X-Y:Z`` or ``X-Y:Z%most at once``."""
    if text is None:
        return None
    first, last, step = (int(number or 1) for number in re.match(r"(\d+)-(\d+)(?::(\d+))?", text).groups())  # type: ignore[union-attr]
    if first >= last:
        _illegal("J")
    return [*range(first, last + 1, step)]


def instant(text: str | None) -> float:
    """Return the time of ``-a``, ``[[CC]YY]MM]DD]hhmm[.SS]``, in seconds since the epoch; 0 if there is none."""
    if text is None:
        return 0.0
    digits, _, second = text.partition(".")
    now = time.strftime("%Y%m%d%H%M")
    full = now[: 12 - len(digits)] + digits
    try:
        when = time.mktime(time.strptime(full, "%Y%m%d%H%M")) + int(second or 0)
    except ValueError:
        _illegal("a")
    if when < time.time() and len(digits) == 4:
        when += 86400
    return when
