"""Collect the logs that an attempt left behind: bounded in number, size and time, with copies in the private folder."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dashboard_client.schema import Log
from sdk_tests.diagnosis.matching import chosen_lines
from sdk_tests.diagnosis.text import Text, Where

FILES = 60
"""Logs that are read of one attempt."""
HEAD, TAIL = 64_000, 192_000
"""Bytes that are read from the beginning and from the end of a log."""
ALL = 3_000_000
"""Characters that are read of all logs of one attempt; to search them for known causes takes a few seconds."""
SECONDS = 5.0
"""Time in which the logs of one attempt are read; what is not read by then is left out."""
LINES = 12
"""Lines of one log that a record contains."""
COPIED = 8_000_000
"""Bytes of a log that are copied, if it is not in the run's folder."""
SUFFIXES = (".log", ".err", ".out", ".stderr", ".stdout", ".ec")
"""Files that are read of a component without a reader of its own."""

Reader = Callable[[Path], Iterable[Path]]
"""Yields the logs of a component in a scratch folder, the most telling ones first."""


@dataclass(frozen=True)
class Keep:
    """Where the originals of the logs are afterwards.

    work: the folder of all scratch folders; kept: the same folder relative to the private folder, if it is below it at
    the end of the run, else None: then logs are copied to ``copies``. private: the run's private folder.
    """

    private: Path
    work: Path
    kept: str | None
    copies: Path

    def path_of(self, log: Path, root: Path) -> str | None:
        """Return the path of the original relative to the private folder, after copying it if that is needed."""
        if self.kept is not None:
            with contextlib.suppress(ValueError):
                return str(Path(self.kept) / log.relative_to(self.work))
        name = log.relative_to(root) if log.is_relative_to(root) else Path(log.name)
        target = self.copies / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with log.open("rb") as source, target.open("wb") as copy:
            copy.write(source.read(COPIED))
        return str(target.relative_to(self.private))


def reader_of(path: Path | None) -> Reader:
    """Return the reader in a file: its function ``logs``; for None, one that yields every file that looks like a log.

    Raises:
        ImportError: the file cannot be loaded, or has no such function.
    """
    if path is None:
        return _every_log
    spec = importlib.util.spec_from_file_location(f"exaworks_logs_{path.parent.name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path}: cannot be loaded as a module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    reader: Reader | None = getattr(module, "logs", None)
    if reader is None:
        raise ImportError(f"{path}: has no function `logs`")
    return reader


def harvest(readers: Iterable[tuple[str, Reader]], root: Path, keep: Keep) -> list[Text]:
    """Return the logs of an attempt. readers: with the component that each is of. root: its scratch folder.

    A log that cannot be read is left out; a reader that fails contributes what it has found before.
    """
    deadline = time.monotonic() + SECONDS
    texts: list[Text] = []
    total = 0
    known: set[tuple[int, int]] = set()
    for owner, reader in readers:
        for log in _guarded(reader, root):
            if len(texts) >= FILES or total >= ALL or time.monotonic() > deadline:
                return texts
            try:
                status = log.stat()
                identity = (status.st_dev, status.st_ino)
                if not stat.S_ISREG(status.st_mode) or not status.st_size or identity in known:
                    continue
                known.add(identity)
                content = read_ends(log)
                total += len(content)
                texts.append(Text(Where.LOGS, log.name, content, owner, keep.path_of(log, root), status.st_size))
            except OSError:
                continue
    return texts


def _guarded(reader: Reader, root: Path) -> Iterator[Path]:
    try:
        yield from itertools.islice(reader(root), 50 * FILES)
    except Exception:  # noqa: BLE001  # a reader belongs to a component; its defect must not cost the verdict
        return


def read_ends(log: Path) -> str:
    """Return the beginning and the end of a file; a line in the middle states how much is left out."""
    descriptor = os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        head = stream.read(HEAD)
        size = os.fstat(descriptor).st_size
        if size <= HEAD:
            return head.decode(errors="replace")
        stream.seek(max(HEAD, size - TAIL))
        tail = stream.read(TAIL)
    left_out = max(0, size - HEAD - TAIL)
    middle = f"\n[{left_out} bytes are left out]\n".encode() if left_out else b""
    return (head + middle + tail).decode(errors="replace")


def described(texts: Iterable[Text]) -> tuple[Log, ...]:
    """Return the logs as a record describes them, each with its best lines."""
    return tuple(
        Log(component=text.owner, path=text.path or text.name, size=text.size, lines=chosen_lines(text, LINES))
        for text in texts
    )


def _every_log(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        depth = len(Path(folder).relative_to(root).parts)
        folders[:] = sorted(folders)[:100] if depth < 6 else []
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(SUFFIXES))
