"""The description of what programs read beside the API: the pages as JSON, CSV and Atom, badges, and metrics."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from collector.api.openapi_parts import TEXT, path_parameter, query_parameter, response
from collector.rendering.base import Page
from collector.rendering.forms import ATOM, CSV, JSON, MEDIA_TYPES
from collector.status.filters import NAMES
from collector.status.filters import OF_SYSTEMS as CHOOSING

ABOUT = {
    "site": "only these sites",
    "system": "only these systems",
    "owner": "only systems of these owners",
    "component": "only these components and their pairs",
    "scheduler": "only cases on these schedulers, outer or nested",
    "version": "only cases of components with these versions",
    "release": "only cases whose latest run tested one of these releases",
    "emulated": "real, emulated, or both",
    "age": "7d: results of the last seven days; over-7d: older ones; 12h: of the last twelve hours",
    "outcome": "only these outcomes",
    "class": "only failures of these fault classes",
    "state": "stale, silent, emulated, nested or flaky",
}
MORE = {
    "/": {
        "since": "the reference time",
        "sort": "attention, name or site",
        "page": "of forty systems",
        "view": "density",
    },
    "/triage": {"since": "the reference time", "change": "new or recovered", "cause": "only this cause key"},
    "/search": {"q": "the text to search for"},
    "/compare": {"before": "SITE, SITE/SYSTEM or SITE/SYSTEM/RUN", "after": "the same"},
    "/systems/{site}/{system}": {"runs": "the number of runs", "before": "only runs before this one"},
    "/sites": {"page": "of a hundred systems"},
    "/sites/{site}": {"page": "of forty systems"},
    "/releases/{release}": {"page": "of the runs of forty systems"},
    "/runs/{run_id}": {"page": "of five hundred cases"},
    "/runs/{site}/{system}/{run_id}": {"page": "of five hundred cases"},
}
FILTERED = ("/", "/triage", "/flaky")
OF_SYSTEMS = ("/sites", "/releases/{release}")
WORDS = {JSON: "the facts of the page as JSON", CSV: "its list as CSV", ATOM: "what changed as an Atom feed"}


def pages_for_programs(pages: Iterable[Page], reading: dict[str, Any], absent: dict[str, Any]) -> dict[str, Any]:
    """Return the paths of all pages in all their forms, of badges and of metrics."""
    paths: dict[str, Any] = {}
    for page in pages:
        names = re.findall(r"\{(\w+)\}", page.path)
        filters = NAMES if page.path in FILTERED else CHOOSING if page.path in OF_SYSTEMS else ()
        texts = {**{name: f"{ABOUT[name]}, separated by commas" for name in filters}, **MORE.get(page.path, {})}
        parameters = [
            *map(path_parameter, names),
            *(query_parameter(name, TEXT, about) for name, about in texts.items()),
        ]
        for suffix in page.forms:
            path = ("/index" if page.path == "/" else page.path) + suffix
            kind = {} if suffix == JSON else TEXT
            answer = {
                "description": WORDS[suffix],
                "content": {MEDIA_TYPES[suffix]: {"schema": kind or {"type": "object"}}},
            }
            responses = {"200": answer, **(absent if names or page.path == "/compare" else {}), **reading}
            summary = f"{(page.answer.__module__.rpartition('.')[2]).replace('_', ' ').capitalize()}: {WORDS[suffix]}"
            paths[path] = {"get": {"summary": summary, "parameters": parameters, "responses": responses}}
    svg = {"description": "the badge", "content": {"image/svg+xml": {"schema": TEXT}}}
    text = {"description": "the metrics", "content": {"text/plain": {"schema": TEXT}}}
    names = ["site", "system", "component"]
    paths["/badge/{site}/{system}/{component}.svg"] = {
        "get": {
            "summary": "The state of a component on a system as an image; all.svg for every component",
            "parameters": list(map(path_parameter, names)),
            "responses": {"200": svg, **absent, **reading},
        }
    }
    chosen = [query_parameter(name, TEXT, f"{ABOUT[name]}, separated by commas") for name in CHOOSING]
    metrics = {"summary": "Metrics for Prometheus", "parameters": chosen, "responses": {"200": text, **reading}}
    paths["/metrics"] = {"get": metrics}
    for path, about in (("/healthz", "the process answers"), ("/readyz", "the database can be written")):
        answer = response({"type": "object"}, about)
        paths[path] = {"get": {"summary": f"Whether {about}", "security": [], "responses": {"200": answer}}}
    return paths
