"""Build an image: a context of nothing but the checkout's own files, the engine, and where it goes."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from containers.catalogue import image
from containers.engines import Request, build_argv, detect, explain, flags, push_argv, storage
from containers.errors import BuildError, ImagesError
from containers.model import Family
from containers.render import containerfile, definition, tag
from exaworks_sdk.release import Release

NEEDED = 3 * 2**30
"""Bytes that a build needs in all, roughly; with less free it is refused before it begins."""
MIRROR = "/mirror"
"""Where a Spack mirror that is lent to a build is, in it."""
KEPT = 200
"""Lines of an engine's output that are looked at for what went wrong."""


@dataclass(frozen=True)
class Options:
    """What the person asked for."""

    engine: str | None = None
    base: str | None = None
    tag: str | None = None
    push: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    ca_bundle: Path | None = None
    pip_config: Path | None = None
    git_config: Path | None = None
    spack_mirror: Path | None = None


def build(
    name: str, release: Release, family: Family, checkout: Path, options: Options, say: Callable[[str], None]
) -> str:
    """Build an image, push it where asked to, and return its name.

    Raises:
        ImagesError: no engine, no registry, no space, another architecture; the message says which and what to do.
    """
    made = image(name, release, family)
    lent = {"ca": options.ca_bundle, "pip": options.pip_config, "git": options.git_config}
    mirror = {"SPACK_MIRROR": MIRROR} if options.spack_mirror else {}
    if mirror and "SPACK_MIRROR" not in made.arguments:
        raise ImagesError(f"--spack-mirror: {name} has nothing of Spack; leave it out")
    program = detect(options.engine)
    apptainer = Path(program).name == "apptainer"
    text = definition(made, release, family) if apptainer else containerfile(made, release, family)
    place = storage(program)
    free = shutil.disk_usage(place).free
    if free < NEEDED:
        setting = "TMPDIR" if apptainer else "the engine's storage"
        raise BuildError(
            f"{place} has {free >> 20} MB free and a build needs about {NEEDED >> 20}: free some space, or move "
            f"{setting} to a folder that has more"
        )
    revision, epoch = _revision(checkout)
    where = options.tag or (f"{name}-{release.name}.sif" if apptainer else tag(name, release))
    with _context(checkout) as context:
        path = context / ("Apptainer.def" if apptainer else "Containerfile")
        path.write_text(text, encoding="utf-8")
        request = Request(
            context=context,
            definition=path,
            tag=str(Path(where).absolute()) if apptainer else where,
            base=options.base,
            arguments={
                "VERSION": release.name,
                "REVISION": revision,
                "CREATED": datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                **mirror,
                **options.arguments,
            },
            secrets={name: path for name, path in lent.items() if path is not None},
            folders={MIRROR: options.spack_mirror.absolute()} if options.spack_mirror else {},
            epoch=epoch,
            flags=flags(),
        )
        if apptainer:
            known = {"REVISION": revision, **mirror, **options.arguments}
            request = replace(request, arguments=known)
        say(f"building {where} with {program}")
        if made.dag_hash and not apptainer:
            request = _with_hash(program, request, Path(made.dag_hash).name, say)
        _run(build_argv(program, request), f"build {name}", say, cwd=context)
    if options.push:
        if Path(program).name == "docker":
            address = push_argv(program, where, options.push)[-1]
            _run([program, "tag", where, address], f"name {name} {address}", say)
        _run(push_argv(program, where, options.push), f"push {name} to {options.push}", say)
    return where


def _with_hash(program: str, request: Request, file: str, say: Callable[[str], None]) -> Request:
    """Build what comes before the last stage, and give the build of all of it the DAG hash for the label.

    Raises:
        BuildError: it cannot be built, or left no hash.
    """
    with tempfile.TemporaryDirectory(prefix="exaworks-facts-") as folder:
        first = replace(request, target="facts", output=Path(folder))
        _run(build_argv(program, first), "build the stage with Spack", say, cwd=request.context)
        try:
            found = Path(folder, file).read_text(encoding="utf-8").split()
        except OSError:
            found = []
    if len(found) != 1:
        raise BuildError(f"the stage with Spack left no DAG hash but {found}: build again, with the engine's cache off")
    return replace(request, arguments={**request.arguments, "DAG_HASH": found[0]})


@contextmanager
def _context(checkout: Path) -> Iterator[Path]:
    """Give a copy of what git knows of the checkout, as it is now: no results, environments or caches get into it.

    Raises:
        ImagesError: git does not list the checkout's files.
    """
    listed = _git(checkout, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed is None:
        raise ImagesError(f"{checkout} is no git checkout, so it is not known which of its files belong to the project")
    with tempfile.TemporaryDirectory(prefix="exaworks-images-") as folder:
        for name in filter(None, listed.split("\0")):
            if (checkout / name).is_file():
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(checkout / name, target)
                target.chmod(0o755 if os.access(target, os.X_OK) else 0o644)
        Path(folder).chmod(0o755)
        yield Path(folder)


def _revision(checkout: Path) -> tuple[str, int]:
    """Return commit and time of the checkout; a changed one says so."""
    commit, moment = _git(checkout, "rev-parse", "HEAD"), _git(checkout, "log", "-1", "--format=%ct")
    if commit is None or moment is None:
        return "unknown", 0
    changed = _git(checkout, "status", "--porcelain")
    return commit.strip() + ("-dirty" if changed else ""), int(moment)


def _git(checkout: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def _run(argv: list[str], purpose: str, say: Callable[[str], None], cwd: Path | None = None) -> None:
    """Run an engine, pass on what it says, and turn a failure into one message.

    Raises:
        BuildError: it failed.
    """
    kept: deque[str] = deque(maxlen=KEPT)
    try:
        with subprocess.Popen(
            argv,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                kept.append(line)
                say(line.rstrip())
    except OSError as error:
        raise BuildError(f"cannot {purpose}: {argv[0]}: {error.strerror}") from error
    if process.returncode != 0:
        raise BuildError(f"cannot {purpose}: {explain(argv[0], ''.join(kept))}")
