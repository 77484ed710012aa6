"""The first page: the headline, the order of the systems, the filters, and the forms that take the same filters."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from benchmarks.history import fill
from benchmarks.spells import Shape
from collector.auth.visibility import EVERYTHING
from collector.clock import instant_ms, now_ms
from collector.outcomes import OUTCOME_NAMES
from collector.rendering.base import Question, render_atom, render_csv, render_html, render_json
from collector.rendering.forms import write_csv
from collector.rendering.heat import WIDE, sparkline
from collector.status.filters import Filters
from collector.status.overview import page_of_systems
from collector.status.reference import read_reference
from collector.status.tiles import tile_rows
from collector.store.attention import recent_shares
from collector.store.database import Store, database_url, open_store
from collector.store.tables import board
from dashboard_client.schema import Cause, CauseClass, Origin, Outcome, Phase, Record
from tests.collector.pages.test_dashboard import PAGES, Passes, ask, drawn, put
from tests.collector.samples import manifest, record

NOW = instant_ms("2026-11-20T09:00:00Z")
CASES = ["psij/a@slurm", "psij/b@slurm", "parsl/a@slurm", "parsl/b@slurm+flux"]


def night(
    store: Store, day: int, system: str, failing: dict[str, Outcome], cause: CauseClass | None = None, **changes: Any
) -> None:
    """Store a run of one night at eight in the morning in which some cases fail."""
    run, at = f"{system}-{day}", f"2026-11-{day}T08:01:"
    records = [record(run, case, failing.get(case, Outcome.PASS), system=system, at=at) for case in CASES]
    if cause is not None:
        records = [_blamed(each, cause) if each.case_id in failing else each for each in records]
    put(store, manifest(run, CASES, system=system, started=f"2026-11-{day}T08:00:00Z", **changes), *records)


def _blamed(failed: Record, cls: CauseClass) -> Record:
    cause = Cause(phase=Phase.RUN, cls=cls, rule="import", evidence="ImportError")
    return msgspec.structs.replace(failed, verdict=msgspec.structs.replace(failed.verdict, cause=cause))


def _three_systems(store: Store) -> None:
    """dane and tuolumne newly fail, borg fails for long, frontier recovers, and old is silent."""
    failed = {"parsl/a@slurm": Outcome.FAIL}
    for system in ("dane", "tuolumne", "borg", "frontier"):
        night(store, 18, system, failed if system in ("borg", "frontier") else {}, owner="user support")
        night(store, 20, system, failed if system != "frontier" else {}, CauseClass.DISTRIBUTION, owner="user support")
    night(store, 17, "old", {}, cadence="24h", stale_after="1h")


def test_the_headline_groups_what_newly_fails_by_cause_version_and_systems(store: Store) -> None:
    _three_systems(store)
    facts = ask(store, "/", now=NOW)
    failing, recovered = facts["changes"]
    assert failing | {"latest": ""} == {
        "recovered": False,
        "class": "distribution",
        "component": "parsl",
        "version": "2026.10.26",
        "cells": 2,
        "systems": 2,
        "named": ["dane", "tuolumne"],
        "latest": "",
    }
    assert (recovered["recovered"], recovered["component"], recovered["named"]) == (True, "parsl", ["frontier"])
    assert [each["system"] for each in facts["silent"]["longest"]] == ["old"]
    assert facts["failing"] == {"by_class": {"distribution": 3}, "by_owner": {"user support": 3}}
    assert facts["longest_failing"][0]["system"] == "borg"
    page = drawn(store, "/", now=NOW)
    assert ">2 cells newly failing</a>" in page
    assert ">2 distribution: parsl 2026.10.26</a> on dane, tuolumne" in page
    assert ">1 cell recovered</a>" in page
    assert ">1 system silent</a>" in page


def test_an_outage_of_a_site_is_one_group_whatever_its_cases_test(store: Store) -> None:
    for system in ("dane", "tuolumne"):
        night(store, 18, system, {})
        night(store, 20, system, dict.fromkeys(CASES, Outcome.INFRA), CauseClass.SITE)
    (change,) = ask(store, "/", now=NOW)["changes"]
    assert (change["class"], change["component"], change["cells"], change["systems"]) == ("site", None, 8, 2)
    assert ">8 site</a> on dane, tuolumne" in drawn(store, "/", now=NOW)


@pytest.mark.parametrize(
    ("since", "newly"),
    [("24h", 2), ("1h", 2), ("3d", 3), ("2026-11-20T08:30:00Z", 0), ("2026-11-18", 3), ("2999-01-01", 2), ("x", 2)],
)
def test_the_reference_time_of_the_headline_can_be_chosen(store: Store, since: str, newly: int) -> None:
    _three_systems(store)
    changes = ask(store, "/", now=NOW, query={"since": since})["changes"]
    assert sum(each["cells"] for each in changes if not each["recovered"]) == newly


def test_the_default_reference_time_is_yesterday_at_seven() -> None:
    assert read_reference(None, NOW).ms == instant_ms("2026-11-19T07:00:00Z")
    assert read_reference("30000000d", NOW).text == "yesterday"


def test_systems_are_in_the_order_of_their_need_of_attention(store: Store) -> None:
    _three_systems(store)
    order = lambda query: list(dict.fromkeys(tile["system"] for tile in ask(store, "/", now=NOW, query=query)["tiles"]))  # noqa: E731
    assert order({}) == ["dane", "tuolumne", "borg", "old", "frontier"]
    assert order({"sort": "name"}) == ["borg", "dane", "frontier", "old", "tuolumne"]
    assert order({"sort": "nonsense"}) == order({})


def test_a_tile_shows_when_its_outcome_began_and_the_share_of_passes_of_the_newest_runs(store: Store) -> None:
    _three_systems(store)
    tiles = {(tile["system"], tile["subject"]): tile for tile in ask(store, "/", now=NOW)["tiles"]}
    assert tiles["borg", "parsl"]["since"] == "2026-11-18T08:00:00Z"
    assert (tiles["borg", "parsl"]["shares"], tiles["dane", "parsl"]["shares"]) == ("------------55", "------------A5")
    assert (tiles["borg", "parsl"]["newly_failing"], tiles["dane", "parsl"]["newly_failing"]) == (False, True)
    assert tiles["dane", "psij"]["since"] == "2026-11-18T08:00:00Z"


@pytest.mark.parametrize(
    ("histories", "shares"),
    [
        (["p" * 20], "A" * 14),
        (["pf", "p"], "------------A5"),
        (["s", "s"], "--------------"),
        (["f"] * 9 + ["p"], "-------------1"),
        (["p"] * 99 + ["f"], "-------------9"),
        ([None, ""], "--------------"),
    ],
)
def test_a_share_of_passes_is_full_only_if_every_judged_case_passed(histories: list[str | None], shares: str) -> None:
    assert recent_shares(histories) == shares
    assert _heights(sparkline(shares)) == (
        [] if set(shares) in ({"A"}, {"-"}) else [_HEIGHT[share] for share in shares]
    )


_HEIGHT = {"-": 0, "0": 1, "A": 10} | {str(tenth): tenth for tenth in range(1, 10)}


def _heights(drawing: str) -> list[int]:
    """Return the height of each of fourteen bars from the outline that is drawn."""
    heights: list[int] = []
    top = 10
    for kind, number in re.findall(r"([HV])(\d+)", drawing):
        if kind == "V":
            top = int(number)
        else:
            heights += [10 - top] * (int(number) // WIDE - len(heights))
    return heights


def test_results_of_other_tools_are_no_columns_unless_they_are_chosen(store: Store) -> None:
    night(store, 20, "frontier", {})
    foreign = record("junit", "imported/x@local", system="dane", origin=Origin.JUNIT)
    put(store, None, foreign)
    page = drawn(store, "/", now=NOW)
    assert '<th scope="row">imported' not in page
    assert 'scope="col">imported' not in page
    assert 'Other tools also reported <a href="/?component=imported">imported</a>' in page
    with store.reading() as connection:
        question = Question(connection, EVERYTHING, NOW, {}, {"component": "imported"})
        assert ">imported</th>" in render_html(PAGES["/"], question).decode()


def test_a_version_is_marked_if_most_systems_with_the_release_have_another_one(store: Store) -> None:
    for system in ("a", "b", "c"):
        night(store, 20, system, {})
    newer = record("d-20", CASES[2], system="d", at="2026-11-20T08:01:")
    components = [
        msgspec.structs.replace(each, version="2026.9.9") if each.name == "parsl" else each
        for each in newer.stack.components
    ]
    newer = msgspec.structs.replace(newer, stack=msgspec.structs.replace(newer.stack, components=components))
    put(store, manifest("d-20", CASES[2:3], system="d"), newer)
    tiles = ask(store, "/", now=NOW)["tiles"]
    marked = {tile["system"]: tile["usual_version"] for tile in tiles if tile["usual_version"]}
    assert marked == {"d": "2026.10.26"}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Twelve systems after a bad night."""
    opened = open_store(database_url(None, tmp_path_factory.mktemp("history")))
    fill(opened, Shape(systems=12, cases=20, nights=6, bad_night=True))
    yield opened
    opened.close()


