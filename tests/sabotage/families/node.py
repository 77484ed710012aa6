"""Limits, disks, the folder for temporary files and the memory of the node."""

from tests.sabotage.breakage import Breakage

RUN = "parsl/python_app psij/hello"


def _node(id: str, broken: str, setup: str, evidence: str, advice: str, **more: object) -> Breakage:
    given = {"run": RUN, "outcome": "infra|fail", "cls": "site", **more}
    return Breakage(id, "node", broken, setup, evidence=evidence, advice=advice, **given)  # type: ignore[arg-type]


BREAKAGES = [
    _node("few-descriptors", "at most 40 files may be open", "ulimit -n 40", r"Too many open files", "ulimit|limit"),
    _node(
        "tmpdir-full",
        "TMPDIR is full",
        'full "$T/full"; export TMPDIR="$T/full"',
        r"No space left on device|Disk quota",
        "space|free|TMPDIR",
    ),
    _node(
        "tmp-full",
        "/tmp is full, and TMPDIR is not set",
        "full /tmp; unset TMPDIR",
        r"No space left on device",
        "space|free|TMPDIR",
    ),
    _node(
        "tmpdir-read-only",
        "TMPDIR cannot be written to",
        'readonly "$T/none"; export TMPDIR="$T/none"',
        r"Read-only file system",
        "writ|mount|TMPDIR",
    ),
    _node(
        "tmpdir-absent",
        "TMPDIR names a folder that does not exist",
        'export TMPDIR="$T/absent"',
        r"TMPDIR.*absent",
        "TMPDIR|exist|folder",
    ),
    _node(
        "home-read-only",
        "HOME cannot be written to; the payload keeps the files of PSI/J elsewhere",
        'readonly "$T/home"; export HOME="$T/home"',
        "",
        "",
        run="psij/hello",
        outcome="pass",
        cls="",
        scheduler="slurm",
        needs=("slurm", "munge"),
    ),
    _node(
        "work-folder-read-only",
        "the work folder of the site file cannot be written to",
        'readonly "$T/none"',
        r"Read-only file system",
        "writ|work_dir|folder",
        site="work_dir: $T/none\n",
        outcome="refused",
        cls="",
    ),
    _node(
        "little-memory",
        "a process may have 300 MB of address space",
        "ulimit -v 300000",
        r"MemoryError|Cannot allocate memory|failed to map|can't start new thread",
        "memory|limit",
    ),
    _node(
        "memory-kill",
        "the kernel kills a process of the case, whose control group has too little memory",
        "memory 400",
        r"out of memory|oom_kill",
        "memory",
        run="psij/short_hungry",
        rule="out-of-memory",
        needs=("memory-cgroup",),
    ),
    _node(
        "small-files",
        "a file may have at most 64 KiB",
        "ulimit -f 64",
        r"File too large|file size|SIGXFSZ",
        "limit|ulimit",
        outcome="infra|fail|refused",
        cls="site|",
    ),
    _node(
        "no-shared-memory",
        "/dev/shm cannot be written to",
        "mount -t tmpfs -o ro tmpfs /dev/shm",
        r"/dev/shm|Read-only file system|Function not implemented",
        "shm|writ|mount",
        run="parsl/python_app",
        outcome="infra|fail",
    ),
    _node(
        "state-folder-full",
        "the folder of the harness's own state is on a full disk",
        'mkdir -p "$EXAWORKS_HOME"; full "$EXAWORKS_HOME"',
        r"No space left on device",
        "space|EXAWORKS_HOME",
        run="psij/hello",
        outcome="refused|exit 2|exit 1|infra",
        cls="site|",
    ),
    _node(
        "work-folder-noexec",
        "the file system of the work folder does not let programs start",
        'mkdir "$T/noexec"; mount -t tmpfs -o noexec tmpfs "$T/noexec"; export WORK="$T/noexec"',
        r"[Pp]ermission denied",
        "noexec",
        run="radical.pilot/pilot",
        site="work_dir: $WORK\n",
    ),
    _node(
        "user-unknown",
        "the user is not in /etc/passwd",
        ': >"$T/passwd"; mount --bind "$T/passwd" /etc/passwd',
        "",
        "",
        outcome="pass",
        cls="",
    ),
]
