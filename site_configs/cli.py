"""``exaworks sites``: list, show, check, verify, refresh and write site files, and detect which system this is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from site_configs.cli_refresh import refresh

if TYPE_CHECKING:
    from site_configs.schema import System

PATH = click.Path(path_type=Path)


@click.group(
    epilog="""\b
Examples:
  exaworks sites list                      machines with a site file
  exaworks sites detect                    which of them this machine is
  exaworks sites new --to mysite.yaml      write a draft of a file for this machine
  exaworks sites check mysite.yaml         find mistakes in it
  exaworks sites verify                    compare this machine's file with the machine
  exaworks sites refresh --old             what to compare with the facilities' public pages again
"""
)
def sites() -> None:
    """Describe machines: their schedulers, queues, launchers and limits, in one YAML file for each system."""


sites.add_command(refresh)


@sites.command(
    "list",
    epilog="""\b
Examples:
  exaworks sites list
  exaworks sites list --json
  EXAWORKS_SITES=$HOME/sites exaworks sites list
""",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List every known system."""
    from tabulate import tabulate

    from site_configs.load import site_files, systems

    files = site_files()
    rows = [
        {
            "system": system.system,
            "state": system.state.value,
            "schedulers": [spec.kind for spec in system.schedulers],
            "description": system.description,
            "file": str(files[system.system]),
        }
        for system in systems()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = [(row["system"], row["state"], ", ".join(row["schedulers"]) or "-", row["description"]) for row in rows]
    click.echo(tabulate(table, headers=("system", "state", "schedulers", "description"), tablefmt="plain"))


@sites.command(
    epilog="""\b
Examples:
  exaworks sites show local/workstation
  exaworks sites show my-site/system --site-file mysite.yaml --json
"""
)
@click.argument("name")
@click.option("--site-file", type=PATH, help="A site file to search for NAME first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the digest that records carry.")
def show(name: str, site_file: Path | None, as_json: bool) -> None:
    """Print the site file of system NAME, with the defaults of the keys that it leaves out."""
    import msgspec

    from site_configs.load import digest, find

    system = find(name, site_file=site_file)
    values: dict[str, Any] = msgspec.to_builtins(system)
    if as_json:
        click.echo(json.dumps({**values, "config_digest": digest(system)}, indent=2))
        return
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    click.echo(f"# config_digest: {digest(system)}")
    writer.dump(values, sys.stdout)


@sites.command(
    epilog="""\b
Examples:
  exaworks sites check                     every file in the search folders
  exaworks sites check mysite.yaml other.yaml
"""
)
@click.argument("files", nargs=-1, type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(files: tuple[Path, ...], as_json: bool) -> None:
    """Check site FILES, or all files in the search folders. Exit code 2 if one of them has a problem.

    The Spack scope that a file names is checked with it. The machine itself is not examined: use verify for that.
    Facts that were read from public pages more than 180 days ago are warnings, which do not change the exit code.
    """
    from site_configs.errors import SiteFileError
    from site_configs.load import load_file, site_files, source_warning
    from site_configs.scope import folder_of, problems

    results: list[dict[str, Any]] = []
    for file in files or tuple(path for _, path in sorted(site_files().items())):
        result: dict[str, Any] = {"file": str(file), "system": None, "problems": [], "warning": None}
        try:
            system = load_file(file)
            scope = folder_of(system, file)
            result["system"] = system.system
            result["problems"] = problems(scope) if scope is not None else []
            result["warning"] = source_warning(system, file)
        except SiteFileError as error:
            result["problems"] = error.message.splitlines()
        results.append(result)
    for result in [] if as_json else results:
        for line in result["problems"] or [f"{result['file']}: ok, {result['system']}"]:
            click.echo(line)
        if result["warning"]:
            click.echo(f"warning: {result['warning']}", err=True)
    if as_json:
        click.echo(json.dumps(results, indent=2))
    if any(result["problems"] for result in results):
        sys.exit(SiteFileError.exit_code)


@sites.command(
    epilog="""\b
Examples:
  exaworks sites verify                         this machine's own file
  exaworks sites verify ornl/frontier
  exaworks sites verify --site-file mysite.yaml --json
  exaworks sites verify ornl/frontier --ci      variables of its pipeline; 1 if one must still be set
"""
)
@click.argument("name", required=False)
@click.option("--site-file", type=PATH, help="The site file to compare, or the one to search for NAME first.")
@click.option("--strict", is_flag=True, help="Count notes (the machine allows more than the file) as differences.")
@click.option(
    "--ci", "unattended", is_flag=True, help="Report instead what an unattended run needs, and what is unset."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(name: str | None, site_file: Path | None, strict: bool, unattended: bool, as_json: bool) -> None:
    """Compare the site file of system NAME with this machine. Run it on a login node of that system.

    No job is submitted. If the machine differs from the file, a diff is printed and the exit code is 1. Examples of a
    difference: a queue no longer exists, a limit is lower, a module, launcher, folder or external is missing, the
    account is refused.
    """
    from dataclasses import asdict

    from site_configs.detect import detect as recognise
    from site_configs.errors import SiteError
    from site_configs.findings import diff
    from site_configs.load import find, load_file, site_files
    from site_configs.schema import State
    from site_configs.survey import answering
    from site_configs.verify import verify as compare

    if site_file is not None and name is None:
        system = load_file(site_file)
    else:
        system = find(name, site_file=site_file) if name else recognise(scheduler_answers=answering)
    if system.state is State.RETIRED:
        raise SiteError(f"{system.system} is retired: no machine exists to compare its site file with.")
    if unattended:
        sys.exit(_report_ci(system, as_json))
    own = site_file is not None and (name is None or load_file(site_file).system == name)
    file = site_file if own and site_file is not None else site_files()[system.system]
    findings = compare(system, file)
    failed = bool(findings.differences or (strict and findings.notes))
    if as_json:
        entries = {
            kind: [{**asdict(entry), "key": entry.name} for entry in getattr(findings, kind)]
            for kind in ("differences", "notes")
        }
        unchecked = [{"key": key, "why": reason} for key, reason in findings.unchecked]
        report = {"system": system.system, "file": str(file), **entries, "unchecked": unchecked}
        click.echo(json.dumps({**report, "checked": findings.checked}, indent=2))
    else:
        for line in diff(findings, file):
            click.echo(line)
        for key, reason in findings.unchecked:
            click.echo(f"unchecked: {key}: {reason}")
        click.echo(
            f"{system.system}: {len(findings.differences)} differences, {len(findings.notes)} notes, "
            f"{findings.checked} statements confirmed, {len(findings.unchecked)} unchecked"
        )
    if failed:
        sys.exit(1)


def _report_ci(system: System, as_json: bool) -> int:
    """Print the variables of unattended runs; return 1 if one must still be set."""
    import os
    from dataclasses import asdict

    from tabulate import tabulate

    from site_configs.verify_ci import ci_settings

    settings = ci_settings(system, os.environ)
    if as_json:
        click.echo(json.dumps([asdict(setting) for setting in settings], indent=2))
    else:
        rows = [(s.state, s.name, s.default if s.state == "default" else "", s.meaning) for s in settings]
        click.echo(tabulate(rows, ("state", "variable", "default", "meaning"), tablefmt="plain", disable_numparse=True))
        unset = sum(setting.state == "unset" for setting in settings)
        click.echo(f"{system.system}: {unset} variables must still be set")
    return int(any(setting.state == "unset" for setting in settings))


@sites.command(
    epilog="""\b
Examples:
  exaworks sites detect
  exaworks sites detect --json
"""
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def detect(as_json: bool) -> None:
    """Print which system this machine is, and the path of its site file."""
    from site_configs.detect import detect as recognise
    from site_configs.load import site_files
    from site_configs.survey import answering

    system = recognise(scheduler_answers=answering)
    file = str(site_files()[system.system])
    click.echo(json.dumps({"system": system.system, "file": file}) if as_json else f"{system.system}  ({file})")


@sites.command(
    epilog="""\b
Examples:
  exaworks sites schema > site.schema.json      for completion in an editor
"""
)
def schema() -> None:
    """Print the JSON Schema of a site file."""
    from site_configs.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@sites.command(
    epilog="""\b
Examples:
  exaworks sites new                            print a draft
  exaworks sites new --name my-site/system --to mysite.yaml
  exaworks validate --site-file mysite.yaml     use the file
"""
)
@click.option("--name", metavar="SITE/SYSTEM", help="Name of the system. [default: guessed from the host name]")
@click.option("--to", "target", type=PATH, metavar="FILE", help="Write to FILE instead of printing; never overwrites.")
def new(name: str | None, target: Path | None) -> None:
    """Write a draft of a site file for this machine.

    The draft is based on the host name, the cores, the module system, and the queues of every scheduler that answers
    here (Slurm, Flux, PBS, LSF).
    """
    from site_configs.draft import draft
    from site_configs.errors import SiteError
    from site_configs.survey import survey

    text = draft(survey(), name)
    if target is None:
        click.echo(text, nl=False)
        return
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SiteError(f"{target} exists and was not changed: choose another file name with --to.") from None
    except OSError as error:
        raise SiteError(f"{target} cannot be written: {error.strerror or error}.") from error
    click.echo(f"Wrote {target}. Read and complete it, then run: exaworks sites check {target}", err=True)
