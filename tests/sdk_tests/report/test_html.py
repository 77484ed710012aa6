"""The page a facility keeps: whole in itself, safe to open, and it says nothing better than it is."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dashboard_client.compare import Change, Comparison, Difference, since_last_pass
from dashboard_client.runs import RunFolder
from dashboard_client.schema import Cause, CauseClass, Evidence, Manifest, Phase, Record, Span
from sdk_tests.report.html import duration, report_html, seal
from sdk_tests.report.text import TAIL
from tests.needs import need
from tests.sdk_tests.report.examples import HOSTILE, everything, manifest, moved, passing, record

VOID = {"meta", "link", "wbr", "rect", "br"}
COMPARISON = Comparison(
    a="20260627T101500Z-91bc",
    b="20260704T101500Z-7f3a",
    newly_failing=(Change("parsl/htex:blocks=2@slurm", "pass", "fail"),),
    fixed=(Change("psij/bulk:jobs=50@slurm", "infra", "pass"),),
    changed=(),
    added=(Change("psij/hello@lsf", None, "pass"),),
    removed=(Change("psij/attach@slurm", "pass", None),),
    same=18,
    stack=(Difference("component parsl (release)", "2026.9.14", "2026.10.26"),),
)


class Page(HTMLParser):
    """The page as a list of elements with their attributes, and its text by section."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.feed(source)
        self.close()
        assert not self.open, "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.handle_data(" ")
        if tag not in VOID:
            assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1][0] == "style":
            return
        names = [attributes.get("id") or "" for tag, attributes in self.open if tag == "section"] or ["top"]
        self.text[names[-1]] = self.text.get(names[-1], "") + data

    def said(self, section: str) -> str:
        return " ".join(self.text.get(section, "").split())


def page(whole: Manifest, records: list[Record], **rest: Any) -> Page:
    return Page(report_html(whole, records, **rest))


def test_it_is_one_file_that_names_no_other_and_has_no_script() -> None:
    source = report_html(*everything(), comparison=COMPARISON)
    for tag, attributes in Page(source).elements:
        assert tag not in {"script", "iframe", "object", "embed", "img", "base", "form", "video", "audio"}
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "srcset", "style"}]
        assert (attributes.get("href") or "#").startswith("#") or attributes["href"] == "data:,"
    style = source.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src &#39;none&#39;" in source or "default-src 'none'" in source


def test_every_link_within_the_page_leads_somewhere_and_no_name_is_given_twice() -> None:
    found = page(*everything(), comparison=COMPARISON).elements
    names = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in found:
        target = attributes.get("href") or ""
        assert not target.startswith("#") or target[1:] in names
        assert attributes.get("aria-labelledby", names[0]) in names


def test_the_heading_is_the_verdict_in_plain_words() -> None:
    assert "Failed: of 25 cases, 3 failed, 1 reached no verdict" in page(*everything()).said("top")
    assert "Passed: 5 cases passed and none failed" in page(*passing()).said("top")


def test_every_planned_case_is_in_the_table_of_all_cases() -> None:
    whole, records = everything()
    found = page(whole, records)
    assert all(planned.case_id in found.said("all") for planned in whole.planned)
    assert len([1 for tag, attributes in found.elements if (attributes.get("id") or "").startswith("case-")]) == 25


def test_every_problem_has_its_cause_phase_evidence_command_and_output() -> None:
    said = page(*everything()).said("problems")
    assert (
        "assert outcome.answer['blocks'] == 2: the payload answered 1 "
        "At fault the component Phase run Rule answer-asserted Jobs 4711 Nodes n1, n2 "
        "To reproduce exaworks validate --case 'parsl/htex:blocks=2@slurm' End of its output"
    ) in said
    assert "Requested node configuration is not available" in said
    assert "Attempt 2, after INFRA: slurm: job 4718 NODE_FAIL on n2" in said
    assert "parsl/files@slurm Planned, but there is no record of it." in said
    assert "exaworks validate --resume 20260704T101500Z-7f3a" in said


def test_skips_come_with_reason_and_cases() -> None:
    said = page(*everything()).said("skipped")
    assert "no `swift-t` on PATH of deployment release" in said
    assert "2 cases · rule not-promised · phase probe swift-t/hello@local swift-t/hello@slurm" in said


def test_the_environment_is_there_to_be_signed() -> None:
    said = page(*everything()).said("environment")
    for fact in ("slurm 22.05.8", "lsf 10.1 (emulated)", "srun 22.05.8", "MPICH 4.0.2", "3.11.7", "gcc/13.2", "n1, n2"):
        assert fact in said
    for component in ("parsl 2026.10.26 pip", "flux 0.88.0 spack flux-core@0.88.0/k3v7qz2hnd5e"):
        assert component in said


