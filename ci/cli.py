"""``exaworks ci``: generate pipelines from the site files, and run the steps of these pipelines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ci.cli_steps import PATH, SITE, SITE_FILE, STEPS, system_of


@click.group(
    epilog="""\b
Examples:
  exaworks ci generate --site ornl/frontier       print one system's pipeline
  exaworks ci generate --all                      write every generated file of the checkout
  exaworks ci generate --all --check              check that the committed files are current
  exaworks ci cron --site nersc/perlmutter        print crontab entry and script, for a site without a runner
  exaworks ci values --site ornl/frontier         print the chart's values for a runner on the site's Kubernetes
"""
)
def ci() -> None:
    """Generate GitLab pipelines, GitHub workflows and cron entries from the site files.

    Use generate, cron and values. The other commands are the steps that a pipeline runs.
    """


@ci.command(
    epilog="""\b
Examples:
  exaworks ci generate --site ornl/frontier
  exaworks ci generate --site ornl/frontier --deployment module:exaworks
  exaworks ci generate --site my-site/machine --site-file machine.yaml --to .gitlab-ci.yml
  exaworks ci generate --site local/workstation --own-cases --to .github/workflows/own-cases.yml
  exaworks ci generate --all --to generated
  exaworks ci generate --all --check --json
"""
)
@click.option(
    "--site", metavar="SITE/SYSTEM", help="Generate the pipeline of one system; print it, or write it to --to."
)
@click.option(
    "--all",
    "all_",
    is_flag=True,
    help="Write the root file, a file for each system and GitHub's workflows, below --to.",
)
@SITE_FILE
@click.option("--deployment", metavar="KIND[:NAME]", help="With --site: test this deployment, not the site file's.")
@click.option(
    "--own-cases", is_flag=True, help="With --site: the GitHub workflow of a repository with cases of its own."
)
@click.option("--to", type=PATH, help="File to write; with --all a folder. [default: the checkout]")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file is not current.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the generated, outdated and written files.")
@click.pass_context
def generate(
    context: click.Context,
    site: str | None,
    all_: bool,
    site_file: Path | None,
    deployment: str | None,
    own_cases: bool,
    to: Path | None,
    check: bool,
    as_json: bool,
) -> None:
    """Generate GitLab pipelines and GitHub workflows from the site files."""
    from ci.generate import all_files, github_files, outdated, write
    from ci.github_cases import cases_yaml
    from ci.root import path_of
    from ci.system import system_yaml

    if (site is None) == (not all_):
        raise click.UsageError("give either --site SITE/SYSTEM or --all")
    if deployment is not None and site is None:
        raise click.UsageError("--deployment needs --site: with --all each site file names its own deployment")
    if own_cases and (site is None or deployment is not None):
        raise click.UsageError("--own-cases needs --site; name the deployment in the variable EXAWORKS_DEPLOYMENT")
    root = to if to is not None else _checkout(context)
    if site is not None:
        system = system_of(site, site_file)
        text = cases_yaml(system) if own_cases else system_yaml(system, deployment)
        if to is None and not check:
            click.echo(text, nl=False)
            return
        root, name = (to.parent, to.name) if to is not None else (root, path_of(system))
        files = {name: text}
    else:
        from site_configs.load import systems

        files = all_files(systems()) | github_files(systems())
    old = outdated(files, root)
    changed = [] if check else [str(path) for path in write(files, root)]
    if as_json:
        click.echo(json.dumps({"files": sorted(files), "outdated": old, "written": changed}, indent=1))
    elif check:
        for name in old:
            click.echo(f"{name}: not current; run: exaworks ci generate --all")
    else:
        click.echo("\n".join(changed) if changed else f"{len(files)} files are current")
    context.exit(1 if check and old else 0)


@ci.command(
    epilog="""\b
Examples:
  exaworks ci cron --site nersc/perlmutter                       print the script and the entry
  exaworks ci cron --site nersc/perlmutter --to ~/exaworks.sh    write the script; print the entry for it
"""
)
@SITE
@SITE_FILE
@click.option("--tier", type=click.Choice(["smoke", "integration", "scale"]), default="integration", show_default=True)
@click.option("--to", type=PATH, help="Write the script to this file, and make it executable.")
@click.option(
    "--scron/--cron", default=None, help="Entry for scrontab or crontab. [default: ci.trigger of the site file]"
)
@click.pass_context
def cron(
    context: click.Context, site: str, site_file: Path | None, tier: str, to: Path | None, scron: bool | None
) -> None:
    """Generate a script that validates, delivers and judges, and the crontab entry that starts it."""
    import os

    from ci.cron import cron_script, entry, missing_account, wants_scron
    from ci.errors import CiError

    system = system_of(site, site_file)
    checkout = _checkout(context)
    text = cron_script(system, checkout, tier=tier)
    if scron is None:
        scron = wants_scron(system)
    if to is None:
        click.echo(text)
        target = checkout / f"exaworks-{system.name}.sh"
    else:
        target = to.expanduser().absolute()
        try:
            target.write_text(text, encoding="utf-8")
            target.chmod(0o700)
        except OSError as error:
            raise CiError(f"{target}: cannot be written: {error.strerror or error}") from error
    click.echo(entry(system, target, os.environ, scron=scron, tier=tier), nl=False)
    missing = missing_account(system, os.environ) if scron else None
    if missing:
        click.echo(f"note: ${missing} is not set, so the entry names no account: set it and run again", err=True)


@ci.command(
    epilog="""\b
Examples:
  exaworks ci values --site ornl/frontier --to values.yaml
  helm install exaworks-runner CHART --values values.yaml
"""
)
@SITE
@SITE_FILE
@click.option("--to", type=PATH, help="File to write; printed without it.")
def values(site: str, site_file: Path | None, to: Path | None) -> None:
    """Write the values of the chart that creates a runner on the site's Kubernetes, with variables replaced.

    The chart's token of the runner belongs into the Kubernetes secret that the values name, never into the file.
    """
    import os

    from ci.errors import CiError
    from ci.pods import values_yaml

    text = values_yaml(system_of(site, site_file), os.environ)
    if to is None:
        click.echo(text, nl=False)
        return
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CiError(f"{to}: cannot be written: {error.strerror or error}") from error


def _checkout(context: click.Context) -> Path:
    """Return the root of the checkout, which always exists: an installation does not have this command."""
    root: Any = context.obj.checkout
    return Path(root)


for step in STEPS:
    ci.add_command(step)
