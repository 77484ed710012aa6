"""Build an image from the files of the checkout with a container engine, and push it."""

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
from containers.engines import BuildRequest, build_argv, detect, explain, flags, push_argv, storage
from containers.errors import BuildError, ImagesError
from containers.model import Family
from containers.render import containerfile, definition, tag
from exaworks_sdk.release import Release

NEEDED = 3 * 2**30
"""Bytes that a build needs, approximately. With less free space the build is not started."""
MIRROR = "/mirror"
"""The path of a mounted Spack mirror during a build."""
LAST_LINES = 200
"""The number of lines of an engine's output in which an error is searched for."""


@dataclass(frozen=True)
class Options:
    """The options of ``exaworks images build``."""

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
    name: str, release: Release, family: Family, checkout: Path, options: Options, echo: Callable[[str], None]
) -> str:
    """Build an image, push it if ``options`` name a registry, and return its name.

    Raises:
        ImagesError: no engine, no registry, not enough space or another architecture; the message states what to do.
    """
    wanted = image(name, release, family)
    secrets = {"ca": options.ca_bundle, "pip": options.pip_config, "git": options.git_config}
    mirror = {"SPACK_MIRROR": MIRROR} if options.spack_mirror else {}
    if mirror and "SPACK_MIRROR" not in wanted.arguments:
        raise ImagesError(f"--spack-mirror: the image {name} is not built with Spack; remove the option")
    program = detect(options.engine)
    apptainer = Path(program).name == "apptainer"
    text = definition(wanted, release, family) if apptainer else containerfile(wanted, release, family)
    folder = storage(program)
    free = shutil.disk_usage(folder).free
    if free < NEEDED:
        setting = "TMPDIR" if apptainer else "the engine's storage"
        raise BuildError(
            f"{folder} has {free >> 20} MB free, and a build needs about {NEEDED >> 20} MB. Free some space, or move "
            f"{setting} to a folder with more space."
        )
    revision, epoch = _revision(checkout)
    target = options.tag or (f"{name}-{release.name}.sif" if apptainer else tag(name, release))
    with _context(checkout) as context:
        path = context / ("Apptainer.def" if apptainer else "Containerfile")
        path.write_text(text, encoding="utf-8")
        request = BuildRequest(
            context=context,
            definition=path,
            tag=str(Path(target).absolute()) if apptainer else target,
            base=options.base,
            arguments={
                "VERSION": release.name,
                "REVISION": revision,
                "CREATED": datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                **mirror,
                **options.arguments,
            },
            secrets={name: path for name, path in secrets.items() if path is not None},
            folders={MIRROR: options.spack_mirror.absolute()} if options.spack_mirror else {},
            epoch=epoch,
            flags=flags(),
        )
        if apptainer:
            declared = {"REVISION": revision, **mirror, **options.arguments}
            request = replace(request, arguments=declared)
        echo(f"building {target} with {program}")
        if wanted.dag_hash and not apptainer:
            request = _with_hash(program, request, Path(wanted.dag_hash).name, echo)
        _run(build_argv(program, request), f"build {name}", echo, cwd=context)
    if options.push:
        if Path(program).name == "docker":
            address = push_argv(program, target, options.push)[-1]
            _run([program, "tag", target, address], f"tag {name} as {address}", echo)
        _run(push_argv(program, target, options.push), f"push {name} to {options.push}", echo)
    return target


def _with_hash(program: str, request: BuildRequest, file: str, echo: Callable[[str], None]) -> BuildRequest:
    """Build the stages before the last one, and return the request with the DAG hash as argument for the label.

    Raises:
        BuildError: the stages cannot be built, or have written no hash.
    """
    with tempfile.TemporaryDirectory(prefix="exaworks-facts-") as folder:
        first = replace(request, target="facts", output=Path(folder))
        _run(build_argv(program, first), "build the stage with Spack", echo, cwd=request.context)
        try:
            hashes = Path(folder, file).read_text(encoding="utf-8").split()
        except OSError:
            hashes = []
    if len(hashes) != 1:
        raise BuildError(
            f"the stage with Spack wrote {hashes} instead of one DAG hash. Build again without the engine's cache."
        )
    return replace(request, arguments={**request.arguments, "DAG_HASH": hashes[0]})


@contextmanager
def _context(checkout: Path) -> Iterator[Path]:
    """Create a copy of the checkout's files that git does not ignore, in their present state, as build context.

    Results, environments and caches are therefore not part of it.

    Raises:
        ImagesError: git does not list the files of the checkout.
    """
    listed = _git(checkout, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed is None:
        raise ImagesError(
            f"{checkout} is not a git checkout, so the files of the project are not known. Build in a clone."
        )
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
    """Return the commit of the checkout, with ``-dirty`` if files are changed, and its time in seconds since 1970."""
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


def _run(argv: list[str], purpose: str, echo: Callable[[str], None], cwd: Path | None = None) -> None:
    """Run an engine, echo its output, and turn a failure into one message.

    Raises:
        BuildError: the engine cannot be started, or failed.
    """
    last_lines: deque[str] = deque(maxlen=LAST_LINES)
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
                last_lines.append(line)
                echo(line.rstrip())
    except OSError as error:
        raise BuildError(f"cannot {purpose}: {argv[0]}: {error.strerror}") from error
    if process.returncode != 0:
        raise BuildError(f"cannot {purpose}: {explain(argv[0], ''.join(last_lines))}")
