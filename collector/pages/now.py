"""The first page: what works where, since when, what changed, and whose it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from collector import formatting
from collector.outcomes import ORDER, OUTCOME_NAMES
from collector.rendering import markup, matrix
from collector.rendering.base import Facts, Page, Question
from collector.rendering.facets import facets
from collector.rendering.forms import Entry, identity_of
from collector.rendering.headline import component_of, headline
from collector.rendering.run_lines import run_line
from collector.status import overview
from collector.status.filters import Filters
from collector.status.queries import latest_runs
from collector.status.reference import PRESETS, read_reference
from collector.status.tiles import TileRow, tile_rows
from collector.store.silence import is_silent
from collector.store.staleness import is_stale

RECENT = 10
PER_PAGE = 40
FLAKY_SHARE = 0.25
"""A tile is marked as flaky if at least two of its cases are, and more than this share."""

VIEWS = ("full", "dense")


def answer(question: Question) -> Facts:
    connection, visibility, now = question.connection, question.visibility, question.now
    filters = Filters.of(question.query, now)
    reference = read_reference(question.query.get("since"), now)
    sort = question.query.get("sort", "")
    sort = sort if sort in overview.SORTS else "attention"
    page = _page(question.query.get("page"))
    limit = None if question.static else PER_PAGE
    rows = overview.page_of_systems(connection, visibility, filters, reference.ms, sort, (page - 1) * PER_PAGE, limit)
    tiles = _tiles(rows, tile_rows(connection, [row.id for row in rows], filters), reference.ms, now)
    silent = overview.silent_systems(connection, visibility, filters)
    longest = overview.longest_failing(connection, visibility, filters)
    recent = latest_runs(connection, visibility, RECENT, conditions=filters.runs())
    number = rows[0].number if rows else 0
    return {
        "since": {"text": reference.text, "at": formatting.at(reference.ms), "words": reference.words},
        "changes": overview.changes_since(connection, visibility, filters, reference.ms),
        "silent": {
            "systems": silent[0].number if silent else 0,
            "longest": [
                {"site": row.site, "system": row.system, "contact": formatting.at_or_none(row.contact)}
                | {"since": formatting.at(row.silent_from)}
                for row in silent
            ],
        },
        "failing": overview.failing_counts(connection, visibility, filters),
        "longest_failing": [_longest(row) for row in longest],
        "filters": filters.query(),
        "sites": overview.counted_sites(connection, visibility),
        "sort": sort,
        "page": page,
        "pages": max(-(-number // PER_PAGE), 1) if limit else 1,
        "systems": number,
        "tiles": tiles,
        "runs": [run_line(row, now) for row in recent],
    }


def draw(question: Question, facts: Facts) -> Facts:
    dense = question.query.get("view") == "dense"
    total = Counter((tile["outcome"], tile["stale"], tile["only_emulated"]) for tile in facts["tiles"])
    rank = {name: place for place, name in enumerate(OUTCOME_NAMES[char] for char in ORDER)}
    listed = sum(facts["sites"].values())
    return {
        "maps": matrix.maps(question, facts, dense),
        "foreign": [
            (name, question.link("", **_query(question, component=name, page=""))) for name in matrix.foreign(facts)
        ],
        "summary": sorted(total.items(), key=lambda each: (rank[each[0][0]], each[0])),
        "headline": headline(question, facts),
        "facets": [] if question.static else facets(question, facts),
        "clear": question.link(""),
        "hidden": max(listed - facts["systems"], 0) if facts["filters"] else 0,
        "lines": facts["runs"],
        "dense": dense,
        "switches": [] if question.static else _switches(question, facts, dense),
        "pager": _pager(question, facts),
    }


def _tiles(rows: Sequence[Any], tiles: Sequence[TileRow], since: int, now: int) -> list[Facts]:
    """Return the tiles in the order of the systems; a version is unusual if most systems with the release differ."""
    versions: dict[tuple[str | None, str], Counter[str]] = {}
    for tile in tiles:
        if tile.version is not None and tile.component == tile.subject:
            versions.setdefault((tile.release, tile.component), Counter())[tile.version] += 1
    by_system: dict[int, list[TileRow]] = {}
    for tile in tiles:
        by_system.setdefault(tile.system, []).append(tile)
    return [
        _tile(row, tile, _usual(versions.get((tile.release, tile.component))), since, now)
        for row in rows
        for tile in by_system.get(row.id, [])
    ]


def _usual(versions: Counter[str] | None) -> str | None:
    """Return the version that most systems have, if at least three systems have one."""
    if versions is None or versions.total() < 3:
        return None
    version, number = versions.most_common(1)[0]
    return version if 2 * number > versions.total() else None


def _tile(row: Any, tile: TileRow, usual: str | None, since: int, now: int) -> Facts:
    total = len(tile.outcomes)
    return {
        "site": row.site,
        "system": row.system,
        "subject": tile.subject,
        "component": tile.component,
        "outcome": OUTCOME_NAMES[tile.worst],
        "counts": markup.counts_of(tile.outcomes),
        "began": formatting.at(tile.started),
        "since": formatting.at_or_none(tile.since),
        "newly_failing": tile.changed is not None and tile.changed >= since,
        "version": tile.version,
        "usual_version": usual if tile.version is not None and usual not in (None, tile.version) else None,
        "release": tile.release,
        "run_id": tile.run_id,
        "stale": is_stale(tile.started, tile.stale_after, now),
        "emulated": tile.emulated,
        "only_emulated": markup.only_emulated(tile.outcomes, tile.emulated),
        "nested": tile.nested,
        "flaky": tile.flaky,
        "often_flaky": tile.flaky >= 2 and tile.flaky > FLAKY_SHARE * total,
        "shares": tile.shares,
        "imported": bool(tile.imported),
        "owner": row.owner,
        "silent": is_silent(row.silent_from, now),
        "clock": formatting.clock_off(row.skew),
    }


def _longest(row: Any) -> Facts:
    return {
        "case_id": row.case_id,
        "cell": row.cell,
        "site": row.site,
        "system": row.system,
        "owner": row.owner,
        "outcome": OUTCOME_NAMES[row.outcome],
        "since": formatting.at(row.since),
        "class": row.cause,
        "title": row.title or row.evidence,
    }


def _query(question: Question, **changes: str) -> dict[str, str]:
    """Return the query of the address with some values changed; an empty value removes one."""
    kept = {name: value for name, value in question.query.items() if name != "token"}
    return {name: value for name, value in {**kept, **changes}.items() if value}


def _switches(question: Question, facts: Facts, dense: bool) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Return the choices of reference time, order and density: the text, the link, and whether it is chosen."""
    now = {"since": facts["since"]["text"], "sort": facts["sort"], "view": VIEWS[dense]}
    offered = {"since": PRESETS, "sort": overview.SORTS, "view": VIEWS}
    return [
        (
            name,
            [
                (each, question.link("", **_query(question, **{name: each}, page="")), each == now[name])
                for each in some
            ],
        )
        for name, some in offered.items()
    ]


