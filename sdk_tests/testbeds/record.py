"""``testbed.json``: written atomically before the first daemon starts and again for each daemon."""

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
    """Replace the file atomically, so that neither a reader nor a crash sees half of it."""
    raw = msgspec.json.format(msgspec.json.encode(testbed, enc_hook=_encode), indent=1)
    temporary = testbed.folder / f".{FILE}.{os.getpid()}"
    temporary.write_bytes(raw + b"\n")
    temporary.replace(testbed.folder / FILE)


def read(folder: Path) -> Testbed:
    """Read the file.

    Raises:
        TestbedError: the file cannot be read or has another format.
        FileNotFoundError: there is no such file.
    """
    path = folder / FILE
    try:
        testbed: Testbed = msgspec.json.decode(path.read_bytes(), type=Testbed, dec_hook=_decode)
    except FileNotFoundError:
        raise
    except (OSError, msgspec.MsgspecError) as error:
        raise TestbedError(f"{path}: {error}. Stop the testbed by hand and remove the folder.") from error
    return replace(testbed, folder=folder)


def state(testbed: Testbed) -> str:
    """Return ``starting`` until the nodes of the testbed are idle, then ``up``."""
    return testbed.extras.get("state", STARTING)


def initial_extras(me: Daemon) -> dict[str, str]:
    """Return the ``extras`` of every new testbed: its state, the process that starts it, and where its pids are valid.

    Several hosts may share a home, and pids are valid only until the host is booted again.
    """
    return {
        "state": STARTING,
        "maker": f"{me.pid}:{me.started}",
        "host": os.uname().nodename,
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "pids": str(Path("/proc/self/ns/pid").readlink()),
    }


def location(testbed: Testbed) -> str:
    """Return where the pids of a testbed are valid: ``here``, ``elsewhere``, or ``rebooted`` (nowhere any more)."""
    known = testbed.extras
    here = initial_extras(Daemon("", 0, 0))
    if (known.get("boot"), known.get("pids")) == (here["boot"], here["pids"]):
        return HERE
    return REBOOTED if known.get("host") == here["host"] and known.get("boot") != here["boot"] else ELSEWHERE


def creator(testbed: Testbed) -> Daemon | None:
    """Return the process that is starting the testbed."""
    pid, _, started = testbed.extras.get("maker", "").partition(":")
    return Daemon("creator", int(pid), int(started)) if pid.isdigit() and started.isdigit() else None


def _encode(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind.__name__)
