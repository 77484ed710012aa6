"""``exaworks explain``: why the cases of a run did not pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dashboard_client.cli import JSON, SETTINGS, _open_run, _print_json

EXAMPLES = """\b
Examples:
  exaworks explain                                    the causes of all failures of the newest run
  exaworks explain last parsl/htex@slurm              all about one case
  exaworks explain parsl/htex@slurm                   the same
  exaworks explain 20261122T1205 'psij/*multi*'       a pattern that matches one case
"""


@click.command(context_settings=SETTINGS, epilog=EXAMPLES)
@click.argument("run", default="last")
@click.argument("case", required=False)
@JSON
@click.pass_obj
def explain(places: Any, run: str, case: str | None, as_json: bool) -> None:
    """Explain why cases did not pass: expected and got, the cause and the lines around it, every log, what changed.

    Without CASE, the causes of the run are listed with the cases that each explains. RUN is named as for 'exaworks
    results'; an archive that 'results export' wrote contains no private files, so its logs are not shown in full.
    """
    from dashboard_client.explain import case_as_text, case_as_tree, find_case, run_as_text, run_as_tree

    if case is None and ("@" in run or ("/" in run and not Path(run).exists())):  # no id of a run looks like that
        run, case = "last", run
    with _open_run(run, places) as folder:
        if case is None:
            _print_json(run_as_tree(folder)) if as_json else click.echo(run_as_text(folder))
            return
        case_id = find_case(folder, case)
        if as_json:
            _print_json(case_as_tree(folder, case_id, places.runs))
        else:
            click.echo(case_as_text(folder, case_id, places.runs))
