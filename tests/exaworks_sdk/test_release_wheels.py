"""Wheels that are compiled for machines without a compiler, and the file with their hashes."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import msgspec
import pytest

from exaworks_sdk import compiler
from exaworks_sdk.errors import InstallError
from exaworks_sdk.release import Release, load
from exaworks_sdk.releasing.wheels import build_wheels

BACKEND = """
import zipfile

def build_wheel(folder, settings=None, metadata=None):
    name = "cext-1.0-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        info = "cext-1.0.dist-info"
        wheel.writestr("cext.py", "VERSION = '1.0'")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: cext\\nVersion: 1.0\\n")
        tag = "cp311-cp311-linux_x86_64"
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: {tag}\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def source_distribution(folder: Path) -> str:
    """Write a source distribution that builds itself, and return its lines for a lock."""
    folder.mkdir()
    path = folder / "cext-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        metadata = "Metadata-Version: 2.1\nName: cext\nVersion: 1.0\n"
        for name, text in (("backend.py", BACKEND), ("pyproject.toml", PROJECT), ("PKG-INFO", metadata)):
            entry = tarfile.TarInfo(f"cext-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return f"cext==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "sources"))
    monkeypatch.setattr("exaworks_sdk.release.FOLDER", tmp_path)
    lock = f"other==2 \\\n    --hash=sha256:0\n{source_distribution(tmp_path / 'sources')}"
    (tmp_path / "2026.11.lock").write_text(lock)
    return msgspec.structs.replace(load(folder=FOLDER), compiled={"cext": ["user"]}, build_tools=[])


FOLDER = Path(__file__).resolve().parents[2] / "exaworks_sdk" / "releases"


@pytest.mark.slow
def test_compiled_packages_are_built_and_their_hashes_written_beside_them(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "lacking", lambda python: None)
    lines: list[str] = []
    path = build_wheels(release, tmp_path / "house", lines.append)
    wheel = tmp_path / "house" / "cext-1.0-cp311-cp311-linux_x86_64.whl"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert path == tmp_path / "house" / "compiled.lock"
    assert path.read_text() == f"cext==1.0 \\\n    --hash=sha256:{digest}\n"
    assert lines == [f"cext==1.0: {wheel.name}"]
    (tmp_path / "house" / "cext-1.0-cp310-cp310-linux_x86_64.whl").write_bytes(b"of another Python")
    build_wheels(release, tmp_path / "house", lines.append)
    assert path.read_text().count("--hash=sha256:") == 2


def test_without_a_compiler_the_message_says_so(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "lacking", lambda python: "no C compiler (cc)")
    with pytest.raises(InstallError, match=r"cannot compile: no C compiler \(cc\)\. Install gcc"):
        build_wheels(release, tmp_path / "house", lambda line: None)
    assert not (tmp_path / "house").exists()


@pytest.mark.slow
def test_a_failure_has_the_last_line_of_pip(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "lacking", lambda python: None)
    (tmp_path / "sources" / "cext-1.0.tar.gz").unlink()
    with pytest.raises(InstallError, match=r"cannot build cext: ERROR: No matching distribution found for cext==1\.0"):
        build_wheels(release, tmp_path / "house", lambda line: None)
