"""``exaworks validate``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

EXAMPLES = """\b
Examples:
  exaworks validate                                   everything this machine can run
  exaworks validate --list                            what would run, and why the rest would not
  exaworks validate --tier smoke --scheduler slurm
  exaworks validate --case 'psij/*' --deployment venv:~/my-env
  exaworks validate --resume last                     what an interrupted run still owes

\b
Exit codes: 0 all planned cases passed or were skipped for a reason the site allows, 1 a failure,
2 usage or configuration, 3 only the site's infrastructure failed, 130 interrupted.
"""


@click.command(epilog=EXAMPLES)
@click.option("--site", metavar="SITE/SYSTEM", help="The system; default: recognised by host name and environment.")
@click.option(
    "--site-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A site file of your own."
)
@click.option(
    "--deployment",
    metavar="KIND:NAME",
    help="venv:DIR, spack:ENV-or-PREFIX, module:NAME, conda:NAME, image:NAME-or-SIF, path, release[:NAME], or spack, "
    "which is what `exaworks install` has made. Default: the site file's.",
)
@click.option(
    "--case",
    "cases",
    multiple=True,
    metavar="PATTERN",
    help="Shell pattern of case ids, each of which must fit one; may be repeated.",
)
@click.option(
    "--component", "components", multiple=True, metavar="NAME", help="Only cases of this component, alone or in a pair."
)
@click.option("--scheduler", "schedulers", multiple=True, metavar="NAME", help="Only cases on this scheduler.")
@click.option(
    "--tier", type=click.Choice(["smoke", "integration", "scale"]), default="integration", show_default=True,
    help="How much to run; each tier contains the one before it.",
)  # fmt: skip
@click.option("--nodes", type=click.IntRange(min=1), metavar="N", help="Only cases that need at most N nodes.")
@click.option(
    "--max-jobs", type=click.IntRange(min=1), metavar="N", help="At most N batch jobs at once on a scheduler."
)
@click.option("--resume", metavar="RUN", help="Go on with a run: a run's name, the beginning of it, or 'last'.")
@click.option("--no-upload", is_flag=True, help="Keep the results here; start no collector.")
@click.option("--trigger", default="manual", hidden=True)
@click.option("--wheelhouse", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Install offline.")
@click.option("--list", "only_list", is_flag=True, help="Print the plan and run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.pass_context
def validate(context: click.Context, /, **given: Any) -> None:
    """Run real jobs of every component through every scheduler here, and say what works.

    The results, with a report to keep, are written to a folder of their own; its name is printed.
    """
    from sdk_tests.cli.validation import run

    context.exit(run(context.obj, given))
