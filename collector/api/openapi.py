"""The published description of the API (OpenAPI 3.1), made from the models that decode the requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from collector import limits
from collector.api.openapi_failures import about_failures
from collector.api.openapi_pages import ABOUT, pages_for_programs
from collector.api.openapi_parts import (
    COUNTS,
    DIGEST,
    INT,
    TEXT,
    a_list,
    an_object,
    body,
    path_parameter,
    problems,
    query_parameter,
    ref,
    response,
)
from collector.rendering.base import Page
from dashboard_client.schema import SCHEMA_VERSION, Closing, Manifest, Record


def document(pages: Iterable[Page]) -> dict[str, Any]:
    """Return the OpenAPI document of the API and of the pages."""
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
        "paths": _paths(pages),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**schemas, **_ANSWERS},
        },
    }


_ANSWERS: dict[str, Any] = {
    "Problem": an_object(type=TEXT, title=TEXT, status=INT, detail=TEXT)
    | {"description": "RFC 9457; `field` names the place in the request.", "additionalProperties": True},
    "Opened": an_object(run_id=TEXT, digest=DIGEST, stored={"type": "boolean"}),
    "Closed": an_object(run_id=TEXT, digest=DIGEST, sequence=INT),
    "Added": an_object(
        acknowledged=a_list(an_object(record_id=DIGEST, digest=DIGEST)),
        rejected=a_list(an_object(index=INT, record_id={"type": ["string", "null"]}, problem=ref("Problem"))),
    ),
    "Imported": an_object(
        run_id=TEXT,
        stored={"type": "boolean"},
        dialect=TEXT,
        started=TEXT,
        stale_after=TEXT,
        records=INT,
        counts=COUNTS,
        rejected=a_list({"type": "object"}),
    ),
    "RunSummary": an_object(run_id=TEXT, site=TEXT, system=TEXT, started=TEXT, state=TEXT, counts={"type": "object"}),
}


def _paths(pages: Iterable[Page]) -> dict[str, Any]:
    auth = {"e401": "the token is missing or not valid", "e403": "the token does not permit this"}
    host = {"e400": "the request or its body cannot be read"}
    reading = problems(**auth, **host)
    writing = problems(
        **auth,
        **host,
        e409="the id is stored with other content; stored_digest and sent_digest are given",
        e413=f"over {limits.MAX_BODY} bytes, {limits.MAX_INFLATED} bytes decompressed, or {limits.MAX_RECORDS} records",
        e415="the content type or the content encoding is not supported",
        e422="a field is wrong; `field` names it",
        e429="too many requests; `retry_after` is the number of seconds to wait",
        e503="the database is not available; send the request again",
    )
    xml = {"application/xml": {"schema": TEXT}, "text/xml": {"schema": TEXT}}
    legacy = an_object(id=TEXT, key=TEXT, data={"type": "object"})
    named = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:+@-]{0,127}$"}
    system = query_parameter("system", named, "the system that the results are of") | {"required": True}
    naming = [
        query_parameter("site", named, "the site of the system; needed only if the token is for any site"),
        query_parameter("run", named, "the name of the run; the default is derived from the content"),
        query_parameter("scheduler", named, "the scheduler that ran the tests; the default is local"),
        query_parameter("component", named, "the component of all tests; the default is imported"),
        query_parameter("stale_after", TEXT, "the age from which the results are stale; the default is the system's"),
        query_parameter("started", TEXT, "the start of the run; the default is taken from the file"),
        query_parameter("modified", TEXT, "the modification time of the file, for a file that states no time"),
    ]
    timezone = query_parameter(
        "timezone", TEXT, "the zone of times without one: an offset or an IANA name; the default is the collector's"
    )
    states = {"enum": ["flaky", "failing", "missing", "stale"]}
    absent = problems(e404="the run, record or waiver does not exist")
    batch = {
        "type": "object",
        "properties": {"records": {**a_list(ref("Record")), "maxItems": limits.MAX_RECORDS}},
        "required": ["records"],
        "additionalProperties": False,
    }
    summaries = an_object(runs=a_list(ref("RunSummary")), before={"type": ["string", "null"]})
    page = an_object(records=a_list(ref("Record")), after={"type": ["integer", "null"]})
    limit = query_parameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "the maximum number of results"
    )
    number = {"type": "integer", "minimum": 0, "maximum": 2**31}
    after = query_parameter("after", number, "the value of `after` in the previous page")
    filters = [query_parameter("site", TEXT, "only this site"), query_parameter("system", TEXT, "only this system")]
    selecting = [query_parameter(name, TEXT, about) for name, about in ABOUT.items() if name != "state"]
    before = query_parameter("before", TEXT, "the value of `before` in the previous page")
    gzip = {"name": "Content-Encoding", "in": "header", "required": False, "schema": {"enum": ["gzip", "identity"]}}
    return {
        **about_failures(reading, writing, absent),
        **pages_for_programs(pages, reading, absent),
        "/api/v1/runs": {
            "post": {
                "summary": "Open a run with its manifest",
                "parameters": [gzip],
                "requestBody": body(ref("Manifest"), "the manifest, without `closed`"),
                "responses": {
                    "201": response(ref("Opened"), "stored"),
                    "200": response(ref("Opened"), "was already stored"),
                    **writing,
                },
            },
            "get": {
                "summary": "List runs, newest first",
                "parameters": [limit, before, *selecting],
                "responses": {"200": response(summaries, "runs"), **reading},
            },
        },
        "/api/v1/records": {
            "post": {
                "summary": "Add a batch of records; a wrong record is rejected and the others are stored",
                "parameters": [gzip],
                "requestBody": body(batch, "records of any runs; they may be sent before their manifests"),
                "responses": {
                    "200": response(
                        ref("Added"), "the records that are stored, and those that are rejected with the reason"
                    ),
                    **writing,
                },
            }
        },
        "/api/v1/runs/{run_id}/close": {
            "post": {
                "summary": "Close a run; the closing with the highest sequence counts",
                "parameters": [path_parameter("run_id"), *filters, gzip],
                "requestBody": body(ref("Closing"), "the closing count"),
                "responses": {"200": response(ref("Closed"), "stored"), **absent, **writing},
            }
        },
        "/api/v1/import/junit": {
            "post": {
                "summary": "Store a JUnit XML file as one run",
                "parameters": [system, *naming, timezone, gzip],
                "requestBody": {"description": "the file", "required": True, "content": xml},
                "responses": {"200": response(ref("Imported"), "the run that was stored"), **writing},
            }
        },
        "/api/v1/import/e4s": {
            "post": {
                "summary": "Store a result file of the E4S testsuite as one run",
                "parameters": [system, *naming, gzip],
                "requestBody": body(a_list({"type": "object"}), "the file"),
                "responses": {"200": response(ref("Imported"), "the run that was stored"), **writing},
            }
        },
        "/result": {
            "post": {
                "summary": "Store one message of psij-python's tests or of the first SDK; its key is the token",
                "security": [],
                "requestBody": body(legacy, "the message"),
                "responses": {
                    "200": response(an_object(success={"type": "boolean"}, run_id=TEXT), "stored"),
                    **writing,
                },
            }
        },
        "/api/v1/links": {
            "post": {
                "summary": "Create a link that opens the dashboard once; needs the token of the server process",
                "requestBody": body({"type": "object", "properties": {"site": TEXT}}, "the site to show"),
                "responses": {"201": response(an_object(path=TEXT), "the path of the link"), **writing},
            }
        },
        "/api/v1/cells": {
            "get": {
                "summary": "List cells with their derived states",
                "parameters": [*selecting, query_parameter("state", states, "only cells in this state"), after],
                "responses": {"200": response(an_object(cells=a_list({"type": "object"})), "cells"), **reading},
            }
        },
        "/api/v1/runs/{run_id}": {
            "get": {
                "summary": "Show a run: manifest, closing, and the outcome of each case",
                "parameters": [path_parameter("run_id"), *filters],
                "responses": {"200": response(ref("RunSummary"), "the run"), **absent, **reading},
            }
        },
        "/api/v1/runs/{run_id}/records": {
            "get": {
                "summary": "Return a run's records as they were sent",
                "parameters": [path_parameter("run_id"), *filters, limit, after],
                "responses": {"200": response(page, "a page of records"), **absent, **reading},
            }
        },
        "/api/v1/records/{record_id}": {
            "get": {
                "summary": "Return one record as it was sent",
                "parameters": [path_parameter("record_id")],
                "responses": {"200": response(ref("Record"), "the record"), **absent, **reading},
            }
        },
    }