def test_times_are_split_and_unknown_is_a_dash() -> None:
    said = page(*everything()).said("all")
    assert "psij/multinode@slurm/srun/2n 2 31.0 s† 0.12 s 1.40 s" in said
    assert "parsl/files@slurm 0 — — — —" in said


def test_a_pass_on_an_emulated_scheduler_is_never_drawn_as_a_real_one() -> None:
    records = [record("psij/a@lsf")]
    found = page(manifest(["psij/a@lsf"], records), records)
    assert "emulated: proves nothing of the real one" in found.said("matrix")
    drawn = [attributes.get("class") or "" for tag, attributes in found.elements if tag in ("td", "div")]
    assert "verdict is-emulated" in drawn
    assert not [name for name in drawn if "is-pass" in name]


@pytest.mark.parametrize("outcome", ["skip", "xfail", "fail", "error", "infra", None])
def test_a_run_in_which_nothing_passed_has_no_green_on_it(outcome: str | None) -> None:
    records = [record("psij/a@slurm", outcome)] if outcome else []
    found = page(manifest(["psij/a@slurm"], records), records)
    drawn = [attributes.get("class") or "" for tag, attributes in found.elements if tag in ("td", "div", "article")]
    assert not [name for name in drawn if "is-pass" in name.split()]
    assert "verdict is-fail" in drawn
    assert "What works Nothing." in found.said("short")


def test_a_cell_with_a_pass_and_a_problem_is_drawn_as_the_problem() -> None:
    records = [record("psij/a@slurm"), record("psij/b@slurm", "infra")]
    found = page(manifest([each.case_id for each in records], records), records)
    cells = [attributes["class"] for tag, attributes in found.elements if tag == "td" and "class" in attributes]
    assert cells[0] == "is-infra"


def test_the_comparison_says_what_broke_what_was_mended_and_what_differs_below() -> None:
    said = page(*everything(), comparison=COMPARISON).said("since")
    assert "Compared with run 20260627T101500Z-91bc" in said
    assert "Newly failing (1) parsl/htex:blocks=2@slurm pass → ✗ FAIL Fixed (1) psij/bulk:jobs=50@slurm" in said
    assert "psij/hello@lsf ✓ pass (emulated)" in said
    assert "component parsl (release) 2026.9.14 2026.10.26" in said
    assert page(*everything()).said("since") == ""
    assert "No earlier run of this system that passed was at hand" in page(*everything()).said("short")


def test_a_run_that_was_stored_and_read_back_makes_the_same_page_and_names_what_broke(tmp_path: Path) -> None:
    """Through the real run folder: what the harness holds in memory and what lies on disk are one report."""
    earlier, before = passing()
    earlier = msgspec.structs.replace(earlier, run_id="20260601T000000Z-aa", started="2026-06-01T00:00:00Z")
    store(tmp_path, earlier, [moved(found, "local", "workstation", earlier.run_id) for found in before])
    after = [record(found.case_id, "fail") if found.case_id == "parsl/python_app@slurm" else found for found in before]
    whole = manifest([found.case_id for found in after], after)
    run = store(tmp_path, whole, after)
    comparison = since_last_pass(run, tmp_path)
    source = report_html(run.manifest, run.records(), comparison=comparison)
    assert source == report_html(whole, after, comparison=comparison)
    assert "Newly failing (1) parsl/python_app@slurm pass → ✗ FAIL" in Page(source).said("since")


def store(runs: Path, whole: Manifest, records: list[Record]) -> RunFolder:
    assert whole.closed is not None
    run = RunFolder.create(runs, msgspec.structs.replace(whole, closed=None))
    for found in records:
        run.append(found)
    run.close(whole.closed)
    return run


def hostile() -> tuple[Manifest, list[Record]]:
    """A run in which everything that can be said is hostile."""
    cause = Cause(phase=Phase.RUN, cls=CauseClass.UNKNOWN, rule=HOSTILE, evidence=HOSTILE)
    records = [
        msgspec.structs.replace(
            record(f"psij/{number}{HOSTILE}@slurm", outcome, cause=cause),
            evidence=Evidence(output_tail=HOSTILE * 50, reproduce=HOSTILE),
        )
        for number, outcome in enumerate(("fail", "error", "infra", "skip", "xfail", "xpass"))
    ]
    whole = manifest([found.case_id for found in records], records, system=HOSTILE)
    return msgspec.structs.replace(whole, run_id=HOSTILE, release=HOSTILE, owner=HOSTILE), records