def _pager(question: Question, facts: Facts) -> list[tuple[str, str]]:
    pages, page = facts["pages"], facts["page"]
    steps = [("Previous systems", page - 1), ("More systems", page + 1)]
    return [(text, question.link("", **_query(question, page=str(to)))) for text, to in steps if 0 < to <= pages]


def _page(text: str | None) -> int:
    return max(int(text), 1) if text and text.isascii() and text.isdigit() and len(text) < 7 else 1


def _entries(question: Question, facts: Facts) -> list[Entry]:
    """Return an entry for each group of cells that newly fail or that recovered, and one for each silent system."""
    entries = []
    since = facts["since"]
    for each in facts["changes"]:
        component = component_of(each) or "cases"
        more = each["systems"] - len(each["named"])
        places = ", ".join(each["named"]) + (f" and {more} more" if more > 0 else "")
        state = "recovered" if each["recovered"] else f"newly failing, {each['class'] or 'no record'}"
        names = (state, component, places, formatting.iso(each["latest"]))
        href = question.link("triage", since=since["text"], change="recovered" if each["recovered"] else "new")
        text = f"{formatting.counted(each['cells'], 'cell')} since {formatting.iso(since['at'])}"
        entries.append(Entry(identity_of(*names), f"{component} on {places}: {state}", each["latest"], href, text))
    for each in facts["silent"]["longest"]:
        name = f"{each['site']}/{each['system']}"
        href = question.link("systems", each["site"], each["system"])
        identity = identity_of("silent", name, formatting.iso(each["since"]))
        entries.append(Entry(identity, f"{name}: silent", each["since"], href, "No run started within its cadence."))
    return entries


PAGE = Page("/", "now.html", answer, draw, section="now", rows=lambda facts: facts["tiles"], entries=_entries)
