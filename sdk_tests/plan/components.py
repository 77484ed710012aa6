"""The components that the harness knows and how it detects them. Packages add more under ``exaworks.components``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points


@dataclass(frozen=True)
class ComponentKind:
    """A component is detected by a Python ``distribution``, or by a ``command`` that prints its version.

    preflight: a program that exits with 0 if the component starts, and otherwise prints why it does not; a path
    relative to ``sdk_tests/payloads``, or an absolute one. It runs in the deployment's interpreter, before any case.
    """

    name: str
    distribution: str | None = None
    command: str | None = None
    version_args: tuple[str, ...] = ("--version",)
    preflight: str | None = None


PSIJ = ComponentKind("psij", distribution="psij-python", preflight="psij/_preflight.py")
PARSL = ComponentKind("parsl", distribution="parsl", preflight="parsl/_preflight.py")
RADICAL_PILOT = ComponentKind("radical.pilot", distribution="radical.pilot", preflight="radical/_preflight.py")
RADICAL_ENTK = ComponentKind("radical.entk", distribution="radical.entk", preflight="radical/_preflight_entk.py")
FLUX = ComponentKind("flux", command="flux", version_args=("version",), preflight="flux/_preflight.py")
SWIFT_T = ComponentKind("swift-t", command="swift-t", version_args=("-v",), preflight="swift/_preflight.py")


def components() -> dict[str, ComponentKind]:
    """Return every known component by name, sorted by name."""
    component_kinds = [point.load() for point in entry_points(group="exaworks.components")]
    return {kind.name: kind for kind in sorted(component_kinds, key=lambda kind: kind.name)}
