"""Write ``sdists.json``: what the source distributions that the recipes build state about themselves.

    python -m tests.spack_repo.sdists FOLDER

FOLDER contains the archives, as ``pip download --no-deps --no-binary :all: NAME==VERSION`` puts them there.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from tests.spack_repo.recipes import FOLDERS, read


def facts(archive: Path) -> dict[str, Any]:
    """Return requirements without extras, the supported Pythons and the licence that a distribution states."""
    with tarfile.open(archive) as files:
        names = files.getnames()

        def content(name: str) -> bytes:
            file = files.extractfile(name)
            assert file is not None
            return file.read()

        metadata = BytesParser().parsebytes(
            content(next(n for n in names if n.endswith("/PKG-INFO") and n.count("/") == 1))
        )
        requires = metadata.get_all("Requires-Dist") or []
        listed = [name for name in names if name.endswith(".egg-info/requires.txt")]
        if not requires and listed:  # metadata of before version 2.1 names no requirements
            requires = content(listed[0]).decode().partition("\n[")[0].split("\n")
    return {
        "python": metadata["Requires-Python"],
        "requires": sorted({each for each in requires if each and "extra ==" not in each}),
        "licence": _licence(metadata),
    }


def _licence(metadata: Message) -> str:
    if metadata["License-Expression"]:
        return str(metadata["License-Expression"])
    (classifier,) = (each for each in metadata.get_all("Classifier") or [] if each.startswith("License ::"))
    return str(classifier.rpartition(":: ")[2])


def main(folder: Path) -> None:
    archives = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in folder.glob("*.tar.gz")}
    table: dict[str, dict[str, Any]] = {}
    for name in FOLDERS:
        recipe = read(name)
        for version, options in recipe.versions.items() if hasattr(recipe.cls, "pypi") else ():
            digest = options["sha256"]
            if digest not in archives:
                sys.exit(f"{name}@{version}: no archive in {folder} has the checksum {digest}")
            table.setdefault(name, {})[version] = {"sha256": digest, **facts(archives[digest])}
    Path(__file__).with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
