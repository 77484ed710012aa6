"""The components that the harness knows and how it detects them. Packages add more under ``exaworks.components``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points


@dataclass(frozen=True)
class ComponentKind:
    """A component is detected by a Python ``distribution``, or by a ``command`` that prints its version.

    preflight: a program that exits with 0 if the component starts, and otherwise prints why it does not; a path
    relative to ``sdk_tests/payloads``, or an absolute one. It runs in the deployment's interpreter, before any case.
    logs: a Python file, named in the same way, with a function ``logs(scratch)`` that yields the paths of the logs that
    the component wrote below the scratch folder of a case, the most telling first. The harness reads them if the case
    did not pass. Without it, every file there that looks like a log is read.
    """

    name: str
    distribution: str | None = None
    command: str | None = None
    version_args: tuple[str, ...] = ("--version",)
    preflight: str | None = None
    logs: str | None = None
    extra: str | None = None


PSIJ = ComponentKind("psij", distribution="psij-python", preflight="psij/_preflight.py", logs="psij/_logs.py")
PARSL = ComponentKind("parsl", distribution="parsl", preflight="parsl/_preflight.py", logs="parsl/_logs.py")
RADICAL_PILOT = ComponentKind(
    "radical.pilot", distribution="radical.pilot", preflight="radical/_preflight.py", logs="radical/_logs.py"
)
RADICAL_ENTK = ComponentKind(
    "radical.entk", distribution="radical.entk", preflight="radical/_preflight_entk.py", logs="radical/_logs.py"
)
FLUX = ComponentKind(
    "flux", command="flux", version_args=("version",), preflight="flux/_preflight.py", logs="flux/_logs.py"
)
SWIFT_T = ComponentKind(
    "swift-t", command="swift-t", version_args=("-v",), preflight="swift/_preflight.py", logs="swift/_logs.py"
)


def components() -> dict[str, ComponentKind]:
    """Return every known component by name, sorted by name."""
    component_kinds = [point.load() for point in entry_points(group="exaworks.components")]
    return {kind.name: kind for kind in sorted(component_kinds, key=lambda kind: kind.name)}
