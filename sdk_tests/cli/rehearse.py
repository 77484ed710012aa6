"""``exaworks rehearse``: a site's plan on this machine, before it costs an allocation."""

from __future__ import annotations

from typing import Any

import click

EXAMPLES = """\b
Examples:
  exaworks rehearse ornl/frontier
  exaworks rehearse --all                      every system, the retired ones too; a table at the end
  exaworks rehearse anl/polaris --tier integration --component psij
  exaworks rehearse --all --deployment venv:~/my-env --json

\b
Exit codes: 0 every rehearsed system passed and each job over a limit was refused, 1 something failed,
2 usage or configuration, 3 none of the systems can be rehearsed here, 130 interrupted.
"""


@click.command(epilog=EXAMPLES)
@click.argument("systems", metavar="[SITE/SYSTEM]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Rehearse every system there is a site file for.")
@click.option(
    "--tier", type=click.Choice(["smoke", "integration", "scale"]), default="smoke", show_default=True,
    help="How much to run.",
)  # fmt: skip
@click.option("--deployment", metavar="KIND:NAME", help="As for `validate`; default: the release, made by pip.")
@click.option("--component", "components", multiple=True, metavar="NAME", help="Only cases that use this component.")
@click.option("--case", "cases", multiple=True, metavar="PATTERN", help="Shell pattern of case ids; may be repeated.")
@click.option("--nodes", type=click.IntRange(2, 64), default=2, show_default=True, help="Nodes of each testbed.")
@click.option(
    "--at-once",
    type=click.IntRange(1, 64),
    default=None,
    help="Systems rehearsed at a time; default: two a core, since a rehearsal mostly waits.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of the report.")
@click.pass_context
def rehearse(context: click.Context, /, **given: Any) -> None:
    """Run a system's plan on a testbed here that has its scheduler, queues, limits and launchers.

    Slurm, Flux and OpenPBS are real, and private, where they are installed; LSF and Cobalt are emulated, PBS too where
    OpenPBS is not, and every record says so.
    """
    import json
    import os
    import signal

    from sdk_tests.rehearsal.rehearsal import Stage, Wishes, report
    from site_configs.load import find, systems

    if bool(given["systems"]) == given["every"]:
        raise click.UsageError("give the names of systems, or --all")
    chosen = systems() if given["every"] else [find(name) for name in given["systems"]]
    deployment = given["deployment"]
    if deployment is None:
        from exaworks_sdk.install import pip_deployment
        from exaworks_sdk.release import load

        release = load(None)  # made once, before several runs want it at the same time
        pip_deployment(context.obj, release, progress=lambda text: click.echo(text, err=True))
        deployment = "release"
    wishes = Wishes(given["tier"], deployment, given["nodes"], given["cases"], given["components"])
    stage = Stage(context.obj, wishes, lambda text: click.echo(text, err=True))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    try:
        rehearsals = stage.all(chosen, given["at_once"] or 2 * len(os.sched_getaffinity(0)))
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        context.exit(130)
    text = report(rehearsals)
    (stage.folder / "report.txt").write_text(text + "\n", encoding="utf-8")
    if given["as_json"]:
        click.echo(json.dumps([made.told() for made in rehearsals], indent=1))
    else:
        click.echo(text)
        click.echo(f"report: {stage.folder / 'report.txt'}")
    codes = {made.code for made in rehearsals}
    context.exit(1 if 1 in codes else 130 if 130 in codes else 0 if 0 in codes else 3)
