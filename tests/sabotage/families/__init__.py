"""The breakages, one module a family."""

from importlib import import_module

from tests.sabotage.breakage import FAMILIES, Breakage

_QUICK = """
    module-emptied shared-object-truncated extension-missing dependency-missing component-missing script-emptied
    plugin-descriptor-emptied no-mpirun mpirun-refuses refuses-account commands-are-absent few-descriptors tmpdir-full
    tmpdir-read-only little-memory work-folder-read-only no-shared-memory state-folder-full no-loopback no-ports
    named-interface-absent module-prints module-fails module-loads-nothing module-sets-u module-brings-another-python
    stale-job library-path syntax-error import-crashes start-file-ends-python start-file-raises wheel-libraries-missing
    mpirun-crashes mpirun-knows-no-option bash-env-ends-the-shell bash-lacks-a-library user-unknown
    host-name-of-another-address localhost-unknown pbs-queue lsf-queue
"""
QUICK = frozenset(_QUICK.split())
"""The breakages that continuous integration runs: each takes a few seconds."""

BREAKAGES: list[Breakage] = [
    breakage for family in FAMILIES for breakage in import_module(f"{__name__}.{family}").BREAKAGES
]
