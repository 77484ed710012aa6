"""``exaworks collector serve``: run the server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from collector.cli.options import database_option, examples, key_file

PROCESS_TOKEN = "EXAWORKS_COLLECTOR_EPHEMERAL_TOKEN"  # noqa: S105


@click.command(
    epilog=examples(
        "serve",
        "serve --port 0 --ready-file ready.json",
        "serve --database postgresql://collector@db.example.org/collector",
        "serve --public-url https://status.example.org --trusted-proxy 127.0.0.1",
    )
)
@database_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8350, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 chooses a free one."
)
@click.option("--allow-remote", is_flag=True, help="Permit an address that other machines can reach.")
@click.option("--private", is_flag=True, help="Require a token from readers too.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write address and process id to this file once connections are accepted.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a token to this file, for uploading and reading while this process runs.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="YAML file with issuers of identity tokens and rate limits.",
)
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    metavar="ADDRESS/NET",
    help="Proxy whose X-Forwarded-For and X-Forwarded-Proto count; can be repeated. [default: none]",
)
@click.option(
    "--public-url",
    metavar="URL",
    help="Address under which browsers reach the proxy, such as https://status.example.org.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Further host name of this server; can be repeated. Requests for other names are refused.",
)
@click.option("--exit-with", type=click.IntRange(min=1), metavar="PID", help="Stop when this process ends.")
@click.pass_obj
def serve(
    places: Any,
    database: str | None,
    host: str,
    port: int,
    allow_remote: bool,
    private: bool,
    ready_file: Path | None,
    token_file: Path | None,
    config_file: Path | None,
    trusted_proxies: tuple[str, ...],
    public_url: str | None,
    allowed_hosts: tuple[str, ...],
    exit_with: int | None,
) -> None:
    """Run the server until Ctrl-C.

    Once connections are accepted, the address is printed, and written to the ready file as JSON {url, pid, started,
    token_file}. Ready file and token file are removed at the end. With the default database they are ready.json and
    token in the collector's folder, which only you can read. A token in EXAWORKS_COLLECTOR_EPHEMERAL_TOKEN is accepted
    by this process only, for uploading and reading.
    """
    process_token = os.environ.pop(PROCESS_TOKEN, None) or None
    from collector.server.serve import Options, serve
    from collector.store.database import database_url

    url = database_url(database, places.collector)
    if database is None:
        ready_file = ready_file or places.collector / "ready.json"
        token_file = token_file or places.collector / "token"
    options = Options(
        url=url,
        key_file=key_file(places, url),
        host=host,
        port=port,
        allow_remote=allow_remote,
        ready_file=ready_file,
        token_file=token_file,
        exit_with=exit_with,
        private=private,
        process_token=process_token,
        config_file=config_file,
        trusted_proxies=trusted_proxies,
        public_url=public_url,
        allowed_hosts=allowed_hosts,
    )
    serve(options, echo=lambda line: click.echo(line, err=True))
