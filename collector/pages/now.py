"""The first page: what works where, since when, what changed, and whose it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from collector import formatting
from collector.outcomes import MISSING, ORDER, OUTCOME_NAMES
from collector.rendering import markup, matrix
from collector.rendering.base import Facts, Page, Question
from collector.rendering.facets import facets
from collector.rendering.forms import Entry, identity_of
from collector.rendering.headline import component_of, headline
from collector.rendering.paging import Paging, pager, query_of
from collector.rendering.run_lines import run_line
from collector.status import overview
from collector.status.filters import Filters
from collector.status.pending import PendingTile, may_be_pending, pending_tiles
from collector.status.queries import latest_runs
from collector.status.reference import PRESETS, read_reference
from collector.status.tiles import TileRow, tile_rows
from collector.store.silence import is_silent
from collector.store.staleness import is_stale

RECENT = 10
PER_PAGE = 40
FEWEST = 8
TILES = {False: 360, True: 460}
"""The number of tiles of a page, without and in the dense view: with many components, a page has fewer systems."""

FLAKY_SHARE = 0.25
"""A tile is marked as flaky if at least two of its cases are, and more than this share."""

VIEWS = ("full", "dense")


def answer(question: Question) -> Facts:
    connection, visibility, now = question.connection, question.visibility, question.now
    filters = Filters.of(question.query, now)
    reference = read_reference(question.query.get("since"), now)
    sort = question.query.get("sort", "")
    sort = sort if sort in overview.SORTS else "attention"
    sites = overview.counted_sites(connection, visibility)
    dense = question.query.get("view") == "dense"
    paging = Paging.of(question, min(max(TILES[dense] // max(sites.widest, 1), FEWEST), PER_PAGE))
    rows = overview.page_of_systems(connection, visibility, filters, reference.ms, sort, paging.first, paging.size)
    tiles = _tiles(rows, tile_rows(connection, [row.id for row in rows], filters), reference.ms, now)
    if filters.of_systems_only:
        tiles += _pending(connection, rows, now)
    silent = overview.silent_systems(connection, visibility, filters)
    longest = overview.longest_failing(connection, visibility, filters)
    recent = latest_runs(connection, visibility, RECENT, conditions=filters.runs())
    number = rows[0].number if rows else 0
    if sort == "site":
        sites = overview.count_more_sites(connection, visibility, sites, (row.site for row in rows))
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
        "sites": sites.by_site,
        "all": {"sites": sites.sites, "systems": sites.systems},
        "sort": sort,
        **paging.facts(number),
        "systems": number,
        "tiles": tiles,
        "runs": [run_line(row, now) for row in recent],
    }


def draw(question: Question, facts: Facts) -> Facts:
    dense = question.query.get("view") == "dense"
    total = Counter((tile["outcome"], tile["stale"], tile["only_emulated"]) for tile in facts["tiles"])
    names = [*(OUTCOME_NAMES[char] for char in ORDER), "pending"]
    rank = {name: place for place, name in enumerate(names)}
    return {
        "maps": matrix.maps(question, facts, dense),
        "foreign": [
            (name, question.link("", **query_of(question, component=name, page=""))) for name in matrix.foreign(facts)
        ],
        "summary": sorted(total.items(), key=lambda each: (rank[each[0][0]], each[0])),
        "headline": headline(question, facts),
        "facets": [] if question.static else facets(question, facts),
        "clear": question.link(""),
        "hidden": max(facts["all"]["systems"] - facts["systems"], 0) if facts["filters"] else 0,
        "lines": facts["runs"],
        "dense": dense,
        "switches": [] if question.static else _switches(question, facts, dense),
        "pager": pager(question, facts, ""),
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
    usual = {key: _usual(some) for key, some in versions.items()}
    return [
        _tile(row, tile, usual.get((tile.release, tile.component)), since, now)
        for row in rows
        for tile in by_system.get(row.id, [])
    ]


def _usual(versions: Counter[str]) -> str | None:
    """Return the version that most systems have, if at least three systems have one."""
    if versions.total() < 3:
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


def _pending(connection: Connection, rows: Sequence[Any], now: int) -> list[Facts]:
    """Return tiles for what the first runs of systems plan and have not reported yet."""
    by_key = {row.id: row for row in rows if may_be_pending(row)}
    return [_pending_tile(by_key[tile.system], tile, now) for tile in pending_tiles(connection, list(by_key))]


def _pending_tile(row: Any, tile: PendingTile, now: int) -> Facts:
    nothing = TileRow(
        *(tile.system, tile.subject, tile.component, MISSING, "", tile.started, 0, None, 0, 0, None, None, None, None),
        *(False, tile.run_id, None, tile.release, None),
    )
    facts = _tile(row, nothing, None, now, now)
    return facts | {"outcome": "pending", "counts": {"pending": tile.cases}, "stale": False}


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


def _switches(question: Question, facts: Facts, dense: bool) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Return the choices of reference time, order and density: the text, the link, and whether it is chosen."""
    now = {"since": facts["since"]["text"], "sort": facts["sort"], "view": VIEWS[dense]}
    offered = {"since": PRESETS, "sort": overview.SORTS, "view": VIEWS}
    return [
        (
            name,
            [
                (each, question.link("", **query_of(question, **{name: each}, page="")), each == now[name])
                for each in some
            ],
        )
        for name, some in offered.items()
    ]


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
