"""``exaworks validate``: options and help of the command that runs the cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

EXAMPLES = """\b
Examples:
  exaworks validate                                   everything that this machine can run
  exaworks validate --list                            print what would run, and why the rest would not
  exaworks validate --tier smoke --scheduler slurm
  exaworks validate --case 'psij/*' --deployment venv:~/my-env
  exaworks validate --deployment release --deployment spack     two deployments in one run and one report
  exaworks validate --cases ~/my-cases                cases of your own, see docs/extending.md
  exaworks validate --resume last                     the unfinished cases of the last run

\b
Exit codes: 0 all planned cases passed or were skipped for a reason the site allows, 1 a failure,
2 usage or configuration, 3 only the site's infrastructure failed, 130 interrupted.
"""


@click.command(epilog=EXAMPLES)
@click.option("--site", metavar="SITE/SYSTEM", help="The system; default: detected from host name and environment.")
@click.option(
    "--site-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A site file of your own, read before the packaged ones.",
)
@click.option(
    "--deployment",
    "deployments",
    multiple=True,
    metavar="KIND:NAME",
    help="A deployment to test: venv:DIR, spack:ENV-or-PREFIX, module:NAME, conda:NAME, image:NAME-or-SIF, path, "
    "release[:NAME], spack, which is what `exaworks install` made, or conda, the release's conda environment. May be "
    "repeated: each case then runs in each deployment. Default: those of the site file.",
)
@click.option(
    "--case",
    "cases",
    multiple=True,
    metavar="PATTERN",
    help="Only cases whose id matches this shell pattern; may be repeated, and each pattern must match a case.",
)
@click.option(
    "--cases",
    "cases_folder",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    help="Run the cases of this folder instead of the packaged ones; the control cases are always included.",
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
@click.option(
    "--resume",
    metavar="RUN",
    help="Run the unfinished cases of an earlier run: its name, the beginning of its name, or 'last'.",
)
@click.option("--no-upload", is_flag=True, help="Do not upload the results, and start no collector.")
@click.option("--trigger", default="manual", hidden=True)
@click.option(
    "--wheelhouse",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Install the release from this folder of wheels, without network access.",
)
@click.option("--list", "only_list", is_flag=True, help="Print the plan and run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.option("-v", "--verbose", is_flag=True, help="Print a line for each record, and all details at the end.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the verdict, and problems of the run itself.")
@click.pass_context
def validate(context: click.Context, /, **given: Any) -> None:
    """Run real jobs of every component through every scheduler of this system, and report what works.

    What cannot run here is summarised by reason before anything starts. The results and a report are written to a new
    folder, whose name is printed at the end.
    """
    from sdk_tests.cli.validation import run

    if given["verbose"] and given["quiet"]:
        raise click.UsageError("--verbose and --quiet exclude each other; give one of them")
    context.exit(run(context.obj, given))
