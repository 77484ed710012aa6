"""A page for each command of the command line, and the list of all commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from docs_site.text import code, table
from exaworks_sdk.cli import CHECKOUT_ONLY, GROUP, main
from exaworks_sdk.manual import CommandPage, installed_group, pages_of
from exaworks_sdk.manual.commands import Paragraph

FOLDER = "reference/commands"
_PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def root() -> CommandPage:
    """Return all commands of this checkout, also if another version of the package is installed."""
    declared = _PROJECT.read_text(encoding="utf-8").partition(f'[project.entry-points."{GROUP}"]\n')[2]
    points = re.findall(r'^(\w+) = "([\w.:]+)"$', declared.partition("\n\n")[0], re.MULTILINE)
    return pages_of(installed_group(main, {**dict(points), **CHECKOUT_ONLY}))


def pages() -> dict[str, str]:
    """Return the pages by their path in the site."""
    commands = root()
    return {
        f"{FOLDER}/index.md": _index(commands),
        **{f"{FOLDER}/{each.path[-1]}.md": _page(each) for each in commands.subcommands},
    }


def _index(commands: CommandPage) -> str:
    rows = []
    for each in commands.walk():
        if each is not commands:
            page = f"{each.path[1]}.md"
            target = page if len(each.path) == 2 else f"{page}#{anchor(each)}"
            rows.append((f"[`{each.name}`]({target})", each.summary))
    marked = ", ".join(f"`{name}`" for name in sorted(CHECKOUT_ONLY))
    return "\n\n".join(
        (
            "# Commands",
            *_body(commands.description),
            f"In a checkout the program is `./exaworks`. Only a checkout has the commands {marked}.",
            table(("command", "does"), rows),
            "## Options of every command",
            _options(commands),
            *_epilog(commands.epilog),
            "",
        )
    )


def anchor(command: CommandPage) -> str:
    """Return the anchor of a subcommand's heading."""
    return "-".join(command.path).lower()


def _page(command: CommandPage) -> str:
    parts = [f"# {command.name}", *_section(command)]
    for each in command.walk():
        if each is not command:
            parts += [f"## {each.name}", *_section(each)]
    return "\n\n".join((*parts, ""))


def _section(command: CommandPage) -> Iterator[str]:
    yield f"```text\n{command.usage}\n```"
    yield from _body(command.description)
    if command.subcommands:
        listed = [(f"[`{each.path[-1]}`](#{anchor(each)})", each.summary) for each in command.subcommands]
        yield table(("subcommand", "does"), listed)
    yield _options(command)
    yield from _epilog(command.epilog)


def _options(command: CommandPage) -> str:
    return table(("option", "does"), [(code(option.syntax), _escaped(option.help)) for option in command.options])


def _body(paragraphs: tuple[Paragraph, ...]) -> Iterator[str]:
    for each in paragraphs:
        yield f"```text\n{each.text}\n```" if each.verbatim else _escaped(each.text)


def _epilog(paragraphs: tuple[Paragraph, ...]) -> Iterator[str]:
    for each in paragraphs:
        title, _, rest = each.text.partition("\n")
        if each.verbatim and title.endswith(":") and rest:
            yield title
            yield f"```text\n{rest}\n```"
        else:
            yield from _body((each,))


def _escaped(text: str) -> str:
    """Return text in which nothing but code in backticks is formatted."""
    spans = text.split("`")
    plain = [part.replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;").replace("[", "\\[") for part in spans]
    return "`".join(plain[n] if n % 2 == 0 else spans[n] for n in range(len(spans)))