def test_hostile_strings_make_no_element_no_control_character_and_no_template() -> None:
    change = Change(HOSTILE, "pass", "fail")
    source = report_html(
        *hostile(),
        comparison=Comparison(HOSTILE, HOSTILE, (change,), (), (), (), (), 0, (Difference(HOSTILE, HOSTILE, None),)),
    )
    tags = {tag for tag, _ in Page(source).elements}
    assert not tags & {"script", "img"}
    assert "{{ 7*7 }}" in source, "shown as it was printed, never evaluated"
    assert not set(source) & {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u202e"} - {"\n", "\t"}
    source.encode("utf-8")


def test_a_megabyte_of_output_leaves_the_page_small_and_its_end_readable() -> None:
    records = [record("psij/a@slurm", "fail", tail="x" * 1_000_000 + " the end")]
    source = report_html(manifest(["psij/a@slurm"], records), records)
    assert len(source) < TAIL + 40_000
    assert "the end</pre></div>" in source


def test_the_seal_changes_with_the_data_and_not_with_the_order_or_number_of_readings() -> None:
    whole, records = passing()
    assert seal(whole, records) == seal(whole, [*reversed(records), records[0]])
    assert seal(whole, records) != seal(whole, records[1:])
    assert re.fullmatch("[0-9a-f]{64}", said := seal(whole, records) or "")
    assert said in report_html(whole, records)


def test_the_seal_is_the_same_for_records_as_made_and_as_read_back() -> None:
    whole, records = passing()
    made = msgspec.structs.replace(
        records[0], timing=msgspec.structs.replace(records[0].timing, run=Span(seconds=3, source="harness"))
    )
    read = msgspec.json.decode(msgspec.json.encode(made), type=Record)
    assert seal(whole, [made]) == seal(whole, [read])


def test_a_run_without_cases_is_still_a_page() -> None:
    assert "Nothing was planned." in page(manifest([], [], exit_code=2), []).said("matrix")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.02, "0.02 s"), (9.876, "9.88 s"), (87.4, "87.4 s"), (125, "2 min 05 s"), (3599.9, "1 h 00 min")],
)
def test_durations_read_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(Span(seconds=seconds, source="harness")) == said
    assert duration(Span(seconds=seconds, source="scheduler")) == f"{said}†"


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_in_light_and_in_dark(scheme: int) -> None:
    source = report_html(*passing())
    blocks = re.findall(r":root \{(.*?)\}", source, flags=re.S)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[scheme]))
    for tone in ("pass", "fail", "infra", "warn", "emulated", "skip"):
        for ground in (f"{tone}-tint", "paper"):
            assert contrast(colours[tone], colours[ground]) >= 4.5, (tone, ground)
    for ink in ("ink", "soft", "link"):
        for ground in ("page", "paper", "fail-tint", "pass-tint", "code"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_asks_for_nothing_runs_nothing_and_needs_no_sideways_scrolling(tmp_path: Path, scheme: str) -> None:
    browser = need("chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "report.html"
    path.write_text(report_html(*hostile(), comparison=COMPARISON), encoding="utf-8")
    events: list[str] = []
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        opened = chromium.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
        opened.on("request", lambda request: events.append(f"request {request.url}"))
        opened.on("console", lambda message: events.append(f"console {message.text}"))
        opened.on("dialog", lambda dialog: events.append(f"dialog {dialog.message}"))
        opened.goto(path.as_uri())
        ground = opened.evaluate("getComputedStyle(document.body).backgroundColor")
        width = opened.evaluate("document.documentElement.scrollWidth")
        chromium.close()
    assert events == [f"request {path.as_uri()}"]
    assert ground == {"light": "rgb(245, 246, 248)", "dark": "rgb(16, 20, 24)"}[scheme], "the style sheet is admitted"
    assert width <= 390


@pytest.mark.slow
def test_a_sheet_of_paper_cuts_nothing_off_and_prints_dark_ink_on_white(tmp_path: Path) -> None:
    browser = need("chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "report.html"
    path.write_text(report_html(*everything(), comparison=COMPARISON), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        opened = chromium.new_page(viewport={"width": 688, "height": 970}, color_scheme="dark")
        opened.emulate_media(media="print")
        opened.goto(path.as_uri())
        width = opened.evaluate("document.documentElement.scrollWidth")
        colours = opened.evaluate(
            "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
        )
        chromium.close()
    assert width == 688, "A4 between its margins"
    assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
