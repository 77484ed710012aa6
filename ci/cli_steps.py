"""The steps of a pipeline, each one a command of ``exaworks ci``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from site_configs.schema import System

PATH = click.Path(path_type=Path)
SITE = click.option("--site", required=True, metavar="SITE/SYSTEM", help="The system.")
SITE_FILE = click.option("--site-file", type=PATH, help="A site file to search for the system first.")
RESULTS = click.option(
    "--results", type=PATH, default=Path("results"), show_default=True, help="The pipeline's results folder."
)


def _of_a_stage(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments and options of a command that runs a stage; see ``StageRequest``."""
    for parameter in (
        click.option(
            "--lane", metavar="LANE", help="The lane of the stage; not run if EXAWORKS_LANES names only others."
        ),
        click.option("--lock", is_flag=True, help="Hold the lock of the work directory while the command runs."),
        click.option("--after", metavar="STAGE", help="Run only if this stage has passed."),
        RESULTS,
        SITE,
        click.argument("command", nargs=-1, required=True),
        click.argument("name"),
    ):
        command = parameter(command)
    return command


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  exaworks ci stage smoke --site ornl/frontier --after control -- validate --tier smoke
  exaworks ci stage install --site ornl/frontier --lock -- release install

\b
EXAWORKS_DEPLOYMENT: the deployment to validate. EXAWORKS_CI_OPTIONS: more options of validate (not for control).
""",
)
@_of_a_stage
@click.pass_context
def stage(
    context: click.Context, /, name: str, command: tuple[str, ...], site: str, results: Path, **given: Any
) -> None:
    """Run the stage NAME, an exaworks COMMAND, and keep its exit code and its runs in the results folder."""
    import os

    from ci.stage import StageRequest, run

    request = StageRequest(name, site, command, results, **given)
    context.exit(run(request, context.obj, dict(os.environ), _echo))


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  exaworks ci submit smoke --site ornl/frontier --after control -- validate --tier smoke

\b
Needs sbatch, and a work tree on a file system that the compute nodes share. The account is in the variable that the
site file names.
""",
)
@_of_a_stage
@click.pass_context
def submit(
    context: click.Context, /, name: str, command: tuple[str, ...], site: str, results: Path, **given: Any
) -> None:
    """Run the stage NAME as a batch job of the machine, wait for its end, and exit with the exit code of the stage."""
    import os

    from ci.stage import StageRequest
    from ci.submit import Submission
    from ci.submit import submit as run

    request = StageRequest(name, site, command, results, **given)
    options = [*(["--lock"] if request.lock else []), *(["--lane", request.lane] if request.lane else [])]
    options += [*(["--after", request.after] if request.after else []), "--results", str(results)]
    arguments = (name, "--site", site, *options, "--", *command)
    submission = Submission(request, system_of(site, None), arguments, Path.cwd())
    context.exit(run(submission, dict(os.environ), _echo))


@click.command(
    epilog="""\b
Examples:
  exaworks ci collect smoke          in after_script: keep the results of a stage that was killed
"""
)
@click.argument("name")
@RESULTS
@click.pass_context
def collect(context: click.Context, name: str, results: Path) -> None:
    """Copy the outbox of the runs that stage NAME started. Does nothing if the stage has copied it."""
    from ci.results import read_stage
    from ci.stage import collect as fetch

    killed = read_stage(results / name)
    if killed is not None and killed.state == "started":
        for run in fetch(results / name, context.obj):
            click.echo(f"kept the results of {run}, which did not end")


@click.command(
    epilog="""\b
Examples:
  exaworks ci verdict --site ornl/frontier
  exaworks ci verdict --site ornl/frontier --tier smoke --json

\b
Exit codes: 0 passed, 1 failed, 3 only the site's infrastructure failed and the site file has infra: fail.
"""
)
@SITE
@SITE_FILE
@RESULTS
@click.option("--tier", envvar="EXAWORKS_TIER", default="integration", show_default=True, show_envvar=True)
@click.option("--deployment", metavar="KIND[:NAME]", help="The deployment that the pipeline was generated for.")
@click.option("--inside", is_flag=True, help="Every stage was a batch job, so there was no control stage.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verdict(
    context: click.Context,
    site: str,
    site_file: Path | None,
    results: Path,
    tier: str,
    deployment: str | None,
    inside: bool,
    as_json: bool,
) -> None:
    """Judge a pipeline by the files of its stages. The exit codes that the runner reports are not used."""
    import os

    import msgspec

    from ci.phases import TIERS, planned, with_deployment
    from ci.render import as_markdown, as_text
    from ci.stage import chosen_lanes, trigger
    from ci.verdict import judge

    if tier not in TIERS:
        raise click.BadParameter(f"{tier!r} is not one of {', '.join(TIERS)}", param_hint="--tier or EXAWORKS_TIER")
    system = system_of(site, site_file)
    if deployment is not None:
        system = with_deployment(system, deployment)
    expected = planned(
        system,
        tier,
        scheduled=trigger(dict(os.environ)) == "nightly",
        inside=inside or None,
        chosen=chosen_lanes(os.environ),
    )
    judged = judge(system.system, expected, results, system.ci.infra.value)
    results.mkdir(parents=True, exist_ok=True)
    data = msgspec.json.format(msgspec.json.encode(judged), indent=1)
    (results / "verdict.json").write_bytes(data)
    collector = _collector(system).rstrip("/")
    links = {"pipeline": os.environ.get("CI_PIPELINE_URL", ""), "dashboard": _dashboard(collector, system)}
    badge = f"{collector}/badge/{system.system}/all.svg" if collector else None
    text = as_markdown(judged, {name: address for name, address in links.items() if address}, badge)
    (results / "verdict.md").write_text(text, encoding="utf-8")
    click.echo(data.decode() if as_json else as_text(judged))
    context.exit(judged.exit_code)


