"""The dashboard in Chromium: colours, filters with the keyboard, the static copy; ``test_every_page`` has the rest."""

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
from collector.server.export import export
from collector.store.database import Store, database_url, open_store
from tests.collector.process import Collector

pytestmark = pytest.mark.needs("chromium")

SHOTS = os.environ.get("EXAWORKS_SCREENSHOTS")
"""A folder for screenshots, which continuous integration publishes."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector with ten systems of many outcomes, and a static copy of its pages."""
    home = tmp_path_factory.mktemp("browser")
    history = open_store(database_url(None, home / "collector"))
    fill(history, Shape(systems=10, cases=18, nights=5, bad_night=True))
    export(_reading(history), EVERYTHING, home / "static", now_ms(), runs=2)
    history.close()
    served = Collector(home)
    yield served
    assert served.stop() == 0


def _reading(store: Store) -> Any:
    return store.reader.connect()


def test_stale_emulated_and_missing_results_do_not_look_like_a_pass(shown: Collector, browser: Any) -> None:
    page = browser.new_page()
    page.goto(shown.url)
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
    page.goto(f"{shown.url}/systems/llnl/system09?show=all")
    emulated = page.locator("tr.em td.p").first.evaluate(colour)
    page.goto(f"{shown.url}/systems/llnl/system01?show=all")
    assert page.locator("tr:not(.em) td.p").first.evaluate(colour) == green
    assert emulated != green
    page.close()


def test_filters_and_pages_can_be_used_with_the_keyboard_alone(shown: Collector, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(shown.url)
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


def test_the_exported_dashboard_can_be_read_from_a_disk(shown: Collector, browser: Any) -> None:
    page = browser.new_page()
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.goto(Path(shown.home, "static", "index.html").as_uri())
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
