"""Reports what a testbed or a run leaves on the machine: ``python -m tests.sdk_tests.cli.remains ACTION SITE WORD...``.

It runs in namespaces of its own (``UNSHARE``), with an empty /tmp, /var/tmp, /dev/shm and /run, and with processes and
System V shared memory of its own. So whatever is there at the end and was not there before comes from the action,
however busy the machine is. It prints one JSON object.

Actions: ``testbed`` (the word is its kind), ``run`` and ``kill`` (the words are options of ``validate``), ``program``
(the words are a command). ``kill`` sends SIGKILL to the harness as soon as a payload has temporary files.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sdk_tests.execution.marked_processes import MARK
from sdk_tests.testbeds import manage

UNSHARE = ["unshare", "--mount", "--ipc", "--pid", "--fork", "--mount-proc"]
if os.geteuid() != 0:
    UNSHARE += ["--user", "--map-root-user"]
PRIVATE = {"/tmp": "1777", "/var/tmp": "1777", "/dev/shm": "1777", "/run": "755"}
"""Where programs leave files, and the modes of these folders."""
SOCKETS = "/run/postgresql"
"""Exists on machines with PostgreSQL, and belongs to its user."""
HOME = Path("/tmp/home")
LIMIT = 180.0


def command(action: str, site: str, *words: str) -> list[str]:
    """Return the command that reports what an action leaves, in namespaces of its own."""
    steps = [f"mount -t tmpfs -o mode={mode} tmpfs {folder}" for folder, mode in PRIVATE.items()]
    steps += [f"{{ ! id postgres || install -d -o postgres -m 755 {SOCKETS}; }} >/dev/null 2>&1"]
    steps += ["mkdir -p /run/mount"]  # mount(8) has a file there on every machine
    module = [sys.executable, "-m", "tests.sdk_tests.cli.remains"]
    return [*UNSHARE, "sh", "-c", " && ".join([*steps, 'exec "$@"']), "sh", *module, action, site, *words]


def files() -> set[str]:
    """Return the entries of the private folders, and those of the folder for PostgreSQL's sockets."""
    return {str(path) for folder in (*PRIVATE, SOCKETS) if Path(folder).is_dir() for path in Path(folder).iterdir()}


def segments() -> set[str]:
    """Return the System V shared memory segments, by id."""
    rows = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    return {f"shared memory segment {row.split()[1]} of process {row.split()[4]}" for row in rows}


def processes() -> dict[int, str]:
    """Return the processes other than this one and the first one of the namespace; no zombies."""
    known = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            arguments = (entry / "cmdline").read_text(errors="replace").replace("\0", " ").strip()
            if int(entry.name) not in (1, os.getpid()) and state not in "ZX":
                known[int(entry.name)] = arguments or (entry / "comm").read_text().strip()
    return known


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} within {LIMIT:g} s; processes: {processes()}")
        time.sleep(0.05)


def payload_runs() -> bool:
    """Return whether a process runs that a case other than a control case has started, and has temporary files."""
    started = set()
    for pid in processes():
        with contextlib.suppress(OSError):
            for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                if entry.startswith(f"{MARK}=".encode()) and b"/control/" not in entry:
                    started.add(pid)
    folders = [Path("/tmp"), Path("/var/tmp"), *Path("/tmp").glob("exaworks-*")]
    names = [path.name for folder in folders for path in folder.iterdir()]
    return bool(started) and any(name.startswith(("flux-", "pymp-", "rct.")) for name in names)


def validate(site: str, words: list[str], kill: bool) -> tuple[int, str]:
    """Run the cases; return the exit code and the output."""
    argv = [sys.executable, "-I", "-m", "exaworks_sdk", "validate", "--site-file", site, "--no-upload", *words]
    log = HOME / "validate.log"
    with log.open("wb") as output:
        harness = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd="/")
    if kill:
        wait_until(lambda: payload_runs() or harness.poll() is not None, "no payload was started")
        harness.send_signal(signal.SIGKILL)
    code = harness.wait()
    wait_until(lambda: not any("sdk_tests.execution.supervisor" in text for text in processes().values()),
               "the supervisor of the killed run did not end")  # fmt: skip
    manage.reap(HOME)  # what the next command does: it stops the testbeds of a run that was killed
    return code, log.read_text(errors="replace")


def main(action: str, site: str, *words: str) -> None:
    """Carry out the action and print what it leaves."""
    HOME.mkdir()
    os.environ["EXAWORKS_HOME"] = str(HOME)
    before = files() | segments()
    known = set(processes())
    code, output = 0, ""
    if action == "testbed":
        testbed = manage.up(words[0], HOME, nodes=2, cores=2, owner_pid=os.getpid())
        output = "\n".join(name for pid, name in processes().items() if pid not in known)
        manage.down(HOME, testbed.id)
    elif action == "program":
        code = subprocess.run(words, stdout=subprocess.DEVNULL, check=False).returncode
    else:
        code, output = validate(site, list(words), action == "kill")
    deadline = time.monotonic() + 10  # a process that was killed disappears a moment later
    while (running := {pid: text for pid, text in processes().items() if pid not in known}) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.1)
    remains = sorted((files() | segments()) - before) + sorted(f"process {pid} {text}" for pid, text in running.items())
    testbeds = sorted(path.name for path in (HOME / "testbeds").glob("*") if path.is_dir())
    print(json.dumps({"remains": remains, "testbeds": testbeds, "code": code, "output": output}))


if __name__ == "__main__":
    main(*sys.argv[1:])
