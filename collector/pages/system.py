"""The history of a system: a row per case and a column per run, headed by release, stack and scheduler.

The outcomes of a run are stored as one string, so a column takes the characters of that string in the order of the
rows. The rows are joined from prepared strings and not drawn by the template: 100 runs of 300 cases are 30,000 cells.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from markupsafe import Markup
from sqlalchemy import Row, select, tuple_

from collector import formatting
from collector.outcomes import MISSING, PASS
from collector.rendering import markup
from collector.rendering.base import Facts, Page, Question, not_found
from collector.rendering.paging import Paging, pager, query_of
from collector.status.reliability import reliability, words
from collector.store.rollups import is_open, parse_cells, state_of
from collector.store.silence import is_silent
from collector.store.streaks import flake_score, is_flaky
from collector.store.tables import cells, plans, runs, systems

RUNS = 100
ROWS = 400
"""The number of cases on a page; the JSON and CSV contain all cases of the system."""

SKIPPED = 100
NONE = " "

COLUMNS = (
    runs.c.id,
    runs.c.run_id,
    runs.c.started,
    runs.c.release,
    runs.c.stack,
    runs.c.schedulers,
    runs.c.trigger,
    runs.c.state,
    runs.c.overdue,
    runs.c.plan,
    runs.c.extra,
    runs.c.outcomes,
)

CLASS = {MISSING: "m", markup.PENDING: "o"}
TROUBLE = frozenset("feiX" + MISSING + markup.PENDING)
"""The outcomes for which a row is shown by default."""

CHANGING = (("release", "release"), ("stack", "stack"), ("scheduler_versions", "scheduler"))
"""What may change between two runs: its name in the facts, and its name for people."""

_EMPTY = "<td>"


def answer(question: Question) -> Facts:
    connection, path = question.connection, question.path
    system = _find(question)
    limit = _limit(question.query.get("runs"))
    query = select(*COLUMNS).where(runs.c.system == system.id)
    before = question.query.get("before")
    if before:
        known = select(runs.c.started).where(runs.c.run_id == before, runs.c.system == system.id)
        started = connection.execute(known).scalar()
        query = query.where(tuple_(runs.c.started, runs.c.run_id) < tuple_(-1 if started is None else started, before))
    newest = query.order_by(runs.c.started.desc(), runs.c.run_id.desc()).limit(limit)
    rows: list[Any] = list(connection.execute(newest))
    wanted = {row.plan for row in rows if row.plan is not None}
    packed_plans = select(plans.c.id, plans.c.cells).where(plans.c.id.in_(wanted))
    plan = {row.id: row.cells for row in connection.execute(packed_plans)} if wanted else {}
    layouts = [(*(parse_cells(plan[row.plan]) if row.plan else ()), *parse_cells(row.extra)) for row in rows]
    named = connection.execute(
        select(cells.c.id, cells.c.case_id, cells.c.subject, cells.c.history, cells.c.turns, cells.c.last_emulated)
        .where(cells.c.system == system.id)
        .order_by(cells.c.case_id)
    ).all()
    present = set().union(*map(set, layouts)) if layouts else set()
    order = sorted((row for row in named if row.id in present), key=lambda row: formatting.control_first(row.subject))
    columns = _columns(rows, layouts, [row.id for row in order])
    packed = list(zip(*columns, strict=True)) if columns else []
    return {
        "site": path["site"],
        "system": path["system"],
        "figures": system.trended,
        "worse": system.worse,
        "silent": is_silent(system.silent_from, question.now),
        "clock": formatting.clock_off(system.skew),
        "runs": [_run(row) for row in rows],
        "before": rows[-1].run_id if len(rows) == limit else None,
        "cases": [
            {
                "case_id": row.case_id,
                "cell": row.id,
                "subject": row.subject,
                "outcomes": "".join(outcomes),
                **reliability("".join(outcomes)),
                "emulated": bool(row.last_emulated),
                "flaky": is_flaky(row.turns),
                "flake_score": flake_score(row.history, row.turns),
            }
            for row, outcomes in zip(order, packed, strict=True)
        ],
    }


def draw(question: Question, facts: Facts) -> Facts:
    link = question.link
    shown: list[Facts] = facts["runs"]
    hrefs = [link("runs", facts["site"], facts["system"], run["run_id"]) for run in shown]
    everything = question.static or question.query.get("show") == "all"
    skipped = [] if everything else [case for case in facts["cases"] if case["outcomes"].strip("s ") == ""]
    listed = [case for case in facts["cases"] if everything or not TROUBLE.isdisjoint(case["outcomes"])]
    paging, number = Paging.of(question, ROWS), len(listed)
    listed = list(paging.part(listed))
    changes = _changes(shown)
    edges = [bool(each) for each in changes]
    plain, edged = _pieces(""), _pieces(" edge")
    pieces = [edged if edge else plain for edge in edges]
    cell_href = _cell_links(link)
    body: list[str] = []
    group = None
    for case in listed:
        if case["subject"] != group:
            group = case["subject"]
            name = Markup("{}").format(formatting.subject(group))
            body.append(f"<tr class=group><th scope=rowgroup colspan={len(shown) + 2}>{name}</th>\n")
        outcomes: str = case["outcomes"]
        ends = {char: f'#k{case["cell"]}">{_glyph(char)}</a>' for char in set(outcomes) - {PASS, NONE}}
        joined = "".join(
            [
                piece[char] if char in "p " else f'{piece[char]}<a href="{href}{ends[char]}'
                for char, href, piece in zip(outcomes, hrefs, pieces, strict=True)
            ]
        )
        body.append(_row(case, cell_href(case["cell"]), joined))
    return {
        "heads": [_merged(shown, key) for key in ("release", "stack", "scheduler_versions")],
        "columns": [(href, run, change) for href, run, change in zip(hrefs, shown, changes, strict=True)],
        "shown": number,
        "pager": pager(question, paging.facts(number), *_here(facts), of="cases"),
        "passed": len(facts["cases"]) - number - len(skipped),
        "skipped": skipped,
        "named": SKIPPED,
        "all_rows": None if everything else question.link(*_here(facts), **query_of(question, page="", show="all")),
        "failing_rows": question.link(*_here(facts), **query_of(question, page="", show="")) if everything else None,
        "body": Markup("".join(body)),  # noqa: S704 made of escaped parts
        "older": link(*_here(facts), **query_of(question, before=facts["before"])) if facts["before"] else None,
    }


def _glyph(char: str) -> str:
    return formatting.GLYPH[markup.DISPLAY_NAMES[char]]


def _pieces(more: str) -> dict[str, str]:
    """Return the beginning of a table cell for each outcome; a pass needs nothing else."""
    pieces = {char: f'<td class="{CLASS.get(char, char)}{more}">' for char in markup.DISPLAY_NAMES}
    pieces[PASS] += _glyph(PASS)
    pieces[NONE] = f'<td class="{more.strip()}">' if more else _EMPTY
    return pieces


def _changes(shown: Sequence[Facts]) -> list[str]:
    """Return for each run what differs from the run before it, such as ``release 2026.08 → 2026.11``."""
    changes = []
    for run, before in zip(shown, [*shown[1:], None], strict=False):  # without runs there is no pair
        differing = [] if before is None else [pair for pair in CHANGING if run[pair[0]] != before[pair[0]]]
        changes.append(
            "; ".join(f"{name} {before[key] or '—'} → {run[key] or '—'}" for key, name in differing if before)
        )
    return changes


def _here(facts: Facts) -> tuple[str, str, str]:
    return "systems", facts["site"], facts["system"]


def _row(case: Facts, href: str, joined: str) -> str:
    title = f' title="{words(case)}"' if case["passed"] < case["planned"] else ""
    rate = f"{case['passed']} of {case['planned']}" if case["planned"] else "—"
    flaky = ' <em class="badge flaky">flaky</em>' if case["flaky"] else ""
    emulated = ' <em class="badge emulated">emulated</em>' if case["emulated"] else ""
    name = Markup("{}").format(case["case_id"])
    marked = " class=em" if case["emulated"] else ""
    head = f'<tr{marked}><th scope=row><a href="{href}">{name}</a>{flaky}{emulated}</th>'
    return f"{head}<td class=rate{title}>{rate}{joined}\n"


def _cell_links(link: Callable[..., str]) -> Callable[[int], str]:
    """Return a function that writes the link of a cell; the common parts are computed only once."""
    before, _, after = link("cells", "0").partition("/cells/0")
    return lambda cell: str(Markup("{}").format(f"{before}/cells/{cell}{after}"))


def _columns(rows: Sequence[Row[Any]], layouts: Sequence[tuple[int, ...]], order: Sequence[int]) -> list[list[str]]:
    """Return the outcomes of each run in the order of the rows; runs with the same layout share the positions."""
    positions: dict[tuple[int, ...], list[int]] = {}
    columns = []
    for row, layout in zip(rows, layouts, strict=True):
        if layout not in positions:
            index = {cell: position for position, cell in enumerate(layout)}
            positions[layout] = [index.get(cell, -1) for cell in order]
        outcomes = (row.outcomes.replace(MISSING, markup.PENDING) if is_open(row) else row.outcomes) + NONE
        columns.append([outcomes[position] for position in positions[layout]])
    return columns


def _run(row: Row[Any]) -> Facts:
    schedulers = json.loads(row.schedulers or "{}")
    return {
        "run_id": row.run_id,
        "started": formatting.at(row.started),
        "release": row.release,
        "stack": row.stack,
        "schedulers": schedulers,
        "scheduler_versions": ", ".join(f"{name} {version}" for name, version in schedulers.items() if name != "local")
        or None,
        "trigger": row.trigger,
        "state": state_of(row),
    }


def _merged(shown: Iterable[Facts], key: str) -> list[tuple[str, int]]:
    """Return the column heads for a key; neighbouring runs with the same value share one head, with its width."""
    merged: list[tuple[str, int]] = []
    for run in shown:
        text = run[key] or "—"
        if merged and merged[-1][0] == text:
            merged[-1] = (text, merged[-1][1] + 1)
        else:
            merged.append((text, 1))
    return merged


def _find(question: Question) -> Row[Any]:
    path = question.path
    query = select(systems).where(systems.c.site == path["site"], systems.c.system == path["system"])
    row = question.connection.execute(question.visibility.of(query)).one_or_none()
    if row is None:
        raise not_found("system", f"{path['site']}/{path['system']}")
    return row


def _limit(text: str | None) -> int:
    return min(max(int(text), 1), 400) if text and text.isascii() and text.isdigit() and len(text) < 6 else RUNS


PAGE = Page("/systems/{site}/{system}", "system.html", answer, draw, section="sites", rows=lambda facts: facts["cases"])
