"""The parts of which the published description of the API is made."""

from __future__ import annotations

from typing import Any

TEXT: dict[str, Any] = {"type": "string"}
DIGEST: dict[str, Any] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
INT: dict[str, Any] = {"type": "integer"}
COUNTS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "integer"}}


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def a_list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def body(schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {"description": about, "required": True, "content": {"application/json": {"schema": schema}}}


def response(schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def problems(**reasons: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": ref("Problem")}}
    return {code.removeprefix("e"): {"description": about, "content": content} for code, about in reasons.items()}


def path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": TEXT}


def query_parameter(name: str, schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": about}
