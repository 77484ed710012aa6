"""Messages of the machine: disks, memory, limits, permissions, users, clocks, and signals."""

from __future__ import annotations

from dashboard_client.schema import CauseClass, Phase
from sdk_tests.diagnosis.rule import GENERAL, PLAIN, SPECIFIC, Rule

RUN = Phase.RUN
_ERRNO = "the kernel, errno(3)"
_PROGRAMS = (
    "awk|basename|bash|cat|chmod|cp|cut|dirname|env|grep|head|id|kill|ln|mkdir|mktemp|mv|nohup|ps|pwd|rm|sed|sh|sleep|"
    "sort|tail|touch|tr|uname|wc|which"
)


def _site(name: str, pattern: str, title: str, advice: str, source: str, example: str, rank: int = PLAIN) -> Rule:
    return Rule(name, pattern, title, CauseClass.SITE, RUN, advice, source, example, rank)


RULES: tuple[Rule, ...] = (
    _site(
        "shared-memory",
        r"/dev/shm\b.*(?:Read-only|Permission denied|No space left|No such file|not implemented|cannot|Errno)",  # noqa: S108 (a pattern)
        "shared memory cannot be used",
        "mount /dev/shm as a writable tmpfs with room (mode 1777)",
        "the preflight; shm_overview(7)",
        "OSError: /dev/shm: [Errno 30] Read-only file system",
        SPECIFIC,
    ),
    _site(
        "no-temporary-folder",
        r"No usable temporary directory found|TMPDIR\b.*(?:not writable|does not exist|No such|Permission denied)|"
        r"(?:mktemp|mkdtemp)\S*: .*(?:failed|cannot|Permission|No such)",
        "there is no usable folder for temporary files",
        "set TMPDIR to a folder that exists, is writable, and has room",
        "Python, tempfile; mktemp(1)",
        "FileNotFoundError: [Errno 2] No usable temporary directory found in ['/nowhere', '/tmp', '/var/tmp']",
        SPECIFIC,
    ),
    _site(
        "quota",
        r"[Dd]isk quota exceeded|\bEDQUOT\b|[Qq]uota exceeded|file quota|\[Errno 122\]",
        "the quota of the file system is used up",
        "remove files, or set TMPDIR and `work_dir:` of the site file to a file system with room; `quota -s` prints it",
        _ERRNO,
        "OSError: [Errno 122] Disk quota exceeded",
        SPECIFIC,
    ),
    _site(
        "disk-full",
        r"[Nn]o space left on device|\bENOSPC\b|\[Errno 28\]|disk is full|[Dd]isk full",
        "a file system is full",
        "make room, or set TMPDIR and `work_dir:` of the site file to a file system with room; `df -h` and `df -i` "
        "print what is left",
        _ERRNO,
        "OSError: [Errno 28] No space left on device: '/scratch/x'",
        SPECIFIC,
    ),
    _site(
        "read-only",
        r"[Rr]ead-only file ?system|\bEROFS\b|\[Errno 30\]",
        "a file system is mounted read-only",
        "set HOME, TMPDIR or `work_dir:` of the site file to a writable folder; report the mount to the site",
        _ERRNO,
        "OSError: [Errno 30] Read-only file system: '/home/alice/.radical'",
        SPECIFIC,
    ),
    _site(
        "file-system",
        r"[Ss]tale (?:NFS )?file handle|\bESTALE\b|Input/output error|\bEIO\b|Remote I/O error|\[Errno (?:5|116)\]|"
        r"Transport endpoint is not connected|Structure needs cleaning|Cannot send after transport endpoint shutdown|"
        r"No locks available|\bENOLCK\b|Bus error|\bSIGBUS\b|nfs: server \S+ not responding",
        "a file system does not work",
        "report the file system of the message to the site, and run again",
        _ERRNO,
        "OSError: [Errno 116] Stale file handle: '/scratch/x'",
        SPECIFIC,
    ),
    _site(
        "file-size-limit",
        r"File size limit exceeded|\bSIGXFSZ\b|File too large|\bEFBIG\b|\[Errno 27\]",
        "a file became larger than the limit allows",
        "raise the limit of the file size: `ulimit -f`",
        "the kernel, setrlimit(2)",
        "OSError: [Errno 27] File too large",
        SPECIFIC,
    ),
    _site(
        "too-many-files",
        r"[Tt]oo many open files|\bEMFILE\b|\bENFILE\b|\[Errno 2[34]\]|inotify .*limit",
        "the limit of open files is too low",
        "raise it: `ulimit -n 4096` in the start files, or ask the site (limits.conf)",
        "the kernel, setrlimit(2): RLIMIT_NOFILE",
        "OSError: [Errno 24] Too many open files",
        SPECIFIC,
    ),
    _site(
        "too-many-processes",
        r"can't start new thread|pthread_create.*(?:failed|Resource temporarily)|\bEAGAIN\b|fork: retry|"
        r"(?:fork|clone|spawn|thread|process)\b.*Resource temporarily unavailable|"
        r"BlockingIOError: \[Errno 11\] Resource temporarily unavailable|Cannot fork|"
        r"[Uu]nable to create (?:new )?(?:native )?thread|libgomp: Thread creation failed",
        "the limit of processes and threads is reached",
        "raise it: `ulimit -u`, or ask the site (limits.conf, pids cgroup); end processes that earlier work left",
        "the kernel, setrlimit(2): RLIMIT_NPROC; cgroup pids",
        "RuntimeError: can't start new thread",
        SPECIFIC,
    ),
    _site(
        "out-of-memory",
        r"[Cc]annot allocate memory|\bENOMEM\b|^MemoryError\b|\bMemoryError\b|std::bad_alloc|oom[-_ ]kill|"
        r"[Oo]ut of memory|\bOOM\b|Unable to allocate [\d.]+ [KMGT]iB|OutOfMemoryError|virtual memory exhausted|"
        r"\[Errno 12\]|memory cgroup out",
        "not enough memory",
        "request more memory in `directives:` of the site file, raise `ulimit -v`, or use a node with more",
        "the kernel, malloc(3), cgroup memory",
        "OSError: [Errno 12] Cannot allocate memory",
        SPECIFIC,
    ),
    _site(
        "cpu-time-limit",
        r"CPU time limit exceeded|\bSIGXCPU\b|Cputime limit exceeded",
        "the limit of CPU time is reached",
        "raise it: `ulimit -t`; login nodes often have one: run inside an allocation",
        "the kernel, setrlimit(2): RLIMIT_CPU",
        "CPU time limit exceeded (core dumped)",
        SPECIFIC,
    ),
    _site(
        "path-too-long",
        r"AF_UNIX path too long|[Ff]ile name too long|\bENAMETOOLONG\b|[Pp]ath (?:is )?too long|\[Errno 36\]|"
        r"ipc path .*longer than",
        "a path is too long",
        "set TMPDIR, EXAWORKS_HOME or `work_dir:` of the site file to a folder with a shorter path",
        "the kernel, unix(7)",
        "OSError: AF_UNIX path too long",
        SPECIFIC,
    ),
    _site(
        "home",
        r"Could not determine home directory|KeyError: 'HOME'|HOME\b.*(?:not set|is not set|unset|does not exist)|"
        r"(?:could not|cannot|can't|failed to) (?:chdir|change directory|cd) to (?:home|\S*/home\S*)|"
        r"(?:No such file or directory|Permission denied): '(?:/home|/root|/users)/[^/']+(?:/\.[^']*)?'$",
        "the home folder cannot be used",
        "set HOME to a folder that exists and is writable; check that homes are mounted on the nodes",
        "Python, pathlib; the shell",
        "RuntimeError: Could not determine home directory.",
        SPECIFIC,
    ),
    _site(
        "unknown-user",
        r"getpw(?:uid|nam)\S*:? .*(?:uid|name) not found|I have no name!|no such user|getgrgid\S*:? .*not found|"
        r"cannot find name for (?:user|group) ID|No user exists for uid",
        "the machine has no entry for this user",
        "ask the site: the user is missing in the passwd database of the node",
        "Python, pwd; ssh(1)",
        "KeyError: 'getpwuid(): uid not found: 1234'",
        SPECIFIC,
    ),
    _site(
        "clock",
        r"[Cc]lock skew|clock (?:is )?(?:ahead|behind|out of sync)|has modification time .* in the future|"
        r"(?:certificate|token|credential) is not yet valid",
        "the clocks of two machines differ",
        "ask the site to synchronise the clocks (chrony, ntp)",
        "make(1), TLS, munge",
        "make: warning: Clock skew detected. Your build may be incomplete.",
        SPECIFIC,
    ),
    _site(
        "insecure-permissions",
        r"(?:is|are) (?:group|world)[- ](?:or world-|or group-)?(?:writable|readable|accessible)|"
        r"Bad owner or permissions|[Pp]ermissions .* (?:are )?too open|insecure (?:permissions|file|directory)|"
        r"unsafe (?:permissions|ownership)|must not be (?:group|world|writable)",
        "a file has permissions that a program refuses",
        "correct the permissions of the file (`chmod go-w`) and set `umask 022` in the start files",
        "munge(7), ssh(1)",
        'munged: Error: Keyfile is insecure: "/etc/munge/munge.key" should not be group-writable, is group-writable',
        SPECIFIC,
    ),
    _site(
        "permission",
        r"[Pp]ermission denied(?:: ['\"]?(?P<path>[^'\"]+))?|\bEACCES\b|\[Errno 13\]|\bEPERM\b|"
        r"[Oo]peration not permitted|\[Errno 1\]",
        "a file or an operation is not permitted",
        "check owner and permissions of the path in the message, `umask`, and that its file system is not mounted noexec",
        _ERRNO,
        "PermissionError: [Errno 13] Permission denied: '/scratch/x'",
        GENERAL,
    ),
    _site(
        "no-pty",
        r"[Oo]ut of pty devices|(?:openpty|forkpty|posix_openpt|pty\.fork).*(?:[Ff]ail|[Ee]rror|No such)|/dev/ptmx",
        "no pseudo-terminal can be opened",
        "mount devpts at /dev/pts (a container or chroot may lack it); RADICAL starts its shells in pseudo-terminals",
        "openpty(3), pts(4)",
        "OSError: out of pty devices",
        SPECIFIC,
    ),
    _site(
        "program-absent",
        rf"(?P<program>(?<![\w./-])(?:{_PROGRAMS})(?=: (?:command )?not found)|"
        rf"(?<=No such file or directory: ['\"])(?:{_PROGRAMS})(?=['\"])|"
        rf"(?:(?<=env: [\u2018'\"])|(?<=env: ))(?:{_PROGRAMS})(?=['\u2019\"]?: No such file))",
        "a program that every Unix system has is not on PATH: {program}",
        "add /usr/bin and /bin to PATH, where it is set or activated; install coreutils or procps if they are absent",
        "bash(1), dash(1), env(1)",
        "single_launch.sh: line 3: dirname: command not found",
        SPECIFIC,
    ),
    _site(
        "system-call",
        r"Function not implemented|\bENOSYS\b|seccomp|\[Errno 38\]",
        "the kernel does not allow a system call",
        "use another kernel, or another security profile of the container (seccomp)",
        _ERRNO,
        "OSError: [Errno 38] Function not implemented",
        PLAIN,
    ),
    Rule(
        "crash",
        r"Segmentation fault|\bSIGSEGV\b|\bSIGABRT\b|core dumped|stack smashing detected|double free or corruption|"
        r"malloc\(\): |free\(\): invalid|terminate called (?:after|without)",
        "a program crashed",
        CauseClass.COMPONENT,
        RUN,
        "run it again with `ulimit -c unlimited`; libraries of other versions on LD_LIBRARY_PATH are a common reason",
        "the kernel, signal(7); glibc",
        "Segmentation fault (core dumped)",
        GENERAL,
    ),
)
