"""Many rows in one statement: any text, number and null arrives as it was, on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from collector.store.bulk import among, array, insert_many, update_many
from collector.store.database import Store
from collector.store.tables import plans

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
ODD = [
    "",
    "NULL",
    "null",
    "{}",
    "{a,b}",
    'a "b" c',
    "back\\slash",
    "\\",
    "\\n",
    "a\nb\tc\r\x01",
    "\x7f\x85\u2028",
    "é",
    "🚀",
]


def values_of(store: Store, texts: list[str]) -> list[Any]:
    """Store the texts in one insert, change them in one update, and return what is stored and what is found by text."""
    rows = [(number, str(number).encode(), "[]") for number in range(len(texts))]
    with store.writing() as connection:
        connection.execute(delete(plans))
        insert_many(connection, plans, rows)
        update_many(connection, plans, (plans.c.cells,), [(text, number) for number, text in enumerate(texts)])
        stored = connection.execute(select(plans.c.cells).order_by(plans.c.id)).scalars().all()
        found = connection.execute(select(plans.c.id).where(among(connection, plans.c.cells, texts))).scalars().all()
        assert sorted(found) == [row[0] for row in rows]
    return list(stored)


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_arrive_as_they_were(store: Store, text: str) -> None:
    assert values_of(store, [text, "plain", text]) == [text, "plain", text]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
def test_any_texts_arrive_as_they_were(store: Store, texts: list[str]) -> None:
    assert values_of(store, texts) == texts


@pytest.mark.parametrize(
    ("values", "formatted"),
    [
        ([], "{}"),
        ([1, None, -(2**63)], "{1,NULL,-9223372036854775808}"),
        ([True, False], "{t,f}"),
        ([0.5, float("nan"), float("inf"), None], "{0.5,nan,inf,NULL}"),
    ],
)
def test_numbers_that_are_not_finite_do_not_become_null(values: list[Any], formatted: str) -> None:
    same = {"null": "NULL", "true": "t", "false": "f"}
    assert "{" + ",".join(same.get(each, each) for each in array(values)[1:-1].split(",")) + "}" == formatted