@click.command(
    epilog="""\b
Examples:
  EXAWORKS_COLLECTOR_URL=https://status.example.org exaworks ci deliver --site ornl/frontier
"""
)
@SITE
@SITE_FILE
@RESULTS
@click.pass_context
def deliver(context: click.Context, site: str, site_file: Path | None, results: Path) -> None:
    """Send every run that the collector does not have yet, including runs of earlier pipelines.

    Exit code 1 if a run could not be delivered. Its results are kept, and a later pipeline delivers them.
    """
    import os

    from ci.deliver import deliver as push

    context.exit(push(system_of(site, site_file), context.obj, results, os.environ, _echo))


@click.command(
    epilog="""\b
Examples:
  exaworks ci status --site ornl/frontier        EXAWORKS_GITLAB_TOKEN holds a token with the scope api
"""
)
@SITE
@RESULTS
def status(site: str, results: Path) -> None:
    """Report the verdict to GitLab: as commit status, and in a merge request as a comment with the matrix."""
    import os

    from ci.errors import StageError
    from ci.forge import comment

    try:
        verdict = json.loads((results / "verdict.json").read_bytes())
        good = verdict["result"] == "pass" or (verdict["result"], verdict["infra"]) == ("infra", "warn")
        text = (results / "verdict.md").read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError) as error:
        raise StageError(f"{results}: has no verdict to report ({error}). Run exaworks ci verdict first.") from error
    click.echo(comment(site, text, "success" if good else "failed", os.environ))


@click.command(
    epilog="""\b
Examples:
  exaworks ci reports --to results      in a parent pipeline
"""
)
@click.option("--to", type=PATH, default=Path("results"), show_default=True)
def reports(to: Path) -> None:
    """Fetch the results of this pipeline's child pipelines, so that GitLab shows their JUnit reports in the parent."""
    import os

    from ci.forge import children

    click.echo(f"results of {children(os.environ, to, _echo)} jobs are in {to}")


@click.command(
    epilog="""\b
Examples:
  exaworks ci packages --site ornl/frontier --to results/packages.yml      after concretize
"""
)
@SITE
@SITE_FILE
@click.option("--to", type=PATH, required=True, help="File to write the pipeline to.")
def packages(site: str, site_file: Path | None, to: Path) -> None:
    """Generate a pipeline with one job for each package of the Spack environment that is not installed yet."""
    import os

    from ci.errors import CiError
    from ci.packages import list_packages, packages_yaml

    system = system_of(site, site_file)
    listed = list_packages(system, os.environ)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(packages_yaml(system, listed), encoding="utf-8")
    except OSError as error:
        raise CiError(f"{to}: cannot be written: {error.strerror or error}") from error
    click.echo(f"{sum(not package.installed for package in listed)} of {len(listed)} packages are not installed yet")


@click.command(
    epilog="""\b
Examples:
  exaworks ci cleanup --site ornl/frontier --days 30
"""
)
@SITE
@SITE_FILE
@click.option("--days", type=click.IntRange(min=1), default=30, show_default=True)
@click.pass_context
def cleanup(context: click.Context, site: str, site_file: Path | None, days: int) -> None:
    """Remove old runs of a system from the work directory. Runs that no collector has are kept."""
    from ci.cleanup import cleanup as clean

    clean(system_of(site, site_file), context.obj, days, _echo)


def system_of(name: str, site_file: Path | None) -> System:
    """Return the system of that name, from ``site_file`` if that describes it."""
    from site_configs.load import find

    return find(name, site_file=site_file)


def _collector(system: System) -> str:
    import os

    return os.environ.get("EXAWORKS_COLLECTOR_URL") or system.collector.url or ""


def _dashboard(collector: str, system: System) -> str:
    return f"{collector}/systems/{system.system}" if collector else ""


def _echo(text: str) -> None:
    click.echo(text)


STEPS = (stage, submit, collect, packages, verdict, deliver, status, reports, cleanup)
