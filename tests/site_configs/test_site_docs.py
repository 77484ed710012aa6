"""The page about sites lists every field with its default, and no other fields."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import msgspec
import pytest

from site_configs import probes
from site_configs.cli import sites
from site_configs.schema import System

PAGE = (Path(__file__).resolve().parents[2] / "docs/sites.md").read_text()


def structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """Yield every struct of the model, outermost first."""
    if get_origin(kind) is Annotated or get_args(kind):
        for part in get_args(kind):
            yield from structs(part)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for info in msgspec.structs.fields(kind):
            yield from structs(info.type)


MODEL = {kind.__name__: kind for kind in structs(System)}


def default(info: msgspec.structs.FieldInfo) -> str:
    """Return a default value as the page shows it."""
    if info.required:
        return "*required*"
    value = info.default if info.default is not msgspec.NODEFAULT else info.default_factory()
    if value is None:
        return "-"
    if isinstance(value, msgspec.Struct):
        return "`{}`"
    if isinstance(value, enum.Enum):
        return f"`{value.value}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table(name: str) -> dict[str, str]:
    text = PAGE.partition(f"<!-- fields: {name} -->")[2].strip().partition("\n\n")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", text, re.MULTILINE))


@pytest.mark.parametrize("name", MODEL)
def test_every_field_is_documented_with_its_default(name: str) -> None:
    assert table(name) == {info.encode_name: default(info) for info in msgspec.structs.fields(MODEL[name])}


def test_every_table_belongs_to_a_struct_of_the_model() -> None:
    assert set(re.findall(r"<!-- fields: (\w+) -->", PAGE)) == set(MODEL)


@pytest.mark.parametrize("name", MODEL)
def test_every_value_of_an_enumeration_is_documented(name: str) -> None:
    text = PAGE.partition(f"<!-- fields: {name} -->")[2].strip().partition("\n\n")[0]
    for info in msgspec.structs.fields(MODEL[name]):
        for part in (info.type, *get_args(info.type)):
            if isinstance(part, type) and issubclass(part, enum.Enum):
                for member in part:
                    assert f"`{member.value}`" in text, f"{info.name}: {member.value}"


def test_every_scheduler_with_a_probe_is_in_the_table_of_probes() -> None:
    rows = re.findall(r"^\| (\w+) \| `", PAGE.partition("| scheduler | commands |")[2], re.MULTILINE)
    assert [row.lower() for row in rows[: len(probes.SCHEDULERS)]] == list(probes.SCHEDULERS)


def test_every_sites_command_on_the_page_exists() -> None:
    commands = sites.commands
    assert set(re.findall(r"exaworks sites (\w+)", PAGE)) <= set(commands)
