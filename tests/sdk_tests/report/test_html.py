"""The HTML report: self-contained, safe to open, and never more positive than the records."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dashboard_client.compare import Change, Comparison, Difference, compare_with_last_pass
from dashboard_client.runs import RunFolder
from dashboard_client.schema import Cause, CauseClass, Evidence, Manifest, Phase, Record, Span
from sdk_tests.report.html import duration, report_html, seal
from sdk_tests.report.text import TAIL
from tests.needs import need
from tests.sdk_tests.report.examples import HOSTILE, everything, manifest, moved, passing, record, whole_page

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
    """Parses a page into a list of elements with their attributes, and its text by section."""

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

    def section_text(self, section: str) -> str:
        return " ".join(self.text.get(section, "").split())


def page(whole: Manifest, records: list[Record], **rest: Any) -> Page:
    return Page(whole_page(whole, records, **rest))


def test_the_page_of_many_cases_is_never_in_memory_as_a_whole() -> None:
    records = [record(f"psij/a:n={number}@slurm") for number in range(300)]
    parts = [len(part) for part in report_html(manifest([each.case_id for each in records], records), records)]
    assert max(parts) < sum(parts) / 10


def test_the_page_is_one_file_without_scripts_and_without_references_to_other_files() -> None:
    source = whole_page(*everything(), comparison=COMPARISON)
    for tag, attributes in Page(source).elements:
        assert tag not in {"script", "iframe", "object", "embed", "img", "base", "form", "video", "audio"}
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "srcset", "style"}]
        assert (attributes.get("href") or "#").startswith("#") or attributes["href"] == "data:,"
    style = source.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src &#39;none&#39;" in source or "default-src 'none'" in source


def test_every_link_within_the_page_has_a_target_and_ids_are_unique() -> None:
    elements = page(*everything(), comparison=COMPARISON).elements
    names = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in elements:
        target = attributes.get("href") or ""
        assert not target.startswith("#") or target[1:] in names
        assert attributes.get("aria-labelledby", names[0]) in names


def test_the_heading_states_the_verdict() -> None:
    assert "Failed: of 25 cases, 3 failed, 1 reached no verdict" in page(*everything()).section_text("top")
    assert "Passed: 5 cases passed and none failed" in page(*passing()).section_text("top")


def test_every_planned_case_is_in_the_table_of_all_cases() -> None:
    whole, records = everything()
    parsed = page(whole, records)
    assert all(planned.case_id in parsed.section_text("all") for planned in whole.planned)
    assert len([1 for tag, attributes in parsed.elements if (attributes.get("id") or "").startswith("case-")]) == 25


def test_every_problem_has_its_cause_phase_evidence_command_and_output() -> None:
    text = page(*everything()).section_text("problems")
    assert (
        "assert outcome.answer['blocks'] == 2: the payload answered 1 "
        "At fault the component Phase run Rule answer-asserted Jobs 4711 Nodes n1, n2 "
        "To reproduce exaworks validate --case 'parsl/htex:blocks=2@slurm' End of the output"
    ) in text
    assert "Requested node configuration is not available" in text
    assert "Attempt 2, after INFRA: slurm: job 4718 NODE_FAIL on n2" in text
    assert "parsl/files@slurm Planned, but without a record." in text
    assert "exaworks validate --resume 20260704T101500Z-7f3a" in text


def test_skips_are_listed_with_their_reason_and_their_cases() -> None:
    text = page(*everything()).section_text("skipped")
    assert "no `swift-t` on PATH of deployment release" in text
    assert "2 cases · rule not-promised · phase probe swift-t/hello@local swift-t/hello@slurm" in text


def test_the_page_lists_the_environment() -> None:
    text = page(*everything()).section_text("environment")
    for fact in ("slurm 22.05.8", "lsf 10.1 (emulated)", "srun 22.05.8", "MPICH 4.0.2", "3.11.7", "gcc/13.2", "n1, n2"):
        assert fact in text
    for component in ("parsl 2026.10.26 pip", "flux 0.88.0 spack flux-core@0.88.0/k3v7qz2hnd5e"):
        assert component in text


def test_times_are_shown_by_phase_and_an_unknown_time_is_a_dash() -> None:
    text = page(*everything()).section_text("all")
    assert "psij/multinode@slurm/srun/2n 2 31.0 s† 0.12 s 1.40 s" in text
    assert "parsl/files@slurm 0 — — — —" in text


def test_a_pass_on_an_emulated_scheduler_does_not_look_like_a_real_one() -> None:
    records = [record("psij/a@lsf")]
    parsed = page(manifest(["psij/a@lsf"], records), records)
    assert "emulated: proves nothing about the real one" in parsed.section_text("matrix")
    classes = [attributes.get("class") or "" for tag, attributes in parsed.elements if tag in ("td", "div")]
    assert "verdict is-emulated" in classes
    assert not [name for name in classes if "is-pass" in name]


@pytest.mark.parametrize("outcome", ["skip", "xfail", "fail", "error", "infra", None])
def test_a_run_without_passes_has_no_green_element(outcome: str | None) -> None:
    records = [record("psij/a@slurm", outcome)] if outcome else []
    parsed = page(manifest(["psij/a@slurm"], records), records)
    classes = [attributes.get("class") or "" for tag, attributes in parsed.elements if tag in ("td", "div", "article")]
    assert not [name for name in classes if "is-pass" in name.split()]
    assert "verdict is-fail" in classes
    assert "What works Nothing." in parsed.section_text("short")


def test_a_cell_with_a_pass_and_a_problem_looks_like_the_problem() -> None:
    records = [record("psij/a@slurm"), record("psij/b@slurm", "infra")]
    parsed = page(manifest([each.case_id for each in records], records), records)
    cells = [attributes["class"] for tag, attributes in parsed.elements if tag == "td" and "class" in attributes]
    assert cells[0] == "is-infra"


def test_the_comparison_lists_new_failures_fixed_cases_and_differences_of_the_stack() -> None:
    text = page(*everything(), comparison=COMPARISON).section_text("since")
    assert "Compared with run 20260627T101500Z-91bc" in text
    assert "Newly failing (1) parsl/htex:blocks=2@slurm pass → ✗ FAIL Fixed (1) psij/bulk:jobs=50@slurm" in text
    assert "psij/hello@lsf ✓ pass (emulated)" in text
    assert "component parsl (release) 2026.9.14 2026.10.26" in text
    assert page(*everything()).section_text("since") == ""
    assert "There is no earlier run of this system that passed" in page(*everything()).section_text("short")


def test_a_run_that_was_stored_and_read_back_gives_the_same_page_with_its_new_failures(tmp_path: Path) -> None:
    """The run goes through a real run folder: the data in memory and the data on disk give the same report."""
    earlier, before = passing()
    earlier = msgspec.structs.replace(earlier, run_id="20260601T000000Z-aa", started="2026-06-01T00:00:00Z")
    store(tmp_path, earlier, [moved(each, "local", "workstation", earlier.run_id) for each in before])
    after = [record(each.case_id, "fail") if each.case_id == "parsl/python_app@slurm" else each for each in before]
    whole = manifest([each.case_id for each in after], after)
    run = store(tmp_path, whole, after)
    comparison = compare_with_last_pass(run, tmp_path)
    source = whole_page(run.manifest, run.records(), comparison=comparison)
    assert source == whole_page(whole, after, comparison=comparison)
    assert "Newly failing (1) parsl/python_app@slurm pass → ✗ FAIL" in Page(source).section_text("since")


def store(runs: Path, whole: Manifest, records: list[Record]) -> RunFolder:
    assert whole.closed is not None
    run = RunFolder.create(runs, msgspec.structs.replace(whole, closed=None))
    for each in records:
        run.append(each)
    run.close(whole.closed)
    return run


def hostile() -> tuple[Manifest, list[Record]]:
    """Return a run in which every text is hostile."""
    cause = Cause(phase=Phase.RUN, cls=CauseClass.UNKNOWN, rule=HOSTILE, evidence=HOSTILE)
    records = [
        msgspec.structs.replace(
            record(f"psij/{number}{HOSTILE}@slurm", outcome, cause=cause),
            evidence=Evidence(output_tail=HOSTILE * 50, reproduce=HOSTILE),
        )
        for number, outcome in enumerate(("fail", "error", "infra", "skip", "xfail", "xpass"))
    ]
    whole = manifest([each.case_id for each in records], records, system=HOSTILE)
    return msgspec.structs.replace(whole, run_id=HOSTILE, release=HOSTILE, owner=HOSTILE), records


def test_hostile_strings_create_no_element_no_control_character_and_no_template() -> None:
    change = Change(HOSTILE, "pass", "fail")
    source = whole_page(
        *hostile(),
        comparison=Comparison(HOSTILE, HOSTILE, (change,), (), (), (), (), 0, (Difference(HOSTILE, HOSTILE, None),)),
    )
    tags = {tag for tag, _ in Page(source).elements}
    assert not tags & {"script", "img"}
    assert "{{ 7*7 }}" in source, "shown as it was printed, never evaluated"
    assert not set(source) & {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u202e"} - {"\n", "\t"}
    source.encode("utf-8")


def test_with_a_megabyte_of_output_the_page_stays_small_and_shows_the_end() -> None:
    records = [record("psij/a@slurm", "fail", tail="x" * 1_000_000 + " the end")]
    source = whole_page(manifest(["psij/a@slurm"], records), records)
    assert len(source) < TAIL + 40_000
    assert "the end</pre></div>" in source


def test_the_seal_depends_on_the_data_and_not_on_the_order_or_repetition_of_records() -> None:
    whole, records = passing()
    assert seal(whole, records) == seal(whole, [*reversed(records), records[0]])
    assert seal(whole, records) != seal(whole, records[1:])
    assert re.fullmatch("[0-9a-f]{64}", digest := seal(whole, records) or "")
    assert digest in whole_page(whole, records)


def test_the_seal_is_the_same_for_new_records_and_for_records_that_were_read_back() -> None:
    whole, records = passing()
    original = msgspec.structs.replace(
        records[0], timing=msgspec.structs.replace(records[0].timing, run=Span(seconds=3, source="harness"))
    )
    read = msgspec.json.decode(msgspec.json.encode(original), type=Record)
    assert seal(whole, [original]) == seal(whole, [read])


def test_a_run_without_cases_has_a_page() -> None:
    assert "No case was planned." in page(manifest([], [], exit_code=2), []).section_text("matrix")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.02, "0.02 s"), (9.876, "9.88 s"), (87.4, "87.4 s"), (125, "2 min 05 s"), (3599.9, "1 h 00 min")],
)
def test_durations_are_written_in_readable_units(seconds: float, expected: str) -> None:
    assert duration(Span(seconds=seconds, source="harness")) == expected
    assert duration(Span(seconds=seconds, source="scheduler")) == f"{expected}†"


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_enough_contrast_in_light_and_in_dark(scheme: int) -> None:
    source = whole_page(*passing())
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
def test_a_browser_requests_nothing_else_runs_nothing_and_needs_no_horizontal_scrolling(
    tmp_path: Path, scheme: str
) -> None:
    browser = need("chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "report.html"
    path.write_text(whole_page(*hostile(), comparison=COMPARISON), encoding="utf-8")
    events: list[str] = []
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        tab = chromium.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
        tab.on("request", lambda request: events.append(f"request {request.url}"))
        tab.on("console", lambda message: events.append(f"console {message.text}"))
        tab.on("dialog", lambda dialog: events.append(f"dialog {dialog.message}"))
        tab.goto(path.as_uri())
        ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        width = tab.evaluate("document.documentElement.scrollWidth")
        chromium.close()
    assert events == [f"request {path.as_uri()}"]
    assert ground == {"light": "rgb(245, 246, 248)", "dark": "rgb(16, 20, 24)"}[scheme], "the style sheet is admitted"
    assert width <= 390


@pytest.mark.slow
def test_a_printed_page_is_complete_and_dark_on_white(tmp_path: Path) -> None:
    browser = need("chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "report.html"
    path.write_text(whole_page(*everything(), comparison=COMPARISON), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        tab = chromium.new_page(viewport={"width": 688, "height": 970}, color_scheme="dark")
        tab.emulate_media(media="print")
        tab.goto(path.as_uri())
        width = tab.evaluate("document.documentElement.scrollWidth")
        colours = tab.evaluate(
            "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
        )
        chromium.close()
    assert width == 688, "A4 between its margins"
    assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
