"""The documentation site, built once for all tests of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs_site.versions import LATEST, build_all

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with all versions, as ``exaworks docs build`` writes it. It is built without a warning."""
    folder = tmp_path_factory.mktemp("site")
    assert build_all(ROOT, folder, releases=False, progress=lambda line: None) == [LATEST]
    return folder
