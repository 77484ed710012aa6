"""The pages: each module here is one, found by its ``PAGE``; adding a page is adding a file."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from litestar.handlers import HTTPRouteHandler

from collector.rendering.base import Page, handler


def all_pages() -> list[Page]:
    """Return every page, in the order of their paths."""
    modules = (import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    return sorted((module.PAGE for module in modules), key=lambda page: page.path)


def handlers() -> list[HTTPRouteHandler]:
    """Return what serves them."""
    return [handler(page) for page in all_pages()]
