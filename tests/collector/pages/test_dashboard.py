"""Every page by its facts and its markup: what it shows, what it must never show, and how many queries it needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from sqlalchemy import event

from benchmarks.history import fill
from benchmarks.spells import Shape
from collector.auth.tokens import ANYONE, GRANTS, Bearer, hide_site
from collector.auth.visibility import EVERYTHING, Visibility, visibility_of
from collector.clock import instant_ms, now_ms
from collector.errors import Problem
from collector.pages import all_pages
from collector.rendering.badges import draw_badge
from collector.rendering.base import Question, prefers_json, render_html, render_json
from collector.rendering.plots import Series, nice, plot
from collector.status.waivers import WaiverRequest, add_waiver, end_waiver
from collector.store.database import Store, database_url, open_store
from collector.store.decoding import read_batch, read_closing, read_manifest
from collector.store.records import store_records
from collector.store.runs import store_closing, store_manifest
from dashboard_client.schema import Diagnosis, Manifest, Outcome, Record, Scheduler, Software, encode
from tests.collector.process import batch
from tests.collector.samples import closing, manifest, record

PAGES = {page.path: page for page in all_pages()}
NOW = instant_ms("2026-11-20T12:00:00Z")
MOST_QUERIES = 5
MOST_QUERIES_OF = {"/": 8}
"""The first page consists of several lists; each needs one query, whatever its length."""


def put(store: Store, opening: Manifest | None, *records: Record, close: bool = True, missing: int = 0) -> None:
    """Store a run as the collector receives it."""
    now = now_ms()
    with store.writing() as connection:
        if opening is not None:
            store_manifest(connection, read_manifest(encode(opening), now), now)
        if records:
            arrivals: Any = list(read_batch(batch(records), now))
            assert store_records(connection, arrivals, now) == []
        if close and opening is not None:
            ended = read_closing(encode(closing(len(records), missing)), now)
            store_closing(connection, opening.run_id, ended, "*", now)


def ask(
    store: Store, path: str, visibility: Visibility = EVERYTHING, now: int = NOW, query: Any = None, **names: str
) -> Any:
    """Return the facts of a page as a program reads them."""
    with store.reading() as connection:
        return json.loads(render_json(PAGES[path], Question(connection, visibility, now, names, query or {})))


def drawn(store: Store, path: str, visibility: Visibility = EVERYTHING, now: int = NOW, **names: str) -> str:
    """Return a page as HTML."""
    with store.reading() as connection:
        return render_html(PAGES[path], Question(connection, visibility, now, names)).decode()


def addresses(store: Store, visibility: Visibility = EVERYTHING, now: int = NOW) -> list[tuple[str, dict[str, str]]]:
    """Return every page with values for the names in its path."""
    system = ask(store, "/", visibility, now)["runs"][0]
    place = {"site": system["site"], "system": system["system"]}
    grid = ask(store, "/systems/{site}/{system}", visibility, now, **place)
    run = ask(store, "/runs/{run_id}", visibility, now, run_id=grid["runs"][0]["run_id"])
    named: dict[str, dict[str, str]] = {
        "/sites/{site}": {"site": place["site"]},
        "/systems/{site}/{system}": place,
        "/trends/{site}/{system}": place,
        "/runs/{run_id}": {"run_id": run["run_id"]},
        "/runs/{site}/{system}/{run_id}": {name: run[name] for name in ("site", "system", "run_id")},
        "/compare/{before}/{after}": {"before": grid["runs"][-1]["run_id"], "after": run["run_id"]},
        "/records/{record_id}": {"record_id": next(case["record_id"] for case in run["cases"] if case["record_id"])},
        "/cells/{cell}": {"cell": str(grid["cases"][0]["cell"])},
        "/releases/{release}": {"release": run["release"]},
    }
    return [(path, named.get(path, {})) for path in PAGES]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Ten systems of five sites with a week of nightly runs: failures, missing cases, a system with emulators."""
    history = open_store(database_url(None, tmp_path_factory.mktemp("filled")))
    fill(history, Shape(systems=10, cases=18, nights=7))
    yield history
    history.close()


