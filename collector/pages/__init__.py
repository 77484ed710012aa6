"""The pages of the dashboard. Each module here is one page and defines ``PAGE``; a new page is a new file."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from litestar.handlers import HTTPRouteHandler

from collector.rendering.base import Page, handler


def all_pages() -> list[Page]:
    """Return every page, sorted by path."""
    modules = (import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    return sorted((module.PAGE for module in modules), key=lambda page: page.path)


def handlers() -> list[HTTPRouteHandler]:
    """Return the route handlers of all pages."""
    return [handler(page) for page in all_pages()]
