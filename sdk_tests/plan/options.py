"""What the person asked for on the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dashboard_client.schema import Selection


@dataclass(frozen=True)
class Options:
    """What the person asked for."""

    site: str | None = None
    site_file: Path | None = None
    deployment: str | None = None
    selection: Selection = field(default_factory=Selection)
    max_jobs: int | None = None
    upload: bool = True
    resume: str | None = None
    trigger: str = "manual"
    wheelhouse: Path | None = None
