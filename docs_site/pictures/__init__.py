"""The pictures of the site: the terminal of a real run, the report of that run, and every page of the dashboard.

``exaworks docs pictures`` makes all of them. They are committed, because a site is also built where no scheduler and no
Chromium exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from docs_site.pictures.browser import Browser
from docs_site.pictures.dashboard import dashboard_pages
from docs_site.pictures.run import validate
from docs_site.pictures.terminal import drawing

TERMINAL, REPORT = "terminal.svg", "report.png"
DASHBOARD = "dashboard-{}.png"


def make_all(checkout: Path, target: Path, progress: Callable[[str], None]) -> Iterator[Path]:
    """Write every picture into ``target`` and return its path.

    Raises:
        DocsError: the run or the collector did not start, or there is no Chromium.
    """
    target.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, Browser() as browser:
        progress("running exaworks validate")
        run = validate(checkout, Path(folder))
        (target / TERMINAL).write_text(drawing(run.screen, run.command), encoding="utf-8")
        yield target / TERMINAL
        browser.shoot(run.report.as_uri(), target / REPORT)
        yield target / REPORT
        progress("filling a dashboard")
        with dashboard_pages(Path(folder)) as pages:
            for name, address in pages.items():
                path = target / DASHBOARD.format(name)
                browser.shoot(address, path)
                yield path
