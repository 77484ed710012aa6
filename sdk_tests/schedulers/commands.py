"""Functions that kinds share: find and run a scheduler's commands, parse job ids, and run a job that blocks."""

from __future__ import annotations

import os
import platform
import pwd
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sdk_tests.schedulers.base import CommandFailed, CommandResult, JobStatus

PROBE_LIMIT = 5.0
EMPTY_FOLDER = 'mkdir -p "${OUT%/*}" && rm -f "$OUT" "$ERR" "$OUT.part" "$ERR.part"; '
"""Begins a command that waits for a job and prints its files: run again by hand, it must not print those of before."""


def find(name: str, env: Mapping[str, str], *folders: str) -> str | None:
    """Return the path of a command on PATH or in ``folders``, its usual places; None if it is not there."""
    return shutil.which(name, path=os.pathsep.join((env.get("PATH", os.defpath), *folders)))


def run_command(argv: Sequence[str], env: Mapping[str, str]) -> CommandResult:
    """Run a short command of a probe, for at most ``PROBE_LIMIT`` seconds. A hung or missing command is a failure."""
    try:
        done = subprocess.run(
            argv, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return CommandResult(tuple(argv), None, "", "")
    except OSError as error:
        return CommandResult(tuple(argv), 127, "", str(error))
    return CommandResult(
        tuple(argv), done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


def evidence(done: CommandResult) -> str:
    """Return the evidence line of a failed command."""
    return done.evidence


def parse_job_id(done: CommandResult, pattern: str) -> str:
    """Return the job id: the match of the group in ``pattern`` in the whole lines that a submit command printed.

    A line without its end may have lost a part of the id. An id that could be that of another job must not be used,
    because the job is cancelled by it; without an id, the job is looked for by its name.

    Raises:
        CommandFailed: the command failed, printed no job id, or printed several.
    """
    if done.exit_code != 0:
        raise CommandFailed(evidence(done))
    program = evidence(done).partition(":")[0]
    ids = list(dict.fromkeys(re.findall(pattern, "\n".join(whole_lines(done.stdout)), re.MULTILINE | re.ASCII)))
    if not ids:
        raise CommandFailed(f"{program}: printed no job id but {done.stdout.strip()[:200]!r}")
    if len(ids) > 1:
        raise CommandFailed(f"{program}: printed several job ids: {', '.join(map(str, ids))[:200]}")
    return str(ids[0])


def whole_lines(text: str) -> list[str]:
    """Return the lines that end with a newline; the text after the last newline may be a part of a line."""
    return [line.rstrip("\r") for line in text.split("\n")[:-1]]


def only_requested(
    statuses: dict[str, JobStatus], requested: Sequence[str], key: Callable[[str], str]
) -> dict[str, JobStatus]:
    """Return the statuses of the requested jobs; all of them if the command names no job.

    An answer that mentions another job is damaged, or is not an answer to this question. key: ``job_key`` of the kind.
    """
    keys = {key(job_id) for job_id in requested}
    return {job_id: status for job_id, status in statuses.items() if not keys or key(job_id) in keys}


def is_number(text: str) -> bool:
    """Return whether a text consists of ASCII digits, few enough for a number of 64 bits."""
    return text.isascii() and text.isdecimal() and len(text) <= 18


def blocking_argv(folder: Path, submit: Sequence[str], *, file_wait: int = 0, refused: int | None = None) -> list[str]:
    """Return a command that runs ``submit``, which waits for its job, and then prints the output of the job.

    ``submit`` must send the output of the job to the files ``output_files(folder)``. The output of ``submit`` itself
    goes to standard error. file_wait: seconds to wait for these files after the job has ended. refused: the exit code
    of ``submit`` if it submitted nothing; there is no wait then, unless ``finishing_command`` has begun.
    """
    out, err = output_files(folder)
    wait = (
        f'tries={10 * file_wait}; until [ -e "$OUT" -a -e "$ERR" ] || [ "$tries" = 0 ]; do '
        "sleep 0.1; tries=$((tries - 1)); done; "
    )
    run = '"$@" >&2; code=$?; '
    if file_wait and refused is None:
        run = 'job=$("$@"); code=$?; echo "$job" >&2; [ -z "$job" ] || { ' + wait + "}; "
    elif file_wait:
        run += f'[ "$code" = {refused} -a ! -e "$OUT.part" -a ! -e "$OUT" ] || {{ {wait}}}; '
    printed = 'cat "$OUT" 2>/dev/null || cat "$OUT.part" 2>/dev/null; '
    printed += 'cat "$ERR" >&2 2>/dev/null || cat "$ERR.part" >&2 2>/dev/null; '
    return ["env", f"OUT={out}", f"ERR={err}", "sh", "-c", EMPTY_FOLDER + run + printed + 'exit "$code"', "sh", *submit]


def finishing_command(argv: Sequence[str], folder: Path) -> str:
    """Return a shell command that runs ``argv`` with its output in the files ``output_files(folder)``.

    The files get these names only when ``argv`` has ended, so a file that is visible is complete; until then their
    names end in ``.part``.
    """
    out, err = (shlex.quote(name) for name in output_files(folder))
    return (
        f'{shlex.join(argv)} >{out}.part 2>{err}.part; code=$?; mv {err}.part {err}; mv {out}.part {out}; exit "$code"'
    )


def output_files(folder: Path) -> tuple[str, str]:
    """Return the files for the standard output and the standard error of a blocking job."""
    return str(folder / "control.out"), str(folder / "control.err")


def job_name(name: str) -> str:
    """Return a job name that every scheduler accepts: at most 40 letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII)[:40]


def on_a_node(nodes: Sequence[str], own_name: str | None = None) -> bool:
    """Return whether this process is on one of an allocation's nodes.

    own_name: the scheduler's name of this node, if it sets one for the processes it starts.
    """
    host = platform.node()
    names = {host, host.partition(".")[0], *([own_name] if own_name else [])}
    return any(node in names or node.partition(".")[0] in names for node in nodes)


def user_name() -> str:
    """Return this user's name, or the number of a user without an entry in passwd."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
