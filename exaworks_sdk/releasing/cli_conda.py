"""``exaworks release conda``: a release as a conda environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from exaworks_sdk.paths import Places


@click.command(
    epilog="""\b
Examples:
  exaworks release conda                     print the environment file of the newest release
  exaworks release conda --to DIR            write it and the release's lock, for `conda env create`
  exaworks release conda --install           create the environment and print its folder
  exaworks release conda --lock FILE         list conda's own packages with their hashes
  exaworks release conda --install --from FILE     create it from such a list
  exaworks validate --deployment conda       create and test it

\b
--install and --lock need micromamba, mamba or conda, and the channel conda-forge or a mirror of it.
"""
)
@click.argument("name", required=False)
@click.option("--to", type=click.Path(file_okay=False), help="Write environment.yml and the lock into this folder.")
@click.option("--install", is_flag=True, help="Create the environment, if it is absent; print its folder.")
@click.option("--from", "given", type=click.Path(exists=True, dir_okay=False), help="With --install: a list of --lock.")
@click.option("--lock", type=click.Path(dir_okay=False), help="Solve here and write the list of conda's packages.")
@click.pass_obj
def conda(places: Places, name: str | None, to: str | None, install: bool, given: str | None, lock: str | None) -> None:
    """Print, write, lock or create the conda environment of release NAME, or of the newest.

    conda provides the interpreter; the components come from the release's lock, at the same versions and with the same
    hashes as in a pip environment.
    """
    import os
    from pathlib import Path

    from exaworks_sdk.conda import conda_deployment, environment_text, make_lock
    from exaworks_sdk.release import load

    if given and not install:
        raise click.UsageError("--from needs --install")
    release = load(name)
    if lock:
        _write({Path(lock): make_lock(release, os.environ)})
    if to:
        lock_text = release.lock.read_text(encoding="utf-8")
        _write({Path(to) / "environment.yml": environment_text(release), Path(to) / release.lock.name: lock_text})
    if install:
        chosen = Path(given).resolve() if given else None
        folder = conda_deployment(
            places, release, os.environ, lock=chosen, progress=lambda line: click.echo(line, err=True)
        )
        click.echo(folder)
    if not (to or install or lock):
        click.echo(environment_text(release), nl=False)


def _write(files: dict[Path, str]) -> None:
    from exaworks_sdk.errors import ReleaseError

    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ReleaseError(f"{path}: cannot be written: {error.strerror or error}") from error
        click.echo(path)
