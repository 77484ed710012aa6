"""Read recipes without Spack: record the directives of the class body, and replace builtin recipes by empty classes."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = ROOT / "spack_repo" / "exaworks"
PACKAGES = REPOSITORY / "packages"
FOLDERS = sorted(path.parent.name for path in PACKAGES.glob("*/package.py"))


@dataclass(frozen=True)
class Directive:
    """One call in a class body; ``when`` has its own condition and those of the blocks around it."""

    arguments: tuple[Any, ...]
    options: dict[str, Any]
    when: tuple[str, ...]

    @property
    def text(self) -> str:
        return str(self.arguments[0])


@dataclass
class Recipe:
    folder: str
    cls: type
    directives: dict[str, list[Directive]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.replace("_", "-")

    def all(self, kind: str) -> list[Directive]:
        return self.directives.get(kind, [])

    @property
    def versions(self) -> dict[str, dict[str, Any]]:
        return {directive.text: directive.options for directive in self.all("version")}

    def needs(self, name: str) -> list[Directive]:
        """Return the declared dependencies on a package."""
        return [each for each in self.all("depends_on") if each.text.split("@")[0].split("+")[0] == name]

    @property
    def tests(self) -> list[str]:
        return [name for name in vars(self.cls) if name.startswith("test_")]


KINDS = ("version", "depends_on", "variant", "conflicts", "license", "maintainers", "patch", "provides", "requires")


class _Recorder(types.ModuleType):
    """A replacement for ``spack.package`` while one recipe is read."""

    def __init__(self) -> None:
        super().__init__("spack.package")
        self.recorded: dict[str, list[Directive]] = {}
        self.conditions: list[str] = []
        self.defaults: list[dict[str, Any]] = []
        self.__all__ = [
            *KINDS,
            "default_args",
            "when",
            "run_before",
            "join_path",
            "Version",
            "EnvironmentModifications",
        ]
        for kind in KINDS:
            setattr(self, kind, self._directive(kind))
        self.default_args, self.when = self._default_args, self._when
        self.Version, self.EnvironmentModifications = str, object
        self.run_before = lambda phase: lambda function: function
        self.join_path = os.path.join

    def _directive(self, kind: str) -> Any:
        def record(*arguments: Any, **options: Any) -> None:
            merged = {key: value for block in self.defaults for key, value in block.items()} | options
            when = [*self.conditions, *([merged.pop("when")] if "when" in merged else [])]
            self.recorded.setdefault(kind, []).append(Directive(arguments, merged, tuple(when)))

        return record

    @contextmanager
    def _default_args(self, **options: Any) -> Iterator[None]:
        self.defaults.append(options)
        yield
        self.defaults.pop()

    @contextmanager
    def _when(self, condition: str) -> Iterator[None]:
        self.conditions.append(condition)
        yield
        self.conditions.pop()


class _Base:
    """A replacement for every base class of a recipe."""

    url = None


class _Builtin(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (_Base,), {"__module__": self.__name__, "url": None})


def read(folder: str, packages: Path = PACKAGES) -> Recipe:
    """Run one recipe with replacements for Spack's modules, and return its declarations."""
    path = packages / folder / "package.py"
    source = path.read_text()
    recorder = _Recorder()
    names = {line.split()[1] for line in source.splitlines() if line.startswith("from spack_repo.")}
    modules: dict[str, types.ModuleType] = {"spack": types.ModuleType("spack"), "spack.package": recorder}
    for name in names:
        parts = name.split(".")
        for end in range(1, len(parts)):
            modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
        modules[name] = _Builtin(name)
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    module: dict[str, Any] = {"__file__": str(path), "__name__": f"recipe_{folder}"}
    try:
        exec(compile(source, str(path), "exec"), module)
    finally:
        for name, previous in before.items():
            if previous is None:
                del sys.modules[name]
            else:
                sys.modules[name] = previous
    own = [value for value in module.values() if isinstance(value, type) and value.__module__ == f"recipe_{folder}"]
    (cls,) = own
    return Recipe(folder, cls, recorder.recorded)


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def ranges(spec: str) -> list[tuple[str | None, str | None]]:
    """Return the lowest and highest version of each range that a dependency allows; None if there is no bound."""
    if "@" not in spec:
        return [(None, None)]
    texts = spec.split("@")[1].split()[0].split("+")[0].split(",")
    pairs = [text.partition(":") if ":" in text else (text, ":", text) for text in texts]
    return [(low or None, high or None) for low, _, high in pairs]


def bounds(spec: str) -> tuple[str | None, str | None]:
    """Return the lowest and highest version that a dependency with one range allows."""
    (only,) = ranges(spec)
    return only


def admits(spec: str, version: str) -> bool:
    """Return whether a version is in a range of a dependency; a bound 1.2 includes 1.2.3."""
    wanted = numbers(version)
    return any(
        (low is None or wanted >= numbers(low)) and (high is None or wanted[: len(numbers(high))] <= numbers(high))
        for low, high in ranges(spec)
    )
