"""A library of the deployment is broken, missing or of another version: Python, shared objects, scripts, data."""

from tests.sabotage.breakage import Breakage

REINSTALL = r"install"


def _library(id: str, broken: str, setup: str, run: str, evidence: str, **more: object) -> Breakage:
    given = {"outcome": "fail", "cls": "distribution", "rule": "", "advice": REINSTALL, **more}
    return Breakage(id, "library", broken, setup, run, evidence=evidence, **given)  # type: ignore[arg-type]


BREAKAGES = [
    _library(
        "module-emptied",
        "a module of Parsl is empty",
        ': >"$S/parsl/dataflow/dflow.py"',
        "parsl/python_app parsl/htex:blocks=1",
        r"parsl.*dflow\.py",
    ),
    _library(
        "shared-object-truncated",
        "libzmq of pyzmq has its first 100 bytes only",
        'for f in "$S"/pyzmq.libs/libzmq*; do truncate -s 100 "$f"; done',
        "parsl/python_app",
        r"file too short|libzmq",
    ),
    _library(
        "extension-missing",
        "the extension module of psutil is missing",
        'rm "$S"/psutil/_psutil_linux*.so',
        "psij/hello",
        r"psutil",
    ),
    _library(
        "extension-of-another-machine",
        "the extension module of msgpack is one of another architecture",
        r"""for f in "$S"/msgpack/*.so; do printf '\xb7' | dd of="$f" bs=1 seek=18 conv=notrunc status=none; done
        echo 'from msgpack._cmsgpack import Packer' >>"$S/msgpack/__init__.py" """,
        "radical.pilot/pilot",
        r"msgpack",
    ),
    _library(
        "bytecode-truncated",
        "the compiled form of a module of PSI/J ends after 40 bytes",
        'f=$(ls "$S"/psij/__pycache__/job.*.pyc | head -1); head -c 40 "$f" >"$T/p"; cat "$T/p" >"$f"',
        "psij/hello",
        r"marshal data too short|psij.*job\.",
    ),
    _library(
        "file-full-of-zeros",
        "a module of PSI/J consists of zeros, as after a crash of the file system",
        'f="$S/psij/job.py"; n=$(stat -c %s "$f"); head -c "$n" /dev/zero >"$f"; rm -rf "$S"/psij/__pycache__',
        "psij/hello",
        r"psij/job\.py",
    ),
    _library(
        "interpreter-gone",
        "the Python that made the environment is gone",
        'ln -sf /nowhere/python3 "$D/bin/python3"; ln -sf python3 "$D/bin/python"',
        "psij/hello",
        r"link to /nowhere/python3, which is gone",
        outcome="refused",
        cls="",
        advice="create the environment again",
    ),
    _library(
        "dependency-missing",
        "a package that PSI/J requires is missing",
        'rm -r "$S"/psutil*',
        "psij/hello psij/exit_code",
        r"No module named 'psutil'|psutil.*not installed",
    ),
    _library(
        "dependency-of-another-version",
        "typeguard is a version that lacks what Parsl imports from it",
        """printf '__version__ = "1.0"\n' >"$S/typeguard/__init__.py"
        sed -i 's/^Version: .*/Version: 1.0/' "$S"/typeguard-*.dist-info/METADATA""",
        "parsl/python_app",
        r"typeguard",
    ),
    _library(
        "dependency-of-a-version-that-is-refused",
        "packaging is newer than PSI/J accepts, and has lost the module that it imports",
        """sed -i 's/^Version: .*/Version: 99.0/' "$S"/packaging-*.dist-info/METADATA
        mv "$S"/packaging-*.dist-info "$S/packaging-99.0.dist-info"; rm "$S/packaging/version.py" """,
        "psij/hello",
        r"packaging",
    ),
    _library(
        "component-missing",
        "Parsl, which the site file promises, is not installed",
        'rm -r "$S"/parsl "$S"/parsl-*',
        "parsl/python_app",
        r"no distribution 'parsl'",
    ),
    _library(
        "syntax-error",
        "a module of PSI/J ends in the middle of a line",
        'truncate -s 5000 "$S/psij/job.py"',
        "psij/hello",
        r"psij.*job\.py|SyntaxError",
    ),
    _library(
        "import-crashes",
        "the import of a module of PSI/J ends in a segmentation fault",
        """echo 'import os; os.kill(os.getpid(), 11)' >>"$S/psij/job.py" """,
        "psij/hello",
        r"SIGSEGV",
    ),
    _library(
        "script-emptied",
        "the script interchange.py of Parsl is empty",
        ': >"$D/bin/interchange.py"',
        "parsl/python_app",
        r"interchange\.py",
    ),
    _library(
        "script-not-executable",
        "the script process_worker_pool.py of Parsl may not be executed",
        'chmod 644 "$D/bin/process_worker_pool.py"',
        "parsl/python_app",
        r"process_worker_pool\.py",
    ),
    _library(
        "script-without-interpreter",
        "the first line of RADICAL's agent names an interpreter that is gone",
        """sed -i '1s|.*|#!/opt/gone/bin/python3|' "$D/bin/radical-pilot-agent_0" """,
        "radical.pilot/pilot",
        r"radical-pilot-agent_0",
    ),
    _library(
        "plugin-descriptor-emptied",
        "the descriptors of PSI/J's own executors are empty",
        ': >"$S/psij-descriptors/core_descriptors.py"',
        "psij/hello",
        r"core_descriptors|local",
    ),
    _library(
        "data-file-emptied",
        "the default configuration of RADICAL's agent is empty",
        ': >"$S/radical/pilot/configs/agent_default.json"',
        "radical.pilot/pilot",
        r"agent_default",
    ),
    _library(
        "template-emptied",
        "the script template of PSI/J's executor for Slurm is empty",
        ': >"$S/psij/executors/batch/slurm/slurm.mustache"',
        "psij/hello",
        r"slurm\.mustache",
        scheduler="slurm",
        needs=("slurm", "munge"),
    ),
    _library(
        "launcher-script-emptied",
        "the script of PSI/J's launcher is empty",
        ': >"$S/psij/launchers/scripts/multi_launch.sh"',
        "psij/short_launcher",
        r"multi_launch\.sh",
    ),
    _library(
        "wheel-libraries-missing",
        "the folder of the libraries that belong to pyzmq is gone",
        'rm -rf "$S/pyzmq.libs"',
        "parsl/python_app",
        r"libzmq",
    ),
    _library(
        "agent-script-missing",
        "the scripts of RADICAL's agent are gone",
        'rm -f "$D"/bin/radical-pilot-agent*',
        "radical.pilot/pilot",
        r"radical-pilot-agent",
    ),
    Breakage(
        "start-file-ends-python",
        "library",
        "a sitecustomize in the deployment ends every Python",
        r"""printf 'import os\nos._exit(7)\n' >"$S/sitecustomize.py" """,
        "psij/hello",
        "refused",
        evidence=r"exit code 7",
        advice=r"sitecustomize",
    ),
    Breakage(
        "start-file-raises",
        "library",
        "a .pth file in the deployment raises an error at each start, which Python reports and survives",
        'echo "import nothing_like_this" >"$S/zz.pth"',
        "parsl/python_app psij/hello",
        "pass",
    ),
]
