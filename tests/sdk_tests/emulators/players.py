"""The schedulers that transcripts are played on: OpenPBS, OpenLava, and the emulators of their dialects."""

from __future__ import annotations

import contextlib
import os
import platform
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

from sdk_tests.testbeds import manage
from tests.needs import need
from tests.sdk_tests.emulators.transcript import Player

COMMON = """
umask 022
printf '#!/bin/sh\\necho out; echo err >&2\\n' > job.sh
printf '#!/bin/sh\\nuntil [ -e %s/go ]; do sleep 0.1; done\\n' "$PWD" > waits.sh
chmod 755 job.sh waits.sh
show() { # FILE...: print files, as soon as they exist
  for path; do
    tries=100; until [ -s "$path" ] || [ $tries = 0 ]; do sleep 0.1; tries=$((tries-1)); done
    echo "$path:"; cat "$path"
  done
}
"""
PBS = """
submit() { job=$("$@"); submitted=$?; [ -z "$job" ] || echo "$job"; return $submitted; }
state() { qstat -x -f "$1" | sed -n 's/^ *job_state = //p'; }
until_state() { # ID STATE
  [ -n "$1" ] || return 1
  tries=150; until [ "$(state "$1" 2>/dev/null)" = "$2" ] || [ $tries = 0 ]; do sleep 0.1; tries=$((tries-1)); done
}
attributes() { # ID NAME...: print attributes of a job
  [ -n "$1" ] || return 1
  id=$1; shift; qstat -x -f "$id" | tr -d '\\n' | sed 's/\\t//g; s/    /\\n/g' > .attributes
  for name; do grep "^$name = " .attributes; done
}
ended() { until_state "$1" F; attributes "$1" Exit_status; }
"""
LSF = """
state() { echo $(bjobs -a "$1" 2>/dev/null | awk 'NR > 1 {print $3}' | sort -u); }
until_state() { # ID STATE
  [ -n "$1" ] || return 1
  tries=150; until [ "$(state "$1")" = "$2" ] || [ $tries = 0 ]; do sleep 0.2; tries=$((tries-1)); done
}
ended() { # ID: print DONE or EXIT
  [ -n "$1" ] || return 1
  tries=150; until case "$(state "$1")" in DONE|EXIT) true;; *) false;; esac || [ $tries = 0 ]; do
    sleep 0.2; tries=$((tries-1)); done; state "$1"
}
submit() {
  answer=$("$@"); submitted=$?; [ -z "$answer" ] || echo "$answer"
  job=$(echo "$answer" | sed -n 's/^Job <\\([0-9]*\\)> is submitted.*/\\1/p'); return $submitted
}
"""

LSF_JOB = re.compile(r"Job <(\d+)(?:\[\d+\])?>")
LSF_NUMBER = re.compile(r"(?<!\w)NUMBER(?!\w)")


@contextlib.contextmanager
def playing(dialect: str, home: Path, *, emulated: bool) -> Iterator[Player]:
    """Yield the real scheduler of a dialect, or its emulator; skip the test if the real one is absent."""
    user, home_folder = pwd.getpwuid(os.getuid()).pw_name, os.environ.get("HOME", "/root")
    base = {**os.environ, "TZ": "UTC", "LC_ALL": "C", "LSB_NTRIES": "3"}
    if dialect == "lsf" and not emulated:
        need("openlava")
        names = {home_folder: "HOME", platform.node(): "HOST", "normal": "QUEUE", user: "USER"}
        end = ["sh", "-c", "bkill 0"]
        yield Player(
            {**base, "queue": "normal"}, names, COMMON + LSF, LSF_JOB, end, emulated=False, numbered=LSF_NUMBER
        )
        return
    if not emulated:
        need("openpbs")
    kind, nodes, cores = {"pbs": ("pbs-emulated" if emulated else "pbs", 3, 4), "lsf": ("lsf", 1, 8)}[dialect]
    testbed = manage.up(kind, home, nodes=nodes, cores=cores, owner_pid=os.getpid())
    env = manage.environment(testbed, base)
    try:
        if dialect == "lsf":
            names = {
                home_folder: "HOME",
                "emulated-lsf": "HOST",
                "n1": "HOST",
                "login": "HOST",
                "debug": "QUEUE",
                user: "USER",
            }
            end = ["sh", "-c", "bkill 0"]
            yield Player(
                {**env, "queue": "debug"}, names, COMMON + LSF, LSF_JOB, end, emulated=True, numbered=LSF_NUMBER
            )
            return
        server = "emulated-pbs" if emulated else testbed.id
        names = {home_folder: "HOME", server: "SERVER", platform.node(): "SERVER", user: "USER"}
        end = ["sh", "-c", 'jobs=$(qselect); [ -z "$jobs" ] || qdel -W force $jobs']
        yield Player(
            env,
            names,
            COMMON + PBS,
            re.compile(r"(?<!\w)(\d+)(?:\[\d*\])?\.SERVER"),
            end,
            emulated=emulated,
            numbered=re.compile(r"(?:(?<![\w.])NUMBER(?=(?:\[\d*\])?\.SERVER)|(?<=\.[oe])NUMBER(?!\w))"),
        )
    finally:
        manage.down(home, testbed.id)