def test_tiles_that_are_computed_from_cells_equal_those_of_the_board(history: Store) -> None:
    now = now_ms()
    everything = Filters({"emulated": ("real", "emulated")}, now)  # matches every cell, and needs the cells
    assert everything.needs_cells
    with history.reading() as connection:
        rows = page_of_systems(connection, EVERYTHING, Filters({}, now), 0, "site", 0, None)
        keys = [row.id for row in rows]
        computed, stored = tile_rows(connection, keys, everything), tile_rows(connection, keys, Filters({}, now))
        assert computed == stored
        assert len(stored) > 50
        assert set(stored[0]._fields) > {column.name for column in board.c}


FILTERS = [
    {"site": "llnl"},
    {"system": "system03"},
    {"component": "parsl"},
    {"scheduler": "flux"},
    {"scheduler": "slurm"},
    {"version": "2026.10.26"},
    {"release": "2026.11"},
    {"class": "site"},
    {"outcome": "fail"},
    {"outcome": "fail,missing"},
    {"owner": "user support"},
    {"emulated": "emulated"},
    {"emulated": "real"},
    {"age": "1d"},
    {"age": "over-1d"},
    {"state": "flaky"},
    {"state": "silent"},
    {"state": "stale,nested"},
    {"component": "psij", "class": "component"},
    {"scheduler": "slurm", "outcome": "infra", "site": "nersc"},
]
NOTHING = [{"site": "x"}, {"version": "0"}, {"age": "soon"}, {"class": "nobody"}, {"outcome": "x"}, {"state": "x"}]


