"""Run one command of the machine with a time limit; return its output, or the reason why there is none."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence

COMMAND_SECONDS = 10.0


def run(argv: Sequence[str], env: Mapping[str, str], *, both: bool = False) -> tuple[str | None, str | None]:
    """Return a command's output and None, or None and the reason why there is no output, in one line.

    both: append standard error to the output, as the commands of module systems need it.
    """
    program = shutil.which(argv[0], path=env.get("PATH"))
    if program is None:
        return None, f"no {argv[0]} on PATH"
    try:
        done = subprocess.run(
            [program, *argv[1:]],
            env={**env, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return None, f"{argv[0]} did not answer in {COMMAND_SECONDS:g} s"
    except OSError as error:
        return None, f"{argv[0]} could not be started: {error.strerror or error}"
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        return None, f"{argv[0]} exited with {done.returncode}" + (f": {lines[-1]}" if lines else "")
    return done.stdout + (done.stderr if both else ""), None


def present(names: Sequence[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """Return those of the programs that are on PATH."""
    return tuple(name for name in names if shutil.which(name, path=env.get("PATH")))
