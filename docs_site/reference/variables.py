"""The environment variables."""

from __future__ import annotations

from docs_site.text import table
from exaworks_sdk.variables import VARIABLES, Audience


def page() -> str:
    parts = ["# Environment variables", "All variables of the project begin with `EXAWORKS_`."]
    for audience in Audience:
        rows = [(f"`{each.name}`", each.sets) for each in VARIABLES if each.audience is audience]
        parts += [f"## {audience.value}", table(("variable", "sets"), rows)]
    parts.append(
        "pip's own variables (`PIP_INDEX_URL`, `PIP_CERT`, …), proxies and the variables of schedulers have their "
        "usual meaning."
    )
    return "\n\n".join((*parts, ""))
