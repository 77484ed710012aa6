"""The harness: plans every cell that a machine can run, starts them all, and judges each as soon as it has ended.

The harness stays outside the deployment and the payload inside: nothing here imports Parsl, RADICAL, PSI/J or Flux.
The packages and the direction of their imports are shown in ``docs/architecture.md``. The package re-exports the names
of ``sdk_tests.api``. They are loaded on first use, because the agent and the emulators, which import this package on
compute nodes, use the standard library alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdk_tests.api import EVERY, Case, Fixture, Outcome, Where, case

__all__ = ["EVERY", "Case", "Fixture", "Outcome", "Where", "case"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from sdk_tests import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
