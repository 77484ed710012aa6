"""Manual pages: ``exaworks(1)``, and one page for each of its commands with all subcommands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from exaworks_sdk.manual.commands import CommandPage, Option, Paragraph
from exaworks_sdk.variables import VARIABLES, Audience

SECTION = "1"


def manual_pages(root: CommandPage, version: str) -> dict[str, str]:
    """Return the text of each page in roff, by its file name: ``{"exaworks-validate.1": …}``."""
    pages = {_file(root): _root_page(root, version)}
    for command in root.subcommands:
        pages[_file(command)] = _command_page(command, root, version)
    return pages


def _file(command: CommandPage) -> str:
    return f"{'-'.join(command.path)}.{SECTION}"


def _root_page(root: CommandPage, version: str) -> str:
    return _page(
        _head(root, version),
        ".SH COMMANDS",
        _list((f"\\fB{_text(each.name)}\\fR({SECTION})", each.summary) for each in _titled(root.subcommands)),
        ".SH OPTIONS",
        _options(root.options),
        ".SH ENVIRONMENT",
        _list((f"\\fB{each.name}\\fR", each.sets) for each in VARIABLES if each.audience is Audience.EVERYBODY),
        _epilog(root.epilog, ".SH"),
        _see_also(_file(each) for each in root.subcommands),
    )


def _titled(commands: Iterable[CommandPage]) -> Iterator[CommandPage]:
    """Return the commands, each with the name of its manual page as its path."""
    for each in commands:
        yield CommandPage(("-".join(each.path),), each.usage, each.summary, (), (), ())


def _command_page(command: CommandPage, root: CommandPage, version: str) -> str:
    subcommands = [_subcommand(each) for each in command.walk() if each is not command]
    return _page(
        _head(command, version),
        ".SH OPTIONS",
        _options(command.options),
        *([".SH SUBCOMMANDS", *subcommands] if subcommands else []),
        _epilog(command.epilog, ".SH"),
        _see_also([_file(root)]),
    )


def _head(command: CommandPage, version: str) -> str:
    title = "-".join(command.path)
    return _page(
        f'.TH "{_text(title.upper())}" "{SECTION}" "" "ExaWorks SDK {_text(version)}" "ExaWorks SDK"',
        ".SH NAME",
        f"{_text(title)} \\- {_inline(command.summary[:1].lower() + command.summary[1:])}",
        ".SH SYNOPSIS",
        _usage(command),
        ".SH DESCRIPTION",
        _body(command.description),
    )


def _subcommand(command: CommandPage) -> str:
    return _page(
        f".SS {_text(command.name)}",
        _usage(command),
        ".PP",
        _body(command.description),
        _options(command.options),
        _epilog(command.epilog, ".PP"),
    )


def _usage(command: CommandPage) -> str:
    return f"\\fB{_text(command.name)}\\fR {_text(command.usage.removeprefix(command.name).strip())}".rstrip()


def _options(options: Iterable[Option]) -> str:
    return _list((f"\\fB{_text(each.syntax)}\\fR", each.help) for each in options)


def _list(entries: Iterable[tuple[str, str]]) -> str:
    return _page(*(f".TP\n{term}\n{_inline(text) or '(no further explanation)'}" for term, text in entries))


def _body(blocks: Iterable[Paragraph]) -> str:
    return "\n.PP\n".join(f".nf\n{_text(each.text)}\n.fi" if each.verbatim else _inline(each.text) for each in blocks)


def _epilog(blocks: Iterable[Paragraph], heading: str) -> str:
    """Return the end of a command's help; a block that begins with a title such as ``Examples:`` gets a heading."""
    parts: list[str] = []
    for block in blocks:
        title, _, rest = block.text.partition("\n")
        if block.verbatim and title.endswith(":") and rest:
            heading_line = f".SH {title.rstrip(':').upper()}" if heading == ".SH" else f".PP\n{_text(title)}"
            parts.append(_page(heading_line, _body([Paragraph(rest, verbatim=True)])))
        else:
            parts.append(_page(".PP", _body([block])))
    return _page(*parts)


def _see_also(files: Iterable[str]) -> str:
    names = [re.sub(r"\.(\d)$", r"\\fR(\1)", _text(file)) for file in files]
    return _page(".SH SEE ALSO", ",\n".join(f"\\fB{name}" for name in names))


def _page(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _inline(text: str) -> str:
    """Return a paragraph in roff; what stands between backticks is bold."""
    return re.sub(r"`+([^`]+)`+", r"\\fB\1\\fR", _text(text))


def _text(text: str) -> str:
    """Escape what roff reads as a command: backslashes, hyphens, and a dot or an apostrophe that begins a line."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", escaped, flags=re.MULTILINE)
