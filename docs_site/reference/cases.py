"""The interface for people who write cases, from its docstrings (mkdocstrings renders them)."""

from __future__ import annotations

from docs_site.text import prose
from sdk_tests import api


def page() -> str:
    names = "\n\n".join(f"::: sdk_tests.api.{name}" for name in sorted(api.__all__, key=str.lower))
    return f"# Interface for cases\n\n{prose(api.__doc__)}\n\n[Extending](../extending.md) shows examples.\n\n{names}\n"
