"""The components that the harness knows and how it detects them. Packages add more under ``exaworks.components``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points


@dataclass(frozen=True)
class ComponentKind:
    """A component is detected by a Python ``distribution``, or by a ``command`` that prints its version."""

    name: str
    distribution: str | None = None
    command: str | None = None
    version_args: tuple[str, ...] = ("--version",)


PSIJ = ComponentKind("psij", distribution="psij-python")
PARSL = ComponentKind("parsl", distribution="parsl")
RADICAL_PILOT = ComponentKind("radical.pilot", distribution="radical.pilot")
RADICAL_ENTK = ComponentKind("radical.entk", distribution="radical.entk")
FLUX = ComponentKind("flux", command="flux", version_args=("version",))
SWIFT_T = ComponentKind("swift-t", command="swift-t", version_args=("-v",))


def components() -> dict[str, ComponentKind]:
    """Return every known component by name, sorted by name."""
    component_kinds = [point.load() for point in entry_points(group="exaworks.components")]
    return {kind.name: kind for kind in sorted(component_kinds, key=lambda kind: kind.name)}
