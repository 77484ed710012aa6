"""The root command. It finds the commands of every package through entry points and loads only the requested one."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import click

from exaworks_sdk import __version__
from exaworks_sdk.errors import CommandError
from exaworks_sdk.signal_state import restore_signals

GROUP = "exaworks.commands"
CHECKOUT_ONLY = {"ci": "ci.cli:ci", "docs": "docs_site.cli:docs", "images": "containers.cli:images"}
"""Commands of packages that are never installed, because their names could collide in a shared site-packages."""


DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE, errno.EBADF)
"""Errors of the output or of a file system; any other error that a command does not handle is a defect."""


class Commands(click.Group):
    """A group whose commands are the entry points of ``exaworks.commands`` and, in a checkout, ``CHECKOUT_ONLY``."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command. A full disk or an output that cannot be written ends it with a sentence and exit code 2."""
        restore_signals()
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise
            what = error.filename or "the output or a file"
            with contextlib.suppress(OSError):  # standard error has no room either
                click.echo(f"Error: {what} could not be written or read: {error.strerror}", err=True)
            sys.exit(2)
        finally:
            _flush_output()

    def _points(self) -> dict[str, EntryPoint]:
        points = {point.name: point for point in entry_points(group=GROUP)}
        for name, value in CHECKOUT_ONLY.items():
            if _importable(value.partition(".")[0]):
                points[name] = EntryPoint(name, value, GROUP)
        return points

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._points())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        point = self._points().get(cmd_name)
        if point is None:
            return None
        try:
            command: click.Command = point.load()
        except ImportError as error:
            return _unloadable(point, error)
        return command


def _flush_output() -> None:
    """Flush the output. One that cannot be written goes to the null device, or Python would exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None or stream.closed:
            continue
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


def _importable(package: str) -> bool:
    """Make one package of the checkout importable, without adding the whole checkout to the module search path."""
    from exaworks_sdk.paths import checkout

    root = checkout()
    folder = root / package if root is not None else None
    if folder is None or not (folder / "cli.py").is_file():
        return False
    known = sys.modules.get(package)
    if known is not None:
        return list(getattr(known, "__path__", [])) == [str(folder)]
    spec = spec_from_file_location(package, folder / "__init__.py", submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None:
        return False
    module = module_from_spec(spec)
    sys.modules[package] = module
    spec.loader.exec_module(module)
    return True


def _unloadable(point: EntryPoint, error: ImportError) -> click.Command:
    """Return a replacement for a command that cannot be imported, so that the other commands still work."""
    message = f"{point.name} cannot be loaded from {point.value}: {error}. Reinstall the package that provides it."

    def refuse(arguments: tuple[str, ...]) -> None:
        raise CommandError(message)

    anything = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
    settings = {"ignore_unknown_options": True}
    return click.Command(point.name, settings, refuse, [anything], help=message, short_help="(cannot be loaded)")


EXAMPLES = """\b
Examples:
  exaworks validate                          run all cases that this machine can run
  exaworks validate --tier smoke --scheduler slurm
  exaworks results list                      list earlier runs
  exaworks collector serve                   show them in the dashboard
"""


@click.group(
    cls=Commands,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="exaworks")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Install and validate the ExaWorks SDK: Flux, Parsl, RADICAL-Cybertools, Swift/T and PSI/J."""
    from exaworks_sdk.paths import places

    ctx.obj = places()


if __name__ == "__main__":
    main()
