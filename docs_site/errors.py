"""Errors of the documentation site.

ExaworksError
└── DocsError     the site, or a picture, could not be made
"""

from __future__ import annotations

from exaworks_sdk.errors import ExaworksError


class DocsError(ExaworksError):
    """The site, or a picture, could not be made; the message has the reason and what to do."""
