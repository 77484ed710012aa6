"""The published description is complete, and no generated request makes the server fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from litestar.routes import HTTPRoute

from collector.api.openapi import document
from collector.pages import all_pages
from collector.server.app import make_app
from collector.status.filters import NAMES
from collector.store.database import Store
from collector.web.context import Server
from tests.collector.process import Collector, environment, tool
from tests.collector.samples import CASES, closing, manifest, record

DESCRIPTION = "/api/v1/openapi.json"


def test_every_path_of_the_api_is_described(store: Store) -> None:
    app = make_app(Server(store, bytes(32)))
    served = {
        (route.path_format, method.lower())
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith(("/api/", "/result"))
        for method in route.methods
        if method != "OPTIONS"
    }
    described = {(path, method) for path, methods in document(all_pages())["paths"].items() for method in methods}
    assert served - {(DESCRIPTION, "get")} == {
        place for place in described if place[0].startswith(("/api/", "/result"))
    }


def test_the_forms_of_every_page_the_badges_and_the_metrics_are_described_and_served(store: Store) -> None:
    described = document(all_pages())["paths"]
    for page in all_pages():
        for suffix in page.forms:
            parameters = described[("/index" if page.path == "/" else page.path) + suffix]["get"]["parameters"]
            named = {each["name"] for each in parameters if each["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", page.path))
    assert {"/badge/{site}/{system}/{component}.svg", "/metrics", "/healthz", "/readyz"} <= described.keys()
    filters = {each["name"] for each in described["/triage.csv"]["get"]["parameters"]}
    assert set(NAMES) <= filters


@pytest.mark.long
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def test_no_request_makes_the_server_fail(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    config = tmp_path / "collector.yaml"
    config.write_text("rates: {per_second: 100000, burst: 100000}\n")
    arguments = ["--config", str(config)]
    if kind == "postgresql":
        arguments += ["--database", request.getfixturevalue("postgres").fresh()]
    served = Collector(tmp_path, *arguments)
    served.open(manifest("known"))
    served.add(*(record("known", case) for case in CASES))
    served.close("known", closing(5))
    admin = tool(tmp_path, "token", "new", "*", "--scope", "admin", *arguments[2:]).stdout.strip()
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "run", f"{served.url}/api/v1/openapi.json", "--checks", "not_a_server_error"]
    command += ["--max-examples", os.environ.get("EXAWORKS_FUZZ_EXAMPLES", "15"), "--seed", "1", "--no-color"]
    command += ["--header", f"Authorization: Bearer {admin}", "--suppress-health-check", "all"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=900)
    assert served.get("/healthz").status_code == 200
    assert served.stop() == 0
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    counts = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert counts is not None, done.stdout[-3000:]
    assert int(counts[1]) == int(counts[2]) > 500
