"""The short address of a run, for people who know its id; it names the systems if several have a run of this id."""

from __future__ import annotations

from collector.pages import run
from collector.rendering.base import Page

PAGE = Page("/runs/{run_id}", "run.html", run.answer, run.draw)
