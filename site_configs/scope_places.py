"""Check that a machine has what a Spack scope needs: environment variables, and folders for Spack's own folders.

Spack does not expand a variable that is not set and uses the text as a path: it would create a folder named
``$SCRATCH`` in the scope. On a machine other than the scope's own, Spack would also create the folders of the other
machine's file systems at the root.
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
"""Variables that Spack replaces by itself, in upper or lower case."""
WITH_PATHS = ("bootstrap", "concretizer", "config", "mirrors", "modules", "packages", "repos", "upstreams")
"""The files with values that Spack uses as paths."""
ANY = "*"
CREATED = (
    *(
        ("config", name)
        for name in ("build_stage", "environments_root", "install_tree", "misc_cache", "source_cache", "test_stage")
    ),
    ("bootstrap", "root"),
    ("concretizer", "concretization_cache", "url"),
    ("modules", ANY, "roots"),
    ("repos", ANY, "destination"),
)
"""Where the keys of the folders begin that Spack creates."""
ONLY_PATHS = {"concretizer": ("url",), "modules": ("lmod", "tcl"), "packages": ("prefix",)}
"""Files in which only the values of some keys are paths: those keys."""
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True)
class MissingPlace:
    """A value of a scope that this machine does not fit: a ``variable`` is not set, or a ``folder`` does not exist."""

    file: Path
    line: int
    key: str
    value: str
    variable: str | None = None
    folder: Path | None = None

    @property
    def reason(self) -> str:
        if self.variable:
            return f"the variable {self.variable} is not set"
        return f"the folder {self.folder} does not exist on this machine"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.value}: {self.reason}"


def missing_places(folder: Path, environ: Mapping[str, str]) -> list[MissingPlace]:
    """Return what a scope needs and this machine does not have, in the order of the files. Creates nothing."""
    missing = []
    for section in WITH_PATHS:
        path = folder / f"{section}.yaml"
        if not path.is_file():
            continue
        document = read(path.read_text(encoding="utf-8"))
        for key, value in _texts(document.values, ()):
            names = [name for name in _names(value) if name.lower() not in SPACKS_OWN]
            unset = [name for name in names if not environ.get(name)]
            base = _base(value, environ) if _is_created(key) else None
            where = (path, document.line(key) or 1, dotted(key), value)
            missing += [MissingPlace(*where, variable=name) for name in dict.fromkeys(unset)]
            missing += [MissingPlace(*where, folder=base)] if base is not None and not base.is_dir() else []
    return missing


def _is_created(key: Key) -> bool:
    """Return whether Spack creates the folder at a key. A key may end in a colon, which replaces lower scopes."""
    names = [str(part).rstrip(":") for part in key]
    return any(
        len(names) >= len(start) and all(want in (ANY, name) for want, name in zip(start, names, strict=False))
        for start in CREATED
    )


def _base(value: str, environ: Mapping[str, str]) -> Path | None:
    """Return the folder that must exist before Spack runs, or None if there is no such condition.

    It is the folder in the variable at the start of a path, or the fixed part before the first variable. Of a path
    without variables it is the top folder, such as ``/lus``, since Spack creates no folder at the root. There is no
    condition if the path starts with a variable that is not set, with one of Spack's own, or is relative to the home
    or the scope.
    """
    first = _VARIABLE.search(value)
    if first is not None and first.start() == 0:
        name = first[1] or first[2]
        return Path(environ[name]) if environ.get(name) and name.lower() not in SPACKS_OWN else None
    if not value.startswith("/"):
        return None
    return Path(*Path(value).parts[:2]) if first is None else Path(value[: first.start()].rpartition("/")[0] or "/")


def _names(value: str) -> list[str]:
    return [match[1] or match[2] for match in _VARIABLE.finditer(value)]


def _texts(value: Any, key: Key) -> Iterator[tuple[Key, str]]:
    """Yield the texts that are paths, with their keys."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, (*key, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*key, index))
    elif isinstance(value, str):
        only = ONLY_PATHS.get(str(key[0]).rstrip(":")) if key else None
        if only is None or str(key[-1]).rstrip(":") in only:
            yield key, value