def _fits(row: dict[str, Any], filters: dict[str, str]) -> bool:
    """Return whether a cell of the API fits the filters that it has values for, computed without the database."""
    case = row["case_id"]
    subject, scheduler = case.partition("/")[0], case.rpartition("@")[2]
    has = lambda text, names: any(name == text or name in (text.split("+")[0], text.split("+")[-1]) for name in names)  # noqa: E731
    checks = {
        "site": lambda names: row["site"] in names,
        "system": lambda names: row["system"] in names,
        "component": lambda names: has(subject, names),
        "scheduler": lambda names: has(scheduler, names),
        "version": lambda names: row["version"] in names,
        "outcome": lambda names: row["outcome"] in names,
        "emulated": lambda names: ("emulated" if row["emulated"] else "real") in names,
    }
    return all(checks[name](value.split(",")) for name, value in filters.items() if name in checks)


@pytest.mark.parametrize(
    "filters", [*FILTERS, *NOTHING], ids=lambda each: "&".join(f"{k}={v}" for k, v in each.items())
)
def test_every_filter_applies_to_all_lists_and_to_every_form(history: Store, filters: dict[str, str]) -> None:
    now = now_ms()
    facts = ask(history, "/", now=now, query=filters)
    triage = ask(history, "/triage", now=now, query=filters)
    cases = [case for group in triage["groups"] for case in group["cases"]]
    assert all(_fits(case, filters) for case in cases)
    known = {name: value for name, value in filters.items() if name not in ("version", "emulated")}
    assert all(_fits(case, known) for case in facts["longest_failing"])
    for name in ("site", "system"):
        assert all(tile[name] in filters.get(name, tile[name]).split(",") for tile in facts["tiles"])
        assert all(run[name] in filters.get(name, run[name]).split(",") for run in facts["runs"])
    if filters.get("outcome"):
        assert {tile["outcome"] for tile in facts["tiles"]} <= set(filters["outcome"].split(","))
    if filters in NOTHING:
        assert (facts["tiles"], facts["changes"], cases, facts["longest_failing"]) == ([], [], [], [])
    else:
        assert facts["tiles"] or filters.get("state") == "silent" or "emulated" in filters or cases or facts["runs"]
    with history.reading() as connection:
        question = Question(connection, EVERYTHING, now, {}, filters, base="https://status.example.org")
        for path, number in (("/", len(facts["tiles"])), ("/triage", len(cases))):
            table = list(csv.DictReader(io.StringIO(render_csv(PAGES[path], question).decode())))
            assert len(table) == number
        feed = ET.fromstring(render_atom(PAGES["/"], question))
        atom = "{http://www.w3.org/2005/Atom}"
        assert len(feed.findall(f"{atom}entry")) == len(facts["changes"]) + len(facts["silent"]["longest"])
        assert {link.get("href", "")[:27] for link in feed.iter(f"{atom}link")} == {"https://status.example.org/"}
        assert json.loads(render_json(PAGES["/"], question))["tiles"] == facts["tiles"]
        html = render_html(PAGES["/"], question).decode()
        assert html.count('class="heat ') == len([t for t in facts["tiles"] if t["subject"] != "imported"])