def test_a_page_needs_few_queries_whatever_it_shows(filled: Store) -> None:
    statements: list[str] = []
    listen = lambda conn, cursor, statement, *rest: statements.append(statement)  # noqa: E731
    counts = {}
    places = addresses(filled, now=now_ms())
    event.listen(filled.reader, "before_cursor_execute", listen)
    try:
        for path, names in places:
            statements.clear()
            drawn(filled, path, now=now_ms(), **names)
            counts[path] = sum(not statement.startswith("BEGIN") for statement in statements)
    finally:
        event.remove(filled.reader, "before_cursor_execute", listen)
    assert counts.keys() == PAGES.keys()
    assert all(count <= MOST_QUERIES_OF.get(path, MOST_QUERIES) for path, count in counts.items()), counts
    assert all(count or path in ("/search", "/compare") for path, count in counts.items())  # they wait for input


def test_the_facts_of_every_page_are_available_as_json(filled: Store) -> None:
    for path, names in addresses(filled, now=now_ms()):
        facts = ask(filled, path, now=now_ms(), **names)
        assert facts["drawn"].endswith("Z")
        assert len(facts) > 1, path


@pytest.mark.parametrize(
    ("accept", "json_wanted"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/json", True),
        ("*/*", False),
        ("text/html;q=0.5, application/json", True),
        ("application/json;q=no, text/html", False),
        ("", False),
    ],
)
def test_json_is_sent_to_clients_that_prefer_it(accept: str, json_wanted: bool) -> None:
    assert prefers_json(accept) is json_wanted


