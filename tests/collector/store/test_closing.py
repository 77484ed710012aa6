"""A database that cannot be opened leaves no connection open."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path

import pytest
from sqlalchemy import text

from collector.errors import StoreError
from collector.store.database import database_url, open_store


def open_files(file: Path) -> list[Path]:
    """Return the descriptors of this process that refer to the database or its log."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = link.readlink()
        except OSError:
            continue
        if str(target).startswith(str(file)):
            found.append(target)
    return found


@pytest.mark.parametrize("damage", ["not a database", "newer schema"])
def test_a_database_that_cannot_be_opened_is_closed(tmp_path: Path, damage: str) -> None:
    url = database_url(None, tmp_path)
    file = tmp_path / "collector.db"
    if damage == "not a database":
        file.write_bytes(b"nothing of a database here\n" * 100)
    else:
        store = open_store(url)
        with store.writing() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        store.close()
    gc.disable()  # a collection would close what was left open
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(StoreError):
                open_store(url)
        assert open_files(file) == []
    finally:
        gc.enable()
