"""The release as a Spack environment: the text of its ``spack.yaml``, for anywhere or with one site's configuration."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

from exaworks_sdk.errors import ReleaseError
from exaworks_sdk.release import Release

BUNDLE = "exaworks"
PADDED = 128
"""Length of the padded install paths: a build cache can be installed below any shorter one."""

HEADER = """\
# The release as an environment: every variant named, one version of everything, install paths that can be relocated.
"""


def bundle_spec(release: Release, changed: dict[str, bool] | None = None) -> str:
    """Return the bundle with every variant named, since Spack flips a default that cannot be met without a word.

    Raises:
        ReleaseError: the release has no bundle, or a changed variant is none of it.
    """
    if release.spack is None:
        raise ReleaseError(f"release {release.name} is not in Spack: its manifest has no key spack.")
    chosen = {**dict.fromkeys(release.spack.on, True), **dict.fromkeys(release.spack.off, False)}
    for variant in changed or {}:
        if variant not in chosen:
            known = ", ".join(sorted(chosen))
            raise ReleaseError(f"the bundle of release {release.name} has no variant {variant}; it has {known}.")
    chosen |= changed or {}
    return " ".join([f"{BUNDLE}@{release.name}", *(f"{'+' if chosen[name] else '~'}{name}" for name in sorted(chosen))])


def parse_variants(text: str) -> dict[str, bool]:
    """Read ``+maestro ~swift`` as {maestro: True, swift: False}.

    Raises:
        ReleaseError: it is not a row of variants.
    """
    if not re.fullmatch(r"\s*([+~][a-z][a-z0-9_-]*\s*)*", text):
        raise ReleaseError(f"{text!r} is not a row of variants; write them as in '+maestro ~swift'.")
    return {name: sign == "+" for sign, name in re.findall(r"([+~])([a-z][a-z0-9_-]*)", text)}


def environment_text(release: Release, *, scope: Path | None = None, changed: dict[str, bool] | None = None) -> str:
    """Return the ``spack.yaml`` of a release; ``scope`` is the folder of a site's Spack configuration."""
    environment: dict[str, object] = {}
    if scope is not None:
        environment["include"] = [str(scope)]
    environment |= {
        "specs": [bundle_spec(release, changed)],
        "concretizer": {"unify": True},
        # Newer ones bring the Rust toolchain with them.
        "packages": {"py-jsonschema": {"require": "@4.0:4.17"}},
        "config": {"install_tree": {"padded_length": PADDED}},
        "view": True,
    }
    yaml = YAML()
    yaml.width = 200
    out = io.StringIO()
    yaml.dump({"spack": environment}, out)
    return HEADER + out.getvalue()


def environment_files(release: Release, folder: Path, scopes: Mapping[str, Path]) -> dict[Path, str]:
    """Return the text of each environment below ``folder`` by its path: the release's own, and one a site's system.

    ``scopes`` holds the folders of Spack configuration by system; they are included by relative paths, so that the
    files hold wherever the checkout lies.
    """
    files = {folder / release.name / "spack.yaml": environment_text(release)}
    for system, scope in sorted(scopes.items()):
        place = folder / release.name / system
        files[place / "spack.yaml"] = environment_text(release, scope=Path(os.path.relpath(scope, place)))
    return files
