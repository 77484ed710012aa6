"""What the cases of a system measure over time; the figures that got worse come first."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from collector.rendering.base import Facts, Page, Question, not_found
from collector.rendering.plots import Series, plot
from collector.status.figures import DAY_MS, series_facts, series_query
from collector.store.tables import points, systems

DAYS = 180
DRAWN = 60
"""The number of figures that are drawn as plots; the others are listed."""

LISTED = 300


def answer(question: Question) -> Facts:
    connection, path = question.connection, question.path
    query = select(systems.c.id).where(systems.c.site == path["site"], systems.c.system == path["system"])
    system = connection.execute(question.visibility.of(query)).scalar()
    if system is None:
        raise not_found("system", f"{path['site']}/{path['system']}")
    rows = connection.execute(series_query().where(systems.c.id == system)).all()
    values: dict[int, list[Any]] = {row.id: [] for row in rows[:DRAWN]}
    if values:
        since = question.now - DAYS * DAY_MS
        measured = (
            select(points.c.series, points.c.started, points.c.value)
            .where(points.c.series.in_(list(values)), points.c.started > since)
            .order_by(points.c.series, points.c.started, points.c.record)
        )
        for key, started, value in connection.execute(measured):
            values[key].append([started, value])
    figures = [series_facts(row) | {"values": values.get(row.id)} for row in rows]
    return {"site": path["site"], "system": path["system"], "figures": figures}


def draw(question: Question, facts: Facts) -> Facts:
    drawn = [(figure, _plot(figure, question.now)) for figure in facts["figures"] if figure["values"]]
    return {"drawn": drawn, "listed": [figure for figure in facts["figures"] if not figure["values"]], "most": LISTED}


def _plot(figure: Facts, now: int) -> Any:
    values = [(started / DAY_MS, value) for started, value in figure["values"]]
    first, last = int(values[0][0]), now // DAY_MS
    usual = Series("usual", [(first, figure["usual"]), (last, figure["usual"])])
    unit = f"{figure['unit']}, {figure['better']} is better"
    return plot(figure["name"], unit, [Series("measured", values), usual], first, last)


PAGE = Page(
    "/trends/{site}/{system}", "trends.html", answer, draw, section="sites", rows=lambda facts: facts["figures"]
)
