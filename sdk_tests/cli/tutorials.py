"""``exaworks tutorials``: the tutorials as notebooks in JupyterLab, with the components and a private Slurm."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places
    from exaworks_sdk.tutorials.jupyter import Server

EXAMPLES = """\b
Examples:
  exaworks tutorials                         open the tutorials in JupyterLab; Ctrl-C ends it
  exaworks tutorials --no-browser            only print the address
  exaworks tutorials --write --to notebooks  write the notebooks and start nothing
  exaworks tutorials --deployment ~/my-env   with the components of another environment
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, resolve_path=True),
    metavar="DIR",
    help="The folder to work in; notebooks that are there stay. [default: tutorials in EXAWORKS_HOME]",
)
@click.option("--fresh", is_flag=True, help="Replace notebooks that are there by new ones.")
@click.option("--write", is_flag=True, help="Write the notebooks, print their paths, and start nothing.")
@click.option(
    "--deployment",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    metavar="DIR",
    help="A Python environment with the components. [default: the release, installed with pip]",
)
@click.option(
    "--jupyter",
    "environment",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    metavar="DIR",
    help="A Python environment with JupyterLab. [default: one that the first start creates]",
)
@click.option("--no-slurm", is_flag=True, help="Start no private Slurm.")
@click.option("--no-browser", is_flag=True, help="Open no browser.")
@click.option("--port", type=click.IntRange(1, 65535), default=8888, show_default=True, help="The first port to try.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on; another one than loopback is for containers.",
)
@click.pass_obj
def tutorials(
    places: Places,
    folder: str | None,
    fresh: bool,
    write: bool,
    deployment: str | None,
    environment: str | None,
    no_slurm: bool,
    no_browser: bool,
    port: int,
    host: str,
) -> None:
    """Open the tutorials as notebooks in JupyterLab, on this machine.

    The first start creates JupyterLab's environment and the release's. Where Slurm's packages are installed, a private
    Slurm with two nodes runs until the command ends. The link that is printed holds a token; without it nobody can use
    the server.
    """
    from exaworks_sdk.install import pip_deployment
    from exaworks_sdk.release import load
    from exaworks_sdk.tutorials import jupyter, workspace

    # As an interrupt: the first process of a container gets no other signal, and would ignore this one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    target = Path(folder) if folder else places.home / "tutorials"
    written = workspace.write_notebooks(target, replace=fresh)
    if write:
        for path in written:
            click.echo(path)
        return
    python = Path(environment, "bin", "python") if environment else jupyter.make_environment(places, _progress)
    components = Path(deployment) if deployment else pip_deployment(places, load(None), progress=_progress)
    with _slurm(places, wanted=not no_slurm) as environ:
        server = jupyter.Server(
            python=python,
            folder=target,
            environ=workspace.environment(target, components, environ),
            host=host,
            port=jupyter.free_port(port, host),
            browser=not no_browser,
        )
        _serve(server)


def _serve(server: Server) -> None:
    from exaworks_sdk.tutorials import jupyter

    with jupyter.running(server) as process:
        click.echo(f"JupyterLab with the tutorials in {server.folder}:\n  {server.link}\nCtrl-C ends it.")
        try:
            process.wait()
        except KeyboardInterrupt:
            click.echo("ending JupyterLab", err=True)


@contextmanager
def _slurm(places: Places, *, wanted: bool) -> Iterator[dict[str, str]]:
    """Run a private Slurm during the block, if it is wanted and possible; the value is the environment to use it."""
    from sdk_tests.testbeds import manage

    reason = manage.kind_of("slurm").absent() if wanted else None
    if reason:
        click.echo(f"no private Slurm, so the tutorials of PSI/J and Parsl cannot run: {reason}", err=True)
    if reason or not wanted:
        yield dict(os.environ)
        return
    testbed = manage.up("slurm", places.home, nodes=2, cores=2, owner_pid=os.getpid())
    try:
        yield manage.environment(testbed, os.environ)
    finally:
        manage.down(places.home, testbed.id)


def _progress(line: str) -> None:
    click.echo(line, err=True)
