"""The published description of the API (OpenAPI 3.1), made from the models that decode the requests."""

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
    """Return the OpenAPI document."""
    _, schemas = msgspec.json.schema_components((Manifest, Record, Closing), ref_template="#/components/schemas/{name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ExaWorks collector",
            "version": f"1.{SCHEMA_VERSION}",
            "description": "Receives runs and records. Sending the same bytes again changes nothing and gets the same "
            "acknowledgement. Sending other bytes with the same id is a conflict; the answer names both digests.",
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
    | {"description": "RFC 9457; `field` names the place in the request.", "additionalProperties": True},
    "Opened": _object(run_id=_TEXT, digest=_DIGEST, stored={"type": "boolean"}),
    "Closed": _object(run_id=_TEXT, digest=_DIGEST, sequence=_INT),
    "Added": _object(
        acknowledged=_list(_object(record_id=_DIGEST, digest=_DIGEST)),
        rejected=_list(_object(index=_INT, record_id={"type": ["string", "null"]}, problem=_ref("Problem"))),
    ),
    "Imported": _object(
        run_id=_TEXT,
        stored={"type": "boolean"},
        dialect=_TEXT,
        started=_TEXT,
        stale_after=_TEXT,
        records=_INT,
        counts=_COUNTS,
        rejected=_list({"type": "object"}),
    ),
    "RunSummary": _object(
        run_id=_TEXT, site=_TEXT, system=_TEXT, started=_TEXT, state=_TEXT, counts={"type": "object"}
    ),
}


def _body(schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {"description": about, "required": True, "content": {"application/json": {"schema": schema}}}


def _response(schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _problems(**reasons: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _ref("Problem")}}
    return {code.removeprefix("e"): {"description": about, "content": content} for code, about in reasons.items()}


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _TEXT}


