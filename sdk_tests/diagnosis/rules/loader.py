"""Messages of the dynamic loader, the kernel and the shell when a program or a library cannot be started or loaded."""

from __future__ import annotations

from dashboard_client.schema import CauseClass, Phase
from sdk_tests.diagnosis.rule import GENERAL, PLAIN, SPECIFIC, Rule

SITE, DISTRIBUTION, LAUNCH = CauseClass.SITE, CauseClass.DISTRIBUTION, Phase.LAUNCH
_LD = "glibc, ld.so(8)"
_LIBRARY = r"(?:[^\s:'\"]*/)?(?P<library>[^\s/:'\"]+\.so[\w.+-]*)"

RULES: tuple[Rule, ...] = (
    Rule(
        "preload",
        rf"object '{_LIBRARY}' from (?P<variable>LD_PRELOAD|LD_AUDIT|/etc/ld\.so\.preload) cannot be preloaded",
        "{variable} names a library that cannot be loaded: {library}",
        SITE,
        LAUNCH,
        "unset LD_PRELOAD in the start files, or correct the library that it names",
        _LD,
        "ERROR: ld.so: object '/opt/tool/libtrace.so' from LD_PRELOAD cannot be preloaded (cannot open shared object "
        "file): ignored.",
        GENERAL,
    ),
    Rule(
        "library-damaged",
        rf"{_LIBRARY}: (?:file too short|invalid ELF header|ELF file (?:data|version|OS)\b.*|cannot read file data|"
        r"object file has no (?:loadable segments|dynamic section)|ELF load command .*|"
        r"cannot dynamically load (?:executable|position).*|file data .*)",
        "the library {library} is damaged",
        DISTRIBUTION,
        LAUNCH,
        "reinstall the package that contains {library} in the deployment; check the file's size and the quota",
        _LD,
        "ImportError: libzmq.so.5: file too short",
        SPECIFIC,
    ),
    Rule(
        "library-architecture",
        rf"{_LIBRARY}: wrong ELF class|{_LIBRARY.replace('library', 'other')}: .*(?:incompatible|wrong) architecture",
        "the library {library} is built for another processor",
        DISTRIBUTION,
        LAUNCH,
        "install the deployment for the processor of the node; check LD_LIBRARY_PATH for libraries of another one",
        _LD,
        "ImportError: libzmq.so.5: wrong ELF class: ELFCLASS32",
        SPECIFIC,
    ),
    Rule(
        "library-missing",
        rf"{_LIBRARY}: cannot open shared object file: No such file|error while loading shared libraries: (?P<name>[^:\s]+): "
        r"cannot open shared object file: No such file|Library not loaded: \S*?(?P<dylib>[^/\s]+)$",
        "the library {library} is missing",
        DISTRIBUTION,
        LAUNCH,
        "install the package that contains {library}, or load the module that puts it on LD_LIBRARY_PATH",
        _LD,
        "ImportError: libzmq.so.5: cannot open shared object file: No such file or directory",
        SPECIFIC,
    ),
    Rule(
        "library-denied",
        rf"{_LIBRARY}: (?:cannot open shared object file: (?:Permission denied|Operation not permitted|"
        r"Too many open files|Stale file handle|Input/output error)|failed to map segment from shared object|"
        r"cannot (?:create|change|restore|make) (?:\w+ )*(?:executable|protect\w*|segment)[^:]*)",
        "the library {library} may not be loaded",
        SITE,
        LAUNCH,
        "check the permissions of the file, and whether its file system is mounted with noexec",
        _LD,
        "ImportError: /scratch/libzmq.so.5: failed to map segment from shared object",
        SPECIFIC,
    ),
    Rule(
        "system-library",
        r"version [`'\"]?(?P<version>(?:GLIBC|GLIBCXX|CXXABI|GCC|GOMP|CURL_OPENSSL|OPENSSL|NCURSES\w*|LIBXML2)_[\w.]+)['\"]? "
        r"not found",
        "built for a newer system: {version} is missing",
        DISTRIBUTION,
        LAUNCH,
        "install the deployment on this system, or load a newer compiler's runtime; do not copy it from a newer system",
        _LD,
        "/lib64/libc.so.6: version `GLIBC_2.34' not found (required by /opt/ve/lib/libzmq.so.5)",
        SPECIFIC,
    ),
    Rule(
        "library-version",
        rf"(?:undefined symbol|symbol lookup error|symbol not found)\b.*?: ?(?:undefined symbol: )?(?P<symbol>[\w@.]+)|"
        rf"no version information available|version `\S+' not found|{_LIBRARY}: undefined symbol",
        "a library has another version than the one it was built with (symbol {symbol})",
        DISTRIBUTION,
        LAUNCH,
        "reinstall the packages of the message together; check LD_LIBRARY_PATH for another version",
        _LD,
        "ImportError: /opt/ve/lib/_zmq.so: undefined symbol: zmq_ctx_term2",
        SPECIFIC,
    ),
    Rule(
        "static-tls",
        r"cannot allocate memory in static TLS block",
        "a library needs more static thread storage than is left",
        DISTRIBUTION,
        LAUNCH,
        "set GLIBC_TUNABLES=glibc.rtld.optional_static_tls=2000, or preload the library of the message",
        _LD,
        "ImportError: /opt/lib/libgomp.so.1: cannot allocate memory in static TLS block",
        SPECIFIC,
    ),
    Rule(
        "wrong-architecture",
        r"[Ee]xec format error|cannot execute binary file|wrong ELF class|rosetta error|qemu-\w+: Could not open|"
        r"Illegal instruction|SIGILL\b|Please verify that both the operating system and the processor support",
        "a program is built for another processor, or is no program",
        DISTRIBUTION,
        LAUNCH,
        "install the deployment for the processor of the node; an empty file without a first line `#!` has this message too",
        "the kernel, execve(2)",
        "OSError: [Errno 8] Exec format error: '/opt/ve/bin/psij'",
        PLAIN,
    ),
    Rule(
        "interpreter-missing",
        r"bad interpreter: (?P<why>.+)|cannot execute: required file not found|"
        r"/usr/bin/env: ['\u2018]?(?P<program>[^'\u2019:]+)['\u2019]?: (?:No such file|Permission denied)|"
        r"(?:No such file or directory: ['\"]?|(?:^|[\s:]))(?:\S*/)?(?P<python>python[\d.]*)['\"]?(?::? (?:command )?not found|$)",
        "the interpreter of a script is missing",
        DISTRIBUTION,
        LAUNCH,
        "the deployment was moved, or its Python was removed: create it again under its final path",
        "the kernel, execve(2); the shell",
        "/opt/ve/bin/interchange.py: /opt/ve/bin/python3: bad interpreter: No such file or directory",
        SPECIFIC,
    ),
    Rule(
        "not-executable",
        r"(?:Permission denied: ['\"]?|PermissionError.*)(?:\S*/)?(?P<program>bin/[^'\"\s]+)|"
        r"(?:line \d+: |exec: |sh: |bash: )(?:\S*/)?(?P<script>[\w.-]+): Permission denied",
        "the program {program} may not be executed",
        SITE,
        LAUNCH,
        "check the permissions of the file and of its folders, and whether its file system is mounted with noexec",
        "the kernel, execve(2)",
        "bash: line 1: /opt/ve/bin/interchange.py: Permission denied",
        PLAIN,
    ),
    Rule(
        "command-missing",
        r"(?:^|[\s:])(?P<command>[\w./+-]+): (?:command )?not found$|"
        r"No such file or directory: ['\"](?P<program>[\w.+-]+)['\"]|exec: \"?(?P<other>[\w./-]+)\"?: "
        r"(?:not found|executable file not found)",
        "the command {command} is not on PATH",
        DISTRIBUTION,
        LAUNCH,
        "install the package with that command in the deployment, or put it on PATH",
        "the shell; Python, FileNotFoundError",
        "FileNotFoundError: [Errno 2] No such file or directory: 'flux'",
        PLAIN,
    ),
)
