"""The work of ``exaworks rerun``: prepare as the run did, and start the payload of one case on the user's terminal."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from dashboard_client.explain import find_case
from dashboard_client.runs import RunFolder
from dashboard_client.schema import Selection, Tier
from sdk_tests.cli import own_cases
from sdk_tests.cli.rerun_job import needs_job, prepared, run_in_job, without_frame
from sdk_tests.cli.validation import collected_cells
from sdk_tests.errors import RunError
from sdk_tests.plan.launch_requests import LaunchRequests
from sdk_tests.plan.options import Options
from sdk_tests.plan.prepare import prepare
from sdk_tests.recording.run import recorded_options
from sdk_tests.schedulers import JobSpec

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places
    from sdk_tests.execution.messages import LaunchRequest
    from sdk_tests.plan.cells import Cell
    from sdk_tests.plan.preparation import Preparation


def run_again(places: Places, run: str, case: str, *, shell: bool, only_print: bool) -> int:
    """Run the payload of a case again and return its exit code.

    Raises:
        click.ClickException: there is no such run or case, or the case cannot be started here.
    """
    folder = RunFolder.open(run, places.runs)
    case_id = find_case(folder, case)
    preparation = prepare(_options(folder, case_id), places, _echo)
    try:
        cell = next((cell for cell in collected_cells(preparation) if cell.case_id == case_id), None)
        if cell is None:
            raise RunError(
                f"{case_id}: not planned on this machine any more; `exaworks validate --list` shows its cases"
            )
        if cell.judgement is not None:
            raise RunError(f"{case_id}: cannot be started here: {cell.judgement.cause.evidence}")
        return _run(preparation, folder, cell, shell=shell, only_print=only_print)
    except OSError as error:
        raise RunError(f"{case_id}: cannot be started: {error}") from error
    finally:
        preparation.close()


def _options(folder: RunFolder, case_id: str) -> Options:
    """Return options with the system, the deployment and the cases of the run, and with one case selected."""
    manifest = folder.manifest
    kept = recorded_options(folder)
    options = Options(
        site=f"{manifest.site}/{manifest.system}",
        site_file=kept.site_file,
        deployments=kept.given,
        selection=Selection(cases=[case_id], tier=Tier.SCALE, partial=True),
        upload=False,
        resume=str(folder.path),
    )
    with_cases = own_cases.resumed(options)
    return Options(**{**vars(with_cases), "resume": None})


def _run(preparation: Preparation, folder: RunFolder, cell: Cell, *, shell: bool, only_print: bool) -> int:
    """Start the payload in a new folder below the run's private one, or print how."""
    base = folder.private / "reruns"
    base.mkdir(exist_ok=True, mode=0o700)
    number = len(list(base.iterdir())) + 1
    private = base / f"{number:02d}"
    private.mkdir(mode=0o700)
    requests = LaunchRequests(preparation, Path(f"{folder.path.name}-again-{number}"), private, [cell.case_id])
    request, setup = requests.request(cell, 1), requests.setup()
    request = msgspec.structs.replace(request, argv=without_frame(request.argv))
    scheduler = preparation.schedulers[cell.scheduler]
    batch_environment = {**setup.envs["harness"], **scheduler.outermost.kind.env}
    if needs_job(request, scheduler):
        if not shell and not only_print:
            _echo(f"folder:  {request.scratch}")
            return run_in_job(setup, request)
        command, output = prepared(setup, request, scheduler)
        _echo(f"output:  0.out and 0.err in {output}, when the job has ended")
        environment: Mapping[str, str] = batch_environment
    elif scheduler.kind.batch and request.where == "control":
        command = scheduler.kind.control_argv(request.argv, _job(request, number))
        environment = batch_environment
    else:
        command = request.argv
        own = preparation.target(cell.label).own("deployment")
        environment = setup.envs.get(request.env) or setup.envs[own]
    text = shlex.join(command)
    if only_print:
        click.echo(text)
        return 0
    _echo(f"folder:  {request.scratch}")
    if shell:
        _echo(f"command: {text}")
        command = [environment.get("SHELL") or "/bin/sh"]
    return subprocess.run(command, env=dict(environment), cwd=request.scratch, check=False).returncode


def _job(request: LaunchRequest, number: int) -> JobSpec:
    scratch = Path(request.scratch)
    return JobSpec(
        f"ex-again-{os.getpid()}-{number}",
        script=scratch,
        output=scratch,
        nodes=request.nodes,
        walltime=request.walltime,
        queue=request.queue,
        account=request.account,
        cores=request.cores,
    )


def _echo(text: str) -> None:
    click.echo(text, err=True)
