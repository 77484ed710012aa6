"""What kinds share: finding and asking a scheduler's commands, making a submit command wait and show its output."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from sdk_tests.schedulers.base import CommandFailed, Finished

PROBE_LIMIT = 5.0


def find(name: str, env: Mapping[str, str], *folders: str) -> str | None:
    """Return where a command is: on PATH, or in a folder that the software is usually installed to."""
    return shutil.which(name, path=os.pathsep.join((env.get("PATH", os.defpath), *folders)))


def ask(argv: Sequence[str], env: Mapping[str, str]) -> Finished:
    """Run a short command for a probe; one that hangs or is not there has failed."""
    try:
        done = subprocess.run(
            argv, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return Finished(tuple(argv), None, "", "")
    except OSError as error:
        return Finished(tuple(argv), 127, "", str(error))
    return Finished(
        tuple(argv), done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


def said(done: Finished) -> str:
    """Return the evidence line, with the program's bare name."""
    words = [word for word in done.argv if word != "env" and not re.match(r"\w+=", word)]
    return Finished((Path(words[0]).name, *words[1:]), done.exit_code, done.stdout, done.stderr).line


def number(done: Finished, pattern: str) -> str:
    """Return the job's id: the last match of ``pattern``'s group in what a submit command printed.

    Raises:
        CommandFailed: it was refused, or printed no id.
    """
    if done.exit_code != 0:
        raise CommandFailed(said(done))
    found = re.findall(pattern, done.stdout, re.MULTILINE)
    if not found:
        raise CommandFailed(f"{said(done).partition(':')[0]}: printed no job id but {done.stdout.strip()[:200]!r}")
    return str(found[-1])


def blocking(folder: Path, submit: Sequence[str], *, settle: int = 0) -> list[str]:
    """Return a command that runs a submit command which waits for its job, then shows what the job printed.

    ``submit`` sends the job's streams to the files ``output(folder)``; what it prints itself goes to standard error.
    settle: seconds that the files may come after a job that ``submit`` printed the id of.
    """
    out, err = output(folder)
    run = '"$@" >&2; code=$?; '
    if settle:
        run = (
            'job=$("$@"); code=$?; echo "$job" >&2; left=' + str(10 * settle) + "; "
            'until [ -z "$job" ] || [ -e "$OUT" -a -e "$ERR" ] || [ "$left" = 0 ]; do '
            "sleep 0.1; left=$((left - 1)); done; "
        )
    script = run + 'cat "$OUT" 2>/dev/null; cat "$ERR" >&2 2>/dev/null; exit "$code"'
    return ["env", f"OUT={out}", f"ERR={err}", "sh", "-c", script, "sh", *submit]


def output(folder: Path) -> tuple[str, str]:
    """Return the files that take a blocking job's standard output and error."""
    return str(folder / "control.out"), str(folder / "control.err")


def job_name(name: str) -> str:
    """Return a name that every scheduler takes: letters, digits, dots, dashes and underscores, and not too long."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII)[:40]
