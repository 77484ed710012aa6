"""Every page in Chromium with two, forty and ten thousand systems: wide and narrow, light and dark, with axe-core, with
the keyboard alone, and without JavaScript."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.history import fill
from benchmarks.spells import Shape
from collector.clock import now_ms
from collector.formatting import plain_link
from collector.store.database import Store, database_url, open_store
from tests.collector.crowd import fill_crowd
from tests.collector.pages.test_dashboard import PAGES, addresses
from tests.collector.process import Collector

pytestmark = pytest.mark.needs("chromium")

Shown = tuple[Collector, dict[str, str]]

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDTHS = {1280: 900, 390: 800}
TABS = 30
"""The number of times that Tab is pressed on a page."""

SHOTS = os.environ.get("EXAWORKS_SCREENSHOTS")
"""A folder for screenshots, which continuous integration publishes."""

VARIANTS: dict[str, dict[str, str]] = {
    "/?view=dense": {"view": "dense"},
    "/?sort=site": {"sort": "site"},
    "/?state=silent": {"state": "silent"},
    "/triage?change=new": {"change": "new"},
    "/systems/{site}/{system}?show=all": {"show": "all"},
    "/search?q": {"q": "system"},
    "/compare?runs": {},
    "/compare?sites": {},
    "no such page": {},
}
"""Pages that look different with a query, besides each page without one."""

TABLE = [*PAGES, *VARIANTS]


@pytest.fixture(
    scope="module", params=[40, pytest.param(2, marks=pytest.mark.long), pytest.param(10_000, marks=pytest.mark.long)]
)
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A collector with so many systems, and the address of each page of the table."""
    home = tmp_path_factory.mktemp(f"systems-{request.param}")
    history = open_store(database_url(None, home / "collector"))
    if request.param == 10_000:
        with history.writing() as connection:
            fill_crowd(connection, now_ms())
    fill(history, Shape(systems=min(request.param, 40), cases=18, nights=3, bad_night=True))
    places = _places(history)
    history.close()
    served = Collector(home)
    yield served, places
    assert served.stop() == 0


def _places(history: Store) -> dict[str, str]:
    names = dict(addresses(history, now=now_ms()))
    places = {path: _address(path, names[path]) for path in PAGES}
    for variant, query in VARIANTS.items():
        path = variant.partition("?")[0]
        if path in PAGES:
            places[variant] = _address(path, names[path], **query)
    run = names["/runs/{site}/{system}/{run_id}"]
    before = f"{run['site']}/{run['system']}/{names['/compare/{before}/{after}']['before']}"
    places["/compare?runs"] = plain_link("compare", before=before, after=f"{run['site']}/{run['system']}")
    places["/compare?sites"] = plain_link("compare", before=run["site"], after=run["site"])
    return places | {"no such page": "/systems/nowhere/nothing"}


def _address(path: str, names: dict[str, str], **query: str) -> str:
    parts = [names[part[1:-1]] if part.startswith("{") else part for part in path.strip("/").split("/")]
    return plain_link(*parts, **query)


@pytest.fixture
def opened(shown: Shown, browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A function that opens a page of the table; at the end, nothing may have come from elsewhere or gone wrong."""
    served, places = shown
    contexts: list[Any] = []
    requested: list[str] = []
    messages: list[str] = []

    def open_(path: str, width: int, scripts: bool = True) -> Any:
        size = {"width": width, "height": WIDTHS[width]}
        context = browser.new_context(viewport=size, java_script_enabled=scripts, bypass_csp=scripts)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("request", lambda each: requested.append(each.url))
        page.on("console", lambda message: messages.append(message.text))
        answer = page.goto(served.url + places[path])
        missing = path == "no such page"
        assert answer.status == (404 if missing else 200)
        if missing:
            messages.clear()  # Chromium logs every status that is an error
        return page

    yield open_
    for context in contexts:
        assert context.cookies() == []
        context.close()
    assert {url.split("/", 3)[2] for url in requested} == {served.url.removeprefix("http://")}
    assert messages == []


@pytest.mark.slow
@pytest.mark.parametrize("path", TABLE)
def test_axe_finds_nothing_and_the_page_fits_its_window(opened: Any, path: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened(path, 1280)
    for width, height in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            _screenshot(page, path, f"{width}-{scheme}")
            wanted = WCAG if scheme == "light" else ["color-contrast"]
            report = axe.run(page, options={"runOnly": wanted, "resultTypes": ["violations"]}).response
            found = {each["id"]: [node["html"][:200] for node in each["nodes"][:3]] for each in report["violations"]}
            assert found == {}, (path, width, scheme)
            assert report["passes"]
            assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("path", TABLE)
def test_the_keyboard_alone_reaches_every_part_and_the_focus_is_visible(opened: Any, path: str) -> None:
    page = opened(path, 1280)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    if page.evaluate("document.activeElement !== document.body"):
        first = page.evaluate(FOCUS)
        assert first["within"] or first["after"], first  # the link skips what precedes the content
    seen = []
    for _ in range(TABS):
        now = page.evaluate(FOCUS)
        if now is None:
            break
        assert now["outlined"], now
        assert now["visible"], now
        seen.append(now["place"])
        page.keyboard.press("Tab")
    assert len(seen) == len(set(seen)), "Tab returns to an element before it has reached the others"
    unreachable = page.evaluate(UNREACHABLE)
    assert unreachable == []


FOCUS = """() => {
  const it = document.activeElement;
  if (!it || it === document.body) return null;
  const box = it.getBoundingClientRect(), style = getComputedStyle(it);
  return {
    html: it.outerHTML.slice(0, 160),
    place: [...document.querySelectorAll("*")].indexOf(it),
    within: document.getElementById("main").contains(it),
    after: !!it.closest("footer"),
    outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
    visible: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight,
  };
}"""
"""What the focus is on: null for nothing."""

UNREACHABLE = """() => {
  const scrollable = [...document.querySelectorAll(".scroll, pre")].filter(
    (it) => it.scrollWidth > it.clientWidth + 1 && it.tabIndex < 0);
  const clickable = [...document.querySelectorAll("[onclick], [role=button]:not(button)")];
  const removed = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), summary")].filter(
    (it) => it.tabIndex < 0);
  return [...scrollable, ...clickable, ...removed].map((it) => it.outerHTML.slice(0, 160));
}"""
"""What can be scrolled or clicked, and not reached with Tab."""


@pytest.mark.parametrize("path", TABLE)
def test_a_page_without_javascript_shows_the_same(opened: Any, path: str) -> None:
    texts = []
    for scripts in (True, False):
        page = opened(path, 390, scripts)
        assert page.locator("h1").count() == 1
        texts.append(page.locator("main").inner_text())
        assert page.locator("form[role=search]").get_attribute("method") == "get"
    assert texts[0].strip()
    assert _without_ages(texts[0]) == _without_ages(texts[1])


def _without_ages(text: str) -> list[str]:
    """Return the words of a page without numbers, which may be ages that grow between two requests."""
    return [word for word in text.split() if not any(char.isdigit() for char in word)]


def _screenshot(page: Any, path: str, kind: str) -> None:
    if SHOTS:
        name = "".join(char if char.isalnum() else "-" for char in path).strip("-") or "now"
        page.screenshot(path=str(Path(SHOTS, f"{name}-{kind}.png")))
