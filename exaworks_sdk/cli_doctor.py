"""``exaworks doctor``: what this machine lacks, and the line that installs it."""

from __future__ import annotations

import click


@click.command(
    epilog="""\b
Examples:
  exaworks doctor                       all steps: validate, install, images
  exaworks doctor install               before `exaworks install`
  exaworks doctor --json
Exit codes: 0 the named steps, or else `validate`, can be done; 1 something is missing for them.
"""
)
@click.argument("steps", nargs=-1, type=click.Choice(["validate", "install", "images"]))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(context: click.Context, steps: tuple[str, ...], as_json: bool) -> None:
    """Show what this machine lacks for each step, and the distribution's own line that installs it.

    A step that is ready can be done. What is listed with "without" is not necessary; the text says what is missed.
    In a fresh checkout, `./exaworks doctor` installs nothing.
    """
    from exaworks_sdk.doctor import run

    text, code = run(steps, json_output=as_json)
    click.echo(text)
    context.exit(code)
