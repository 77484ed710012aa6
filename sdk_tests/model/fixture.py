"""The declaration of a fixture: what is slow to start and several cases may share, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Fixture:
    """Something that cases use and whose start they do not test, such as a pilot or a pool of workers.

    If a run has at least two cases with an equal fixture on one scheduler, the fixture is started once and their
    payloads run in its process, one after another. A single case starts what it needs itself, as without a fixture.

    name: distinguishes it from other fixtures. payload: a Python file with a function ``fixture(request)`` that returns
    a context manager, found as the payload of a case is. params: for its request. start: seconds until it must be
    ready, without the time in a queue. walltime: seconds that it may exist, its start included. jobs, cores: as of a
    case, for the fixture with the case that uses it. payload_file: the payload, if it is not one of the packaged ones.
    """

    name: str
    payload: str
    params: Mapping[str, Any] = field(default_factory=dict)
    start: float = 60.0
    walltime: float = 600.0
    jobs: int = 0
    cores: int = 1
    payload_file: Path | None = None
