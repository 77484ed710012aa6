"""Resuming an earlier run: the same system and deployment, and only the cases without a final record.

A run that was stopped after its last final record, but before it was closed, is only closed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dashboard_client.runs import RunFolder
from sdk_tests.errors import RunError

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places
    from sdk_tests.plan.options import Options


def resumed_options(options: Options, places: Places) -> Options:
    """Take system, selection and trigger from the run to resume; without ``--resume`` return the options unchanged.

    Raises:
        RunFolderError: there is no such run.
        RunError: the run is complete: it is closed, and every planned case has a final record.
    """
    if options.resume is None:
        return options
    run = RunFolder.open(options.resume, places.runs)
    manifest = run.manifest
    closed = manifest.closed is not None and manifest.closed.state == "complete"
    if closed and not unfinished_attempts(run):
        raise RunError(
            f"run {manifest.run_id} is complete: it has a final record of all its {len(manifest.planned)} cases; "
            f"start a new run instead"
        )
    return replace(
        options,
        resume=str(run.path),
        site=options.site or f"{manifest.site}/{manifest.system}",
        selection=manifest.selection,
        trigger=manifest.trigger,
    )


def unfinished_attempts(run: RunFolder) -> dict[str, int]:
    """Return the planned cases without a final record, each with the number of its next attempt."""
    effective = run.effective()
    attempts = {}
    for planned in run.manifest.planned:
        record = effective.get(planned.case_id)
        if record is None:
            attempts[planned.case_id] = 1
        elif not record.retries.final:
            attempts[planned.case_id] = record.retries.attempt + 1
    return attempts
