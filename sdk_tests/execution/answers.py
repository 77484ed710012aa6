"""Reading a payload's answer out of its standard output.

A payload frames its answer between two lines that hold the ``frame`` of its request, a random token, so that whatever
else the job prints (a site's banner, a prolog, a scheduler's job report) can neither hide an answer nor be taken for
one. A payload that does not know the frame may print its JSON object alone: then nothing else may be printed.
"""

from __future__ import annotations

import json
import re
from typing import Any

OPENING, CLOSING = "<<exaworks-answer {}", "exaworks-answer {}>>"
"""The lines before and after an answer; ``{}`` is the frame."""


def read_answers(stdout: bytes, size: int, frame: str = "") -> tuple[tuple[dict[str, Any], ...], str]:
    """Return the JSON objects that a payload answered with, and what is wrong with them (empty if nothing is).

    size: bytes of standard output in total, of which ``stdout`` is the beginning.
    """
    framed = _framed(stdout, frame) if frame else []
    if framed:
        answers: list[dict[str, Any]] = []
        for text in framed:
            more, problem = _objects(text, "the framed answer")
            answers += more
            if problem:
                return tuple(answers), problem
        return tuple(answers), "" if len(answers) == 1 else f"{len(answers)} JSON objects"
    if size > len(stdout):
        return (), f"standard output has {size} bytes, more than the {len(stdout)} an answer may have"
    try:
        text = stdout.decode("utf-8")
    except UnicodeDecodeError as error:
        return (), f"standard output is not UTF-8 at byte {error.start}"
    answers, problem = _objects(text, "standard output")
    if problem or len(answers) == 1:
        return tuple(answers), problem
    return tuple(answers), "standard output holds no JSON object" if not answers else f"{len(answers)} JSON objects"


def _framed(stdout: bytes, frame: str) -> list[str]:
    opening, closing = (re.escape(line.format(frame).encode()) for line in (OPENING, CLOSING))
    answers = re.findall(opening + rb"\r?\n(.*?)\r?\n" + closing, stdout, re.DOTALL)
    return [text.decode("utf-8", errors="replace") for text in answers]


def _objects(text: str, where: str) -> tuple[list[dict[str, Any]], str]:
    decoder = json.JSONDecoder(parse_constant=_refuse)
    answers: list[dict[str, Any]] = []
    rest = text.strip()
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except (ValueError, RecursionError):
            return answers, f"{where} is not one JSON object: {rest[:60]!r}"
        if not isinstance(value, dict):
            return answers, f"{where} holds a JSON {type(value).__name__}, not an object"
        answers.append(value)
        rest = rest[end:].lstrip()
    return answers, ""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
