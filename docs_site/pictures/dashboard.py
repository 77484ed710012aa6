"""A collector with a generated history, and an address of each of its pages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from collector.pages import all_pages
from docs_site.errors import DocsError

_SYSTEMS, _CASES, _NIGHTS = 10, 18, 14
_QUERIES = {"/search": "?q=parsl"}


def names() -> dict[str, str]:
    """Return the path of each page by the name of its picture, which is that of its template.

    Of two paths that show one page, the longer one counts.
    """
    pages = sorted(all_pages(), key=lambda page: len(page.path))
    return {page.template.removesuffix(".html"): page.path for page in pages}


@contextmanager
def dashboard_pages(folder: Path) -> Iterator[dict[str, str]]:
    """Serve a collector during the block; the value has the address of each page by the name of its picture.

    Raises:
        DocsError: the collector did not start.
    """
    from benchmarks.history import fill
    from benchmarks.spells import Shape
    from collector.store.database import database_url, open_store

    home = folder / "dashboard"
    store = open_store(database_url(None, home / "collector"))
    fill(store, Shape(systems=_SYSTEMS, cases=_CASES, nights=_NIGHTS))
    store.close()
    with _served(home) as address:
        values = _values(address)
        yield {
            name: address + re.sub(r"\{(\w+)\}", lambda match: values[match[1]], path) + _QUERIES.get(path, "")
            for name, path in names().items()
        }


@contextmanager
def _served(home: Path) -> Iterator[str]:
    command = [sys.executable, "-I", "-m", "exaworks_sdk", "collector", "serve", "--port", "0"]
    environ = {**os.environ, "EXAWORKS_HOME": str(home)}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line)
                match = re.search(r"http://127\.0\.0\.1:\d+", line)
                if match:
                    yield match[0]
                    return
            raise DocsError(f"the collector did not start:\n{''.join(lines)}")
        finally:
            process.terminate()


def _values(address: str) -> dict[str, str]:
    """Return what stands for each name in a path, from the JSON of the pages: the newest run, and a failed case."""
    system = _facts(address, "/index.json")["runs"][0]
    place = {"site": system["site"], "system": system["system"]}
    grid = _facts(address, "/systems/{site}/{system}.json".format(**place))
    newest = {**place, "run_id": grid["runs"][0]["run_id"]}
    run = _facts(address, "/runs/{site}/{system}/{run_id}.json".format(**newest))
    recorded = [case for case in run["cases"] if case["record_id"]]
    chosen = next((case for case in recorded if case["outcome"] == "fail"), recorded[0])
    cell = next(
        (case["cell"] for case in grid["cases"] if case["case_id"] == chosen["case_id"]), grid["cases"][0]["cell"]
    )
    return {
        **newest,
        "release": run["release"],
        "record_id": chosen["record_id"],
        "cell": str(cell),
        "before": grid["runs"][-1]["run_id"],
        "after": newest["run_id"],
    }


def _facts(address: str, path: str) -> Any:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(address + path, timeout=30) as answer:
        return json.load(answer)
