"""The Grafana dashboard asks only for metrics and labels that the collector serves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from collector.auth.visibility import EVERYTHING
from collector.status.filters import Filters
from collector.status.metrics import HELP, board_lines
from collector.store.database import Store
from dashboard_client.schema import Metric
from tests.collector.pages.test_dashboard import NOW, put
from tests.collector.samples import CASES, manifest, record

FIGURES = [Metric(name="rate", value=1.0, unit="1/s", better="higher")]
FILE = Path(__file__).resolve().parents[3] / "docs/examples/grafana/exaworks-status.json"


def test_every_panel_asks_for_metrics_and_labels_that_exist(store: Store) -> None:
    put(store, manifest("r1", CASES[:1], cadence="1d"), record("r1", CASES[0], metrics=FIGURES))
    with store.reading() as connection:
        labels = {name: set(re.findall(r"(\w+)=", text)) for name, text, _ in board_lines(connection, EVERYTHING, NOW)}
    dashboard: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [each["query"]["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    assert len(asked) >= 10
    for expression in asked:
        for name, selection in re.findall(r"(exaworks_\w+)(?:\{([^}]*)\})?", expression):
            assert name in HELP, expression
            assert set(re.findall(r"(\w+)=?[!=]~?", selection)) <= labels.get(name, set()) | {""}, expression


def test_panels_have_a_title_and_do_not_overlap() -> None:
    panels = json.loads(FILE.read_text(encoding="utf-8"))["panels"]
    assert all(panel["title"] for panel in panels)
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_metrics_can_be_limited_to_some_systems(store: Store) -> None:
    for number, system in enumerate(("one", "two")):
        put(store, manifest(f"r{number}", CASES[:1], system=system, owner=f"group {number}"))
    with store.reading() as connection:
        for filters, wanted in (
            ({"system": ("two",)}, {"two"}),
            ({"owner": ("group 0",)}, {"one"}),
            ({}, {"one", "two"}),
        ):
            lines = board_lines(connection, EVERYTHING, NOW, Filters(filters, NOW))
            assert {re.findall(r'system="(\w+)"', text)[0] for _, text, _ in lines} == wanted
