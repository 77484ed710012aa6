"""The conditions of ``rules:if``, as https://docs.gitlab.com/ci/jobs/job_rules/ describes their syntax.

A variable that is not set is null; null and an empty text are false. ``&&`` binds tighter than ``||``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TOKEN = re.compile(
    r"\s*(?:(?P<op>&&|\|\||==|!=|=~|!~|\(|\))|\$(?P<name>\w+)|(?P<null>null)\b"
    r"|\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|/(?P<regex>(?:[^/\\]|\\.)+)/(?P<flags>i?))"
)


@dataclass(frozen=True)
class _Regex:
    pattern: re.Pattern[str]


_Value = str | None | _Regex


def holds(condition: str, variables: Mapping[str, str]) -> bool:
    """Return whether a condition is true with these variables.

    Raises:
        ValueError: GitLab would refuse the file, since the condition cannot be read.
    """
    tokens = _tokens(condition, variables)
    result = _any(tokens)
    if tokens:
        raise ValueError(f"{condition!r}: not understood after the first {len(tokens)} tokens from the end")
    return result


def _tokens(condition: str, variables: Mapping[str, str]) -> list[tuple[str, _Value]]:
    tokens: list[tuple[str, _Value]] = []
    position = 0
    while condition[position:].strip():
        match = _TOKEN.match(condition, position)
        if match is None:
            raise ValueError(f"{condition!r}: not understood from {condition[position:]!r}")
        position = match.end()
        if match["op"]:
            tokens.append((match["op"], None))
        elif match["name"]:
            tokens.append(("value", variables.get(match["name"])))
        elif match["regex"] is not None:
            flags = re.IGNORECASE if match["flags"] else 0
            tokens.append(("value", _Regex(re.compile(match["regex"].replace("\\/", "/"), flags))))
        else:
            texts = (match["double"], match["single"])
            tokens.append(("value", next((text for text in texts if text is not None), None)))
    return tokens


def _any(tokens: list[tuple[str, _Value]]) -> bool:
    result = _all(tokens)
    while tokens and tokens[0][0] == "||":
        tokens.pop(0)
        other = _all(tokens)
        result = result or other
    return result


def _all(tokens: list[tuple[str, _Value]]) -> bool:
    result = _comparison(tokens)
    while tokens and tokens[0][0] == "&&":
        tokens.pop(0)
        other = _comparison(tokens)
        result = result and other
    return result


def _comparison(tokens: list[tuple[str, _Value]]) -> bool:
    if tokens and tokens[0][0] == "(":
        tokens.pop(0)
        result = _any(tokens)
        if not tokens or tokens.pop(0)[0] != ")":
            raise ValueError("a bracket is not closed")
        return result
    left = _value(tokens)
    if not tokens or tokens[0][0] not in ("==", "!=", "=~", "!~"):
        return bool(left)
    operator, _ = tokens.pop(0)
    right = _value(tokens)
    if operator in ("==", "!="):
        return (left == right) is (operator == "==")
    if not isinstance(right, _Regex) or isinstance(left, _Regex):
        raise ValueError(f"{operator} needs a pattern between slashes on its right side")
    return (right.pattern.search(left or "") is not None) is (operator == "=~")


def _value(tokens: list[tuple[str, _Value]]) -> _Value:
    if not tokens or tokens[0][0] != "value":
        raise ValueError(f"a value is missing before {tokens[0][0] if tokens else 'the end'}")
    return tokens.pop(0)[1]
