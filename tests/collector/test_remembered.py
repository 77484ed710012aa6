"""Results are remembered up to a total length of their arguments."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from collector.remembered import remembered


def counted(capacity: int) -> tuple[list[str | None], Callable[[str | None], str]]:
    calls: list[str | None] = []

    @remembered(capacity)
    def upper(text: str | None) -> str:
        calls.append(text)
        return (text or "").upper()

    return calls, upper


def test_a_result_is_computed_once() -> None:
    calls, upper = counted(10)
    assert [upper("a"), upper("b"), upper(None), upper("a"), upper("b"), upper(None)] == ["A", "B", "", "A", "B", ""]
    assert calls == ["a", "b", None]


def test_the_results_that_were_not_asked_for_longest_are_forgotten() -> None:
    calls, upper = counted(4)
    for text in ("aa", "bb", "aa", "cc", "aa", "bb"):
        upper(text)
    assert calls == ["aa", "bb", "cc", "bb"]


def test_a_text_that_is_longer_than_everything_that_may_be_kept_is_not_kept() -> None:
    calls, upper = counted(4)
    assert [upper("abcde"), upper("abcde")] == ["ABCDE", "ABCDE"]
    assert len(calls) == 2


@given(texts=st.lists(st.text(max_size=6), max_size=30), capacity=st.integers(0, 12))
def test_results_are_right_whatever_is_kept(texts: list[str], capacity: int) -> None:
    _, upper = counted(capacity)
    assert [upper(text) for text in texts] == [text.upper() for text in texts]
