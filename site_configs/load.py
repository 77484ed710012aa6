"""Find and load site files: first ``--site-file``, then the folders in ``$EXAWORKS_SITES``, then this package.

Every folder has the layout of this package: ``<site>/<system>.yaml``. The first file of a system counts.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from site_configs.checks import contradictions
from site_configs.document import MAX_BYTES, Document, Problem, dotted, read
from site_configs.errors import SiteError, SiteFileError, UnknownSystem
from site_configs.fit import misfits, nearest
from site_configs.schema import System
from site_configs.sources import problems as source_problems
from site_configs.sources import warning

PACKAGED = Path(__file__).resolve().parent
VARIABLE = "EXAWORKS_SITES"


def load_file(path: Path) -> System:
    """Load one site file from any path; in a search folder, the path has to agree with the system's name.

    Raises:
        SiteFileError: it cannot be read, does not fit the schema or contradicts itself; one line for each problem.
    """
    expected = next((name for name, known in site_files().items() if known.resolve() == path.resolve()), None)
    return _load(path, expected, today())


def load_text(text: str, source: str) -> System:
    """Load a site file from text; ``source`` is the file name to use in messages.

    Raises:
        SiteFileError: it does not fit the schema or contradicts itself.
    """
    return _typed(text, source, None, None, today())


def find(name: str, *, site_file: Path | None = None, environ: Mapping[str, str] | None = None) -> System:
    """Return the system of that name, from ``site_file`` if that describes it, else from the search folders.

    Raises:
        SiteFileError: its file does not fit the schema, or a waiver in it has expired.
        UnknownSystem: no file describes it; the message names the nearest known system, or all.
    """
    if site_file is not None:
        system = load_file(site_file)
        if system.system == name:
            return system
    files = site_files(environ)
    if name not in files:
        known = sorted(files)
        raise UnknownSystem(
            f"No site file describes {name!r}; {nearest(name, known)}. "
            "To write a new one, run: exaworks sites new --to FILE"
        )
    return _load(files[name], name, today())


def systems(environ: Mapping[str, str] | None = None) -> list[System]:
    """Return every known system, sorted by name.

    An expired waiver is an error in ``find`` and ``load_file`` only: it must not stop the users of other machines.

    Raises:
        SiteFileError: a file does not fit the schema.
    """
    return [_load(path, name, None) for name, path in sorted(site_files(environ).items())]


def site_files(environ: Mapping[str, str] | None = None) -> dict[str, Path]:
    """Return the path of every system's file in the search folders, without reading any file.

    Raises:
        SiteError: ``$EXAWORKS_SITES`` names something that is not a folder, or a file has the wrong ending.
    """
    paths: dict[str, Path] = {}
    for folder in _folders(os.environ if environ is None else environ):
        for path in sorted(folder.glob("*/*.y*ml")):
            if path.name.startswith(".") or path.parent.name.startswith("."):
                continue
            if path.suffix != ".yaml":
                raise SiteFileError(f"{path}: the name of a site file ends in .yaml: rename it")
            paths.setdefault(f"{path.parent.name}/{path.stem}", path)
    return paths


def source_warning(system: System, file: Path) -> str | None:
    """Return a warning about facts whose pages have to be read again; ``file`` is the one that the system is from."""
    document, _, _ = _read(file.read_text(encoding="utf-8"))
    message = warning(system, document.values, today())
    return message and f"{file}:{document.line(('sources',))}: sources: {message}"


def digest(system: System) -> str:
    """Return the SHA-256 (hex) of a site file's values, the ``config_digest`` of records.

    It does not depend on comments, the order of keys or the cited pages.
    """
    values = msgspec.structs.replace(system, sources=[])
    return hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()


def _folders(environ: Mapping[str, str]) -> list[Path]:
    folders = [Path(entry).expanduser() for entry in environ.get(VARIABLE, "").split(os.pathsep) if entry.strip()]
    for folder in folders:
        if not folder.is_dir():
            raise SiteError(f"${VARIABLE} names {folder}, which is not a folder. Create it, or change the list.")
    return [*folders, PACKAGED]


def today() -> datetime.date:
    """Return the date, in UTC."""
    return datetime.datetime.now(datetime.timezone.utc).date()


def _load(path: Path, expected: str | None, today: datetime.date | None) -> System:
    """Load a file; ``expected`` is the name that its place in a search folder gives, None outside of one."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SiteFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(raw) > MAX_BYTES:
        raise SiteFileError(f"{path}: larger than {MAX_BYTES} bytes, so it is not a site file")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SiteFileError(f"{path}:{line}: not UTF-8 text: {error.reason}") from error
    return _typed(text, str(path), expected, path.parent, today)


def _typed(text: str, source: str, expected: str | None, folder: Path | None, today: datetime.date | None) -> System:
    document, problems, system = _read(text)
    if system is not None:
        problems = [
            *contradictions(system, today),
            *source_problems(system, document.values, today),
            *_location_problems(system, expected, folder),
        ]
        if not problems:
            return system
    lines = sorted({(p.line or document.line(p.key), dotted(p.key), p.message) for p in problems})
    raise SiteFileError(
        "\n".join(f"{source}:{line}: " + (f"{key}: " if key else "") + message for line, key, message in lines)
    )


@functools.lru_cache(maxsize=64)
def _read(text: str) -> tuple[Document, list[Problem], System | None]:
    """Read a text and check it by itself; cached, since detection reads every file and loading reads one again."""
    document = read(text)
    problems = document.problems or list(misfits(document.values, System))
    return document, problems, None if problems else msgspec.convert(document.values, System)


def _location_problems(system: System, expected: str | None, folder: Path | None) -> list[Problem]:
    """Return the problems that depend on the location of the file."""
    problems = []
    if expected is not None and system.system != expected:
        message = f"the name is {system.system!r}, but the file's path means {expected!r}: change one of them"
        problems.append(Problem(("system",), message))
    scope = system.spack_scope
    if scope and folder is not None and not Path(scope).is_absolute() and not (folder / scope).is_dir():
        problems.append(Problem(("spack_scope",), f"{scope!r} is not a folder next to the site file"))
    return problems
