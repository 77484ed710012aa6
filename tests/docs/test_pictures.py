"""The pictures of the site: each exists, is shown, and a terminal is drawn as a terminal shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector.pages import all_pages
from docs_site.pictures import DASHBOARD, REPORT, TERMINAL
from docs_site.pictures.dashboard import names
from docs_site.pictures.terminal import drawing, screen_of

ROOT = Path(__file__).resolve().parents[2]


def test_every_dashboard_page_the_terminal_and_the_report_have_a_picture() -> None:
    text = (ROOT / "docs/pictures.md").read_text()
    shown = re.findall(r"!\[[^\]]+\]\(pictures/([^)]+)\)", text)
    wanted = [TERMINAL, REPORT, *(DASHBOARD.format(name) for name in names())]
    assert sorted(shown) == sorted(wanted) == sorted(path.name for path in (ROOT / "docs/pictures").iterdir())
    assert {page.template for page in all_pages()} == {f"{name}.html" for name in names()}


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        ("one\r\ntwo\r\n", ["one", "two"]),
        ("one\ntwo\n", ["one", "two"]),
        ("10 %\r50 %\rdone\n", ["done"]),
        ("\x1b[2Kbar\r\x1b[2Kend\n", ["end"]),
        ("a\nb\n\x1b[2A\x1b[JC\n", ["C"]),
        ("\x1b[32mgreen\x1b[0m plain\n", ["green plain"]),
        ("x" * 115 + "\n", ["x" * 110, "x" * 5]),
    ],
)
def test_a_screen_shows_what_remains_of_the_output(output: str, lines: list[str]) -> None:
    assert [line.rstrip() for line in screen_of(output).plain.splitlines()] == lines


def test_a_drawing_has_the_colours_and_the_text_and_loads_no_font() -> None:
    svg = drawing(screen_of("\x1b[1;31mFAIL\x1b[0m <case> & more\n"), "./exaworks validate")
    assert ">FAIL</text>" in svg
    assert "&lt;case&gt;&#160;&amp;&#160;more" in svg
    assert "./exaworks" in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", "")
    assert "font-face" not in svg
    assert re.search(r"terminal-r1 \{ fill: #[0-9a-f]{6}", svg)
