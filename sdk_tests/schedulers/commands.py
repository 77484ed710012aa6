"""Functions that kinds share: find and run a scheduler's commands, parse job ids, and run a job that blocks."""

from __future__ import annotations

import os
import platform
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from sdk_tests.schedulers.base import CommandFailed, CommandResult

PROBE_LIMIT = 5.0


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
    """Return the evidence line, with the bare name of the program instead of its path."""
    argv = [word for word in done.argv if word != "env" and not re.match(r"\w+=", word)]
    return CommandResult((Path(argv[0]).name, *argv[1:]), done.exit_code, done.stdout, done.stderr).evidence


def parse_job_id(done: CommandResult, pattern: str) -> str:
    """Return the job id: the last match of the group in ``pattern`` in the output of a submit command.

    Raises:
        CommandFailed: the command failed, or printed no job id.
    """
    if done.exit_code != 0:
        raise CommandFailed(evidence(done))
    ids = re.findall(pattern, done.stdout, re.MULTILINE)
    if not ids:
        raise CommandFailed(f"{evidence(done).partition(':')[0]}: printed no job id but {done.stdout.strip()[:200]!r}")
    return str(ids[-1])


def blocking_argv(folder: Path, submit: Sequence[str], *, file_wait: int = 0) -> list[str]:
    """Return a command that runs ``submit``, which waits for its job, and then prints the output of the job.

    ``submit`` must send the output of the job to the files ``output_files(folder)``. The output of ``submit`` itself
    goes to standard error. file_wait: seconds to wait for these files after the job has ended.
    """
    out, err = output_files(folder)
    run = '"$@" >&2; code=$?; '
    if file_wait:
        run = (
            'job=$("$@"); code=$?; echo "$job" >&2; tries=' + str(10 * file_wait) + "; "
            'until [ -z "$job" ] || [ -e "$OUT" -a -e "$ERR" ] || [ "$tries" = 0 ]; do '
            "sleep 0.1; tries=$((tries - 1)); done; "
        )
    script = run + 'cat "$OUT" 2>/dev/null; cat "$ERR" >&2 2>/dev/null; exit "$code"'
    return ["env", f"OUT={out}", f"ERR={err}", "sh", "-c", script, "sh", *submit]


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
