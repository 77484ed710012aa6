"""The declaration of a case: its payload, its component, its schedulers, and the resources that it may use."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from dashboard_client.schema import Tier
from sdk_tests.errors import CaseError
from sdk_tests.model.fixture import Fixture

EVERY: tuple[str, ...] = ("*",)
"""Every scheduler of the system."""

Where = Literal["login", "allocation", "job", "control"]

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"
"""The folder of the packaged payloads."""

NOT_IN_NAMES = "[]@/: +*?"
"""Characters that the name of a case or of a fixture must not contain."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Case:
    """One row of the matrix; a case on one scheduler is a cell.

    where: ``login`` runs on the login node and submits jobs itself; ``allocation`` runs inside an allocation shared
    with all cases of the same node count; ``job`` runs inside an allocation of its own; ``control`` runs under the
    scheduler's own blocking command, with the harness's Python. On the ``local`` scheduler all four run on this
    machine. jobs: batch jobs that the payload has in the queue at the same time. cores: cores that it keeps busy on its
    node. gpus: GPUs that a node must have; the case is planned only where the site file gives nodes that many, and on
    ``local`` only where this machine is such a node. walltime: seconds the payload may run. total: seconds for the
    whole case, including the time its own jobs wait in the queue. answer: whether the payload prints one JSON object;
    if not, only its exit code is judged. xfail: the reason why it is known to fail. broken_on: the schedulers on which
    it is known to fail, each with the reason. versions: the version of a component that the case needs, such as
    ``{"radical.pilot": "1.90.*"}``; with another version it is skipped. needs: what the machine must have besides the
    components, such as ``("mpi-launcher",)``; without it the case is skipped, or fails if the site file promises it.
    The known needs are in ``sdk_tests/plan/needs.py``. fixture: what the case may share with others, since it does not
    test its start. payload_file: the payload, if it is not one of the packaged payloads.
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
    needs: tuple[str, ...] = ()
    fixture: Fixture | None = None
    payload_file: Path | None = None

    def case_id(self, scheduler: str, launcher: str | None = None) -> str:
        """Return ``component[+partner]/name[:variant]@scheduler[/launcher][/Nn]``, free of shell pattern characters."""
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
    needs: Sequence[str] = (),
    fixture: Fixture | None = None,
    **rest: Any,
) -> Callable[[_Function], _Function]:
    """Declare a case: the decorated test function judges the payload's answer.

    payload: a path relative to the folder of the test module or, without such a file, to ``sdk_tests/payloads``; or an
    absolute path. variants: a name and the params of each variant, such as
    ``{"blocks=2": {"blocks": 2}}``; each variant is a case of its own, and its params override ``params``. The function
    takes the fixture ``outcome`` (see ``sdk_tests.model.attempt.Outcome``).

    Raises:
        CaseError: an argument is unknown, a name contains a character that case ids do not allow, there is no such
            payload, or the case cannot share a fixture.
    """
    case_name = name or payload.rsplit("/", 1)[-1].removesuffix(".py")
    names = case_name + component + (fixture.name if fixture else "")
    if any(character in names for character in NOT_IN_NAMES):
        raise CaseError(f"case {component}/{case_name}: a name must not contain any of []@/:+*? or a space")
    base = dict(params or {})
    variant_params: list[tuple[str | None, Mapping[str, Any]]] = [*variants.items()] if variants else [(None, {})]
    try:
        cases = tuple(
            Case(
                component=component,
                name=case_name,
                payload=payload,
                variant=variant,
                tier=Tier(tier),
                schedulers=tuple(schedulers),
                partners=tuple(partners),
                params={**base, **extra},
                needs=tuple(needs),
                fixture=fixture,
                **rest,
            )
            for variant, extra in variant_params
        )
    except (TypeError, ValueError) as error:
        raise CaseError(f"case {component}/{case_name}: {error}") from error
    if fixture is not None:
        _check_shares(cases[0])

    def mark(function: _Function) -> _Function:
        label = f"case {component}/{case_name}"
        file = _own_payload(payload, function, label)
        shared = fixture
        if fixture is not None:
            program = _own_payload(fixture.payload, function, f"{label}, fixture {fixture.name}")
            shared = replace(fixture, payload_file=program)
        function.exaworks_cases = tuple(  # type: ignore[attr-defined]
            replace(each, payload_file=file, fixture=shared) for each in cases
        )
        return function

    return mark


def _check_shares(case: Case) -> None:
    """Check that a case can run in a fixture.

    Raises:
        CaseError: it cannot.
    """
    fixture, label = case.fixture, f"case {case.component}/{case.name}"
    assert fixture is not None
    if case.where not in ("login", "allocation") or not case.answer or not case.payload.endswith(".py"):
        raise CaseError(
            f"{label}: a fixture is shared by Python payloads with an answer and with `where` login or allocation; "
            f"remove `fixture={fixture.name}`"
        )
    if case.jobs > fixture.jobs or case.cores > fixture.cores:
        raise CaseError(
            f"{label}: it uses {case.jobs} jobs and {case.cores} cores, its fixture {fixture.name} only {fixture.jobs} "
            f"and {fixture.cores}; raise `jobs` or `cores` of the fixture"
        )
    if case.walltime > fixture.walltime - fixture.start:
        raise CaseError(
            f"{label}: its walltime of {case.walltime:g} s is longer than its fixture {fixture.name} can be used; "
            f"raise `walltime` of the fixture above {case.walltime + fixture.start:g}"
        )


def _own_payload(payload: str, function: Callable[..., Any], name: str) -> Path | None:
    """Return the payload beside the test module of a function; None if it is packaged, or an absolute path.

    Raises:
        CaseError: the payload is in neither folder.
    """
    if Path(payload).is_absolute():
        return None
    folder = Path(inspect.unwrap(function).__code__.co_filename).absolute().parent
    if (folder / payload).is_file():
        return folder / payload
    if (PAYLOADS / payload).is_file():
        return None
    raise CaseError(
        f"{name}: there is no payload {payload!r}, neither in the folder of the test module ({folder}) nor among the "
        f"packaged payloads ({PAYLOADS}); correct the argument `payload` of @case, or create the file"
    )
