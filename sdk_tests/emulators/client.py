"""Functions that the commands of every dialect share: send requests to the engine, spool scripts, parse options."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
from pathlib import Path
from typing import Any, NoReturn

VARIABLE = "EMULATED_SCHEDULER"
"""The variable that contains the folder of the emulated scheduler, like LSF_ENVDIR or PBS_CONF_FILE of a real one."""


class DownError(Exception):
    """The daemon of the scheduler does not answer."""


class RefusedError(Exception):
    """A command is refused; the message names what is wrong.

    code: its exit code; None is that of the dialect. plain: the message is printed without the name of the command.
    """

    def __init__(self, message: str, code: int | None = None, *, plain: bool = False) -> None:
        super().__init__(message)
        self.code, self.plain = code, plain


def folder() -> Path:
    """Return the folder of the emulated scheduler that the environment names.

    Raises:
        DownError: the environment names none.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        raise DownError(f"{VARIABLE} names no emulated scheduler")
    return Path(named)


def request(op: str, **given: Any) -> Any:
    """Send one request to the engine and return its answer.

    Raises:
        DownError: the engine does not answer.
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
    """Submit a job of this user. Return its number and queue, or the reason why it was refused."""
    answer: dict[str, Any] = request("submit", user=user(), **given)
    return answer


def user() -> str:
    """Return the name of the user who runs this command, or the user id if there is no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def spool(script: Path | None, text: str | None = None) -> str:
    """Store a copy of a script, as a scheduler does, so that later changes of the script do not affect the job."""
    path = folder() / "spool" / f"{os.getpid()}-{os.urandom(4).hex()}"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    else:
        assert script is not None
        shutil.copyfile(script, path)
    path.chmod(0o700)
    return str(path)


def interpreter(script: str, shell: str | None = None) -> list[str]:
    """Return the command that runs a spooled script: the requested shell, else its ``#!`` line, else /bin/sh."""
    if shell is not None:
        return [shell, script]
    with Path(script).open("rb") as file:
        return [script] if file.read(2) == b"#!" else ["/bin/sh", script]


def refuse(message: str, code: int | None = None) -> NoReturn:
    """Refuse the command with this message, and with this exit code in place of the usual one."""
    raise RefusedError(message, code)


def refuse_plainly(message: str, code: int | None = None) -> NoReturn:
    """Refuse the command with this message, without its name before it."""
    raise RefusedError(message, code, plain=True)


def letters(arguments: list[str], valued: str, flags: str, usage: str = "") -> tuple[Any, list[str]]:
    """Parse options of one letter as getopt(3) does: ``-hz``, ``-lselect=1``, ``-N name``.

    valued, flags: the letters with and without a value. usage: printed after the message of a refusal. Returns (letter,
    value) pairs and the other arguments, from the first one on that is no option.

    Raises:
        RefusedError: an option is unknown, or its value is missing.
    """
    pairs: list[tuple[str, str | None]] = []
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        word = rest.pop(0)
        if word.startswith("--"):
            refuse(f"invalid option -- '-' in {word!r}{usage}")
        for position, letter in enumerate(word[1:], start=1):
            if letter in flags:
                pairs.append((letter, None))
            elif letter in valued:
                joined = word[position + 1 :]
                if not joined and not rest:
                    refuse(f"option requires an argument -- '{letter}'{usage}")
                pairs.append((letter, joined or rest.pop(0)))
                break
            else:
                refuse(f"invalid option -- '{letter}'{usage}")
    return pairs, rest


def options(arguments: list[str], valued: str | tuple[str, ...], flags: str | tuple[str, ...]) -> tuple[Any, list[str]]:
    """Parse options up to the first argument that is none. Return (name, value) pairs and the remaining arguments.

    valued, flags: names of options with and without a value, without their dashes. A value may directly follow a
    one-letter option, or follow ``=`` after a long option with two dashes.

    Raises:
        RefusedError: an option is unknown, or its value is missing.
    """
    pairs: list[tuple[str, str | None]] = []
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        option = rest.pop(0)
        name, joined, value = option.lstrip("-").partition("=") if option.startswith("--") else (option[1:], "", "")
        if name in flags and not joined:
            pairs.append((name, None))
        elif name in valued:
            if not joined and not rest:
                refuse(f"option {option} needs a value")
            pairs.append((name, value if joined else rest.pop(0)))
        elif not option.startswith("--") and name[:1] in valued and len(name[:1]) == 1 and len(name) > 1:
            pairs.append((name[0], name[1:]))
        else:
            refuse(f"option {option} is not known to this emulator")
    return pairs, rest


def seconds(text: str) -> float:
    """Parse SS, MM:SS or HH:MM:SS into seconds.

    Raises:
        ValueError: the text has none of these forms.
    """
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


def clock(span: float) -> str:
    """Format a span in seconds as HH:MM:SS."""
    whole = int(span)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
