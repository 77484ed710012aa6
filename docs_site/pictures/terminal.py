"""A picture of a terminal: the screen that a program leaves, as SVG."""

from __future__ import annotations

import io
import re
from itertools import groupby

import pyte
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.style import Style
from rich.text import Text

WIDTH = 110
HEIGHT = 400
"""Rows of the screen: more than any output has, so that nothing is scrolled away."""

_WEB_FONTS = re.compile(r"\s*@font-face \{\{.*?\}\}", re.DOTALL)
_FONT = '"DejaVu Sans Mono", Menlo, Consolas'


def screen_of(output: str) -> Text:
    """Return what a terminal shows after this output: text with colours; a progress bar leaves only its last state."""
    screen = pyte.Screen(WIDTH, HEIGHT)
    pyte.Stream(screen).feed(output.replace("\r\n", "\n").replace("\n", "\r\n"))
    lines = []
    for number in range(HEIGHT):
        cells = [screen.buffer[number][column] for column in range(WIDTH)]
        line = Text()
        for style, run in groupby(cells, _style):
            line.append("".join(cell.data for cell in run), style)
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return Text("\n").join(lines)


def _style(cell: pyte.screens.Char) -> Style:
    return Style(color=_colour(cell.fg), bold=cell.bold or None, italic=cell.italics or None)


def _colour(name: str) -> str | None:
    """Return a colour of pyte by rich's name, or None for the terminal's own."""
    if name == "default":
        return None
    if re.fullmatch("[0-9a-f]{6}", name):
        return f"#{name}"
    return {"brown": "yellow"}.get(name, name.replace("bright", "bright_").replace("bright_brown", "bright_yellow"))


def drawing(screen: Text, title: str) -> str:
    """Return the SVG of a screen. It uses the fonts of the reader's machine, and loads none from the network."""
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(screen)
    template = (
        _WEB_FONTS.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code", "monospace").replace("monospace, ", f"{_FONT}, ")
    )
    return console.export_svg(title=title, code_format=template, unique_id="terminal")
