"""One step of the creation of an environment: a program with its output in the log, and the message if it fails."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from exaworks_sdk.child_process import running
from exaworks_sdk.pip_settings import PACKAGE_CHOICE, PACKAGE_PLACEMENT
from exaworks_sdk.recipe import EnvironmentFailedError, Recipe

MIN_FREE_BYTES = 16 * 2**20
"""If a step has failed and fewer bytes than this are free, the disk is full: few tools report this clearly."""

TICK = 0.2
"""Seconds between two looks at the progress of a step."""

HINTS = (
    ("No space left on device", "The disk is full: free some space, or set EXAWORKS_HOME to a folder that has some."),
    ("Disk quota exceeded", "Your quota is used up: set EXAWORKS_HOME to a folder that has room."),
    ("DO NOT MATCH THE HASHES", "The files of the index or wheelhouse differ from those in the lock: do not use them."),
    (r"Python\.h: No such file", "A package must be compiled and needs Python's headers: install python3-dev."),
    (
        r"'[\w.-]*cc[\d.-]*' failed: (No such file|Permission)|: '[\w.-]*cc[\d.-]*'$",
        "A package must be compiled and needs a C compiler: install gcc and python3-dev.",
    ),
    ("CERTIFICATE_VERIFY_FAILED", "Set PIP_CERT to the site's CA bundle, or install offline with --wheelhouse DIR."),
    ("Proxy", "Check HTTPS_PROXY and pip's configuration, or install offline with --wheelhouse DIR."),
    ("from versions: none", "Without a network or a package index, install offline with --wheelhouse DIR."),
    ("No matching distribution", "Without a network or a package index, install offline with --wheelhouse DIR."),
    ("Could not install packages due to an OSError", "Check the network, or install offline with --wheelhouse DIR."),
)
"""Patterns in pip's log, and advice for the user; the first pattern that matches applies."""

ERROR_CODE = re.compile(r"error: [a-z-]+", re.IGNORECASE)
"""A line with only pip's name of a kind of failure; another line states what failed."""


@dataclass(frozen=True)
class Steps:
    """Runs the steps of a recipe. lock_fd: the lock of the environment, which every step holds too, so that an orphan
    never writes into a newer environment. watch: called while a step runs."""

    recipe: Recipe
    lock_fd: int
    watch: Callable[[], None] = lambda: None

    def run(self, command: list[str], purpose: str, environ: Mapping[str, str] = {}) -> None:
        """Run one step with its output in the log; it ends when this process is interrupted.

        Raises:
            EnvironmentFailedError: it failed.
        """
        code = self.attempt(command, environ)
        if code != 0:
            raise EnvironmentFailedError(step_error(self.recipe, code, purpose))

    def attempt(self, command: list[str], environ: Mapping[str, str] = {}, ignored: Collection[str] = ()) -> int:
        """Run one step as ``run`` does, and return its exit code. ignored: variables that the step does not get."""
        ignored = {*PACKAGE_PLACEMENT, *PACKAGE_CHOICE, *ignored}
        inherited = {name: value for name, value in os.environ.items() if name not in ignored}
        with self.recipe.log.open("ab") as log:
            log.write(os.fsencode(f"$ {' '.join(command)}\n"))
            log.flush()
            with running(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**inherited, **environ},
                pass_fds=(self.lock_fd,),
            ) as step:
                return self._wait(step)

    def _wait(self, step: subprocess.Popen[bytes]) -> int:
        while True:
            try:
                return step.wait(TICK)
            except subprocess.TimeoutExpired:
                self.watch()


def step_error(recipe: Recipe, code: int, purpose: str) -> str:
    """Return the message about a failed step: its last error line, what to do, and the path of its full output."""
    text = recipe.log.read_text(errors="replace")
    step = text[text.rfind("\n$ ") + 1 :].partition("\n")[2]
    lines = [line.strip() for line in step.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR:", "Error:", "error:", "OSError"))]
    errors = [line for line in errors if not ERROR_CODE.fullmatch(line)]
    lines = [line for line in lines if not line.startswith(("hint:", "note:", "\u00d7", "\u2570", "[end of output]"))]
    reason = (errors or lines or [f"exit code {code}"])[-1]
    if reason.endswith(":") and reason in lines[:-1]:
        reason = f"{reason} {lines[lines.index(reason) + 1]}"
    if len(reason) > 240:
        reason = f"{reason[:160]} … {reason[-70:]}"
    full = shutil.disk_usage(recipe.folder.parent).free < MIN_FREE_BYTES
    hint = (
        HINTS[0][1] if full else next((hint for pattern, hint in HINTS if re.search(pattern, step, re.MULTILINE)), "")
    )
    settings = sorted(name for name in os.environ if name.startswith("PIP_") and name not in PACKAGE_CHOICE)
    if settings and not hint and " -m pip " in text[text.rfind("$ ") :].partition("\n")[0]:
        hint = f"{hint} These variables change what pip does: {', '.join(settings)}.".strip()
    return f"cannot {purpose} for {recipe.label}: {reason}\n{f'{hint} ' if hint else ''}Full output: {recipe.log}"
