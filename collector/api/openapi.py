"""The published description of the API (OpenAPI 3.1), made from the same models that decode what arrives."""

from __future__ import annotations

from typing import Any

import msgspec

from collector import limits
from dashboard_client.schema import SCHEMA_VERSION, Closing, Manifest, Record

_TEXT: dict[str, Any] = {"type": "string"}
_DIGEST: dict[str, Any] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_INT: dict[str, Any] = {"type": "integer"}
_COUNTS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "integer"}}


def document() -> dict[str, Any]:
    """Return the whole description."""
    _, schemas = msgspec.json.schema_components((Manifest, Record, Closing), ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ExaWorks collector",
            "version": f"1.{SCHEMA_VERSION}",
            "description": "Takes runs and records, idempotently: the same bytes again change nothing and get the same "
            "acknowledgement; the same id with other bytes is a conflict that names both digests.",
        },
        "security": [{"token": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**schemas, **_ANSWERS},
        },
    }


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_ANSWERS: dict[str, Any] = {
    "Problem": _object(type=_TEXT, title=_TEXT, status=_INT, detail=_TEXT)
    | {"description": "RFC 9457; `field` names the place in what was sent.", "additionalProperties": True},
    "Opened": _object(run_id=_TEXT, digest=_DIGEST, stored={"type": "boolean"}),
    "Closed": _object(run_id=_TEXT, digest=_DIGEST, sequence=_INT),
    "Added": _object(
        acknowledged=_list(_object(record_id=_DIGEST, digest=_DIGEST)),
        rejected=_list(_object(index=_INT, record_id={"type": ["string", "null"]}, problem=_ref("Problem"))),
    ),
    "Imported": _object(
        run_id=_TEXT, stored={"type": "boolean"}, records=_INT, counts=_COUNTS, rejected=_list({"type": "object"})
    ),
    "RunSummary": _object(
        run_id=_TEXT, site=_TEXT, system=_TEXT, started=_TEXT, state=_TEXT, counts={"type": "object"}
    ),
}


