"""The options of a run, as the user gave them on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dashboard_client.schema import Selection
from sdk_tests.model.case import Case


@dataclass(frozen=True)
class Options:
    """The options of a run. None means that the site file or the environment decides.

    deployments: what is tested, the first one with plain case ids; none: those of the site file. cases: the folder of
    a user's own cases, which are run instead of the packaged ones. declared: all cases that may be selected, if they
    are known before the preparation.
    """

    site: str | None = None
    site_file: Path | None = None
    deployments: tuple[str, ...] = ()
    selection: Selection = field(default_factory=Selection)
    max_jobs: int | None = None
    upload: bool = True
    resume: str | None = None
    trigger: str = "manual"
    wheelhouse: Path | None = None
    cases: Path | None = None
    declared: tuple[Case, ...] | None = None
