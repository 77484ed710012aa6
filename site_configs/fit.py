"""Compare plain values with the typed model: the second step of loading a site file. Finds all mistakes in one pass."""

from __future__ import annotations

import difflib
import enum
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from site_configs.document import Key, Problem

_NO_ACCOUNTS = (
    "accounts are never in the file: write account_env: NAME instead, and set the environment variable NAME "
    "before you run"
)
_NO_SECRETS = "secrets are never in the file: name an environment variable that holds it, such as collector.token_env"
UNWANTED = {
    "account": _NO_ACCOUNTS,
    "accounts": _NO_ACCOUNTS,
    "allocation_account": _NO_ACCOUNTS,
    "bank": _NO_ACCOUNTS,
    "charge": _NO_ACCOUNTS,
    "project": _NO_ACCOUNTS,
    "token": _NO_SECRETS,
    "password": _NO_SECRETS,
    "secret": _NO_SECRETS,
}
"""Keys that must not be in a site file, with the message for each."""


def misfits(values: Any, kind: Any, key: Key = ()) -> Iterator[Problem]:
    """Yield every part of ``values`` that does not fit the type ``kind``, key by key."""
    wanted, description = _unwrap(kind)
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        if values is not None:
            inner = [part for part in get_args(wanted) if part is not type(None)]
            of_list = next((part for part in inner if get_origin(part) is list), inner[0])
            yield from misfits(values, of_list if isinstance(values, list) else inner[0], key)
    elif isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        yield from _struct(values, wanted, key)
    elif origin is list:
        if not isinstance(values, list):
            yield Problem(key, f"expected a list, got {_shown(values)}" + _list_hint(values))
            return
        for index, item in enumerate(values):
            yield from misfits(item, get_args(wanted)[0], (*key, index))
    elif origin is dict:
        if not isinstance(values, dict):
            yield Problem(key, f"expected keys and values, got {_shown(values)}")
            return
        name, inner_type = get_args(wanted)
        for text, item in values.items():
            yield from misfits(text, name, (*key, text))
            yield from misfits(item, inner_type, (*key, text))
    elif wanted is not Any:
        yield from _leaf(values, kind, description, key)


def nearest(name: str, known: list[str]) -> str:
    """Return a hint that names the nearest known name, or all known names if none is near."""
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"


def _unwrap(kind: Any) -> tuple[Any, str | None]:
    """Split an annotated type into the bare type and the description in its metadata."""
    if get_origin(kind) is Annotated:
        bare, *notes = get_args(kind)
        return bare, next((note.description for note in notes if isinstance(note, msgspec.Meta)), None)
    return kind, None


def _struct(values: Any, kind: type[msgspec.Struct], key: Key) -> Iterator[Problem]:
    if not isinstance(values, dict):
        yield Problem(key, f"expected keys and values, got {_shown(values)}")
        return
    fields = {info.encode_name: info for info in msgspec.structs.fields(kind)}
    for name, value in values.items():
        if name in fields:
            yield from misfits(value, fields[name].type, (*key, name))
        elif name in UNWANTED:
            yield Problem((*key, name), UNWANTED[name])
        else:
            yield Problem((*key, name), f"unknown key; {nearest(name, sorted(fields))}")
    for name, info in fields.items():
        if info.required and name not in values:
            yield Problem(key, f"the key {name!r} is missing")


def _leaf(value: Any, kind: Any, description: str | None, key: Key) -> Iterator[Problem]:
    bare, _ = _unwrap(kind)
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        if isinstance(bare, type) and issubclass(bare, enum.Enum):
            known = [str(member.value) for member in bare]
            hint = nearest(value, known) if isinstance(value, str) else f"known here: {', '.join(known)}"
            yield Problem(key, f"{_shown(value)} is not known; {hint}")
            return
        plain = {bool: "true or false", str: "text", int: "a whole number", float: "a number"}
        hint = ": put it in quotes" if bare is str and isinstance(value, int | float) else ""
        yield Problem(key, f"expected {description or plain.get(bare, str(bare))}, got {_shown(value)}{hint}")


def _shown(value: Any) -> str:
    """Return a value as the file shows it, shortened."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _list_hint(value: Any) -> str:
    if value is None:
        return ": write [], or remove the key"
    return f": write [{value}]" if isinstance(value, str) and len(value) < 40 and value.isprintable() else ""
