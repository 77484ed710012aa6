"""Messages of Python: imports, versions, entry points, the interpreter itself, and text encodings."""

from __future__ import annotations

from dashboard_client.schema import CauseClass, Phase
from sdk_tests.diagnosis.rule import GENERAL, PLAIN, SPECIFIC, Rule

SITE, DISTRIBUTION, LAUNCH = CauseClass.SITE, CauseClass.DISTRIBUTION, Phase.LAUNCH

RULES: tuple[Rule, ...] = (
    Rule(
        "python-home",
        r"No module named '?encodings'?|init_fs_encoding|Could not find platform (?:in)?dependent libraries|"
        r"Fatal Python error: (?P<why>.+)|Failed to import encodings module",
        "Python does not find its own library",
        SITE,
        LAUNCH,
        "unset PYTHONHOME and PYTHONPATH in the start files; create the deployment again if its Python was moved",
        "CPython, initialisation",
        "Fatal Python error: init_fs_encoding: failed to get the Python codec of the filesystem encoding",
        SPECIFIC,
    ),
    Rule(
        "module-of-python-missing",
        r"No module named '?(?P<module>_?(?:ctypes|ssl|hashlib|sqlite3|lzma|bz2|curses|tkinter|uuid|readline|zlib|"
        r"socket|posixshmem|multiprocessing))'?",
        "Python was built without its module {module}",
        SITE,
        LAUNCH,
        "install or load a complete Python; create the deployment again with it",
        "CPython",
        "ModuleNotFoundError: No module named '_ctypes'",
        SPECIFIC,
    ),
    Rule(
        "package-missing",
        r"(?:ModuleNotFoundError: |ImportError: )?No module named '?(?P<module>[\w.]+)'?|"
        r"No distribution(?: named)? '?(?P<distribution>[\w.-]+)'? (?:was found|found)|"
        r"PackageNotFoundError: (?:No package metadata was found for )?(?P<package>[\w.-]+)|"
        r"DistributionNotFound: (?:The ')?(?P<requirement>[\w.-]+)|OptionalModuleMissing.*?\['?(?P<optional>[\w.]+)",
        "the Python package {module} is missing in the deployment",
        DISTRIBUTION,
        LAUNCH,
        "install the package in the deployment; check that PYTHONPATH does not hide it",
        "CPython, import system",
        "ModuleNotFoundError: No module named 'zmq'",
        PLAIN,
    ),
    Rule(
        "package-version",
        r"(?:ContextualVersionConflict|VersionConflict|UnknownExtra|pkg_resources\.\w*Conflict\w*): ?(?P<why>.*)|"
        r"requires a different Python|is not compatible with this Python|"
        r"(?P<package>[\w.-]+) [\d.]+ is installed but (?P<wanted>\S+) is required|"
        r"[Vv]ersion mismatch|incompatible with (?:the )?(?:installed|pinned) version|version conflict|"
        r"unsupported (?:version|protocol)|requires (?P<needed>[\w.-]+ ?[<>=!~]=?[\w. ]+), but",
        "an installed package has the wrong version",
        DISTRIBUTION,
        LAUNCH,
        "`python -m pip check` in the deployment names the conflict; install the versions of the release",
        "pip, setuptools",
        "pkg_resources.ContextualVersionConflict: (typeguard 2.13.3, Requirement.parse('typeguard>=4'), {'parsl'})",
        SPECIFIC,
    ),
    Rule(
        "entry-point-missing",
        r"No (?:such )?entry ?point '?(?P<name>[\w.-]+)?|entry ?point .*(?:not found|could not be loaded|missing)|"
        r"no 'console_scripts'|StopIteration.*entry_point",
        "an entry point of an installed package is missing",
        DISTRIBUTION,
        LAUNCH,
        "reinstall the package in the deployment, so that its metadata is written again",
        "importlib.metadata",
        "ImportError: No entry point 'slurm' found in group 'psij.executors'",
        SPECIFIC,
    ),
    Rule(
        "package-damaged",
        r"cannot import name '?(?P<name>\w+)'? from (?:partially initialized module )?'?(?P<module>[\w.]+)|"
        r"AttributeError: (?:partially initialized )?module '(?P<package>[\w.]+)' has no attribute|"
        r"source code (?:string )?cannot contain null bytes|bad magic number in '?(?P<cached>[\w.]+)|"
        r"marshal data too short|(?:EOFError|ValueError): (?:bad marshal data|marshal)|"
        r"zipimport\.ZipImportError|invalid (?:non-printable )?character .* in .*\.py",
        "the Python package {module} is damaged or has another version",
        DISTRIBUTION,
        LAUNCH,
        "reinstall the package in the deployment; check that PYTHONPATH and ~/.local do not hide it",
        "CPython, import system",
        "ImportError: cannot import name 'Context' from 'zmq' (/opt/ve/lib/python3.11/site-packages/zmq/__init__.py)",
        SPECIFIC,
    ),
    Rule(
        "source-damaged",
        r"(?:SyntaxError|IndentationError|TabError): (?P<why>.+)",
        "a Python file cannot be compiled",
        DISTRIBUTION,
        LAUNCH,
        "the line before the message names the file: reinstall its package, or use a newer Python",
        "CPython, compiler",
        "SyntaxError: invalid syntax",
        PLAIN,
    ),
    Rule(
        "import-failed",
        r"^(?:\w+\.)*ImportError: (?P<why>.+)|(?:could not|cannot|unable to|failed to) import (?P<module>[\w.]+)",
        "a Python package of the deployment cannot be imported",
        DISTRIBUTION,
        LAUNCH,
        "import the package by hand with the deployment's python; reinstall what the message names",
        "CPython, import system",
        "ImportError: this build of numpy is broken",
        GENERAL,
    ),
    Rule(
        "locale",
        r"'ascii' codec can't (?:en|de)code|surrogates not allowed|unsupported locale setting|cannot change locale|"
        r"(?:LC_\w+|LANG|locale): .*(?:cannot|can't|not) .*|[Pp]ython .*configured to use ASCII|"
        r"codec can't encode character",
        "the locale of the shell cannot represent a text",
        SITE,
        Phase.RUN,
        "set LC_ALL=C.UTF-8 in the start files of non-interactive shells",
        "CPython, codecs; setlocale(3)",
        "UnicodeEncodeError: 'ascii' codec can't encode character '\\xe9' in position 5: ordinal not in range(128)",
        SPECIFIC,
    ),
)
