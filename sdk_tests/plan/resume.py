"""Going on with an earlier run: the same system and deployment, and only the cases without a final record.

One that was stopped when nothing was owed any more is merely closed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dashboard_client.runs import RunFolder
from sdk_tests.errors import RunError

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places
    from sdk_tests.plan.options import Options


def resumed(options: Options, places: Places) -> Options:
    """Take system, deployment and selection from the run that is resumed; without ``--resume`` nothing changes.

    Raises:
        RunFolderError: there is no such run.
        RunError: it is complete: every planned case has its final record, and they have been counted.
    """
    if options.resume is None:
        return options
    run = RunFolder.open(options.resume, places.runs)
    manifest = run.manifest
    counted = manifest.closed is not None and manifest.closed.state == "complete"
    if counted and not unfinished_attempts(run):
        raise RunError(f"run {manifest.run_id} has a final record of all its {len(manifest.planned)} cases")
    return replace(
        options,
        resume=str(run.path),
        site=options.site or f"{manifest.site}/{manifest.system}",
        selection=manifest.selection,
        trigger=manifest.trigger,
    )


def unfinished_attempts(run: RunFolder) -> dict[str, int]:
    """Return the planned cases still owed, each with the number of its next attempt."""
    effective = run.effective()
    found = {}
    for planned in run.manifest.planned:
        record = effective.get(planned.case_id)
        if record is None:
            found[planned.case_id] = 1
        elif not record.retries.final:
            found[planned.case_id] = record.retries.attempt + 1
    return found
