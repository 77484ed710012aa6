"""What a Spack scope needs of the machine: variables that are set, and folders below which Spack makes its own.

Spack leaves a variable that is not set as it is written and takes the rest for a path: it would make a folder called
``$SCRATCH`` in the scope, and on another machine than the scope's the folders of its file systems at the root.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from site_configs.document import Key, dotted, read

SPACKS_OWN = frozenset(
    {
        *("arch", "architecture", "date", "env", "operating_system", "os", "platform", "spack", "spack_instance_id"),
        *("spack_short_version", "target", "target_family", "tempdir", "user", "user_cache_path"),
    }
)
"""Variables that Spack fills in by itself, in letters of either case."""
WITH_PATHS = ("bootstrap", "config", "mirrors", "packages", "repos", "upstreams")
"""The files whose values Spack takes for paths."""
MADE = ("build_stage", "environments_root", "install_tree", "misc_cache", "source_cache", "test_stage")
"""What Spack makes, of ``config``."""
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True)
class Lack:
    """A value of a scope that leads nowhere here: a ``variable`` of it is not set, or a ``folder`` is not there."""

    file: Path
    line: int
    key: str
    value: str
    variable: str | None = None
    folder: Path | None = None

    @property
    def reason(self) -> str:
        return f"the variable {self.variable} is not set" if self.variable else f"there is no folder {self.folder} here"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.value}: {self.reason}"


def lacks(folder: Path, environ: Mapping[str, str]) -> list[Lack]:
    """Return what a scope needs and this machine does not have, in the order of its files; makes nothing."""
    found = []
    for section in WITH_PATHS:
        path = folder / f"{section}.yaml"
        if not path.is_file():
            continue
        document = read(path.read_text(encoding="utf-8"))
        for key, value in _texts(document.values, ()):
            names = [name for name in _names(value) if name.lower() not in SPACKS_OWN]
            unset = [name for name in names if not environ.get(name)]
            made = section == "config" and len(key) > 1 and str(key[1]).rstrip(":") in MADE
            base = _base(value, environ) if made else None
            where = (path, document.line(key) or 1, dotted(key), value)
            found += [Lack(*where, variable=name) for name in dict.fromkeys(unset)]
            found += [Lack(*where, folder=base)] if base is not None and not base.is_dir() else []
    return found


def _base(value: str, environ: Mapping[str, str]) -> Path | None:
    """Return the folder that has to be there already: a value's fixed beginning, or what its first variable names.

    Of a path without a variable that is its top: Spack makes no folder at the root. None where a variable that is not
    set comes first, or Spack's own, the home or the scope itself, which are always there.
    """
    first = _VARIABLE.search(value)
    if first is not None and first.start() == 0:
        name = first[1] or first[2]
        return Path(environ[name]) if environ.get(name) and name.lower() not in SPACKS_OWN else None
    if not value.startswith("/"):
        return None
    return Path(*Path(value).parts[:2]) if first is None else Path(value[: first.start()].rpartition("/")[0] or "/")


def _names(value: str) -> list[str]:
    return [found[1] or found[2] for found in _VARIABLE.finditer(value)]


def _texts(value: Any, key: Key) -> Iterator[tuple[Key, str]]:
    """Yield the texts that are paths; of an external that is its prefix."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, (*key, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*key, index))
    elif isinstance(value, str) and (key[:1] != ("packages",) or key[-1] == "prefix"):
        yield key, value
