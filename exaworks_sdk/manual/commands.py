"""The click commands as values: what a manual page or a reference page shows of each."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint

import click

PROGRAM = "exaworks"


@dataclass(frozen=True)
class Option:
    """One option as ``--help`` shows it: ``--tier [smoke|integration]``, and what it does with its default."""

    syntax: str
    help: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of a command's help; the line breaks of a ``verbatim`` one (``\\b`` in click) stay."""

    text: str
    verbatim: bool = False


@dataclass(frozen=True)
class CommandPage:
    """One command with its subcommands; ``path`` is how it is called: ``("exaworks", "results", "show")``."""

    path: tuple[str, ...]
    usage: str
    summary: str
    description: tuple[Paragraph, ...]
    options: tuple[Option, ...]
    epilog: tuple[Paragraph, ...]
    subcommands: tuple[CommandPage, ...] = ()

    @property
    def name(self) -> str:
        return " ".join(self.path)

    def walk(self) -> Iterator[CommandPage]:
        """Return the command and all below it, each before its subcommands."""
        yield self
        for command in self.subcommands:
            yield from command.walk()


def installed_group(root: click.Group, points: Mapping[str, str]) -> click.Group:
    """Return the root command with the commands of entry points, ``{"validate": "sdk_tests.cli.validate:validate"}``.

    A wheel is built before its entry points are installed, so the root command itself would not find them.
    """
    commands = {name: EntryPoint(name, value, "").load() for name, value in points.items()}
    return click.Group(
        root.name,
        commands,
        help=root.help,
        epilog=root.epilog,
        params=root.params,
        context_settings=root.context_settings,
    )


def pages_of(
    command: click.Command, name: str = PROGRAM, parent: click.Context | None = None, path: tuple[str, ...] = ()
) -> CommandPage:
    """Return the page of a command and of every command below it that is not hidden."""
    settings = {key: value for key, value in command.context_settings.items() if key != "obj"}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    path = (*path, name)
    children: list[CommandPage] = []
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None and not child.hidden:
                children.append(pages_of(child, child_name, context, path))
    records = [_record(param, context) for param in command.get_params(context)]
    return CommandPage(
        path=path,
        usage=" ".join((*path, *command.collect_usage_pieces(context))),
        summary=command.get_short_help_str(limit=500).rstrip("."),
        description=paragraphs(command.help),
        options=tuple(Option(*record) for record in records if record is not None),
        epilog=paragraphs(command.epilog),
        subcommands=tuple(children),
    )


def _record(param: click.Parameter, context: click.Context) -> tuple[str, str] | None:
    """Return how ``--help`` shows a parameter; an argument without a text of its own is in the usage alone."""
    record = param.get_help_record(context)
    return record if record is not None and (record[1] or param.param_type_name == "option") else None


def paragraphs(text: str | None) -> tuple[Paragraph, ...]:
    """Split a help text of click into its paragraphs."""
    if not text:
        return ()
    blocks = inspect.cleandoc(text).partition("\f")[0].split("\n\n")
    return tuple(_paragraph(block) for block in blocks if block.strip("\n\b "))


def _paragraph(block: str) -> Paragraph:
    first, _, rest = block.strip("\n").partition("\n")
    if first.strip() == "\b":
        return Paragraph(rest.rstrip(), verbatim=True)
    return Paragraph(" ".join(block.split()))
