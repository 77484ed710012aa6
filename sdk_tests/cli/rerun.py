"""``exaworks rerun``: options and help of the command that runs the payload of one case again."""

from __future__ import annotations

from typing import Any

import click

EXAMPLES = """\b
Examples:
  exaworks rerun last parsl/htex@slurm                run the payload of that case again
  exaworks rerun parsl/htex@slurm                     the same
  exaworks rerun last parsl/htex@slurm --shell        a shell in the same activation, with the command printed
  exaworks rerun last parsl/htex@slurm --print        print the command and run nothing

\b
Exit codes: that of the payload or of the shell; 2 usage or configuration, or the case cannot be started here.
"""


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXAMPLES)
@click.argument("run", default="last")
@click.argument("case", required=False)
@click.option("--shell", is_flag=True, help="Start a shell in the activation instead, and print the command.")
@click.option("--print", "only_print", is_flag=True, help="Print the command and run nothing.")
@click.pass_obj
def rerun(places: Any, run: str, case: str | None, shell: bool, only_print: bool) -> None:
    """Run the payload of one case of an earlier run again, in the same activation; its output is not judged.

    CASE is the id of a case, or a shell pattern that matches one. A payload that runs inside an allocation is run in a
    job of its own, under its nested scheduler if it has one; its output is printed when the job has ended.
    """
    if case is None:
        run, case = "last", run
    from sdk_tests.cli.rerunning import run_again

    raise SystemExit(run_again(places, run, case, shell=shell, only_print=only_print))
