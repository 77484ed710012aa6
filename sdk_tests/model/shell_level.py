"""The depth of shells in the environment of what the harness starts, so that no bash below it reads ``~/.bashrc``.

A bash that is not interactive reads ``~/.bashrc`` if its standard input is a socket and ``SHLVL`` is below 1: it takes
itself for one that rshd or sshd has started (bash(1), "Invocation"). Flux runs the commands of its start and end like
this. Jobs of a scheduler, cron and CI often have no ``SHLVL``. What a user has in that file (pyenv waits up to 60 s for
a lock) then delays or breaks every instance, and the messages name everything else. In a user's own shell, ``SHLVL`` is
at least 1, and the file is not read either.

Standard library only, since the agent inside an allocation uses it too.
"""

from __future__ import annotations

from collections.abc import Mapping

VARIABLE = "SHLVL"
EXPORT = f'[ "${{{VARIABLE}:-0}}" -ge 2 ] 2>/dev/null || {VARIABLE}=2; export {VARIABLE}'
"""A line of sh for the script of a job: a bash counts one less for the program that it is replaced by."""


def in_a_shell(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with a ``SHLVL`` of at least 1."""
    level = environ.get(VARIABLE, "")
    deep_enough = level.isascii() and level.isdecimal() and int(level) >= 1
    return {**environ, VARIABLE: level if deep_enough else "1"}
