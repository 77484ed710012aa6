"""What the harness knows of a component: how its presence is seen. Others join under ``exaworks.components``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points


@dataclass(frozen=True)
class ComponentKind:
    """``distribution`` is a Python distribution; ``command`` a program that says its version."""

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
    """Return every known component by name, in order of name."""
    found = [point.load() for point in entry_points(group="exaworks.components")]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: kind.name)}
