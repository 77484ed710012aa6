"""Turn YAML text into plain JSON values, with the line of every key: the first step of loading a site file.

The YAML version is 1.2, so ``00:30:00`` is text and ``yes`` is not a boolean. Anchors, aliases, merge keys and tags are
refused, so that a reader of a site file finds every value where it is used.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Key = tuple[str | int, ...]
"""The path of a value: keys and list positions from the top of the document."""

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
_INTEGERS = range(-(2**63), 2**63)
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Problem:
    """A mistake in a site file: its key, a message, and the line if it is known before the key has one."""

    key: Key
    message: str
    line: int | None = None


@dataclass
class Document:
    """The plain values of a site file and the line (from 1) of every key; ``problems``: what cannot be read."""

    values: Any = None
    lines: dict[Key, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, key: Key) -> int:
        """Return the line of a key, or of the nearest enclosing key that is in the file."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)


def dotted(key: Key) -> str:
    """Return a key as people write it: ``schedulers[0].queues[1].name``."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read(text: str) -> Document:
    """Read one YAML document. Never raises: problems are in the result."""
    document = Document()
    version = re.search(r"(?m)^%YAML\s+(?!1\.2\s*$)(\S+)", text)
    if version:
        line = text.count("\n", 0, version.start()) + 1
        document.problems.append(Problem((), f"YAML {version[1]} is not supported: site files are YAML 1.2", line))
        return document
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about anchors, which are refused below
            root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "cannot be read"
        document.problems.append(Problem((), f"not YAML: {problem}", mark.line + 1 if mark else None))
    except RecursionError:
        document.problems.append(Problem((), "not a site file: nested too deeply"))
    except (YAMLError, ValueError, OverflowError, LookupError, AttributeError, TypeError, AssertionError) as error:
        # ruamel.yaml raises exceptions other than its own for some malformed directives, tags and escapes.
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        document.problems.append(Problem((), f"not YAML: {first}"))
    else:
        if root is not None:
            document.values = _plain(root, (), document)
    return document


def _plain(node: Node, key: Key, document: Document) -> Any:
    """Turn a node into plain values; a refused node becomes None and a problem."""

    def refuse(message: str, at: Node = node) -> None:
        document.problems.append(Problem(key, message, at.start_mark.line + 1))

    document.lines.setdefault(key, node.start_mark.line + 1)
    if len(key) > MAX_DEPTH:
        return refuse("nested too deeply")
    if node.anchor:
        return refuse("anchors (&) and aliases (*) are not supported: write the value out")
    tag = str(node.tag).removeprefix(_TAG)
    if isinstance(node, MappingNode) and tag == "map":
        return _mapping(node, key, document)
    if isinstance(node, SequenceNode) and tag == "seq":
        return [_plain(item, (*key, index), document) for index, item in enumerate(node.value)]
    if isinstance(node, ScalarNode):
        try:
            return _scalar(tag, node.value)
        except ValueError as error:
            return refuse(str(error))
    return refuse(f"the tag {tag!a} is not supported: remove it")


def _mapping(node: MappingNode, key: Key, document: Document) -> dict[str, Any]:
    values: dict[str, Any] = {}
    first: dict[str, int] = {}
    for name, value in node.value:
        line = name.start_mark.line + 1
        if not isinstance(name, ScalarNode) or name.anchor or str(name.tag) != _TAG + "str":
            given = repr(name.value) if isinstance(name, ScalarNode) else "a list or mapping"
            message = f"a key must be plain text, not {given}: put it in quotes, or write the values out"
            document.problems.append(Problem(key, message, line))
            continue
        try:
            text = _scalar("str", name.value)
        except ValueError as error:
            document.problems.append(Problem(key, str(error), line))
            continue
        here = (*key, text)
        if text in first:
            message = f"given twice, first on line {first[text]}: keep one"
            document.problems.append(Problem(here, message, line))
            continue
        first[text] = document.lines[here] = line
        values[text] = _plain(value, here, document)
    return values


def _scalar(tag: str, text: str) -> Any:
    """Return the value of a scalar.

    Raises:
        ValueError: JSON has no such value.
    """
    if tag in ("str", "timestamp"):
        if any("\ud800" <= sign <= "\udfff" for sign in text):
            raise ValueError(f"{text!a} is not valid Unicode")
        return text
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    if tag == "int":
        return _integer(text)
    if tag == "float":
        number = _float(text)
        if not math.isfinite(number):
            raise ValueError(f"{text} is not a finite number")
        return number
    raise ValueError(f"the tag {tag!a} is not supported: remove it")


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    try:
        number = int(digits, 0) if digits.lstrip("+-").lower().startswith(("0x", "0o", "0b")) else int(digits)
    except ValueError:
        raise ValueError(f"{text[:40]!a} is not a whole number") from None
    if number not in _INTEGERS:
        raise ValueError("the number does not fit in 64 bits")
    return number


def _float(text: str) -> float:
    digits = text.replace("_", "").lower()
    try:
        return float(digits.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        raise ValueError(f"{text[:40]!a} is not a number") from None