def _query_parameter(name: str, schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": about}


def _paths() -> dict[str, Any]:
    auth = {"e401": "the token is missing or not valid", "e403": "the token does not permit this"}
    host = {"e400": "the request or its body cannot be read"}
    reading = _problems(**auth, **host)
    writing = _problems(
        **auth,
        **host,
        e409="the id is stored with other content; stored_digest and sent_digest are given",
        e413=f"over {limits.MAX_BODY} bytes, {limits.MAX_INFLATED} bytes decompressed, or {limits.MAX_RECORDS} records",
        e415="the content type or the content encoding is not supported",
        e422="a field is wrong; `field` names it",
        e429="too many requests; `retry_after` is the number of seconds to wait",
        e503="the database is not available; send the request again",
    )
    xml = {"application/xml": {"schema": _TEXT}, "text/xml": {"schema": _TEXT}}
    legacy = _object(id=_TEXT, key=_TEXT, data={"type": "object"})
    named = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:+@-]{0,127}$"}
    system = _query_parameter("system", named, "the system that the results are of") | {"required": True}
    naming = [
        _query_parameter("site", named, "the site of the system; needed only if the token is for any site"),
        _query_parameter("run", named, "the name of the run; the default is derived from the content"),
        _query_parameter("scheduler", named, "the scheduler that ran the tests; the default is local"),
        _query_parameter("component", named, "the component of all tests; the default is imported"),
        _query_parameter("stale_after", _TEXT, "the age from which the results are stale; the default is the system's"),
        _query_parameter("started", _TEXT, "the start of the run; the default is taken from the file"),
        _query_parameter("modified", _TEXT, "the modification time of the file, for a file that states no time"),
    ]
    timezone = _query_parameter(
        "timezone", _TEXT, "the zone of times without one: an offset or an IANA name; the default is the collector's"
    )
    states = {"enum": ["flaky", "failing", "missing", "stale"]}
    absent = _problems(e404="the run, record or waiver does not exist")
    batch = {
        "type": "object",
        "properties": {"records": {**_list(_ref("Record")), "maxItems": limits.MAX_RECORDS}},
        "required": ["records"],
        "additionalProperties": False,
    }
    summaries = _object(runs=_list(_ref("RunSummary")), before={"type": ["string", "null"]})
    page = _object(records=_list(_ref("Record")), after={"type": ["integer", "null"]})
    limit = _query_parameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "the maximum number of results"
    )
    number = {"type": "integer", "minimum": 0, "maximum": 2**31}
    after = _query_parameter("after", number, "the value of `after` in the previous page")
    filters = [_query_parameter("site", _TEXT, "only this site"), _query_parameter("system", _TEXT, "only this system")]
    before = _query_parameter("before", _TEXT, "the value of `before` in the previous page")
    gzip = {"name": "Content-Encoding", "in": "header", "required": False, "schema": {"enum": ["gzip", "identity"]}}
    waiver = _object(id=_INT, site=_TEXT, cases=_TEXT, reason=_TEXT, last_day=_TEXT, valid={"type": "boolean"})
    new_waiver = _object(site=_TEXT, cases=_TEXT, reason=_TEXT, expires={"type": "string", "format": "date"})
    new_waiver["additionalProperties"] = False
    new_waiver["properties"] |= {name: {"type": ["string", "null"]} for name in ("system", "owner")}
    waivers: dict[str, Any] = {
        "/api/v1/waivers": {
            "get": {
                "summary": "List the waivers that administrators set",
                "responses": {"200": _response(_object(waivers=_list(waiver)), "waivers"), **reading},
            },
            "post": {
                "summary": "Accept failures of a site until a day; needs an admin token",
                "requestBody": _body(new_waiver, "`cases` is a shell pattern of case ids"),
                "responses": {"201": _response(_object(id=_INT), "stored"), **writing},
            },
        },
        "/api/v1/waivers/{waiver}/end": {
            "post": {
                "summary": "End a waiver before its last day; needs an admin token",
                "parameters": [_path_parameter("waiver")],
                "responses": {
                    "200": _response(_object(id=_INT, ended={"type": "boolean"}), "ended"),
                    **absent,
                    **writing,
                },
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
                    "201": _response(_ref("Opened"), "stored"),
                    "200": _response(_ref("Opened"), "was already stored"),
                    **writing,
                },
            },
            "get": {
                "summary": "List runs, newest first",
                "parameters": [limit, before, *filters],
                "responses": {"200": _response(summaries, "runs"), **reading},
            },
        },
        "/api/v1/records": {
            "post": {
                "summary": "Add a batch of records; a wrong record is rejected and the others are stored",
                "parameters": [gzip],
                "requestBody": _body(batch, "records of any runs; they may be sent before their manifests"),
                "responses": {
                    "200": _response(
                        _ref("Added"), "the records that are stored, and those that are rejected with the reason"
                    ),
                    **writing,
                },
            }
        },
        "/api/v1/runs/{run_id}/close": {
            "post": {
                "summary": "Close a run; the closing with the highest sequence counts",
                "parameters": [_path_parameter("run_id"), *filters, gzip],
                "requestBody": _body(_ref("Closing"), "the closing count"),
                "responses": {"200": _response(_ref("Closed"), "stored"), **absent, **writing},
            }
        },
        "/api/v1/import/junit": {
            "post": {
                "summary": "Store a JUnit XML file as one run",
                "parameters": [system, *naming, timezone, gzip],
                "requestBody": {"description": "the file", "required": True, "content": xml},
                "responses": {"200": _response(_ref("Imported"), "the run that was stored"), **writing},
            }
        },
        "/api/v1/import/e4s": {
            "post": {
                "summary": "Store a result file of the E4S testsuite as one run",
                "parameters": [system, *naming, gzip],
                "requestBody": _body(_list({"type": "object"}), "the file"),
                "responses": {"200": _response(_ref("Imported"), "the run that was stored"), **writing},
            }
        },
        "/result": {
            "post": {
                "summary": "Store one message of psij-python's tests or of the first SDK; its key is the token",
                "security": [],
                "requestBody": _body(legacy, "the message"),
                "responses": {
                    "200": _response(_object(success={"type": "boolean"}, run_id=_TEXT), "stored"),
                    **writing,
                },
            }
        },
        "/api/v1/links": {
            "post": {
                "summary": "Create a link that opens the dashboard once; needs the token of the server process",
                "requestBody": _body({"type": "object", "properties": {"site": _TEXT}}, "the site to show"),
                "responses": {"201": _response(_object(path=_TEXT), "the path of the link"), **writing},
            }
        },
        "/api/v1/cells": {
            "get": {
                "summary": "List cells with their derived states",
                "parameters": [*filters, _query_parameter("state", states, "only cells in this state"), after],
                "responses": {"200": _response(_object(cells=_list({"type": "object"})), "cells"), **reading},
            }
        },
        "/api/v1/runs/{run_id}": {
            "get": {
                "summary": "Show a run: manifest, closing, and the outcome of each case",
                "parameters": [_path_parameter("run_id"), *filters],
                "responses": {"200": _response(_ref("RunSummary"), "the run"), **absent, **reading},
            }
        },
        "/api/v1/runs/{run_id}/records": {
            "get": {
                "summary": "Return a run's records as they were sent",
                "parameters": [_path_parameter("run_id"), *filters, limit, after],
                "responses": {"200": _response(page, "a page of records"), **absent, **reading},
            }
        },
        "/api/v1/records/{record_id}": {
            "get": {
                "summary": "Return one record as it was sent",
                "parameters": [_path_parameter("record_id")],
                "responses": {"200": _response(_ref("Record"), "the record"), **absent, **reading},
            }
        },
    }
