"""Runs the harness on a machine on which one thing is broken, and returns what it showed.

Everything happens in namespaces of its own, for mounts and processes: the deployment is covered by an overlay in which
files can be changed at their own paths, and whatever is left behind ends with the run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from dashboard_client.runs import RunFolder
from dashboard_client.schema import Record
from tests.sabotage.breakage import Breakage, Score, Shown, score, worst

CASES = Path(__file__).with_name("cases")
CGROUPS = ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")
"""Where control groups for memory are, of version 1 and of version 2."""
LIMIT = 600.0
"""Seconds that the run of one breakage may take."""

SITE = """
system: test/sabotage
description: A machine on which one thing is broken
local: {allowed: LOCAL, cores: 2}
deployment: DEPLOYMENT
promises: [psij, parsl, radical.pilot]
redaction: full
"""
LIMITS = "limits: {queue_wait: 00:00:20}\n"

PROLOGUE = r"""
set -e
mount -t tmpfs tmpfs "$T"
mkdir -p "$T/bin" "$T/home" "$T/full" "$T/none"
overlay() { # FOLDER: changes in it are not seen outside
    local name; name=$(echo "$1" | tr / _)
    mkdir -p "$T/$name.up" "$T/$name.work"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$T/$name.up,workdir=$T/$name.work" "$1"
}
standin() { # PROGRAM: standard input is the script that is found before the program; $REAL is the program itself.
    # It is in the folder $BIN, if that is set. The commands of a testbed with its own come before $T/bin on PATH.
    local real; real=$(command -v "$1" || true)
    { echo '#!/bin/bash'; echo "REAL=$real"; cat; } >"${BIN:-$T/bin}/$1"
    chmod 755 "${BIN:-$T/bin}/$1"
}
refusing() { # PROGRAM MESSAGE: it prints the message and fails
    standin "$1" <<END
cat >&2 <<'EOF'
$2
EOF
exit 1
END
}
full() { # FOLDER: not a byte more can be written to it
    mount -t tmpfs -o size=4k tmpfs "$1"
    cat /dev/zero >"$1/filler" 2>/dev/null || true
}
memory() { # MIB: what this shell and its children may use together
    if [ -d /sys/fs/cgroup/memory ]; then set -- "$1" /sys/fs/cgroup/memory limit_in_bytes
    else set -- "$1" /sys/fs/cgroup max; fi
    mkdir "$2/$(basename "$T")"
    echo "$1M" >"$2/$(basename "$T")/memory.$3"
    echo 0 >"$2/$(basename "$T")/cgroup.procs"
}
readonly() { # FOLDER
    mount -t tmpfs -o ro tmpfs "$1"
}
overlay "$D"
S=$(echo "$D"/lib/python3*/site-packages)
export PATH="$T/bin:$PATH"
"""


def run(breakage: Breakage, deployment: str, folder: Path) -> Score:
    """Run the harness with one thing broken. deployment: a virtual environment with the release's components."""
    site = folder / "site.yaml"
    local = breakage.scheduler == "local"
    text = SITE.replace("DEPLOYMENT", f"venv:{deployment}").replace("LOCAL", str(local).lower())
    testbed = "" if local or "schedulers:" in breakage.site else f"testbeds: [{breakage.scheduler}]\n"
    limits = "" if "limits:" in breakage.site else LIMITS
    site.write_text(text + limits + testbed + breakage.site, encoding="utf-8")
    validate = [sys.executable, "-I", "-m", "exaworks_sdk", "validate", "--site-file", str(site), "--no-upload"]
    validate += ["--scheduler", breakage.scheduler]
    validate += [word for pattern in breakage.run.split() for word in ("--case", pattern)]
    validate += ["--cases", str(CASES)] if "short" in breakage.run else []
    validate += ["--deployment", breakage.deployment] if breakage.deployment else []
    script = f'{PROLOGUE}\n{breakage.setup}\nexec "$@"\n'
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    unshare = ["unshare", *user, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    unshare += ["--net"] if breakage.own_network else []
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("EXAWORKS_", "SLURM", "PYTEST"))}
    temporary = tempfile.mkdtemp(prefix="sab-")
    environ = {**keep, "EXAWORKS_HOME": str(folder / "home"), "T": temporary, "D": deployment, "PY": sys.executable}
    process = subprocess.Popen(
        [*unshare, "bash", "-c", script, "sabotage", *validate],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    late = threading.Timer(LIMIT, lambda: os.killpg(process.pid, signal.SIGKILL))
    late.start()
    try:
        output, _ = process.communicate()
    finally:
        late.cancel()
        shutil.rmtree(temporary, ignore_errors=True)
        for base in CGROUPS:
            with contextlib.suppress(OSError):
                Path(base, Path(temporary).name).rmdir()
    (folder / "output").write_text(output, encoding="utf-8")
    return worst(
        [
            score(breakage, shown)
            for shown in shown_by(process.returncode, output, folder / "home", "control" in breakage.run)
        ]
    )


def shown_by(code: int, output: str, home: Path, control: bool) -> list[Shown]:
    """Return what a run showed about each case, or about itself if there is no record. control: also of that case."""
    runs = sorted((home / "runs").glob("*/manifest.json"))
    if runs:
        folder = RunFolder(runs[-1].parent)
        records = [each for each in folder.effective().values() if control or each.case.component != "control"]
        if records:
            return [shown_of(each) for each in records]
    lines = [line for line in output.splitlines() if line.strip()]
    outcome = "refused" if code == 2 else f"exit {code}"
    return [Shown("", outcome, evidence="\n".join(lines[-30:]), advice="\n".join(lines[-30:]))]


def shown_of(record: Record) -> Shown:
    """Return what a record shows to people."""
    cause, diagnosis = record.verdict.cause, getattr(record, "diagnosis", None)
    texts = [cause.evidence if cause else ""]
    names = ("title", "expected", "got", "line", "source")
    texts += [str(getattr(diagnosis, name, "") or "") for name in names] if diagnosis else []
    return Shown(
        record.case_id,
        record.verdict.outcome.value,
        cause.cls.value if cause else "",
        cause.rule if cause else "",
        "\n".join(text for text in texts if text),
        (getattr(diagnosis, "advice", None) or "") if diagnosis else "",
    )