def test_the_counts_of_the_headline_agree_with_the_lists_that_it_links_to(history: Store) -> None:
    now = now_ms()
    facts = ask(history, "/", now=now, query={"since": "24h"})
    for recovered, change in ((False, "new"), (True, "recovered")):
        listed = ask(history, "/triage", now=now, query={"since": "24h", "change": change})
        number = sum(len(group["cases"]) for group in listed["groups"] if group["outcome"] not in ("xfail", "xpass"))
        assert number == sum(each["cells"] for each in facts["changes"] if each["recovered"] is recovered)
    everything = ask(history, "/triage", now=now)["counts"]
    assert sum(facts["failing"]["by_class"].values()) == everything["open"] + everything["missing"]
    assert facts["changes"]


def test_a_history_is_realistic_by_default_and_a_bad_night_is_worse(history: Store, tmp_path: Any) -> None:
    usual = open_store(database_url(None, tmp_path))
    fill(usual, Shape(systems=12, cases=20, nights=6))
    shares = []
    for store in (usual, history):
        tiles = ask(store, "/", now=now_ms())["tiles"]
        counts = {name: sum(tile["counts"].get(name, 0) for tile in tiles) for name in OUTCOME_NAMES.values()}
        shares.append(counts["pass"] / (sum(counts.values()) - counts["skip"]))
    usual.close()
    assert 0.90 < shares[0] < 0.99
    assert shares[1] < shares[0] - 0.1


def test_a_text_that_a_spreadsheet_would_compute_is_marked_and_the_rest_is_plain() -> None:
    rows = [{"a": "=1+1", "b": {"x": 1}, "c": None}, {"a": "plain, with a comma", "d": True}]
    table = list(csv.reader(io.StringIO(write_csv(rows).decode())))
    assert table == [["a", "b", "c", "d"], ["'=1+1", '{"x":1}', "", ""], ["plain, with a comma", "", "", "true"]]


@pytest.mark.parametrize(
    ("text", "part", "hit"),
    [
        ("system03", "systems", "system03"),
        ("case00@slurm", "cases", "psij/case00@slurm"),
        ("2026.10", "versions", "2026.10.26"),
        ("IMPORTERROR", "causes", "ImportError"),
        ("system03-", "runs", "system03-"),
    ],
)
def test_search_finds_systems_cases_versions_causes_and_runs(history: Store, text: str, part: str, hit: str) -> None:
    facts = ask(history, "/search", now=now_ms(), query={"q": text})
    assert any(hit in json.dumps(row) for row in facts[part]), facts


@pytest.mark.parametrize("text", ["%", "_%_", "''", '"; drop table runs', "\U0010ffff", " "])
def test_search_takes_every_text_literally(history: Store, text: str) -> None:
    assert ask(history, "/search", now=now_ms(), query={"q": text})["found"] == 0


def test_the_flakiest_case_is_the_first_of_its_page(store: Store) -> None:
    for day, (first, second) in enumerate([("pp"), ("fp"), ("pf"), ("fp"), ("pp")], 10):
        outcomes = {"p": Outcome.PASS, "f": Outcome.FAIL}
        night(store, day, "frontier", {CASES[0]: outcomes[first], CASES[1]: outcomes[second]})
    facts = ask(store, "/flaky", now=NOW)
    assert [case["case_id"] for case in facts["cases"]] == CASES[:2]
    assert facts["cases"][0]["flake_score"] == 1.0
    assert "100 %" in drawn(store, "/flaky", now=NOW)
    assert ask(store, "/flaky", now=NOW, query={"component": "parsl"})["cases"] == []


