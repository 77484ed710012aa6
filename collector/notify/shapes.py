"""Messages in the shape that a chat or an issue tracker expects, from the events that hooks of shape ``json`` get.

A message may consist of several events: the failures of all of them are grouped by their cause, so that one cause on
many systems is one line.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from collector.formatting import counted, plain_link

NAMED = 3
"""The number of systems and of cases that a line names; the others are counted."""

LINES = 20
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """A message for people: a title, one line for each cause or system, and a link; without a public address none."""

    title: str
    lines: tuple[str, ...]
    link: str
    failing: bool


@dataclass(frozen=True)
class Request:
    """A request that delivers a message."""

    method: str
    url: str
    body: bytes
    headers: dict[str, str]


def make_message(events: Sequence[Event], public_url: str | None) -> Message:
    """Return the message about events, which are all of one hook."""
    failed = [(event, each) for event in events for each in event.get("failed", [])]
    recovered = [(event, each) for event in events for each in event.get("recovered", [])]
    others = [event for event in events if event["event"] not in ("change", "test")]
    titles = []
    if failed:
        titles.append(f"{counted(len(failed), 'case')} newly failing on {_systems(failed)}")
    if recovered:
        titles.append(f"{counted(len(recovered), 'case')} recovered on {_systems(recovered)}")
    titles += [_sentence(event) for event in others[:NAMED]]
    titles += ["test message" for event in events if event["event"] == "test"]
    lines = [*_by_cause(failed), *(f"recovered: {_cases(recovered)} on {_systems(recovered)}" for _ in recovered[:1])]
    lines += [_sentence(event) for event in others]
    link = public_url + _path(events, failed) if public_url else ""
    return Message(f"ExaWorks: {'; '.join(titles)}", tuple(lines[:LINES]), link, bool(failed))


def shaped(shape: str, message: Message, url: str, number: int, token: str | None) -> Request | None:
    """Return the request that delivers a message in a shape; None if the shape has nothing for it.

    ``number``: the number of the delivery, so that a repeated request is recognised. ``token``: of the account.
    """
    headers = {"Content-Type": "application/json"}
    if shape == "matrix":
        body: dict[str, Any] = {
            "msgtype": "m.notice",
            "body": _plain(message),
            "format": "org.matrix.custom.html",
            "formatted_body": _html(message),
        }
        headers["Authorization"] = f"Bearer {token}"
        return Request("PUT", f"{url.rstrip('/')}/exaworks-{number}", json.dumps(body).encode(), headers)
    if shape == "gitlab":
        if not message.failing:
            return None
        headers["PRIVATE-TOKEN"] = token or ""
        body = {"title": message.title[:255], "description": _markdown(message), "labels": "exaworks"}
    elif shape == "slack":
        body = {"text": _slack(message)}
    elif shape == "mattermost":
        body = {"text": f"**{_escape_markdown(message.title)}**\n\n{_markdown(message)}"}
    else:
        body = _teams(message)
    return Request("POST", url, json.dumps(body).encode(), headers)


def _by_cause(failed: Sequence[tuple[Event, Event]]) -> list[str]:
    """Return a line for each cause: whose fault, what, the cases, and the systems."""
    grouped: dict[tuple[str, str], list[tuple[Event, Event]]] = {}
    for event, case in failed:
        cause = case.get("cause") or {}
        what = cause.get("title") or cause.get("evidence") or "planned, never reported"
        grouped.setdefault((cause.get("key") or what, what), []).append((event, case))
    ordered = sorted(grouped.items(), key=lambda each: -len(each[1]))
    return [f"{_blame(some[0][1])}: {what}: {_cases(some)} on {_systems(some)}" for (_, what), some in ordered]


def _blame(case: Event) -> str:
    """Return the fault class of a failure, or its outcome if it has none."""
    return str((case.get("cause") or {}).get("class") or case["outcome"])


def _cases(pairs: Sequence[tuple[Event, Event]]) -> str:
    return _named(list(dict.fromkeys(case["case_id"] for _, case in pairs)))


def _systems(pairs: Sequence[tuple[Event, Event]]) -> str:
    return _named(list(dict.fromkeys(f"{event['site']}/{event['system']}" for event, _ in pairs)))


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _sentence(event: Event) -> str:
    place = f"{event.get('site')}/{event.get('system')}"
    if event["event"] == "silent":
        return f"{place} is silent since {event['since']}"
    if event["event"] == "reporting":
        return f"{place} reports again"
    if event["event"] == "regression":
        change = f"{event['usual']:g} to {event['now']:g} {event['unit']}"
        return f"{place}: {event['name']} of {event['case_id']} changed from {change}"
    if event["event"] == "waiver":
        return f"the waiver of {event['cases']} at {event['site']} ends on {event['last_day']}: {event['reason']}"
    return str(event["event"])


def _path(events: Sequence[Event], failed: Sequence[Any]) -> str:
    """Return the path of the page that shows most about the events."""
    first = events[0]
    if len(events) == 1 and first.get("run_id"):
        return plain_link("runs", first["site"], first["system"], first["run_id"])
    if len(events) == 1 and first.get("system"):
        return plain_link("systems", first["site"], first["system"])
    return f"/triage?{urlencode({'change': 'new', 'since': '24h'})}" if failed else "/"


def _plain(message: Message) -> str:
    return "\n".join(
        [message.title, *(f"- {line}" for line in message.lines), *([message.link] if message.link else [])]
    )


def _html(message: Message) -> str:
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in message.lines)
    link = f'<p><a href="{html.escape(message.link)}">Open the dashboard</a></p>' if message.link else ""
    return f"<p><b>{html.escape(message.title)}</b></p><ul>{lines}</ul>{link}"


def _slack(message: Message) -> str:
    """Write a message in Slack's markup, in which only three characters have to be escaped."""
    escaped = [html.escape(text, quote=False) for text in (message.title, *message.lines)]
    head = f"<{message.link}|{escaped[0]}>" if message.link else escaped[0]
    return "\n".join([head, *(f"• {line}" for line in escaped[1:])])


def _markdown(message: Message) -> str:
    lines = [f"- {_escape_markdown(line)}" for line in message.lines]
    return "\n".join([*lines, *(["", f"[Open the dashboard]({message.link})"] if message.link else [])])


def _escape_markdown(text: str) -> str:
    """Escape what Markdown and HTML would interpret, and mentions of people."""
    escaped = "".join(f"\\{char}" if char in "\\`*_[]()#|~!" else char for char in text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace("@", "@\u200b")


def _teams(message: Message) -> dict[str, Any]:
    """Return a message with an adaptive card, as a workflow of Teams posts it."""
    blocks: list[dict[str, Any]] = [{"type": "TextBlock", "text": message.title, "weight": "Bolder", "wrap": True}]
    blocks += [{"type": "TextBlock", "text": f"- {_escape_markdown(line)}", "wrap": True} for line in message.lines]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    }
    if message.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open the dashboard", "url": message.link}]
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}
