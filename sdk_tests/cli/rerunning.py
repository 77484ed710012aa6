"""The work of ``exaworks rerun``: prepare as the run did, and start the payload of one case on the user's terminal."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dashboard_client.explain import find_case
from dashboard_client.runs import RunFolder
from dashboard_client.schema import Selection, Tier
from sdk_tests.cli import own_cases
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
        command, environment, scratch = _command(preparation, folder, cell)
        text = shlex.join(command)
        if only_print:
            click.echo(text)
            return 0
        _echo(f"folder:  {scratch}")
        if shell:
            _echo(f"command: {text}")
            command = [environment.get("SHELL") or "/bin/sh"]
        return subprocess.run(command, env=dict(environment), cwd=scratch, check=False).returncode
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


def _command(preparation: Preparation, folder: RunFolder, cell: Cell) -> tuple[list[str], Mapping[str, str], Path]:
    """Return the command, its environment and its folder, which is a new one in the run's private folder."""
    base = folder.private / "reruns"
    base.mkdir(exist_ok=True, mode=0o700)
    number = len(list(base.iterdir())) + 1
    private = base / f"{number:02d}"
    private.mkdir(mode=0o700)
    requests = LaunchRequests(preparation, Path(f"{folder.path.name}-again-{number}"), private, [cell.case_id])
    request = requests.request(cell, 1)
    argv = _without_frame(request.argv)
    scheduler = preparation.schedulers[cell.scheduler]
    envs = requests.setup().envs
    environment = envs.get(request.env) or envs[preparation.target(cell.label).own("deployment")]
    if scheduler.outer is not None:
        raise RunError(
            f"{cell.case_id}: runs under a scheduler that is started in a job; run it with "
            f"`exaworks validate --case {shlex.quote(cell.case_id)}`"
        )
    if scheduler.kind.batch and request.where in ("allocation", "job", "control"):
        argv = scheduler.kind.control_argv(_activated(argv, preparation, cell, request), _job(request, number))
        environment = {**envs["harness"], **scheduler.kind.env}
    return argv, environment, Path(request.scratch)


def _activated(argv: list[str], preparation: Preparation, cell: Cell, request: LaunchRequest) -> list[str]:
    """Return the command with the activation of the deployment, which a job does not inherit from here."""
    if request.env == "harness":
        return argv
    deployment = preparation.target(cell.label).deployment
    unset = [word for name in deployment.unset for word in ("-u", name)]
    return ["env", *unset, *(f"{name}={value}" for name, value in deployment.delta.items()), *argv]


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


def _without_frame(argv: list[str]) -> list[str]:
    """Return the command without the lines around the answer, which only the harness needs."""
    *command, text = argv
    try:
        request = json.loads(text)
        request.pop("frame", None)
        return [*command, json.dumps(request)]
    except (ValueError, AttributeError):
        return list(argv)


def _echo(text: str) -> None:
    click.echo(text, err=True)