def test_the_first_run_of_a_system_has_pending_tiles_until_its_cases_report(store: Store) -> None:
    cases = ["psij/a@slurm", "psij/b@slurm", "parsl/a@slurm", "parsl+flux/a@slurm"]
    opening = manifest("first", cases, system="new", started="2026-11-20T08:30:00Z")
    put(store, opening, close=False)
    facts = ask(store, "/", now=NOW)
    shown = {tile["subject"]: (tile["outcome"], tile["counts"]) for tile in facts["tiles"]}
    assert shown == {
        "parsl": ("pending", {"pending": 1}),
        "parsl+flux": ("pending", {"pending": 1}),
        "psij": ("pending", {"pending": 2}),
    }
    assert (facts["systems"], facts["changes"], facts["failing"]["by_class"]) == (1, [], {})
    page = drawn(store, "/", now=NOW)
    assert 'aria-label="psij on new: pending; 2 pending"' in page
    assert Passes(page[: page.index('<details class="legend"')]).green == []
    put(store, None, record("first", cases[0], system="new"))
    shown = {tile["subject"]: tile["outcome"] for tile in ask(store, "/", now=NOW)["tiles"]}
    assert shown == {"parsl": "pending", "parsl+flux": "pending", "psij": "pass"}
    put(store, opening, *(record("first", case, system="new") for case in cases[1:]))
    assert {tile["outcome"] for tile in ask(store, "/", now=NOW)["tiles"]} == {"pass"}


def test_an_open_run_of_a_system_with_results_changes_no_tile(store: Store) -> None:
    night(store, 19, "dane", {})
    before = ask(store, "/", now=NOW)["tiles"]
    put(store, manifest("next", ["swift-t/new@slurm"], system="dane", started="2026-11-20T08:30:00Z"), close=False)
    assert ask(store, "/", now=NOW)["tiles"] == before


def test_the_page_of_a_release_states_why_a_pass_proves_nothing(store: Store) -> None:
    cases = ["psij/a@lsf"]
    for system, changes in (("old", {"stale_after": "1h"}), ("fresh", {"stale_after": "48h"}), ("sim", {})):
        run = f"{system}-1"
        records = [record(run, case, system=system, emulated=system == "sim") for case in cases]
        put(store, manifest(run, cases, system=system, **changes), *records)
    later = NOW + 7_200_000
    (verdict,) = ask(store, "/releases/{release}", now=later, release="2026.11")["components"]
    assert (verdict["works"], verdict["systems"], verdict["not_working"]) == (1, 3, 2)
    assert {each["system"]: each["because"] for each in verdict["not_on"]} == {"old": ["stale"], "sim": ["emulated"]}
    page = drawn(store, "/releases/{release}", now=later, release="2026.11")
    assert '<span class="quiet">pass, stale</span>' in page
    assert '<span class="quiet">pass, emulated</span>' in page


def test_a_run_with_many_cases_is_listed_in_pages_and_its_matrix_counts_all(store: Store) -> None:
    cases = [f"{name}/case{number:03}@slurm" for number in range(320) for name in ("psij", "parsl")]
    put(store, manifest("big", cases), *(record("big", case) for case in cases[:3]), missing=len(cases) - 3)
    names = {"site": "ornl", "system": "frontier", "run_id": "big"}
    path = "/runs/{site}/{system}/{run_id}"
    pages = [ask(store, path, now=NOW, query={"page": str(number)}, **names) for number in (1, 2)]
    assert [len(page["cases"]) for page in pages] == [500, 140]
    assert {case["case_id"] for page in pages for case in page["cases"]} == set(cases)
    assert {(it["subject"], len(it["outcomes"]), it["page"]) for it in pages[0]["matrix"]} == {
        ("parsl", 320, 1),
        ("psij", 320, 1),
    }
    assert (pages[0]["failing"], len(pages[0]["attention"])) == (637, 200)
    page = drawn(store, path, now=NOW, **names)
    assert "437 more are in the list of every case" in page
    assert '<a rel="next" href="/runs/ornl/frontier/big?page=2">More cases</a>' in page
