"""The description of what people state about failures: waivers and notes."""

from __future__ import annotations

from typing import Any

from collector.api.openapi_parts import INT, TEXT, a_list, an_object, body, path_parameter, response


def about_failures(reading: dict[str, Any], writing: dict[str, Any], absent: dict[str, Any]) -> dict[str, Any]:
    """Return the paths; the arguments are the problems of requests that read, that write, and that name something."""
    waiver = an_object(id=INT, site=TEXT, cases=TEXT, reason=TEXT, last_day=TEXT, valid={"type": "boolean"})
    new_waiver = an_object(site=TEXT, cases=TEXT, reason=TEXT, expires={"type": "string", "format": "date"})
    new_waiver["additionalProperties"] = False
    new_waiver["properties"] |= {name: {"type": ["string", "null"]} for name in ("system", "owner")}
    waivers: dict[str, Any] = {
        "/api/v1/waivers": {
            "get": {
                "summary": "List the waivers that administrators set",
                "responses": {"200": response(an_object(waivers=a_list(waiver)), "waivers"), **reading},
            },
            "post": {
                "summary": "Accept failures of a site until a day; needs an admin token",
                "requestBody": body(new_waiver, "`cases` is a shell pattern of case ids"),
                "responses": {"201": response(an_object(id=INT), "stored"), **writing},
            },
        },
        "/api/v1/waivers/{waiver}/end": {
            "post": {
                "summary": "End a waiver before its last day; needs an admin token",
                "parameters": [path_parameter("waiver")],
                "responses": {
                    "200": response(an_object(id=INT, ended={"type": "boolean"}), "ended"),
                    **absent,
                    **writing,
                },
            }
        },
    }
    note = an_object(cause_key=TEXT, site=TEXT)
    note["properties"] |= {name: {"type": ["string", "null"]} for name in ("owner", "note", "link", "snoozed_until")}
    new_note: dict[str, Any] = {"type": "object", "required": ["cause_key"], "additionalProperties": False}
    new_note["properties"] = {name: {"type": ["string", "null"]} for name in ("owner", "note", "link")}
    new_note["properties"] |= {
        "cause_key": TEXT,
        "site": TEXT,
        "until": {"type": ["string", "null"], "format": "date"},
    }
    triage: dict[str, Any] = {
        "/api/v1/triage": {
            "get": {
                "summary": "List what people noted about causes of failures",
                "responses": {"200": response(an_object(notes=a_list(note)), "notes"), **reading},
            },
            "post": {
                "summary": "Note an owner, a text, a link or a snooze of a cause, in place of the note before; without "
                "any, the note is removed. Needs a triage token",
                "requestBody": body(new_note, "`cause_key` as in /triage.json; `until` is the last day of a snooze"),
                "responses": {
                    "200": response(an_object(cause_key=TEXT, site=TEXT, stored={"type": "boolean"}), "stored"),
                    **absent,
                    **writing,
                },
            },
        },
    }
    return {**waivers, **triage}
