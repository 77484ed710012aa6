"""Read and check a system's Spack scope, a folder of Spack's YAML files, without Spack, which may not be installed.

The keys are those of Spack's own schemas, lib/spack/spack/schema/ of version 1.x. Spack silently ignores a file with a
mistyped name, so every file of the folder must have a name that Spack knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from site_configs.document import Document, Key, Problem, dotted, read
from site_configs.fit import nearest
from site_configs.schema import System

SECTIONS = (
    *("bootstrap", "ci", "compilers", "concretizer", "config", "env_vars", "include", "mirrors", "modules", "packages"),
    *("repos", "toolchains", "upstreams", "view"),
)
CONFIG = (
    *("additional_external_search_paths", "aliases", "allow_sgid", "binary_index_ttl", "build_jobs", "build_language"),
    *("build_stage", "ccache", "checksum", "concurrent_packages", "connect_timeout", "db_lock_timeout", "debug"),
    *("deprecated", "develop_stage_link", "dirty", "environments_root", "extensions", "flags", "install_hash_length"),
    *("install_status", "install_tree", "installer", "license_dir", "locks", "misc_cache", "package_lock_timeout"),
    *("sandbox", "shared_linking", "source_cache", "ssl_certs", "stage_name", "suppress_gpg_warnings"),
    *("template_dirs", "test_stage", "url_fetch_method", "verify_ssl"),
)
CONCRETIZER = (
    *("compiler_mixing", "concretization_cache", "duplicates", "error_on_timeout", "force", "os_compatible", "reuse"),
    *("splice", "static_analysis", "targets", "timeout", "unify"),
)
PACKAGE = (
    *("buildable", "compiler", "conflict", "externals", "package_attributes", "permissions", "prefer", "providers"),
    *("require", "target", "variants", "version"),
)
EXTERNAL = ("dependencies", "extra_attributes", "id", "modules", "prefix", "spec")


@dataclass(frozen=True)
class External:
    """Software of the site that Spack uses instead of building it: its prefix, or the modules that provide it."""

    file: Path
    line: int
    key: str
    spec: str
    prefix: str | None = None
    modules: tuple[str, ...] = ()


def folder_of(system: System, file: Path) -> Path | None:
    """Return the folder of a system's Spack scope, which is relative to its site file; None if it has no scope."""
    return file.parent / system.spack_scope if system.spack_scope else None


def problems(folder: Path) -> list[str]:
    """Return the problems of a scope's files, one line each; an empty list if there are none."""
    lines = []
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        lines.append(f"{folder}: the folder has no Spack configuration file, such as packages.yaml")
    for path in files:
        if path.suffix != ".yaml" or path.stem not in SECTIONS:
            lines.append(
                f"{path}: Spack ignores a file of this name; {nearest(path.name, [f'{s}.yaml' for s in SECTIONS])}"
            )
            continue
        document = read(path.read_text(encoding="utf-8"))
        file_problems = document.problems or list(_section(document.values, path.stem))
        lines += [
            f"{path}:{problem.line or document.line(problem.key)}: {dotted(problem.key)}: {problem.message}"
            for problem in file_problems
        ]
    return lines


def externals(folder: Path) -> list[External]:
    """Return the externals that a scope declares; a file with problems declares none."""
    path = folder / "packages.yaml"
    if not path.is_file():
        return []
    document = read(path.read_text(encoding="utf-8"))
    if document.problems or any(_section(document.values, "packages")):
        return []
    return list(_externals(path, document))


def _externals(path: Path, document: Document) -> Iterator[External]:
    for section, packages in document.values.items():
        for package, settings in packages.items():
            for name, given in settings.items():
                for index, item in enumerate(given if name.rstrip(":") == "externals" else ()):
                    key: Key = (section, package, name, index)
                    modules = tuple(item.get("modules") or ())
                    yield External(path, document.line(key), dotted(key), item["spec"], item.get("prefix"), modules)


def _section(values: Any, section: str) -> Iterator[Problem]:
    """Yield the problems of one file. A key may end in a colon: ``key::`` replaces the values of lower scopes."""
    if not isinstance(values, dict) or [str(key).rstrip(":") for key in values] != [section]:
        yield Problem((), f"{section}.yaml must have exactly one key at the top level, {section!r}")
        return
    (top,) = values
    inner = values[top]
    if not isinstance(inner, dict):
        if section not in ("include", "view"):
            yield Problem((top,), "expected keys and values")
        return
    if section == "packages":
        for package, settings in inner.items():
            yield from _package(package.rstrip(":"), settings, (top, package))
    elif section in ("config", "concretizer"):
        yield from _known(inner, CONFIG if section == "config" else CONCRETIZER, (top,))


def _package(package: str, settings: Any, key: Key) -> Iterator[Problem]:
    if not isinstance(settings, dict):
        yield Problem(key, "expected keys and values")
        return
    yield from _known(settings, PACKAGE, key)
    for name, given in settings.items():
        bare = name.rstrip(":")
        if bare == "buildable" and not isinstance(given, bool):
            yield Problem((*key, name), f"expected true or false, got {given!r}")
        elif bare == "externals" and package == "all":
            yield Problem((*key, name), "'all' stands for every package and cannot have externals")
        elif bare == "externals":
            if not isinstance(given, list):
                yield Problem((*key, name), "expected a list")
                continue
            for index, item in enumerate(given):
                yield from _external(package, item, (*key, name, index))


def _external(package: str, item: Any, key: Key) -> Iterator[Problem]:
    if not isinstance(item, dict) or not isinstance(item.get("spec"), str):
        yield Problem(key, "an external needs a spec")
        return
    yield from _known(item, EXTERNAL, key)
    spec = item["spec"]
    if re.split(r"[@%+~ ]", spec, maxsplit=1)[0] != package and package != "mpi":
        yield Problem((*key, "spec"), f"{spec!r} is not a spec of the package {package}")
    elif "@" not in spec.partition("%")[0]:
        yield Problem((*key, "spec"), f"{spec!r} has no version, and Spack does not guess it: add @VERSION")
    prefix, modules = item.get("prefix"), item.get("modules")
    if prefix is None and not modules:
        yield Problem(key, "an external needs a location: give a prefix, or the modules that provide it")
    if prefix is not None and not (isinstance(prefix, str) and prefix.startswith(("/", "$"))):
        yield Problem((*key, "prefix"), f"expected an absolute path, got {prefix!r}")
    if modules is not None and not (isinstance(modules, list) and all(isinstance(name, str) for name in modules)):
        yield Problem((*key, "modules"), "expected a list of names")


def _known(values: dict[str, Any], names: tuple[str, ...], key: Key) -> Iterator[Problem]:
    for name in values:
        if name.rstrip(":") not in names:
            yield Problem((*key, name), f"unknown key; {nearest(name, sorted(names))}")
