"""``exaworks docs``: build the documentation site, read it, and make its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.group(
    epilog="""\b
Examples:
  ./exaworks docs serve                    read the site at http://127.0.0.1:8000
  ./exaworks docs build --to site
"""
)
def docs() -> None:
    """Build the documentation site from docs/ and the code, read it on this machine, and make its pictures.

    The commands run in the development environment, like `selftest`.
    """


@docs.command(
    epilog="""\b
Examples:
  exaworks docs build                      the site of this checkout, in .exaworks/site
  exaworks docs build --releases --to public
"""
)
@click.option(
    "--to", "target", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="[default: .exaworks/site]"
)
@click.option("--releases", is_flag=True, help="Also build the site of each release that has a tag in git.")
@click.pass_context
def build(context: click.Context, target: Path | None, releases: bool) -> None:
    """Build the site; a warning, such as a link without a target, is an error.

    The folder has one folder for each version, and a first page that leads to the newest. It needs no server: open
    index.html.
    """
    from docs_site import versions

    checkout = _checkout(context)
    folder = target or Path(context.obj.home) / "site"
    for name in versions.build_all(checkout, folder, releases=releases, progress=_progress):
        click.echo(folder / name / "index.html")


@docs.command(epilog="\b\nExamples:\n  exaworks docs serve\n  exaworks docs serve --port 8001")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="The port on loopback.")
@click.pass_context
def serve(context: click.Context, port: int) -> None:
    """Serve the site on loopback, and build it again when a page in docs/ changes."""
    from docs_site.build import serve as serve_site

    context.exit(serve_site(_checkout(context), port))


@docs.command(epilog="\b\nExamples:\n  exaworks docs pictures\n  exaworks docs pictures --to /tmp/pictures")
@click.option(
    "--to", "target", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="[default: docs/pictures]"
)
@click.pass_context
def pictures(context: click.Context, target: Path | None) -> None:
    """Make the pictures of the site: the terminal of a real run, its report, and every dashboard page, in Chromium."""
    from docs_site.pictures import make_all

    checkout = _checkout(context)
    for path in make_all(checkout, target or checkout / "docs" / "pictures", _progress):
        click.echo(path)


def _progress(line: str) -> None:
    click.echo(line, err=True)


def _checkout(context: click.Context) -> Path:
    """Return the root of the checkout, which always exists: an installation does not have this command."""
    from importlib.util import find_spec

    from docs_site.errors import DocsError

    if find_spec("mkdocs") is None:
        raise DocsError("the packages of the docs extra are absent: run ./exaworks docs, or install .[docs].")
    root: Any = context.obj.checkout
    return Path(root)
