"""Pictures of web pages, by the Chromium of this machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

from docs_site.errors import DocsError

SIZE = {"width": 1200, "height": 800}
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--disable-gpu", "--no-sandbox", "--disable-background-networking", "--no-first-run"]


class Browser:
    """Chromium while the block runs.

    Raises:
        DocsError: Chromium or Playwright is absent.
    """

    def __enter__(self) -> Browser:
        program = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
        if program is None:
            raise DocsError(f"the pictures need Chromium; none of {', '.join(PROGRAMS)} is on PATH. Install chromium.")
        try:
            from playwright.sync_api import sync_playwright
        except ImportError as error:
            raise DocsError("playwright is absent: run ./exaworks docs pictures, or install .[dev].") from error
        self._playwright: Any = sync_playwright().start()
        self._chromium: Any = self._playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._chromium.close()
        self._playwright.stop()

    def shoot(self, address: str, target: Path) -> None:
        """Write a picture of the upper part of a page."""
        page = self._chromium.new_page(viewport=SIZE, color_scheme="light")
        try:
            page.goto(address)
            page.screenshot(path=target, animations="disabled")
        finally:
            page.close()
