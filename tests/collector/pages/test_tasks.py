"""What people do with the dashboard, in Chromium: five questions in two clicks, search, refresh, and forty systems."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.history import fill
from benchmarks.spells import Shape
from collector.store.database import database_url, open_store
from tests.collector.pages.test_browser import screenshot
from tests.collector.process import Collector

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector with forty systems after a bad night."""
    home = tmp_path_factory.mktemp("tasks")
    history = open_store(database_url(None, home / "collector"))
    fill(history, Shape(systems=40, cases=9, nights=5, bad_night=True))
    history.close()
    served = Collector(home)
    yield served
    assert served.stop() == 0


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def page(request: pytest.FixtureRequest, browser: Any, night: Collector) -> Iterator[Any]:
    """The first page, in a window of 1280 by 800."""
    context = browser.new_context(java_script_enabled=request.param, viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    opened.goto(night.url)
    yield opened
    context.close()


def test_what_broke_last_night_and_whose_it_is_is_one_click_away(page: Any) -> None:
    headline = page.get_by_role("region", name="What changed")
    words = headline.inner_text()
    assert re.search(r"Since yesterday 07:00 UTC: \d+ cells newly failing \(\d+ distribution: parsl", words)
    assert headline.get_by_role("link", name=re.compile("^user support")).is_visible()
    number = int(re.findall(r"(\d+) cells newly failing", words)[0])
    headline.get_by_role("link", name=re.compile("cells newly failing")).click()
    assert page.locator("h1").inner_text() == "Newly failing"
    counts = re.findall(r"(\d+) (open|missing)", page.locator(".summary").inner_text())
    assert sum(int(count) for count, _ in counts) == number
    group = page.locator(".group-box", has_text="check_argument_types").first
    assert re.search("owner .*user support", group.inner_text())


def test_when_a_case_last_passed_and_what_changed_since_is_two_clicks_away(page: Any) -> None:
    page.get_by_role("link", name=re.compile("^parsl on system01: fail, new")).click()
    page.locator("#c-parsl").get_by_role("link", name=re.compile("history of parsl.")).first.click()
    assert page.get_by_role("heading", name="What changed").is_visible()
    passed = page.locator(".card", has=page.get_by_role("heading", name="Last pass"))
    assert passed.locator("time").first.is_visible()
    assert (
        page.locator(".card", has=page.get_by_role("heading", name="First failure since")).locator("time").is_visible()
    )


def test_whether_a_release_is_good_enough_for_a_site_is_two_clicks_away(page: Any) -> None:
    page.get_by_role("link", name="Releases").click()
    page.get_by_role("link", name="2026.11").click()
    page.wait_for_url("**/releases/2026.11")
    row = page.get_by_role("row", name=re.compile("^nersc system02"))
    assert row.get_by_role("link", name=re.compile("infra")).count() == 9  # the site had an outage


def test_the_flakiest_case_is_one_click_away(page: Any) -> None:
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Flaky").click()
    assert page.locator("h1").inner_text() == "Flaky cases"


def test_who_is_silent_is_on_the_first_page_and_their_tiles_are_one_click_away(page: Any) -> None:
    headline = page.get_by_role("region", name="What changed")
    assert re.search(r"1 system silent for up to \d+ h: system06", headline.inner_text())
    headline.get_by_role("link", name="1 system silent").click()
    page.wait_for_url("**/?state=silent")
    assert set(page.locator(".map th a").all_inner_texts()) == {"system06", "riken"}
    assert page.locator("a.heat").count() == 9


def test_a_search_works_from_every_page_with_the_keyboard_alone(browser: Any, night: Collector) -> None:
    page = browser.new_page()
    page.goto(f"{night.url}/releases")
    page.keyboard.press("/")
    page.keyboard.type("system31")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=system31")
    page.get_by_role("link", name="/ system31").press("Enter")
    page.wait_for_url("**/systems/*/system31")
    page.close()


def test_forty_systems_fit_one_screen_in_the_dense_view(browser: Any, night: Collector) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{night.url}/?view=dense")
    boxes = [each.bounding_box() for each in page.locator(".map tbody tr").all()]
    assert len(boxes) == 40
    assert max(box["y"] + box["height"] for box in boxes) <= 800
    assert max(box["x"] + box["width"] for box in boxes) <= 1280
    screenshot(page, "/", "dense")
    page.close()


def test_a_refresh_keeps_the_focus_the_scroll_position_and_what_is_open(browser: Any, night: Collector) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 600})
    page.goto(night.url)
    button = page.get_by_role("button", name="Refresh every minute")
    assert button.get_attribute("aria-pressed") == "false"
    tile = page.locator("a.heat").nth(200)
    tile.focus()
    page.locator("details.legend").evaluate("each => { each.open = true }")
    label, top = tile.get_attribute("aria-label"), page.evaluate("window.scrollY")
    assert top > 0
    page.evaluate("document.querySelector('main h1').textContent = 'outdated'")
    page.evaluate("window.refreshDashboard()")
    page.wait_for_function("document.querySelector('main h1').textContent !== 'outdated'")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == label
    assert abs(page.evaluate("window.scrollY") - top) < 2
    assert page.locator("details.legend").evaluate("each => each.open")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    page.close()


def test_a_time_shows_itself_in_the_zone_of_the_reader(browser: Any, night: Collector) -> None:
    context = browser.new_context(timezone_id="America/Denver", locale="en-US")
    page = context.new_page()
    page.goto(night.url)
    time = page.locator(".headline time")
    assert time.get_attribute("title") is None
    time.hover()
    assert re.search(r"07:00:00Z = .*:00:00.AM M[SD]T", time.get_attribute("title"))
    context.close()
