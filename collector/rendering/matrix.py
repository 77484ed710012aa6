"""The matrix of the first page: a tile for each component on each system, with its heads and with what is unusual."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from collector import formatting
from collector.rendering.base import Facts, Question
from collector.rendering.heat import Mark, heat_tile
from collector.rendering.markup import tile_table

TRANSPOSED = 3
"""With at most this many systems, each system is a column, so that a narrow screen shows the whole matrix."""

HALVED = 8
"""In the dense view, more systems than this are drawn in two tables side by side."""


def _columns(facts: Facts) -> list[str]:
    """Return the components that are columns: those of the harness's own runs, and those that a filter names.

    If there are only results of other tools, all of them are columns.
    """
    own = {tile["subject"] for tile in facts["tiles"] if not tile["imported"]}
    every = {tile["subject"] for tile in facts["tiles"]}
    shown = every if "component" in facts["filters"] or not own else own
    return sorted(shown, key=formatting.control_first)


def foreign(facts: Facts) -> list[str]:
    """Return the components that are no columns."""
    return sorted({tile["subject"] for tile in facts["tiles"]} - set(_columns(facts)))


def maps(question: Question, facts: Facts, dense: bool) -> list[tuple[str, list[Markup]]]:
    """Return the matrix in parts, each with its heading: one part for each site if the systems are sorted by site."""
    columns = _columns(facts)
    by_system: dict[tuple[str, str], dict[str, Facts]] = {}
    for tile in facts["tiles"]:
        by_system.setdefault((tile["site"], tile["system"]), {})[tile["subject"]] = tile
    places = [place for place, tiles in by_system.items() if not tiles.keys().isdisjoint(columns)]
    if facts["sort"] == "site":
        parts = {site: [place for place in places if place[0] == site] for site, _ in places}
    else:
        parts = {"": places} if places else {}
    drawn = []
    for site, some in parts.items():
        halves = [some[: -(-len(some) // 2)], some[-(-len(some) // 2) :]] if dense and len(some) > HALVED else [some]
        drawn.append((site, [_map(question, half, columns, by_system, dense) for half in halves]))
    return drawn


def _map(
    question: Question,
    places: Sequence[tuple[str, str]],
    columns: Sequence[str],
    by_system: dict[tuple[str, str], dict[str, Facts]],
    dense: bool,
) -> Markup:
    label = f"Latest outcome of each component on {places[0][1]} and {len(places) - 1} more systems"
    drawn = {
        (place, name): _markup(question, tile, dense) for place in places for name, tile in by_system[place].items()
    }
    heads = {place: _system_head(question, place, next(iter(by_system[place].values())), dense) for place in places}
    names = {name: Markup("{}").format(formatting.subject(name)) for name in columns}
    if len(by_system) <= TRANSPOSED and not dense:
        rows = [(names[name], [drawn.get((place, name)) for place in places]) for name in columns]
        return tile_table(label, "component", heads.values(), rows, "map")
    rows = [(heads[place], [drawn.get((place, name)) for name in columns]) for place in places]
    return tile_table(label, "system", names.values(), rows, "map dense" if dense else "map")


def _system_head(question: Question, place: tuple[str, str], tile: Facts, dense: bool) -> Markup:
    site, system = place
    link = Markup('<a href="{}">{}</a>').format(question.link("systems", site, system), system)
    head = (
        link
        if dense
        else Markup('{}<small><a href="{}">{}</a></small>').format(link, question.link("sites", site), site)
    )
    marks = ["silent"] * tile["silent"] + [tile["clock"]] * (tile["clock"] is not None)
    return head + Markup("").join(Markup(' <em class="badge old">{}</em>').format(mark) for mark in marks)


def _marks(tile: Facts) -> list[Mark]:
    """Return what is unusual about a tile."""
    total = sum(tile["counts"].values())
    return [
        *([("new", "")] if tile["newly_failing"] else []),
        *([("stale", f"results of {formatting.iso(tile['began'])}")] if tile["stale"] else []),
        *([("emulated", f"{tile['emulated']} of {total} on an emulator")] if tile["emulated"] else []),
        *([("flaky", f"{tile['flaky']} of {total} flaky")] if tile["often_flaky"] else []),
        *([(tile["version"], f"most systems have {tile['usual_version']}")] if tile["usual_version"] else []),
    ]


def _markup(question: Question, tile: Facts, dense: bool) -> Markup:
    return heat_tile(
        f"{question.link('runs', tile['site'], tile['system'], tile['run_id'])}#{formatting.anchor(tile['subject'])}",
        f"{tile['subject']} on {tile['system']}",
        tile["outcome"],
        tile["counts"],
        since=formatting.age(question.now - formatting.ms(tile["since"])) if tile["since"] else "",
        shares=tile["shares"] or "",
        marks=_marks(tile),
        stale=tile["stale"],
        emulated=tile["only_emulated"],
        dense=dense,
    )
