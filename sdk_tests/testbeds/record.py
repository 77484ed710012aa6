"""``testbed.json``: written before the first daemon starts and again as each does, whole or not at all."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from sdk_tests.errors import TestbedError
from sdk_tests.testbeds.base import Daemon, Testbed

FILE = "testbed.json"
STARTING = "starting"
UP = "up"
HERE = "here"
REBOOTED = "rebooted"
ELSEWHERE = "elsewhere"


def write(testbed: Testbed) -> None:
    """Replace the file in one step, so that a reader or a crash never meets half of it."""
    raw = msgspec.json.format(msgspec.json.encode(testbed, enc_hook=_encode), indent=1)
    draft = testbed.folder / f".{FILE}.{os.getpid()}"
    draft.write_bytes(raw + b"\n")
    draft.replace(testbed.folder / FILE)


def read(folder: Path) -> Testbed:
    """Read it back.

    Raises:
        TestbedError: the file cannot be read or is not one of ours.
        FileNotFoundError: there is none.
    """
    path = folder / FILE
    try:
        found: Testbed = msgspec.json.decode(path.read_bytes(), type=Testbed, dec_hook=_decode)
    except FileNotFoundError:
        raise
    except (OSError, msgspec.MsgspecError) as error:
        raise TestbedError(f"{path}: {error}. Take the testbed down by hand and remove the folder.") from error
    return replace(found, folder=folder)


def state(testbed: Testbed) -> str:
    """``starting`` until its nodes are idle, then ``up``."""
    return testbed.extras.get("state", STARTING)


def birth(me: Daemon) -> dict[str, str]:
    """Return what every new testbed has among its ``extras``: state, maker, and where its pids mean anything.

    A home may be shared by several hosts, and a host's pids by nothing that was there before it was booted.
    """
    return {
        "state": STARTING,
        "maker": f"{me.pid}:{me.started}",
        "host": os.uname().nodename,
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "pids": str(Path("/proc/self/ns/pid").readlink()),
    }


def standing(testbed: Testbed) -> str:
    """Say where its pids can be looked up: ``here``, ``rebooted`` (nowhere any more), or ``elsewhere``."""
    known = testbed.extras
    mine = birth(Daemon("", 0, 0))
    if (known.get("boot"), known.get("pids")) == (mine["boot"], mine["pids"]):
        return HERE
    return REBOOTED if known.get("host") == mine["host"] and known.get("boot") != mine["boot"] else ELSEWHERE


def maker(testbed: Testbed) -> Daemon | None:
    """Return the process that is bringing it up."""
    pid, _, started = testbed.extras.get("maker", "").partition(":")
    return Daemon("maker", int(pid), int(started)) if pid.isdigit() and started.isdigit() else None


def _encode(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind.__name__)