def _body(schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {"description": about, "required": True, "content": {"application/json": {"schema": schema}}}


def _gives(schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _refusals(**why: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _ref("Problem")}}
    return {code.removeprefix("e"): {"description": about, "content": content} for code, about in why.items()}


def _place(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _TEXT}


def _asked(name: str, schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": about}


def _paths() -> dict[str, Any]:
    auth = {"e401": "no token, or one that does not hold", "e403": "the token does not permit this"}
    host = {"e400": "the request or its body cannot be read"}
    reading = _refusals(**auth, **host)
    writing = _refusals(
        **auth,
        **host,
        e409="the id is there with other content; stored_digest and sent_digest are given",
        e413=f"over {limits.MAX_BODY} bytes, {limits.MAX_INFLATED} decompressed, or {limits.MAX_RECORDS} records",
        e415="neither application/json, nor gzip",
        e422="a field is wrong; `field` names it",
        e429="too often; `retry_after` says for how many seconds to wait",
        e503="the database did not take it; send it again",
    )
    xml = {"application/xml": {"schema": _TEXT}, "text/xml": {"schema": _TEXT}}
    legacy = _object(id=_TEXT, key=_TEXT, data={"type": "object"})
    named = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:+@-]{0,127}$"}
    ours = _asked("system", named, "the system that the results are of") | {"required": True}
    naming = [
        _asked("site", named, "its site; a token of one site says it already"),
        _asked("run", named, "name of the run; otherwise it is made from the content"),
        _asked("scheduler", named, "what carried the tests; local otherwise"),
    ]
    component = _asked("component", named, "what the tests are of; otherwise as each is named")
    states = {"enum": ["flaky", "failing", "missing", "stale"]}
    absent = _refusals(e404="no such run or record")
    batch = {
        "type": "object",
        "properties": {"records": {**_list(_ref("Record")), "maxItems": limits.MAX_RECORDS}},
        "required": ["records"],
        "additionalProperties": False,
    }
    summaries = _object(runs=_list(_ref("RunSummary")), before={"type": ["string", "null"]})
    page = _object(records=_list(_ref("Record")), after={"type": ["integer", "null"]})
    limit = _asked("limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "how many at most")
    after = _asked("after", {"type": "integer", "minimum": 0, "maximum": 2**31}, "what the last page gave")
    filters = [_asked("site", _TEXT, "only this site"), _asked("system", _TEXT, "only this system")]
    before = _asked("before", _TEXT, "what the last page gave")
    gzip = {"name": "Content-Encoding", "in": "header", "required": False, "schema": {"enum": ["gzip", "identity"]}}
    waiver = _object(id=_INT, site=_TEXT, cases=_TEXT, reason=_TEXT, last_day=_TEXT, valid={"type": "boolean"})
    asked = _object(site=_TEXT, cases=_TEXT, reason=_TEXT, expires={"type": "string", "format": "date"})
    asked["properties"] |= {name: {"type": ["string", "null"]} for name in ("system", "owner")}
    waivers: dict[str, Any] = {
        "/api/v1/waivers": {
            "get": {
                "summary": "List the waivers that administrators set",
                "responses": {"200": _gives(_object(waivers=_list(waiver)), "waivers"), **reading},
            },
            "post": {
                "summary": "Let failures of a site stand until a day; needs an admin token",
                "requestBody": _body(asked | {"additionalProperties": False}, "`cases` is a shell pattern of case ids"),
                "responses": {"201": _gives(_object(id=_INT), "stored"), **writing},
            },
        },
        "/api/v1/waivers/{waiver}/end": {
            "post": {
                "summary": "End a waiver before its day; needs an admin token",
                "parameters": [_place("waiver")],
                "responses": {"200": _gives(_object(id=_INT, ended={"type": "boolean"}), "ended"), **absent, **writing},
            }
        },
    }
    return {
        **waivers,
        "/api/v1/runs": {
            "post": {
                "summary": "Open a run with its manifest",
                "parameters": [gzip],
                "requestBody": _body(_ref("Manifest"), "the manifest, without `closed`"),
                "responses": {
                    "201": _gives(_ref("Opened"), "stored"),
                    "200": _gives(_ref("Opened"), "was there"),
                    **writing,
                },
            },
            "get": {
                "summary": "List runs, newest first",
                "parameters": [limit, before, *filters],
                "responses": {"200": _gives(summaries, "runs"), **reading},
            },
        },
        "/api/v1/records": {
            "post": {
                "summary": "Add a batch of records; one that is wrong does not keep the others out",
                "parameters": [gzip],
                "requestBody": _body(batch, "the records, of any runs, before or after their manifests"),
                "responses": {"200": _gives(_ref("Added"), "what is stored, and what is refused and why"), **writing},
            }
        },
        "/api/v1/runs/{run_id}/close": {
            "post": {
                "summary": "Close a run; the highest sequence counts",
                "parameters": [_place("run_id"), gzip],
                "requestBody": _body(_ref("Closing"), "the closing count"),
                "responses": {"200": _gives(_ref("Closed"), "stored"), **absent, **writing},
            }
        },
        "/api/v1/import/junit": {
            "post": {
                "summary": "Take a JUnit XML file as one run",
                "parameters": [ours, *naming, component, gzip],
                "requestBody": {"description": "the file", "required": True, "content": xml},
                "responses": {"200": _gives(_ref("Imported"), "what was made of it"), **writing},
            }
        },
        "/api/v1/import/e4s": {
            "post": {
                "summary": "Take a result file of the E4S testsuite as one run",
                "parameters": [ours, *naming, gzip],
                "requestBody": _body(_list({"type": "object"}), "the file"),
                "responses": {"200": _gives(_ref("Imported"), "what was made of it"), **writing},
            }
        },
        "/result": {
            "post": {
                "summary": "Take one message of psij-python's tests or of the first SDK; the key in it is the token",
                "security": [],
                "requestBody": _body(legacy, "the message"),
                "responses": {"200": _gives(_object(success={"type": "boolean"}, run_id=_TEXT), "stored"), **writing},
            }
        },
        "/api/v1/cells": {
            "get": {
                "summary": "List cells with the states that are derived",
                "parameters": [*filters, _asked("state", states, "only cells in this state"), after],
                "responses": {"200": _gives(_object(cells=_list({"type": "object"})), "cells"), **reading},
            }
        },
        "/api/v1/runs/{run_id}": {
            "get": {
                "summary": "Show a run: manifest, closing, and the outcome of each case",
                "parameters": [_place("run_id")],
                "responses": {"200": _gives(_ref("RunSummary"), "the run"), **absent, **reading},
            }
        },
        "/api/v1/runs/{run_id}/records": {
            "get": {
                "summary": "Return a run's records as they were sent",
                "parameters": [_place("run_id"), limit, after],
                "responses": {"200": _gives(page, "a page of records"), **absent, **reading},
            }
        },
        "/api/v1/records/{record_id}": {
            "get": {
                "summary": "Return one record as it was sent",
                "parameters": [_place("record_id")],
                "responses": {"200": _gives(_ref("Record"), "the record"), **absent, **reading},
            }
        },
    }
