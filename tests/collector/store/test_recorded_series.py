"""The detection of changes on recorded series: what is reported is real, and the page states how much is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks import series
from benchmarks.pages import BEGIN, END
from benchmarks.results import Table

PAGE = Path(__file__).resolve().parents[3] / "docs" / "performance.md"
RECORDED = series.read()


def test_every_reported_change_of_the_recorded_series_is_real_and_in_its_place() -> None:
    whole = series.score(RECORDED)
    assert whole.precision == 1
    assert whole.reported >= 10


def test_no_series_without_a_change_has_one_at_its_end() -> None:
    steady = [each for each in RECORDED if each.place is None]
    assert len(steady) >= 8
    assert series.score(steady).reported == 0


def test_a_change_by_half_and_more_is_mostly_found_within_a_few_values() -> None:
    large = [each for each in RECORDED if each.factor >= 1.5]
    result = series.score(large)
    assert result.recall >= 0.8
    assert sorted(result.delays)[len(result.delays) // 2] <= 4


def test_a_change_reported_in_the_wrong_direction_or_place_counts_as_wrong() -> None:
    found = next(each for each in RECORDED if each.place is not None and series.score([each]).right)
    assert found.place is not None
    assert series.score([replace(found, place=found.place - 6)]).right == 0
    other = "lower" if found.better == "higher" else "higher"
    turned = series.score([replace(found, better=other)])
    assert (turned.reported, turned.right) == (1, 0)


def test_the_page_states_precision_and_recall_as_they_are() -> None:
    rows = tuple(tuple(row) for row in series.table(RECORDED))
    table = Table("series", series.HEADERS, rows, notes=tuple(series.notes(RECORDED)))
    place = PAGE.read_text(encoding="utf-8").split(BEGIN.format("series"))[1].split(END.format("series"))[0]
    assert place.strip().rpartition("\n\nMeasured ")[0] == table.markdown().strip()
