"""Variables of the user. The right outcome is mostly a pass: neither harness nor deployment is to depend on them."""

from tests.sabotage.breakage import Breakage

RUN = "parsl/python_app psij/hello"


def _harmless(id: str, broken: str, setup: str, **more: object) -> Breakage:
    given = {"run": RUN, "outcome": "pass", **more}
    return Breakage(id, "environment", broken, setup, **given)  # type: ignore[arg-type]


BREAKAGES = [
    _harmless(
        "pythonpath",
        "PYTHONPATH has a broken parsl and a broken json",
        """mkdir -p "$T/shadow/parsl"; echo 'raise ImportError("shadow")' | tee "$T/shadow/parsl/__init__.py" \\
        >"$T/shadow/json.py"; export PYTHONPATH="$T/shadow" """,
    ),
    _harmless("pythonhome", "PYTHONHOME names nothing", "export PYTHONHOME=/nowhere PYTHONSTARTUP=/nowhere/x"),
    _harmless(
        "preload-absent",
        "LD_PRELOAD names a library that does not exist, which every program reports on stderr",
        "export LD_PRELOAD=/opt/gone/libdarshan.so",
    ),
    _harmless("unknown-locale", "LANG is a locale that is not installed", "export LANG=xx_YY.UTF-8 LC_ALL=xx_YY.UTF-8"),
    _harmless("ascii-locale", "LC_ALL is C, and PYTHONUTF8 off", "export LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"),
    _harmless("strict-umask", "umask is 077", "umask 077"),
    _harmless("home-absent", "HOME names a folder that does not exist", "export HOME=/home/nobody-here", run=RUN),
    _harmless("home-unset", "HOME is not set", "unset HOME"),
    _harmless(
        "bash-env-prints",
        "BASH_ENV names a file that prints",
        """echo 'echo "Welcome to the machine"; echo "quota exceeded soon" >&2' >"$T/noise"
        export BASH_ENV="$T/noise" """,
    ),
    _harmless("stale-job", "SLURM_JOB_ID is of a job that is over", "export SLURM_JOB_ID=7 SLURM_NTASKS=64"),
    _harmless(
        "signals",
        "SIGCHLD is ignored and SIGTERM blocked in the shell that starts the harness",
        """set -- "$PY" -c 'import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); os.execv(sys.argv[1], sys.argv[1:])' "$@" """,
    ),
    _harmless(
        "user-site",
        "~/.local has a broken parsl",
        """mkdir -p "$T/home/.local/lib/python3.11/site-packages"; export HOME="$T/home"
        echo 'raise ImportError' >"$T/home/.local/lib/python3.11/site-packages/parsl.py" """,
    ),
    Breakage(
        "path-without-programs",
        "environment",
        "PATH has none of the programs of the system but bash",
        """ln -s "$(command -v bash)" "$T/bin/bash"; export PATH="$T/bin" """,
        "psij/hello",
        "fail|infra",
        "site",
        evidence=r"(?:command )?not found",
        advice="PATH",
    ),
    Breakage(
        "library-path",
        "environment",
        "LD_LIBRARY_PATH has an empty libstdc++",
        """mkdir "$T/lib"; : >"$T/lib/libstdc++.so.6"; export LD_LIBRARY_PATH="$T/lib" """,
        "parsl/python_app",
        "fail|infra",
        "site|distribution",
        evidence=r"libstdc\+\+\.so\.6.*file too short",
        advice="LD_LIBRARY_PATH|librar|reinstall",
    ),
]
