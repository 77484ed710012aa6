"""The pages as they are sent and as Chromium shows them: no inline scripts, and no content from other hosts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from collector.clock import duration_seconds
from collector.formatting import age, seconds
from dashboard_client.schema import Diagnosis, Log, Outcome, Timing
from tests.collector.process import TOKEN, Collector
from tests.collector.samples import CASES, closing, manifest, record

EVIL = '</code></pre><script>document.title="owned"</script><img src=x onerror="document.title=1">\x1b[31m'


DIAGNOSIS = Diagnosis(
    title="no MPI launcher",
    cause_key="no-mpi-launcher:1",
    expected="task DONE",
    got="task <i>FAILED</i>",
    line="no launch method for task task.000000",
    source="agent_executing.0000.log",
    advice="install an MPI launcher",
    logs=[Log(component="radical.pilot", path="logs/agent.log", size=7, lines=["<i>first", "second"])],
)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A private collector with a run that has a pass, a fail with hostile output, a skip and a missing case."""
    served = Collector(tmp_path_factory.mktemp("pages"), "--private")
    served.open(manifest("page-1", stale_after="1h", owner="<b>owner</b>"))
    served.add(
        record("page-1", CASES[0]),
        record("page-1", CASES[1], emulated=True),
        record("page-1", CASES[2], Outcome.INFRA, 1),
        record("page-1", CASES[2], Outcome.FAIL, 2, output=EVIL, diagnosis=DIAGNOSIS),
        record("page-1", CASES[3], Outcome.SKIP, timing=Timing()),
    )
    served.close("page-1", closing(4, missing=1, exit_code=1))
    yield served
    assert served.stop() == 0