class Passes(HTMLParser):
    """Collects the elements of a page that have the colours of a plain pass."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.green: list[str] = []
        self._row = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        classes = (dict(attrs).get("class") or "").split()
        if tag == "tr":
            self._row = " ".join(classes)
        if ("pass" in classes and {"tile", "pill", "heat"} & set(classes)) and not {"stale", "emulated"} & set(classes):
            self.green.append(f"{tag}.{'.'.join(classes)}")
        if tag == "td" and "p" in classes and self._row != "em":
            self.green.append("td.p")


@pytest.mark.parametrize("outcome", [Outcome.SKIP, Outcome.XFAIL, Outcome.INFRA, Outcome.ERROR, None])
def test_a_run_without_passes_is_green_on_no_page(store: Store, outcome: Outcome | None) -> None:
    cases = ["control/hello@local", "psij/hello@slurm"]
    put(
        store,
        manifest("r1", cases),
        *([record("r1", case, outcome) for case in cases[:1]] if outcome else []),
        missing=1,
    )
    legend = len(Passes(drawn(store, "/releases/{release}", release="2026.11")).green)
    green = {path: Passes(_without_legend(drawn(store, path, **names))).green for path, names in _addresses(store)}
    assert legend == 1  # the legend itself shows a pass
    assert {path: elements for path, elements in green.items() if elements} == {}
    assert ask(store, "/")["tiles"][0]["outcome"] != "pass"


def test_emulated_and_stale_passes_never_have_the_colour_of_a_pass(store: Store) -> None:
    cases = ["control/hello@lsf", "psij/hello@lsf"]
    put(store, manifest("r1", cases, stale_after="1h"), *(record("r1", case, emulated=True) for case in cases))
    for path, names in _addresses(store):
        assert Passes(_without_legend(drawn(store, path, **names))).green == [], path
    put(
        store,
        manifest("r2", cases, system="old", stale_after="1h"),
        *(record("r2", case, system="old") for case in cases),
    )
    for path in ("/", "/sites"):
        assert Passes(_without_legend(drawn(store, path))).green == [], path
    fresh = drawn(store, "/", now=instant_ms("2026-11-20T08:30:00Z"))
    assert "heat pass" in fresh
    assert Passes(_without_legend(fresh)).green != []


def _addresses(store: Store) -> list[tuple[str, dict[str, str]]]:
    """Return all pages of a system with few records."""
    grid = ask(store, "/systems/{site}/{system}", site="ornl", system="frontier")
    run_id = grid["runs"][0]["run_id"]
    run = ask(store, "/runs/{run_id}", run_id=run_id)
    records = [case["record_id"] for case in run["cases"] if case["record_id"]]
    cells = [{"cell": str(case["cell"])} for case in grid["cases"]]
    place = {"site": "ornl", "system": "frontier"}
    plain: list[tuple[str, dict[str, str]]] = [(path, {}) for path in PAGES if "{" not in path]
    return [
        *plain,
        ("/sites/{site}", {"site": "ornl"}),
        ("/systems/{site}/{system}", place),
        ("/trends/{site}/{system}", place),
        ("/runs/{run_id}", {"run_id": run_id}),
        ("/compare/{before}/{after}", {"before": run_id, "after": run_id}),
        ("/releases/{release}", {"release": "2026.11"}),
        *(("/records/{record_id}", {"record_id": each}) for each in records),
        *(("/cells/{cell}", names) for names in cells),
    ]


def _without_legend(page: str) -> str:
    before, _, rest = page.partition('<details class="legend">')
    return before + rest.partition("</details>")[2]


SCRIPT = '<script src="/static/dashboard.js" defer></script>'
EVIL = "\"><script>x</script>'<b>&"


def test_values_from_outside_are_escaped_on_every_page(store: Store) -> None:
    case = f"psij/{EVIL}@slurm"
    opening = manifest("r1", [case], release=EVIL, owner=EVIL, trigger=EVIL, cadence=EVIL, stale_after=EVIL)
    failed = record("r1", case, Outcome.FAIL, output=EVIL)
    cause = msgspec.structs.replace(failed.verdict.cause or pytest.fail("no cause"), rule=EVIL, evidence=EVIL)
    stack = msgspec.structs.replace(failed.stack, modules=[EVIL], python=EVIL)
    outer = Scheduler(outer=Software(name="slurm", version=EVIL))
    verdict = msgspec.structs.replace(failed.verdict, cause=cause)
    put(store, opening, msgspec.structs.replace(failed, verdict=verdict, stack=stack, scheduler=outer))
    with store.writing() as connection:
        add_waiver(
            connection, WaiverRequest(site="ornl", cases="no*", reason=EVIL, expires="2999-01-01", owner=EVIL), None
        )
    hits = 0
    for path, names in addresses(store):
        page = drawn(store, path, **names)
        assert page.count("<script") == page.count(SCRIPT) == 1, path
        assert "<q>&" not in page, path
        hits += "&lt;script&gt;" in page
    assert hits >= 9
    with store.reading() as connection:
        badge = draw_badge(connection, EVERYTHING, "ornl", "frontier", "psij", NOW).decode()
    assert "<script" not in badge


def test_the_history_has_a_column_per_run_and_shows_which_cases_were_not_planned(store: Store) -> None:
    put(store, manifest("r1", ["psij/a@slurm"], started="2026-11-18T08:00:00Z"), record("r1", "psij/a@slurm"))
    both = ["psij/a@slurm", "psij/b@slurm"]
    put(
        store,
        manifest("r2", both, release="2026.12", started="2026-11-19T08:00:00Z"),
        record("r2", both[0], Outcome.FAIL),
    )
    put(store, manifest("r3", both, started="2026-11-20T08:00:00Z"), record("r3", both[1]), close=False)
    grid = ask(store, "/systems/{site}/{system}", site="ornl", system="frontier")
    assert [run["run_id"] for run in grid["runs"]] == ["r3", "r2", "r1"]
    assert {case["case_id"]: case["outcomes"] for case in grid["cases"]} == {both[0]: "…fp", both[1]: "p. "}
    page = drawn(store, "/systems/{site}/{system}", site="ornl", system="frontier")
    assert f'<td class="f edge"><a href="/runs/ornl/frontier/r2#k{grid["cases"][0]["cell"]}">✕</a>' in page
    assert page.count("<b>2026.11</b>") == 2
    assert page.count("<b>2026.12</b>") == 1
    assert "slurm 22.05.8" in page
    older = ask(store, "/systems/{site}/{system}", site="ornl", system="frontier", query={"runs": "1"})
    assert older["before"] == "r3"
    following = ask(store, "/systems/{site}/{system}", site="ornl", system="frontier", query={"before": "r3"})
    assert [run["run_id"] for run in following["runs"]] == ["r2", "r1"]


def test_the_page_of_a_case_lists_the_differences_between_its_last_pass_and_its_first_failure(store: Store) -> None:
    case = "parsl/htex@slurm"
    passed = record("r1", case, at="2026-11-18T08:01:")
    put(store, manifest("r1", [case], started="2026-11-18T08:00:00Z"), passed)
    newer = [
        msgspec.structs.replace(each, version="2026.12.1") if each.name == "parsl" else each
        for each in passed.stack.components
    ]
    stack = msgspec.structs.replace(passed.stack, components=newer, modules=["gcc/13.1", "cray-mpich/8.1"])
    for run, day in (("r2", 19), ("r3", 20)):
        put(
            store,
            manifest(run, [case], started=f"2026-11-{day}T08:00:00Z"),
            record(run, case, Outcome.FAIL, at=f"2026-11-{day}T08:01:", stack=stack),
        )
    cell = str(ask(store, "/systems/{site}/{system}", site="ornl", system="frontier")["cases"][0]["cell"])
    facts = ask(store, "/cells/{cell}", cell=cell)
    assert (facts["last_pass"]["run_id"], facts["first_failure"]["run_id"]) == ("r1", "r2")
    assert {each["name"]: (each["before"], each["after"]) for each in facts["changed"] if each["changed"]} == {
        "component parsl": ("2026.10.26 by spack", "2026.12.1 by spack"),
        "module gcc": ("12.2", "13.1"),
    }
    assert [each["outcome"] for each in facts["history"]] == ["fail", "fail", "pass"]


def test_two_runs_are_compared_case_by_case(store: Store) -> None:
    cases = ["psij/a@slurm", "psij/b@slurm", "psij/c@slurm", "psij/d@slurm"]
    put(
        store,
        manifest("r1", cases[:3], started="2026-11-18T08:00:00Z"),
        record("r1", cases[0]),
        record("r1", cases[1], Outcome.FAIL),
        record("r1", cases[2]),
    )
    put(
        store,
        manifest("r2", [cases[0], cases[1], cases[3]]),
        record("r2", cases[0], Outcome.ERROR),
        record("r2", cases[1]),
        record("r2", cases[3]),
    )
    facts = ask(store, "/compare/{before}/{after}", before="r1", after="r2")
    assert {case["case_id"]: case["kind"] for case in facts["cases"]} == {
        cases[0]: "newly failing",
        cases[1]: "fixed",
        cases[2]: "removed",
        cases[3]: "added",
    }
    same = ask(store, "/compare/{before}/{after}", before="r2", after="r2")
    assert (same["cases"], same["unchanged"]) == ([], 3)


def test_triage_groups_records_of_schema_2_by_their_cause_key_whatever_their_evidence_is(store: Store) -> None:
    """Cases of other components, with other evidence and on other systems, are one entry with one title."""
    full = Diagnosis(title="a file system is full", cause_key="disk-full")
    cases = ["parsl/a@slurm", "psij/b@slurm", "flux/c@slurm"]
    for system in ("frontier", "borg"):
        run = f"full-{system}"
        failed = [record(run, case, Outcome.FAIL, system=system) for case in cases]
        diagnosed = [msgspec.structs.replace(each, diagnosis=full) for each in failed[:2]]
        put(store, manifest(run, cases, system=system), *diagnosed, msgspec.structs.replace(failed[2], schema=1))
    first, second = ask(store, "/triage")["groups"]
    assert (first["title"], first["cause_key"], len(first["cases"])) == ("a file system is full", "disk-full", 4)
    assert (second["title"], second["cause_key"], len(second["cases"])) == (None, None, 2)
    assert "<b>a file system is full</b>" in drawn(store, "/triage")


def test_triage_groups_by_cause_and_separates_waived_failures_until_their_last_day(store: Store) -> None:
    cases = ["psij/a@slurm", "psij/b@slurm", "parsl/a@slurm", "flux/a@slurm"]
    put(
        store,
        manifest("r1", cases, owner="systems group"),
        record("r1", cases[0], Outcome.FAIL),
        record("r1", cases[1], Outcome.FAIL),
        record("r1", cases[2], Outcome.ERROR),
        missing=1,
    )
    before = ask(store, "/triage")
    assert before["counts"] == {"open": 3, "missing": 1, "waived": 0, "known": 0}
    assert [case["case_id"] for case in before["groups"][0]["cases"]] == cases[:2]
    assert before["groups"][0]["owners"] == ["systems group"]
    with store.writing() as connection:
        request = WaiverRequest(
            site="ornl", system="frontier", cases="psij/*", reason="looked at", expires="2998-12-31", owner="me"
        )
        key = add_waiver(connection, request, None)
    after = ask(store, "/triage", now=now_ms())
    assert after["counts"] == {"open": 1, "missing": 1, "waived": 2, "known": 0}
    waived = next(group for group in after["groups"] if group["section"] == "waived")
    assert waived["cases"][0]["waiver"]["last_day"] == "2998-12-31"
    assert waived["owners"] == ["me"]
    over = ask(store, "/triage", now=instant_ms("2999-01-01T00:00:01Z"))
    assert over["counts"]["open"] == 3
    assert over["groups"][0]["cases"][0]["waiver"]["valid"] is False
    with store.writing() as connection:
        assert not end_waiver(connection, key, "elsewhere")
        assert end_waiver(connection, key, "ornl")
    assert ask(store, "/triage")["counts"]["open"] == 3


@pytest.mark.parametrize(
    ("field", "value"), [("expires", "soon"), ("expires", "2001-01-01"), ("reason", " "), ("cases", "x" * 513)]
)
def test_a_waiver_without_a_valid_day_or_a_reason_is_refused(store: Store, field: str, value: str) -> None:
    request = WaiverRequest(**{"site": "ornl", "cases": "*", "reason": "why", "expires": "2999-01-01", field: value})
    with store.writing() as connection, pytest.raises(Problem) as refused:
        add_waiver(connection, request, None)
    assert refused.value.field == field


def test_filters_in_the_address_hide_results_that_do_not_match(filled: Store) -> None:
    everything = ask(filled, "/", now=now_ms())
    some = ask(filled, "/", now=now_ms(), query={"component": "parsl,psij", "site": "llnl"})
    assert {(tile["site"], tile["subject"]) for tile in some["tiles"]} == {
        ("llnl", subject) for subject in ("parsl", "psij", "parsl+psij", "parsl+flux")
    }
    assert some["systems"] == everything["sites"]["llnl"] < everything["systems"]
    emulated = ask(filled, "/", now=now_ms(), query={"state": "emulated"})
    assert {tile["system"] for tile in emulated["tiles"]} == {"system09"}
    assert ask(filled, "/", now=now_ms(), query={"outcome": EVIL})["tiles"] == []


def test_a_hidden_site_is_on_no_page_for_a_reader_without_a_token(filled: Store) -> None:
    names = dict(addresses(filled, now=now_ms()))
    site = names["/sites/{site}"]["site"]
    with filled.writing() as connection:
        hide_site(connection, site, now_ms())
    anyone, inside = visibility_of(ANYONE), visibility_of(Bearer(site=site, grants=GRANTS["read"], token="t"))
    try:
        assert site in ask(filled, "/sites", inside, now_ms())["sites"][0]["site"]
        for path in names:
            if "{" not in path:
                assert f'"{site}"' not in json.dumps(ask(filled, path, anyone, now_ms())), path
            elif path != "/releases/{release}":
                ask(filled, path, inside, now_ms(), **names[path])
                with pytest.raises(Problem) as refused:
                    ask(filled, path, anyone, now_ms(), **names[path])
                assert refused.value.status == 404
        release = ask(filled, "/releases/{release}", anyone, now_ms(), **names["/releases/{release}"])
        assert site not in {run["site"] for run in release["runs"]}
        with filled.reading() as connection, pytest.raises(Problem):
            draw_badge(connection, anyone, site, names["/systems/{site}/{system}"]["system"], "all", now_ms())
        elsewhere = visibility_of(Bearer(site="elsewhere", grants=GRANTS["read"], token="t"))
        assert ask(filled, "/", elsewhere, now_ms())["tiles"] == []
        with pytest.raises(Problem):
            ask(filled, "/sites/{site}", elsewhere, now_ms(), site=site)
    finally:
        from collector.auth.tokens import show_site

        with filled.writing() as connection:
            show_site(connection, site)


def test_a_badge_is_green_only_for_a_recent_pass_on_a_real_scheduler(store: Store) -> None:
    put(store, manifest("r1", ["psij/a@slurm"], stale_after="1h"), record("r1", "psij/a@slurm"))
    put(store, manifest("r2", ["psij/a@lsf"], system="b"), record("r2", "psij/a@lsf", system="b", emulated=True))
    with store.reading() as connection:
        fresh = draw_badge(
            connection, EVERYTHING, "ornl", "frontier", "psij", instant_ms("2026-11-20T08:30:00Z")
        ).decode()
        stale = draw_badge(connection, EVERYTHING, "ornl", "frontier", "all", NOW).decode()
        emulated = draw_badge(connection, EVERYTHING, "ornl", "b", "psij", NOW).decode()
        with pytest.raises(Problem):
            draw_badge(connection, EVERYTHING, "ornl", "frontier", "parsl", NOW)
    assert "psij on frontier: pass<" in fresh
    assert "#19704a" in fresh
    assert "pass, stale" in stale
    assert "pass, emulated" in emulated
    assert "#19704a" not in stale + emulated


def test_the_page_of_a_site_shows_waits_costs_and_contact_from_daily_sums(filled: Store) -> None:
    facts = ask(filled, "/sites/{site}", now=now_ms(), site="llnl")
    system = facts["systems"][0]
    assert system["attempts_30_days"] == sum(day["attempts"] for day in system["days"])
    assert 4 <= system["days"][0]["queue_wait"] <= 404
    assert system["node_hours_30_days"] > 0
    assert (system["owner"], system["cadence"]) == ("user support", "1d")
    assert facts["waivers"][0]["cases"] == "parsl+flux/*"
    page = drawn(filled, "/sites/{site}", now=now_ms(), site="llnl")
    assert page.count('<svg class="plot"') == 4


def test_bars_of_a_plot_are_stacked_and_series_that_are_not_drawn_are_counted() -> None:
    drawing = plot("Spent", "h", [Series("a", [(1, 2.0), (2, 3.0)]), Series("b", [(1, 2.0)])], 1, 2, bars=True)
    rects = drawing.split("<rect ")[1:]
    heights = [float(each.split('height="')[1].split('"')[0]) for each in rects]
    tops = [float(each.split(' y="')[1].split('"')[0]) for each in rects]
    assert heights[0] == heights[2]
    assert tops[2] == pytest.approx(tops[0] - heights[2], abs=0.11)
    many = plot("Waits", "s", [Series(str(n), [(1, 1.0)]) for n in range(11)], 1, 2)
    assert "3 more are not drawn" in many
    assert "<th scope=row>1970-01-03</th><td class=num>3</td><td class=num>—</td>" in drawing
    assert "Nothing was measured" in plot("Waits", "s", [Series("a", [])], 1, 2)
    assert [nice(value) for value in (0, 0.04, 1.2, 7, 99, 101)] == [1.0, 0.1, 1.5, 8, 100, 150]


def test_the_page_of_a_release_shows_the_newest_complete_run_of_each_system(store: Store) -> None:
    case = "psij/a@slurm"
    put(store, manifest("whole", [case], started="2026-11-18T08:00:00Z"), record("whole", case))
    put(store, manifest("part", [case], partial=True), record("part", case, Outcome.FAIL))
    facts = ask(store, "/releases/{release}", release="2026.11")
    assert [(run["run_id"], run["components"]["psij"]["outcome"]) for run in facts["runs"]] == [("whole", "pass")]
    assert [each["runs"] for each in ask(store, "/releases")["releases"]] == [2]
    with pytest.raises(Problem):
        ask(store, "/releases/{release}", release="1999.01")


def test_a_component_of_a_release_works_only_where_every_case_passed_for_real(store: Store) -> None:
    both = ["psij/a@slurm", "psij/b@slurm"]
    for system, second, more in (
        ("good", Outcome.PASS, {}),
        ("bad", Outcome.FAIL, {}),
        ("skipped", Outcome.SKIP, {}),
        ("simulated", Outcome.PASS, {"emulated": True}),
    ):
        sent = [
            record(system, case, outcome, system=system, **more)
            for case, outcome in zip(both, (Outcome.PASS, second), strict=True)
        ]
        put(store, manifest(system, both, system=system, stale_after="7d"), *sent)
    put(
        store,
        manifest("late", both, system="late", stale_after="1h"),
        *(record("late", each, system="late") for each in both),
    )
    (verdict,) = ask(store, "/releases/{release}", release="2026.11")["components"]
    assert (verdict["works"], verdict["systems"]) == (2, 5)
    assert {each["system"]: each["outcome"] for each in verdict["not_on"]} == {
        "bad": "fail",
        "simulated": "pass",
        "late": "pass",
    }
    assert "2 of 5" in drawn(store, "/releases/{release}", release="2026.11")


@pytest.mark.parametrize("cell", ["x", "-1", "9" * 30, "٣", "999999"])
def test_the_page_of_an_unknown_case_is_not_found(store: Store, cell: str) -> None:
    with pytest.raises(Problem) as refused:
        ask(store, "/cells/{cell}", cell=cell)
    assert refused.value.status == 404
