"""The pages of the reference, generated from the code. Each module has a function ``page`` that returns Markdown.

``pages`` lists them by the path in the site; ``files`` lists machine-readable files that belong to them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from docs_site.reference import cases, commands, exit_codes, http, index, rules, schemas, variables

PAGES: Mapping[str, Callable[[], str]] = {
    "reference/index.md": index.page,
    "reference/site-file.md": schemas.site_file,
    "reference/record.md": schemas.record,
    "reference/http.md": http.page,
    "reference/cases.md": cases.page,
    "reference/exit-codes.md": exit_codes.page,
    "reference/variables.md": variables.page,
    "reference/rules.md": rules.page,
}


def pages() -> dict[str, str]:
    """Return every generated page by its path in the site."""
    return {**{path: make() for path, make in PAGES.items()}, **commands.pages()}


def files() -> dict[str, str]:
    """Return the schemas and the OpenAPI document, by their path in the site."""
    return {f"reference/{name}": json.dumps(text, indent=2) + "\n" for name, text in schemas.documents().items()}
