"""What the commands of every dialect share: asking the engine, spooling a script, and refusing what is not known."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
from pathlib import Path
from typing import Any, NoReturn

VARIABLE = "EMULATED_SCHEDULER"
"""Names the folder of the emulated scheduler, as LSF_ENVDIR or PBS_CONF_FILE name a real one's."""


class DownError(Exception):
    """Nobody listens: the scheduler's daemon is not there."""


class RefusedError(Exception):
    """The command line or a directive asks for what this dialect does not have; the message says what."""


def folder() -> Path:
    """Return the folder of the scheduler this environment means.

    Raises:
        DownError: none is named.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        raise DownError(f"{VARIABLE} names no emulated scheduler")
    return Path(named)


def ask(op: str, **given: Any) -> Any:
    """Send one request to the engine and return its answer.

    Raises:
        DownError: it does not answer.
    """
    try:
        here = os.open(folder(), os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise DownError(str(error)) from error
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20.0)
            connection.connect(f"/proc/self/fd/{here}/engine.sock")
            with connection.makefile("rwb") as stream:
                stream.write(json.dumps({"op": op, **given}).encode() + b"\n")
                stream.flush()
                return json.loads(stream.readline())
    except (OSError, ValueError) as error:
        raise DownError(str(error)) from error
    finally:
        os.close(here)


def submit(**given: Any) -> dict[str, Any]:
    """Submit a job of this user and return its number and queue, or why it was refused."""
    answer: dict[str, Any] = ask("submit", user=user(), **given)
    return answer


def user() -> str:
    """Return the name of the user who runs this command, or his number where he has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def spool(script: Path | None, text: str | None = None) -> str:
    """Keep a copy of a script, as a scheduler does: what is changed or removed after submission changes no job."""
    place = folder() / "spool" / f"{os.getpid()}-{os.urandom(4).hex()}"
    if text is not None:
        place.write_text(text, encoding="utf-8")
    else:
        assert script is not None
        shutil.copyfile(script, place)
    place.chmod(0o700)
    return str(place)


def interpreter(script: str, shell: str | None = None) -> list[str]:
    """Return how a spooled script is run: by the shell asked for, else by its first line, else by /bin/sh."""
    if shell is not None:
        return [shell, script]
    with Path(script).open("rb") as file:
        return [script] if file.read(2) == b"#!" else ["/bin/sh", script]


def refuse(message: str) -> NoReturn:
    raise RefusedError(message)


def options(words: list[str], valued: str | tuple[str, ...], flags: str | tuple[str, ...]) -> tuple[Any, list[str]]:
    """Read options until the first word that is none; return them as (name, value) pairs, and the other words.

    valued and flags: names without their dashes. A value may be joined to a one-letter option, or by ``=`` to a long
    one with two dashes.

    Raises:
        RefusedError: an option that is not among them, or one without its value.
    """
    found: list[tuple[str, str | None]] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        word = rest.pop(0)
        name, joined, value = word.lstrip("-").partition("=") if word.startswith("--") else (word[1:], "", "")
        if name in flags and not joined:
            found.append((name, None))
        elif name in valued:
            if not joined and not rest:
                refuse(f"option {word} needs a value")
            found.append((name, value if joined else rest.pop(0)))
        elif not word.startswith("--") and name[:1] in valued and len(name[:1]) == 1 and len(name) > 1:
            found.append((name[0], name[1:]))
        else:
            refuse(f"option {word} is not known to this emulator")
    return found, rest


def seconds(text: str) -> float:
    """Read SS, MM:SS or HH:MM:SS.

    Raises:
        ValueError: it is none of these.
    """
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


def clock(span: float) -> str:
    """Return HH:MM:SS."""
    whole = int(span)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
