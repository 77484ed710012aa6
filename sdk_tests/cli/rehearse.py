"""``exaworks rehearse``: run the plan of a system on this machine, before it uses an allocation there."""

from __future__ import annotations

from typing import Any

import click

EXAMPLES = """\b
Examples:
  exaworks rehearse ornl/frontier
  exaworks rehearse --all                      every system, including retired ones; ends with a table
  exaworks rehearse anl/polaris --tier integration --component psij
  exaworks rehearse --all --deployment venv:~/my-env --json

\b
Exit codes: 0 every rehearsed system passed and each job over a limit was refused, 1 something failed,
2 usage or configuration, 3 none of the systems can be rehearsed here, 130 interrupted.
"""


@click.command(epilog=EXAMPLES)
@click.argument("systems", metavar="[SITE/SYSTEM]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Rehearse every system that has a site file.")
@click.option(
    "--tier", type=click.Choice(["smoke", "integration", "scale"]), default="smoke", show_default=True,
    help="How much to run; each tier contains the one before it.",
)  # fmt: skip
@click.option("--deployment", metavar="KIND:NAME", help="As for `validate`; default: the release, installed with pip.")
@click.option("--component", "components", multiple=True, metavar="NAME", help="Only cases that use this component.")
@click.option(
    "--case",
    "cases",
    multiple=True,
    metavar="PATTERN",
    help="Only cases whose id matches this shell pattern; may be repeated.",
)
@click.option(
    "--nodes", type=click.IntRange(2, 64), default=2, show_default=True, help="Number of nodes of each testbed."
)
@click.option(
    "--at-once",
    type=click.IntRange(1, 64),
    default=None,
    help="Number of systems to rehearse at the same time; default: two for each core, because rehearsals mostly wait.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of the report.")
@click.pass_context
def rehearse(context: click.Context, /, **given: Any) -> None:
    """Run the plan of a system here, on a testbed with the scheduler, queues, limits and launchers of the system.

    The testbed uses the real Slurm, Flux or OpenPBS where it is installed, in a private instance. LSF and Cobalt are
    emulated, and so is PBS where OpenPBS is not installed; every record states whether the scheduler was emulated.
    """
    import json
    import os
    import signal

    from sdk_tests.rehearsal.rehearsal import RehearsalOptions, RehearsalRunner, report
    from site_configs.load import find, systems

    if bool(given["systems"]) == given["every"]:
        raise click.UsageError("name one or more systems, or use --all, but not both")
    chosen = systems() if given["every"] else [find(name) for name in given["systems"]]
    deployment = given["deployment"]
    if deployment is None:
        from exaworks_sdk.install import pip_deployment
        from exaworks_sdk.release import load

        release = load(None)  # installed once, before several rehearsals need it at the same time
        pip_deployment(context.obj, release, progress=lambda text: click.echo(text, err=True))
        deployment = "release"
    options = RehearsalOptions(given["tier"], deployment, given["nodes"], given["cases"], given["components"])
    runner = RehearsalRunner(context.obj, options, lambda text: click.echo(text, err=True))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    try:
        rehearsals = runner.run_all(chosen, given["at_once"] or 2 * len(os.sched_getaffinity(0)))
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        context.exit(130)
    text = report(rehearsals)
    (runner.folder / "report.txt").write_text(text + "\n", encoding="utf-8")
    if given["as_json"]:
        click.echo(json.dumps([rehearsal.as_dict() for rehearsal in rehearsals], indent=1))
    else:
        click.echo(text)
        click.echo(f"report: {runner.folder / 'report.txt'}")
    codes = {rehearsal.code for rehearsal in rehearsals}
    context.exit(1 if 1 in codes else 130 if 130 in codes else 0 if 0 in codes else 3)
