"""The dashboard as a folder of files: every page that matters, for GitLab Pages or a disk, without a server.

Pages are drawn as for an anonymous reader. Links between what is written are made relative; a link to what is not
written loses its address and keeps its words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection

from collector.auth.visibility import Visibility
from collector.errors import ExportError
from collector.pages import all_pages
from collector.rendering.badges import ALL, SVG, draw_badge
from collector.rendering.base import Facts, Page, Question, draw, tell

STATIC = Path(__file__).resolve().parents[1] / "rendering" / "static"
MARK = ".exaworks-export"
RUNS = 10

_HREF = re.compile(r'href="(/[^"#?]*)(\?[^"#]*)?(#[^"]*)?"')


def export(connection: Connection, visibility: Visibility, folder: Path, now: int, runs: int = RUNS) -> int:
    """Write the dashboard into a folder and return how many files that makes; what an earlier export left goes.

    Raises:
        ExportError: the folder holds something else, or cannot be written.
    """
    try:
        _make_room(folder)
        pages = {page.path: page for page in all_pages()}
        places = dict(_places(connection, visibility, pages, now, runs))
        written = []
        for address, (page, path) in places.items():
            question = Question(connection, visibility, now, path, static=True)
            file = _file(address)
            html = draw(page, question).decode()
            written.append(_write(folder, file, _relative(html, file, places).encode()))
            written.append(
                _write(
                    folder,
                    file.with_suffix(".json") if file.name != "index.html" else Path("index.json"),
                    tell(page, question),
                )
            )
        written += _badges(connection, visibility, folder, pages, now)
        written += [_write(folder, Path("static", each.name), each.read_bytes()) for each in sorted(STATIC.iterdir())]
        (folder / MARK).write_text("\n".join(written) + "\n", encoding="utf-8")
    except OSError as error:
        raise ExportError(f"cannot write {error.filename or folder}: {error.strerror}") from error
    return len(written)


def _places(
    connection: Connection, visibility: Visibility, pages: dict[str, Page], now: int, runs: int
) -> Iterator[tuple[str, tuple[Page, dict[str, str]]]]:
    """Yield the address of everything that is written, with its page and the names in its path."""

    def ask(path: str, **names: str) -> Facts:
        return pages[path].answer(Question(connection, visibility, now, names, static=True))

    def place(path: str, **names: str) -> tuple[str, tuple[Page, dict[str, str]]]:
        address = path
        for name, value in names.items():
            address = address.replace(f"{{{name}}}", quote(value, safe=""))
        return address, (pages[path], names)

    yield from (place(path) for path in pages if "{" not in path)
    shown = {tile["run_id"]: None for tile in ask("/")["tiles"]}
    for site in ask("/sites")["sites"]:
        yield place("/sites/{site}", site=site["site"])
        for system in site["systems"]:
            names = {"site": site["site"], "system": system["system"]}
            yield place("/systems/{site}/{system}", **names)
            grid = ask("/systems/{site}/{system}", **names)
            if grid["figures"]:
                yield place("/trends/{site}/{system}", **names)
            shown |= {run["run_id"]: None for run in grid["runs"][:runs]}
    for release in ask("/releases")["releases"]:
        yield place("/releases/{release}", release=release["release"])
        shown |= {run["run_id"]: None for run in ask("/releases/{release}", release=release["release"])["runs"]}
    for group in ask("/triage")["groups"]:
        for case in group["cases"]:
            yield place("/cells/{cell}", cell=str(case["cell"]))
            shown[case["run_id"]] = None
    for run_id in shown:
        yield place("/runs/{run_id}", run_id=run_id)
        for case in ask("/runs/{run_id}", run_id=run_id)["cases"]:
            if case["record_id"] is not None and case["outcome"] != "pass":
                yield place("/records/{record_id}", record_id=case["record_id"])


def _badges(
    connection: Connection, visibility: Visibility, folder: Path, pages: dict[str, Page], now: int
) -> list[str]:
    tiles = pages["/"].answer(Question(connection, visibility, now, {}, static=True))["tiles"]
    wanted = {(tile["site"], tile["system"], subject) for tile in tiles for subject in (tile["subject"], ALL)}
    return [
        _write(
            folder,
            Path("badge", *(quote(part, safe="+") for part in (site, system, subject + SVG))),
            draw_badge(connection, visibility, site, system, subject, now),
        )
        for site, system, subject in sorted(wanted)
    ]


def _file(address: str) -> Path:
    """Return where a page lies; a name is quoted, so that no slash or dot in it leads elsewhere."""
    if address == "/":
        return Path("index.html")
    return Path(*address.strip("/").split("/")[:-1], address.rpartition("/")[2] + ".html")


def _relative(html: str, file: Path, places: dict[str, tuple[Page, dict[str, str]]]) -> str:
    """Rewrite the links of a page for its place in the folder."""
    up = "../" * (len(file.parts) - 1) or "./"

    def rewrite(found: re.Match[str]) -> str:
        address, query, mark = found[1], found[2], found[3] or ""
        if address.startswith("/static/"):
            return f'href="{up}{address[1:]}"'
        if query or address not in places:
            return ""
        return f'href="{up}{quote(str(_file(address)), safe="/")}{mark}"'

    return _HREF.sub(rewrite, html).replace('src="/static/', f'src="{up}static/')


def _write(folder: Path, file: Path, body: bytes) -> str:
    target = folder / file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)
    return str(file)


def _make_room(folder: Path) -> None:
    """Take away what an earlier export wrote, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / MARK
    if not mark.exists():
        if any(folder.iterdir()):
            raise ExportError(f"{folder} holds files that no export wrote. Name an empty folder, or a new one.")
        return
    for line in mark.read_text(encoding="utf-8").splitlines():
        file = folder / line
        if file.resolve().is_relative_to(folder.resolve()):
            file.unlink(missing_ok=True)
