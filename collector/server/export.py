"""Export of the dashboard to a folder of files that need no server, such as for GitLab Pages.

The pages are those that an anonymous reader sees. Links between exported pages become relative. A link to a page that
is not exported becomes plain text.
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
from collector.rendering.base import Facts, Page, Question, render_html, render_json

STATIC = Path(__file__).resolve().parents[1] / "rendering" / "static"
MARK = ".exaworks-export"
RUNS = 10

_HREF = re.compile(r'href="(/[^"#?]*)(\?[^"#]*)?(#[^"]*)?"')


def export(connection: Connection, visibility: Visibility, folder: Path, now: int, runs: int = RUNS) -> int:
    """Write the dashboard into a folder, replace an earlier export, and return the number of files.

    ``runs``: the number of newest runs of each system to export.

    Raises:
        ExportError: the folder contains files that no export wrote, or cannot be written.
    """
    try:
        _remove_earlier_export(folder)
        pages = {page.path: page for page in all_pages()}
        places = dict(_places(connection, visibility, pages, now, runs))
        written = []
        for address, (page, path) in places.items():
            question = Question(connection, visibility, now, path, static=True)
            file = _file(address)
            html = render_html(page, question).decode()
            written.append(_write(folder, file, _relative(html, file, places).encode()))
            written.append(
                _write(
                    folder,
                    file.with_suffix(".json") if file.name != "index.html" else Path("index.json"),
                    render_json(page, question),
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
    """Yield the address of each exported page, with the page and the names in its path."""

    def facts_of(path: str, **names: str) -> Facts:
        return pages[path].answer(Question(connection, visibility, now, names, static=True))

    def place(path: str, **names: str) -> tuple[str, tuple[Page, dict[str, str]]]:
        address = path
        for name, value in names.items():
            address = address.replace(f"{{{name}}}", quote(value, safe=""))
        return address, (pages[path], names)

    yield from (place(path) for path, page in pages.items() if "{" not in path and page.exported)
    shown = dict.fromkeys(_run(tile) for tile in facts_of("/")["tiles"])
    for site in facts_of("/sites")["sites"]:
        yield place("/sites/{site}", site=site["site"])
        for system in site["systems"]:
            names = {"site": site["site"], "system": system["system"]}
            yield place("/systems/{site}/{system}", **names)
            grid = facts_of("/systems/{site}/{system}", **names)
            if grid["figures"]:
                yield place("/trends/{site}/{system}", **names)
            shown |= dict.fromkeys((*names.values(), run["run_id"]) for run in grid["runs"][:runs])
    for release in facts_of("/releases")["releases"]:
        yield place("/releases/{release}", release=release["release"])
        newest = facts_of("/releases/{release}", release=release["release"])["runs"]
        shown |= dict.fromkeys(map(_run, newest))
    for group in facts_of("/triage")["groups"]:
        for case in group["cases"]:
            yield place("/cells/{cell}", cell=str(case["cell"]))
            shown[_run(case)] = None
    for site_name, system_name, run_id in shown:
        names = {"site": site_name, "system": system_name, "run_id": run_id}
        yield place("/runs/{site}/{system}/{run_id}", **names)
        for case in facts_of("/runs/{site}/{system}/{run_id}", **names)["cases"]:
            if case["record_id"] is not None and case["outcome"] != "pass":
                yield place("/records/{record_id}", record_id=case["record_id"])


def _run(facts: Facts) -> tuple[str, str, str]:
    return facts["site"], facts["system"], facts["run_id"]


def _badges(
    connection: Connection, visibility: Visibility, folder: Path, pages: dict[str, Page], now: int
) -> list[str]:
    tiles = pages["/"].answer(Question(connection, visibility, now, {}, static=True))["tiles"]
    wanted = {
        (tile["site"], tile["system"], subject)
        for tile in tiles
        if tile["outcome"] != "pending"
        for subject in (tile["subject"], ALL)
    }
    return [
        _write(
            folder,
            Path("badge", *(quote(part, safe="+") for part in (site, system, subject + SVG))),
            draw_badge(connection, visibility, site, system, subject, now),
        )
        for site, system, subject in sorted(wanted)
    ]


def _file(address: str) -> Path:
    """Return the file of a page; names stay quoted, so that a slash or dot in them cannot lead out of the folder."""
    if address == "/":
        return Path("index.html")
    return Path(*address.strip("/").split("/")[:-1], address.rpartition("/")[2] + ".html")


def _relative(html: str, file: Path, places: dict[str, tuple[Page, dict[str, str]]]) -> str:
    """Rewrite the links of a page so that they work from its file in the folder."""
    up = "../" * (len(file.parts) - 1) or "./"

    def rewrite(link: re.Match[str]) -> str:
        address, query, fragment = link[1], link[2], link[3] or ""
        if address.startswith("/static/"):
            return f'href="{up}{address[1:]}"'
        if query or address not in places:
            return ""
        return f'href="{up}{quote(str(_file(address)), safe="/")}{fragment}"'

    return _HREF.sub(rewrite, html).replace('src="/static/', f'src="{up}static/')


def _write(folder: Path, file: Path, body: bytes) -> str:
    target = folder / file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)
    return str(file)


def _remove_earlier_export(folder: Path) -> None:
    """Remove the files that an earlier export wrote, and no others."""
    folder.mkdir(parents=True, exist_ok=True)
    listing = folder / MARK
    if not listing.exists():
        if any(folder.iterdir()):
            raise ExportError(f"{folder} contains files that no export wrote. Name an empty or a new folder with --to.")
        return
    for line in listing.read_text(encoding="utf-8").splitlines():
        file = folder / line
        if file.resolve().is_relative_to(folder.resolve()):
            file.unlink(missing_ok=True)
