"""The verdict as text for the log of its job, and as Markdown for a merge request."""

from __future__ import annotations

from ci.verdict import LaneVerdict, Result, Verdict

MARKS = {
    "pass": "✅", "xpass": "✅", "fail": "❌", "error": "❌", "missing": "❔", "infra": "⚠️", "skip": "·", "xfail": "·",
}  # fmt: skip


MOST = 20
"""Causes that a comment lists."""


def as_text(verdict: Verdict) -> str:
    """Return the lines that the verdict job prints; GitLab's coverage pattern reads the last one."""
    width = max((len(finding.stage) for finding in verdict.stages), default=0)
    lines = [f"{f.stage:<{width}}  {f.result.value:<5}  {f.text}" for f in verdict.stages]
    lines += [f"lane {lane.name}: {lane.result.value}, {_counted(lane)}" for lane in verdict.lanes]
    lines.append(f"{verdict.system}: {_headline(verdict)}")
    return "\n".join([*lines, f"pass rate: {verdict.pass_rate:.1f}%"])


def as_markdown(verdict: Verdict, links: dict[str, str], badge: str | None = None) -> str:
    """Return the comment for a merge request: the headline, the matrix, the causes of failures, the stages, and links.

    ``badge``: the address of the collector's image with the current status of the system, which also depends on other
    runs.
    """
    schedulers = sorted({scheduler for row in verdict.matrix.values() for scheduler in row})
    lines = [f"### {MARKS[verdict.result.value]} {verdict.system}: {_headline(verdict)}", ""]
    if verdict.lanes:
        lines += [_row("lane", "result", "cases"), _row("---", "---", "---")]
        lines += [
            _row(lane.name, f"{MARKS[lane.result.value]} {lane.result.value}", _counted(lane)) for lane in verdict.lanes
        ]
        lines.append("")
    if schedulers:
        lines += [_row("component", *schedulers), _row(*["---"] * (len(schedulers) + 1))]
        for component, row in sorted(verdict.matrix.items()):
            cells = [f"{MARKS[row[name]]} {row[name]}" if name in row else "" for name in schedulers]
            lines.append(_row(component, *cells))
        lines.append("")
    if verdict.causes:
        lines += [_row("cause", "at fault", "cases", "what to do"), _row("---", "---", "---", "---")]
        lines += [
            _row(_short(c.title), c.fault, str(len(c.cases)), _short(c.advice or "")) for c in verdict.causes[:MOST]
        ]
        if len(verdict.causes) > MOST:
            lines.append(_row(f"and {len(verdict.causes) - MOST} more causes", "", "", ""))
        lines.append("")
    lines += [_row("stage", "result", "reason"), _row("---", "---", "---")]
    lines += [_row(f.stage, f.result.value, f.text) for f in verdict.stages]
    footer = [f"[{name}]({address})" for name, address in links.items()]
    if badge is not None:
        image = f"![status of {verdict.system}]({badge})"
        footer.append(f"[{image}]({links['dashboard']})" if "dashboard" in links else image)
    return "\n".join([*lines, "", " · ".join(footer)]).rstrip() + "\n"


def _counted(lane: LaneVerdict) -> str:
    counts = ", ".join(f"{number} {outcome}" for outcome, number in lane.counts.items())
    return f"{counts}; {lane.pass_rate:.1f}% of those that ran passed" if counts else "no case"


def _short(text: str, longest: int = 200) -> str:
    """Return a text on one line, without what Markdown would take for markup of a page."""
    flat = " ".join(text.split()).replace("<", "&lt;")
    return flat if len(flat) <= longest else flat[: longest - 4] + " ..."


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _headline(verdict: Verdict) -> str:
    if verdict.result is Result.INFRA:
        return f"only the site's infrastructure failed ({verdict.infra})"
    return {Result.PASS: "passed", Result.FAIL: "failed"}[verdict.result]
