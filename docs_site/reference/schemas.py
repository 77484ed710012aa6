"""The pages of the models that are written to files: each struct with its fields, types, defaults and limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from collector.api.openapi import document as openapi
from collector.pages import all_pages
from dashboard_client.schema import Closing, Manifest, Record
from dashboard_client.schema import json_schema as results_schema
from docs_site.text import code, prose, table
from site_configs.schema import json_schema as site_schema

LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "pattern": "matches `{}`",
    "format": "{}",
}


def documents() -> dict[str, Any]:
    """Return the published documents by the name of their file."""
    return {
        "site.schema.json": site_schema(),
        "record.schema.json": results_schema(Record),
        "manifest.schema.json": results_schema(Manifest),
        "closing.schema.json": results_schema(Closing),
        "openapi.json": openapi(all_pages()),
    }


def site_file() -> str:
    opening = (
        "The model of a site file. [Site files](../sites.md) explains how to write one; `exaworks sites check` checks "
        "one. For an editor: [site.schema.json](site.schema.json), also printed by `exaworks sites schema`."
    )
    return "\n\n".join(("# Site file", opening, *structs(site_schema()), ""))


def record() -> str:
    opening = (
        "What a run writes into `records.jsonl` and `manifest.json`, and sends to a collector. "
        "[The record](../architecture.md#the-record) explains the versions; [Security](../security.md) lists what "
        "leaves the machine. Schemas: [record](record.schema.json), [manifest](manifest.schema.json), "
        "[closing](closing.schema.json), also printed by `exaworks results schema`."
    )
    known: dict[str, Any] = {}
    for model in (Record, Manifest, Closing):
        known |= results_schema(model)["$defs"]
    return "\n\n".join(("# Record and manifest", opening, *structs({"$ref": "#/$defs/Record", "$defs": known}), ""))


def structs(schema: Mapping[str, Any]) -> Iterator[str]:
    """Return the sections of all types of a schema: its own first, then by name."""
    known: Mapping[str, Any] = schema["$defs"]
    first = schema.get("$ref", "").rpartition("/")[2]
    for name in sorted(known, key=lambda name: (name != first, name)):
        yield f"## {name}"
        yield from struct(known[name])


def struct(schema: Mapping[str, Any]) -> Iterator[str]:
    """Return the description of one type, and the table of its fields or of its values."""
    yield prose(schema.get("description"))
    if "enum" in schema:
        yield f"One of: {', '.join(code(str(value)) for value in schema['enum'])}."
    required = set(schema.get("required", ()))
    rows = [
        (code(name), type_of(field), "required" if name in required else default_of(field), limits_of(field))
        for name, field in schema.get("properties", {}).items()
    ]
    if rows:
        yield table(("field", "type", "default", "limits"), rows)


def type_of(field: Mapping[str, Any]) -> str:
    """Return a field's type as text: ``list of Queue``, with a link to each type of the page."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(type_of(each) for each in field["anyOf"])
    if "enum" in field:
        return "one of " + ", ".join(code(str(value)) for value in field["enum"])
    if "const" in field:
        return code(str(field["const"]))
    kind = field.get("type", "anything")
    if kind == "array":
        return f"list of {type_of(field['items'])}" if field.get("items") else "list"
    if kind == "object":
        values = field.get("additionalProperties")
        return f"mapping to {type_of(values)}" if isinstance(values, dict) and values else "mapping"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def default_of(field: Mapping[str, Any]) -> str:
    import json

    return code(json.dumps(field["default"], ensure_ascii=False)) if "default" in field else "none"


def limits_of(field: Mapping[str, Any]) -> str:
    """Return the limits of a field's value, of its entries or of its alternatives."""
    parts = [text.format(field[key]) for key, text in LIMITS.items() if key in field]
    nested = [field.get("items"), field.get("additionalProperties"), *field.get("anyOf", ())]
    parts += [limits_of(each) for each in nested if isinstance(each, dict)]
    return "; ".join(dict.fromkeys(part for part in parts if part))
