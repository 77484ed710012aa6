"""Every page in Chromium: light and dark, wide and narrow, with and without scripts, with axe-core and the keyboard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.history import fill
from benchmarks.spells import Shape
from collector.auth.visibility import EVERYTHING
from collector.clock import now_ms
from collector.formatting import plain_link
from collector.server.export import export
from collector.store.database import Store, database_url, open_store
from tests.collector.pages.test_dashboard import PAGES, addresses
from tests.collector.process import Collector

pytestmark = pytest.mark.needs("chromium")

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
Shown = tuple[Collector, dict[str, str]]

SHOTS = os.environ.get("EXAWORKS_SCREENSHOTS")
"""A folder for screenshots, which continuous integration publishes."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A collector with ten systems of many outcomes, and the address of each of its pages."""
    home = tmp_path_factory.mktemp("browser")
    history = open_store(database_url(None, home / "collector"))
    fill(history, Shape(systems=10, cases=18, nights=5, bad_night=True))
    places = {path: _address(path, names) for path, names in addresses(history, now=now_ms())}
    export(_reading(history), EVERYTHING, home / "static", now_ms(), runs=2)
    history.close()
    served = Collector(home)
    yield served, places
    assert served.stop() == 0


def _reading(store: Store) -> Any:
    return store.reader.connect()


def _address(path: str, names: dict[str, str]) -> str:
    parts = [names[part[1:-1]] if part.startswith("{") else part for part in path.strip("/").split("/")]
    return plain_link(*parts)


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_in_light_and_dark(shown: Shown, browser: Any, path: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    served, places = shown
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    page = context.new_page()
    page.goto(served.url + places[path])
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        screenshot(page, path, scheme)
        wanted = WCAG if scheme == "light" else ["color-contrast"]
        report = axe.run(page, options={"runOnly": wanted, "resultTypes": ["violations"]}).response
        assert {each["id"]: [node["html"][:200] for node in each["nodes"][:3]] for each in report["violations"]} == {}
        assert report["passes"]
    context.close()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_page_requests_nothing_from_other_hosts_logs_nothing_and_fits_a_narrow_window(
    shown: Shown, browser: Any, path: str, scripts: bool
) -> None:
    served, places = shown
    context = browser.new_context(java_script_enabled=scripts, viewport={"width": 390, "height": 800})
    page = context.new_page()
    requested: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    answer = page.goto(served.url + places[path])
    assert answer.status == 200
    assert page.locator("h1").count() == 1
    assert page.locator("main").inner_text().strip()
    if scripts:
        screenshot(page, path, "narrow")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert context.cookies() == []
    context.close()
    assert {url.split("/", 3)[2] for url in requested} == {served.url.removeprefix("http://")}
    assert messages == []


def test_stale_emulated_and_missing_results_do_not_look_like_a_pass(shown: Shown, browser: Any) -> None:
    served, _ = shown
    page = browser.new_page()
    page.goto(served.url)
    page.locator("details.legend").evaluate("node => { node.open = true }")
    colour = "node => getComputedStyle(node).backgroundColor"
    green = page.locator(".legend .pill.pass:not(.stale):not(.emulated)").evaluate(colour)
    for other in (
        ".legend .pill.pass.stale",
        ".legend .pill.pass.emulated",
        ".legend .pill.missing",
        ".heat.stale.pass",
    ):
        assert page.locator(other).first.evaluate(colour) != green, other
    hatch = page.locator(".heat.stale").first.evaluate("node => getComputedStyle(node).backgroundImage")
    assert "repeating-linear-gradient" in hatch
    assert page.locator(".heat.missing").first.evaluate(colour) == "rgba(0, 0, 0, 0)"
    page.goto(f"{served.url}/systems/llnl/system09?show=all")
    emulated = page.locator("tr.em td.p").first.evaluate(colour)
    page.goto(f"{served.url}/systems/llnl/system01?show=all")
    assert page.locator("tr:not(.em) td.p").first.evaluate(colour) == green
    assert emulated != green
    page.close()


def test_filters_and_pages_can_be_used_with_the_keyboard_alone(shown: Shown, browser: Any) -> None:
    served, _ = shown
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(served.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.locator("details.filters summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?site=*")
    site = page.locator(".chip.on").inner_text()
    assert set(page.locator(".matrix th small").all_inner_texts()) == {site}
    page.get_by_role("link", name="Triage").press("Enter")
    page.wait_for_url("**/triage")
    page.close()


def test_the_exported_dashboard_can_be_read_from_a_disk(shown: Shown, browser: Any) -> None:
    served, _ = shown
    page = browser.new_page()
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.goto(Path(served.home, "static", "index.html").as_uri())
    tile = page.locator(".heat.fail").first
    assert tile.evaluate("node => getComputedStyle(node).borderTopStyle") == "solid"
    tile.click()
    assert page.locator("h2", has_text="Every case").is_visible()
    page.get_by_role("link", name="Triage").click()
    assert page.title() == "Triage · ExaWorks"
    page.close()
    assert failed == []


def screenshot(page: Any, path: str, kind: str) -> None:
    if SHOTS:
        name = path.strip("/").replace("/", "-").replace("{", "").replace("}", "") or "now"
        page.screenshot(path=str(Path(SHOTS, f"{name}-{kind}.png")))
