"""Read recipes without Spack: the directives of a class body are recorded, the builtin recipes below it left out."""

from __future__ import annotations

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
    """One call in a class body; ``when`` holds the conditions of the blocks around it and its own."""

    words: tuple[Any, ...]
    options: dict[str, Any]
    when: tuple[str, ...]

    @property
    def text(self) -> str:
        return str(self.words[0])


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
    """Stands in for ``spack.package`` while one recipe is read."""

    def __init__(self) -> None:
        super().__init__("spack.package")
        self.made: dict[str, list[Directive]] = {}
        self.conditions: list[str] = []
        self.defaults: list[dict[str, Any]] = []
        self.__all__ = [*KINDS, "default_args", "when", "Version", "EnvironmentModifications"]
        for kind in KINDS:
            setattr(self, kind, self._directive(kind))
        self.default_args, self.when = self._default_args, self._when
        self.Version, self.EnvironmentModifications = str, object

    def _directive(self, kind: str) -> Any:
        def record(*words: Any, **options: Any) -> None:
            merged = {key: value for block in self.defaults for key, value in block.items()} | options
            when = [*self.conditions, *([merged.pop("when")] if "when" in merged else [])]
            self.made.setdefault(kind, []).append(Directive(words, merged, tuple(when)))

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
    """Stands in for every class a recipe is derived from."""

    url = None


class _Builtin(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (_Base,), {"__module__": self.__name__, "url": None})


def read(folder: str, packages: Path = PACKAGES) -> Recipe:
    """Run one recipe with stand-ins for Spack's modules and return what it declares."""
    path = packages / folder / "package.py"
    source = path.read_text()
    recorder = _Recorder()
    names = {line.split()[1] for line in source.splitlines() if line.startswith("from spack_repo.")}
    stand_ins: dict[str, types.ModuleType] = {"spack": types.ModuleType("spack"), "spack.package": recorder}
    for name in names:
        parts = name.split(".")
        for end in range(1, len(parts)):
            stand_ins.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
        stand_ins[name] = _Builtin(name)
    before = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update(stand_ins)
    module: dict[str, Any] = {"__file__": str(path), "__name__": f"recipe_{folder}"}
    try:
        exec(compile(source, str(path), "exec"), module)
    finally:
        for name, held in before.items():
            if held is None:
                del sys.modules[name]
            else:
                sys.modules[name] = held
    own = [value for value in module.values() if isinstance(value, type) and value.__module__ == f"recipe_{folder}"]
    (cls,) = own
    return Recipe(folder, cls, recorder.made)


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def bounds(spec: str) -> tuple[str | None, str | None]:
    """Return the lowest and highest version that a dependency admits; None where it is open."""
    if "@" not in spec:
        return None, None
    text = spec.split("@")[1].split()[0].split("+")[0]
    assert "," not in text, f"{spec}: give one range"
    if ":" not in text:
        return text, text
    low, _, high = text.partition(":")
    return low or None, high or None


def admits(spec: str, version: str) -> bool:
    """Tell whether a version is in a dependency's range; a bound takes in all that it is the beginning of."""
    low, high = bounds(spec)
    here = numbers(version)
    above = low is None or here >= numbers(low)
    below = high is None or here[: len(numbers(high))] <= numbers(high)
    return above and below
