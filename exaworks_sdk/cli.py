"""The root command: finds each room's commands through entry points and loads only the one that is asked for."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

import click

from exaworks_sdk import __version__
from exaworks_sdk.errors import CommandError


class Rooms(click.Group):
    """A group whose commands are the entry points of ``exaworks.commands``."""

    def _points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group="exaworks.commands")}

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


def _unloadable(point: EntryPoint, error: ImportError) -> click.Command:
    """Stand in for a command whose room or plugin is broken, so that the others still work."""
    message = f"{point.name} cannot be loaded from {point.value}: {error}. Reinstall what provides it."

    def refuse(arguments: tuple[str, ...]) -> None:
        raise CommandError(message)

    anything = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
    settings = {"ignore_unknown_options": True}
    return click.Command(point.name, settings, refuse, [anything], help=message, short_help="(cannot be loaded)")


EXAMPLES = """\b
Examples:
  exaworks validate                          everything this machine can run
  exaworks validate --tier smoke --scheduler slurm
  exaworks results list                      earlier runs
  exaworks collector serve                   open the dashboard on them
"""


@click.group(
    cls=Rooms,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="exaworks")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Install and prove the ExaWorks SDK: Flux, Parsl, RADICAL-Cybertools, Swift/T and PSI/J."""
    from exaworks_sdk.paths import places

    ctx.obj = places()


if __name__ == "__main__":
    main()
