"""The declaration of a case: which payload, of which component, on which schedulers, and what it may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from dashboard_client.schema import Tier
from sdk_tests.errors import CaseError

EVERY: tuple[str, ...] = ("*",)
"""Every scheduler the system has."""

Where = Literal["login", "allocation", "job", "control"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Case:
    """One row of the matrix; with a scheduler it becomes a cell.

    where: ``login`` runs beside the scheduler and submits by itself; ``allocation`` runs inside an allocation shared
    with all cases of the same node count; ``job`` runs inside an allocation of its own; ``control`` runs under the
    scheduler's own blocking command, with the harness's Python. On the ``local`` scheduler all four run right here.
    jobs: batch jobs the payload itself has in the queue at once. cores: cores it keeps busy on the node it runs on.
    gpus: GPUs a node must have; it is planned only where the site file says so, and ``local`` where that is the node.
    walltime: seconds the payload may run; total: seconds for everything, queue wait of its own jobs included. answer:
    whether the payload prints one JSON object; without, its exit code alone is judged. xfail: why it is known to fail;
    broken_on: the schedulers on which it is known to fail, each with why. versions: for which version of a component it
    is meant, as ``{"radical.pilot": "1.90.*"}``; with another it is skipped.
    """

    component: str
    name: str
    payload: str
    partners: tuple[str, ...] = ()
    variant: str | None = None
    schedulers: tuple[str, ...] = EVERY
    nodes: int = 1
    tier: Tier = Tier.INTEGRATION
    where: Where = "allocation"
    params: Mapping[str, Any] = field(default_factory=dict)
    jobs: int = 0
    cores: int = 1
    gpus: int = 0
    walltime: float = 60.0
    total: float | None = None
    answer: bool = True
    xfail: str | None = None
    broken_on: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def case_id(self, scheduler: str, launcher: str | None = None) -> str:
        """Return ``component[+partner]/name[:variant]@scheduler[/launcher][/Nn]``; no brackets, so that it globs."""
        stem = "+".join((self.component, *self.partners)) + "/" + self.name
        if self.variant:
            stem += f":{self.variant}"
        stem += f"@{scheduler}"
        if launcher:
            stem += f"/{launcher}"
        return stem + (f"/{self.nodes}n" if self.nodes > 1 else "")


def case(
    *,
    payload: str,
    component: str,
    name: str | None = None,
    variants: Mapping[str, Mapping[str, Any]] | None = None,
    tier: str = "integration",
    schedulers: Sequence[str] = EVERY,
    partners: Sequence[str] = (),
    params: Mapping[str, Any] | None = None,
    **rest: Any,
) -> Callable[[_Function], _Function]:
    """Declare the test function under it as the judge of a payload's answer.

    payload: path below ``sdk_tests/payloads``. variants: ``{"blocks=2": {"blocks": 2}}`` makes one case each, its
    params laid over ``params``. The function takes the fixture ``outcome`` (see ``sdk_tests.model.attempt.Outcome``).

    Raises:
        CaseError: an argument no case has, or a name the id's grammar does not allow.
    """
    chosen = name or payload.rsplit("/", 1)[-1].removesuffix(".py")
    if any(sign in chosen + component for sign in "[]@/: +*?"):
        raise CaseError(f"case {component}/{chosen}: a name may not hold any of []@/:+*? or a space")
    base = dict(params or {})
    spread: list[tuple[str | None, Mapping[str, Any]]] = [*variants.items()] if variants else [(None, {})]
    try:
        cases = tuple(
            Case(
                component=component,
                name=chosen,
                payload=payload,
                variant=variant,
                tier=Tier(tier),
                schedulers=tuple(schedulers),
                partners=tuple(partners),
                params={**base, **extra},
                **rest,
            )
            for variant, extra in spread
        )
    except (TypeError, ValueError) as error:
        raise CaseError(f"case {component}/{chosen}: {error}") from error

    def mark(function: _Function) -> _Function:
        function.exaworks_cases = cases  # type: ignore[attr-defined]
        return function

    return mark