class Elements(HTMLParser):
    """Collects every start tag of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


PAGES = ["/", "/runs/page-1", f"/records/{record('page-1', CASES[2], attempt=2).record_id}"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_inline_script_or_style_and_nothing_from_other_hosts(shown: Collector, path: str) -> None:
    answer = shown.get(path, token=TOKEN)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "set-cookie" not in answer.headers
    for tag, attributes in Elements(answer.text).tags:
        assert tag != "iframe"
        assert tag != "script" or attributes == {"src": "/static/dashboard.js", "defer": None}
        assert tag != "form" or (attributes["action"], attributes["method"]) == ("/search", "get")
        assert not any(name == "style" or name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            assert re.match(r"[/#](?!/)", attributes.get(name) or "/"), attributes


def test_hostile_output_is_shown_as_text(shown: Collector) -> None:
    page = shown.get(PAGES[2], token=TOKEN).text
    assert "&lt;script&gt;document.title=&#34;owned&#34;&lt;/script&gt;" in page
    assert page.count("<script") == page.count('<script src="/static/dashboard.js" defer></script>') == 1
    assert "<img src=x" not in page
    assert "<b>owner" not in shown.get(PAGES[1], token=TOKEN).text


@pytest.mark.parametrize("path", PAGES)
def test_links_keep_the_token_of_the_address_and_lead_to_pages(shown: Collector, path: str) -> None:
    assert TOKEN not in shown.get(path, token=TOKEN).text
    links = {
        attributes["href"] or ""
        for tag, attributes in Elements(shown.get(f"{path}?token={TOKEN}").text).tags
        if tag == "a" and not (attributes["href"] or "").startswith("#")
    }
    assert len(links) >= 2
    for link in links:
        assert f"token={TOKEN}" in link or link == "/api/v1/openapi.json"
        assert shown.get(link).status_code == 200


def test_the_page_of_a_record_shows_the_diagnosis_and_the_lines_of_logs(shown: Collector) -> None:
    page = shown.get(PAGES[2], token=TOKEN).text
    for text in ("no MPI launcher", "task DONE", "task &lt;i&gt;FAILED&lt;/i&gt;", "agent_executing.0000.log"):
        assert f"<dd>{text}" in page or f'<span class="quiet">{text}</span>' in page
    assert "<dt>to do</dt><dd>install an MPI launcher</dd>" in page
    assert "<h3>radical.pilot <code>logs/agent.log</code></h3>" in page
    assert "&lt;i&gt;first\nsecond" in page


def test_an_unknown_address_is_answered_with_a_page_and_status_404(shown: Collector) -> None:
    answer = shown.get("/runs/<script>", token=TOKEN)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "<script>" not in answer.text
    links = {attributes["href"] for tag, attributes in Elements(answer.text).tags if tag == "a"}
    assert {"/", "/triage", "/sites"} <= links
    assert shown.get("/static/app.py").status_code == 404
    assert shown.get("/static/..%2fapp.py").status_code == 404


def test_the_page_of_a_run_without_a_manifest_states_that(shown: Collector) -> None:
    shown.add(record("orphan-1", CASES[0], system="alone"))
    page = shown.get("/runs/orphan-1", token=TOKEN).text
    assert "The manifest of this run has not been received" in page


@pytest.mark.parametrize(
    ("text", "expected"),
    [("36h", 129600), ("2 days", 172800), ("P2D", 172800), ("PT90M", 5400), ("1w", 604800), ("", None), ("soon", None)],
)
def test_durations_are_parsed_in_the_forms_that_people_write(text: str, expected: int | None) -> None:
    assert duration_seconds(text) == expected


def test_ages_and_durations_are_written_in_readable_units() -> None:
    assert [age(ms) for ms in (-5, 59_000, 3_600_000, 7_200_000, 3 * 86_400_000)] == [
        "0 s",
        "59 s",
        "60 min",
        "2 h",
        "3 d",
    ]
    assert [seconds(value) for value in (None, 0, 1.5, 65, 130, 3660)] == [
        "—",
        "0.00 s",
        "1.50 s",
        "65.0 s",
        "2 min 10 s",
        "1 h 01 min",
    ]


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_reader_can_follow_links_from_the_matrix_to_the_evidence(
    shown: Collector, browser: Any, scripts: bool
) -> None:
    context = browser.new_context(java_script_enabled=scripts, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(10_000)
    requested: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.goto(f"{shown.url}/?token={TOKEN}")
    assert page.title() == "Now · ExaWorks"
    tile = page.get_by_role("link", name="psij on frontier: fail, stale")
    assert tile.get_attribute("class").split() == ["heat", "fail", "stale"]
    control = page.get_by_role("link", name="control on frontier: pass, stale, emulated; 2 pass")
    assert control.get_by_text("emulated").is_visible()
    missing = page.get_by_role("link", name="parsl on frontier: missing, stale; 1 missing")
    transparent = "rgba(0, 0, 0, 0)"
    if scripts:
        assert missing.evaluate("node => getComputedStyle(node).backgroundColor") == transparent
        assert missing.evaluate("node => getComputedStyle(node).borderTopStyle") == "dashed"
        assert tile.evaluate("node => getComputedStyle(node).backgroundColor") != transparent
    tile.click()
    assert page.url == f"{shown.url}/runs/ornl/frontier/page-1?token={TOKEN}#c-psij"
    rows = page.locator("#c-psij tr:not(.group)")
    assert [text.split() for text in rows.locator("td:first-child").all_inner_texts()] == [["✕", "fail"], ["⊘", "skip"]]
    assert page.locator("#c-parsl").get_by_text("planned, never reported").is_visible()
    rows.get_by_role("link", name=CASES[2], exact=True).click()
    assert page.title() == f"{CASES[2]} · ExaWorks"
    assert (
        page.locator("pre.output").first.inner_text().startswith('</code></pre><script>document.title="owned"</script>')
    )
    widths = [float(each.get_attribute("width")) for each in page.locator("svg.timeline rect:not(.ground)").all()]
    assert len(widths) == 5
    assert max(widths) == widths[3] > 400
    assert page.locator("pre.command").inner_text() == f"exaworks validate --case '{CASES[2]}'"
    page.get_by_role("link", name=re.compile("1 infra")).click()
    assert page.get_by_text("waited 1800 s in queue batch").is_visible()
    page.get_by_role("link", name="run", exact=True).click()
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link", name="Now").click()
    assert page.url == f"{shown.url}/?token={TOKEN}"
    assert {url.split("/", 3)[2] for url in requested} == {shown.url.removeprefix("http://")}
    assert messages == []
    context.close()
