"""``exaworks sites refresh``: which facts of site files have to be compared with the facilities' pages again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  exaworks sites refresh                        every fact of every file, with its page and its age
  exaworks sites refresh --old                  only those to compare again
  exaworks sites refresh anl/aurora --days 90
  exaworks sites refresh --site-file mysite.yaml --json

\b
Exit codes: 0 no fact is older than --days, 1 at least one is, or its age is unknown,
2 usage error, or a file that cannot be read.
"""
)
@click.argument("names", metavar="[SITE/SYSTEM]...", nargs=-1)
@click.option("--site-file", type=click.Path(path_type=Path), help="A site file to show, or to search for NAMES first.")
@click.option("--old", "only_old", is_flag=True, help="Show only facts that are too old.")
@click.option(
    "--days", type=click.IntRange(min=0), default=180, show_default=True, help="Age from which a fact is too old."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def refresh(names: tuple[str, ...], site_file: Path | None, only_old: bool, days: int, as_json: bool) -> None:
    """Print for each fact of site files the public page that states it, and how old that knowledge is.

    Nothing is looked up: read the pages, correct the file, and then write the day into `as_of` and `checked` of its
    source. A page that was read in a stored copy is as old as the copy. Values without a page are listed last. Facts
    of retired systems never count as too old.
    """
    from site_configs.load import find, load_file, site_files, today
    from site_configs.refresh import review

    chosen = list(names or ([] if site_file else sorted(site_files())))
    if site_file is not None and not names:
        chosen = [load_file(site_file).system]
    reviews = []
    for name in chosen:
        own = site_file is not None and load_file(site_file).system == name
        system = find(name, site_file=site_file)
        file = site_file if own and site_file is not None else site_files()[name]
        reviews.append(review(system, file, today(), days))
    if as_json:
        click.echo(json.dumps([row for each in reviews for row in each.rows(only_old)], indent=2))
    else:
        for each in reviews:
            for line in each.lines(only_old):
                click.echo(line)
        for each in reviews:
            click.echo(each.summary())
    if any(each.old for each in reviews):
        sys.exit(1)
