"""The first page: what works where, now. It shows the latest results of each component on each system."""

from __future__ import annotations

from collections import Counter
from typing import Any

from markupsafe import Markup
from sqlalchemy import select

from collector import formatting
from collector.outcomes import ORDER, OUTCOME_NAMES
from collector.rendering import markup
from collector.rendering.base import Facts, Page, Question
from collector.rendering.run_lines import run_line
from collector.status.queries import latest_runs
from collector.store.silence import is_silent
from collector.store.staleness import is_stale
from collector.store.tables import board, runs, systems

RECENT = 25
WIDE = 8
"""With more systems than this, each system is a row, so that the page scrolls vertically and not horizontally."""

FILTERS = ("site", "system", "component", "outcome", "state")
STATES = ("stale", "silent", "emulated", "nested", "flaky")


def answer(question: Question) -> Facts:
    query = (
        select(board, systems.c.site, systems.c.system.label("name"), runs.c.run_id, runs.c.stale_after)
        .add_columns(systems.c.silent_from, systems.c.skew)
        .join(systems, systems.c.id == board.c.system)
        .join(runs, runs.c.id == board.c.run)
        .order_by(systems.c.site, systems.c.system, board.c.subject)
    )
    tiles = [_tile(row, question.now) for row in question.connection.execute(question.visibility.of(query))]
    filters = {name: question.query[name].split(",") for name in FILTERS if question.query.get(name)}
    recent = latest_runs(question.connection, question.visibility, RECENT)
    kept = [tile for tile in tiles if all(_fits(tile, name, wanted) for name, wanted in filters.items())]
    return {
        "filters": filters,
        "choices": {name: _choices(tiles, name) for name in FILTERS},
        "hidden_by_filters": len(tiles) - len(kept),
        "tiles": kept,
        "runs": [run_line(row, question.now) for row in recent],
    }


def draw(question: Question, facts: Facts) -> Facts:
    by_crossing = {(tile["subject"], (tile["site"], tile["system"])): tile for tile in facts["tiles"]}
    subjects = sorted({subject for subject, _ in by_crossing}, key=formatting.control_first)
    places = sorted({place for _, place in by_crossing})
    drawn = {key: _markup(question, tile) for key, tile in by_crossing.items()}
    marks = {(tile["site"], tile["system"]): tile for tile in facts["tiles"]}
    heads = {place: _system_head(question, place, marks[place]) for place in places}
    systems_as_rows = len(places) > WIDE
    label = "Latest outcome of each component on each system"
    if systems_as_rows:
        rows = [(heads[place], [drawn.get((subject, place)) for subject in subjects]) for place in places]
        columns = [Markup("{}").format(formatting.subject(subject)) for subject in subjects]
        table = markup.matrix(label, "system", columns, rows)
    else:
        rows = [
            (Markup("{}").format(formatting.subject(subject)), [drawn.get((subject, place)) for place in places])
            for subject in subjects
        ]
        table = markup.matrix(label, "component", [heads[place] for place in places], rows)
    total = Counter((tile["outcome"], tile["stale"], tile["only_emulated"]) for tile in facts["tiles"])
    rank = {OUTCOME_NAMES[char]: place for place, char in enumerate(ORDER)}
    return {
        "table": table,
        "summary": sorted(total.items(), key=lambda each: (rank[each[0][0]], each[0])),
        "systems": len(places),
        "chips": _chips(question, facts),
        "clear": question.link(""),
        "lines": facts["runs"],
    }


def _tile(row: Any, now: int) -> Facts:
    return {
        "site": row.site,
        "system": row.name,
        "subject": row.subject,
        "component": row.component,
        "outcome": OUTCOME_NAMES[row.worst],
        "counts": markup.counts_of(row.outcomes),
        "began": formatting.at(row.started),
        "version": row.version,
        "run_id": row.run_id,
        "stale": is_stale(row.started, row.stale_after, now),
        "emulated": row.emulated,
        "only_emulated": markup.only_emulated(row.outcomes, row.emulated),
        "nested": row.nested,
        "flaky": row.flaky,
        "silent": is_silent(row.silent_from, now),
        "clock": formatting.clock_off(row.skew),
    }


def _fits(tile: Facts, name: str, wanted: list[str]) -> bool:
    if name == "state":
        return any(tile.get(state) for state in wanted if state in STATES)
    return tile["subject" if name == "component" else name] in wanted


def _choices(tiles: list[Facts], name: str) -> list[str]:
    if name == "state":
        return [state for state in STATES if any(tile[state] for tile in tiles)]
    if name == "outcome":
        present = {tile["outcome"] for tile in tiles}
        return [OUTCOME_NAMES[char] for char in ORDER if OUTCOME_NAMES[char] in present]
    return sorted({tile["subject" if name == "component" else name] for tile in tiles})


def _chips(question: Question, facts: Facts) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Return each filter with its choices: the text, the link that turns it on or off, and whether it is on."""
    chips = []
    asked: dict[str, list[str]] = facts["filters"]
    for name in FILTERS:
        choices = []
        for choice in facts["choices"][name]:
            on = choice in asked.get(name, [])
            values = {other: list(wanted) for other, wanted in asked.items()}
            values[name] = [each for each in values.get(name, []) if each != choice] + ([] if on else [choice])
            query = {other: ",".join(wanted) for other, wanted in values.items() if wanted}
            choices.append((choice, question.link("", **query), on))
        if len(choices) > 1 or name in asked:
            chips.append((name, choices))
    return chips


def _system_head(question: Question, place: tuple[str, str], tile: Facts) -> Markup:
    site, system = place
    head = Markup('<small><a href="{}">{}</a></small><a href="{}">{}</a>').format(
        question.link("sites", site), site, question.link("systems", site, system), system
    )
    marks = ["silent"] * tile["silent"] + [tile["clock"]] * (tile["clock"] is not None)
    return head + Markup("").join(Markup(' <em class="badge old">{}</em>').format(mark) for mark in marks)


def _markup(question: Question, tile: Facts) -> Markup:
    return markup.tile(
        f"{question.link('runs', tile['site'], tile['system'], tile['run_id'])}#{formatting.anchor(tile['subject'])}",
        f"{tile['subject']} on {tile['system']}",
        tile["outcome"],
        tile["counts"],
        now=question.now,
        began=formatting.ms(tile["began"]),
        version=tile["version"],
        emulated=tile["emulated"],
        plain=not tile["only_emulated"],
        nested=tile["nested"],
        stale=tile["stale"],
        flaky=tile["flaky"],
    )


PAGE = Page("/", "now.html", answer, draw, section="now")
