"""The site in Chromium: search, dark colours, versions, a narrow window, and without a server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from docs_site.versions import LATEST
from tests.needs import need

pytestmark = pytest.mark.needs("chromium")

PAGES = (
    *("index", "start/user", "tutorials/psij", "pictures", "architecture", "matrix", "security"),
    *("reference/commands/collector", "reference/site-file", "reference/rules", "reference/http", "reference/cases"),
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The address of a server of the site on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--disable-gpu", "--no-sandbox", "--disable-background-networking"]
        started = playwright.chromium.launch(executable_path=need("chromium"), args=arguments)
        yield started
        started.close()


class Watched:
    """A page, with every request to another place than the site, and every error of a script."""

    def __init__(self, browser: Any, origin: str, **settings: Any) -> None:
        self.context = browser.new_context(**settings)
        self.page = self.context.new_page()
        self.elsewhere: list[str] = []
        self.errors: list[str] = []
        self.page.on(
            "request",
            lambda request: request.url.startswith((origin, "data:", "blob:")) or self.elsewhere.append(request.url),
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def close(self) -> None:
        self.context.close()
        assert self.elsewhere == []
        assert self.errors == []


def search(page: Any, words: str, expected: str) -> str:
    """Type into the search field, and return the address of the first result on the expected page.

    While words are being typed, results of their beginnings are shown.
    """
    page.locator("label.md-header__button[for=__search]").click() if page.viewport_size["width"] < 960 else None
    field = page.locator("input.md-search__input")
    field.click()
    field.press_sequentially(words, delay=30)  # the theme looks at the field when a key is released
    result = page.locator(f".md-search-result__link[href*='{expected}']").first
    result.wait_for(state="attached", timeout=30_000)
    return str(result.get_attribute("href"))


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("queue_wait", "reference/site-file.html"),
        ("slurm-account", "reference/rules.html"),
        ("EXAWORKS_WHEELHOUSE", "reference/variables.html"),
    ],
)
def test_search_finds_a_field_a_rule_and_a_variable(browser: Any, address: str, words: str, page: str) -> None:
    shown = Watched(browser, address)
    shown.page.goto(f"{address}/{LATEST}/index.html")
    assert page in search(shown.page, words, page)
    shown.close()


def test_search_works_without_a_server(browser: Any, site: Path) -> None:
    shown = Watched(browser, "file://")
    shown.page.goto((site / LATEST / "start/user.html").as_uri())
    shown.page.goto(search(shown.page, "queue_wait", "reference/site-file.html"))
    assert shown.page.locator("h1").inner_text().startswith("Site file")
    shown.close()


def brightness(page: Any) -> float:
    """Return how bright the page's background is, between 0 and 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    numbers = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    return sum(numbers) / 3


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_the_colours_follow_the_system_and_can_be_switched(browser: Any, address: str, scheme: str, dark: bool) -> None:
    shown = Watched(browser, address, color_scheme=scheme)
    shown.page.goto(f"{address}/{LATEST}/index.html")
    assert (brightness(shown.page) < 80) is dark
    seen = set()
    for _ in range(3):  # automatic, light, dark, automatic
        shown.page.locator("label.md-header__button[for^=__palette]:visible").click()
        shown.page.wait_for_timeout(300)
        seen.add(brightness(shown.page) < 80)
    assert seen == {True, False}
    shown.close()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_window_of_390_pixels(browser: Any, address: str, path: str) -> None:
    shown = Watched(browser, address, viewport={"width": 390, "height": 800})
    answer = shown.page.goto(f"{address}/{LATEST}/{path}.html")
    assert answer.status == 200
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert shown.page.locator("h1").count() == 1
    shown.close()


def test_search_works_in_a_window_of_390_pixels(browser: Any, address: str) -> None:
    shown = Watched(browser, address, viewport={"width": 390, "height": 800})
    shown.page.goto(f"{address}/{LATEST}/index.html")
    assert search(shown.page, "walltime", ".html")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 390
    shown.close()


def test_the_first_page_leads_to_a_version_and_the_menu_lists_all(browser: Any, address: str) -> None:
    shown = Watched(browser, address)
    shown.page.goto(f"{address}/")
    shown.page.wait_for_url(f"**/{LATEST}/index.html")
    menu = shown.page.locator(".md-version__link")
    menu.first.wait_for(state="attached")
    assert menu.all_text_contents() == [LATEST]
    shown.close()
