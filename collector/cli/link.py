"""``exaworks collector link``: print an address that opens the dashboard of the running collector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from collector.cli.options import examples


@click.command(epilog=examples("link", "link --site ornl"))
@click.option("--site", default="*", metavar="SITE", help="Show this site only. [default: every site]")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The ready file of the collector. [default: ready.json in the collector's folder]",
)
@click.pass_obj
def link(places: Any, site: str, ready_file: Path | None) -> None:
    """Print an address that opens the running dashboard once. The reader cannot upload with it."""
    import json

    import requests

    from collector.errors import CollectorError

    file = ready_file or places.collector / "ready.json"
    try:
        ready = json.loads(file.read_text(encoding="utf-8"))
        url, token = str(ready["url"]), Path(ready["token_file"]).read_text(encoding="utf-8").strip()
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{file} and the token file in it cannot be read: {error}. Start a collector first: "
        raise CollectorError(f"{message}exaworks collector serve") from error
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.post(
                f"{url}/api/v1/links", json={"site": site}, headers={"Authorization": f"Bearer {token}"}, timeout=10
            )
            document = answer.json()
        except (requests.RequestException, ValueError) as error:
            raise CollectorError(
                f"the collector at {url} does not answer: {type(error).__name__}. Is it running?"
            ) from error
    if answer.status_code != 201:
        raise CollectorError(f"the collector at {url} refused the link: {document.get('detail', answer.status_code)}")
    click.echo(f"{url}{document['path']}")
