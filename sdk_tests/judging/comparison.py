"""What a failed test function compared: what it expected, and what it got."""

from __future__ import annotations

import ast
import re
import reprlib
import textwrap
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest

from sdk_tests.model.attempt import Judgement

LONGEST = 2000
"""Characters of a value that are kept."""


@dataclass(frozen=True)
class Compared:
    """The operator and the operands of the comparison that pytest reported last."""

    operator: str
    left: Any
    right: Any


@dataclass(frozen=True)
class Comparison:
    """What was expected and what came, each as one text; ``condition`` is the source of what did not hold."""

    condition: str
    expected: str
    got: str


class _Repr(reprlib.Repr):
    """Values in full, except where a value is very long or is nested very deeply."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 8, LONGEST, LONGEST, 200
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 60


_repr = _Repr()


def comparison(excinfo: pytest.ExceptionInfo[BaseException], compared: Compared | None) -> Comparison:
    """Return what the exception of a test function says; ``compared``: the comparison that pytest reported, if any.

    A condition that is no comparison (``assert not overlapping(tasks)``) is expected as it is written; what came is
    pytest's explanation of it or, in a module whose assertions pytest does not rewrite, the values of its names.
    """
    error = excinfo.value
    entry = excinfo.traceback[-1] if excinfo.traceback else None
    statement = _source(entry) if entry is not None else ""
    condition = _condition(statement)
    if not isinstance(error, AssertionError):
        return Comparison(
            condition, f"no error in: {condition}"[:LONGEST], f"{type(error).__name__}: {error}"[:LONGEST]
        )
    if compared is not None:
        expected = _shown(compared.right)
        if compared.operator != "==":
            expected = f"{compared.operator} {expected}"
        return Comparison(condition, expected, _shown(compared.left))
    explanation = " ".join(str(error).split())
    if not explanation or explanation == condition:
        explanation = _values(condition, entry.locals if entry is not None else {})
    return Comparison(condition, condition[:LONGEST], explanation[:LONGEST])


def with_values(judgement: Judgement, compared: Comparison | None) -> Judgement:
    """Return the judgement with evidence that names the values, if its evidence is the name of an exception alone."""
    if compared is None or not _BARE.fullmatch(judgement.cause.evidence):
        return judgement
    evidence = f"{judgement.cause.evidence.rstrip(': ')}: expected {compared.expected}, got {compared.got}"
    return replace(judgement, cause=msgspec.structs.replace(judgement.cause, evidence=evidence[:500]))


_BARE = re.compile(r"(?:call of the case's test function: )?(?:[\w.]+(?:Error|Exception)|no message):?\s*")


def _shown(value: Any) -> str:
    try:
        return _repr.repr(value)[:LONGEST]
    except Exception as error:  # noqa: BLE001  # the repr of an answer's value must not cost the verdict
        return f"<{type(value).__name__} without repr: {type(error).__name__}>"


def _source(entry: Any) -> str:
    try:
        return textwrap.dedent(str(entry.statement)).strip()
    except Exception:  # noqa: BLE001  # the source may be gone; the message of the exception remains
        return ""


def _condition(statement: str) -> str:
    """Return the condition of an assert statement without its message, as one line; else the statement."""
    try:
        tree = ast.parse(statement).body[0]
        if isinstance(tree, ast.Assert):
            return ast.unparse(tree.test)
    except (SyntaxError, IndexError, ValueError):
        pass
    return re.sub(r"\s+", " ", statement)


def _values(condition: str, names: dict[str, Any]) -> str:
    """Return the values of the names in a condition."""
    try:
        used = [node.id for node in ast.walk(ast.parse(condition, mode="eval")) if isinstance(node, ast.Name)]
    except (SyntaxError, ValueError):
        used = []
    shown = [f"{name} = {_shown(names[name])}" for name in dict.fromkeys(used) if name in names]
    return "; ".join(shown) or f"{condition or 'the condition'} is false"
