"""The collector's HTTP interface, from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from collector.api.openapi import document
from collector.pages import all_pages
from docs_site.reference.schemas import struct, type_of
from docs_site.text import prose, table


def page() -> str:
    openapi = document(all_pages())
    info = openapi["info"]
    opening = (
        f"{prose(info['description'])} Version {info['version']}. For programs: [openapi.json](openapi.json), which a "
        "collector also serves at `/api/v1/openapi.json`. Requests carry a token: `Authorization: Bearer …`."
    )
    parts = ["# HTTP interface", opening]
    for path, operations in openapi["paths"].items():
        shared = operations.get("parameters", [])
        for method, operation in operations.items():
            if method != "parameters":
                parts += [f"## {method.upper()} `{path}`", *_operation(operation, shared)]
    parts.append("## Types")
    for name, schema in sorted(openapi["components"]["schemas"].items()):
        parts += [f"### {name}", *struct(schema)]
    return "\n\n".join((*parts, ""))


def _operation(operation: Mapping[str, Any], shared: list[dict[str, Any]]) -> Iterator[str]:
    yield prose(operation.get("summary", "")) + "."
    yield prose(operation.get("description"))
    parameters = [*shared, *operation.get("parameters", [])]
    if parameters:
        rows = [
            (f"`{each['name']}`", each["in"], type_of(each.get("schema", {})), prose(each.get("description")))
            for each in parameters
        ]
        yield table(("parameter", "in", "type", "meaning"), rows)
    body = operation.get("requestBody")
    if body:
        yield f"Request: {prose(body.get('description'))} {_content(body)}"
    answers = [
        (status, prose(each.get("description")), _content(each)) for status, each in operation["responses"].items()
    ]
    yield table(("status", "answer", "type"), answers)


def _content(body: Mapping[str, Any]) -> str:
    return ", ".join(f"{type_of(each.get('schema', {}))} (`{kind}`)" for kind, each in body.get("content", {}).items())
