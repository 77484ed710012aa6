"""The release as a Spack environment: the text of its ``spack.yaml``, with or without the configuration of a site."""

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
PADDED_LENGTH = 128
"""Length of the padded install paths, in characters: a build cache can be installed below any shorter path."""

HEADER = """\
# The release as an environment: every variant named, one version of everything, install paths that can be relocated.
"""


def bundle_spec(release: Release, changed: dict[str, bool] | None = None) -> str:
    """Return the spec of the bundle with every variant, since Spack silently changes a default that it cannot satisfy.

    Raises:
        ReleaseError: the release has no bundle, or the bundle has no variant of a changed name.
    """
    if release.spack is None:
        raise ReleaseError(f"release {release.name} is not in Spack: its manifest has no key spack.")
    chosen = {**dict.fromkeys(release.spack.on, True), **dict.fromkeys(release.spack.off, False)}
    for variant in changed or {}:
        if variant not in chosen:
            known = ", ".join(sorted(chosen))
            raise ReleaseError(f"the bundle of release {release.name} has no variant {variant}; choose from: {known}.")
    chosen |= changed or {}
    return " ".join([f"{BUNDLE}@{release.name}", *(f"{'+' if chosen[name] else '~'}{name}" for name in sorted(chosen))])


def parse_variants(text: str) -> dict[str, bool]:
    """Read ``+maestro ~swift`` as {maestro: True, swift: False}.

    Raises:
        ReleaseError: the text is not a list of variants.
    """
    if not re.fullmatch(r"\s*([+~][a-z][a-z0-9_-]*\s*)*", text):
        raise ReleaseError(f"{text!r} is not a list of variants; write them as in '+maestro ~swift'.")
    return {name: sign == "+" for sign, name in re.findall(r"([+~])([a-z][a-z0-9_-]*)", text)}


def environment_text(release: Release, *, scope: Path | None = None, changed: dict[str, bool] | None = None) -> str:
    """Return the ``spack.yaml`` of a release; ``scope`` is the folder of a site's Spack configuration."""
    pins = release.spack.pins if release.spack is not None else {}
    environment: dict[str, object] = {}
    if scope is not None:
        environment["include"] = [str(scope)]
    environment |= {
        "specs": [bundle_spec(release, changed)],
        "concretizer": {"unify": True},
        # Newer versions depend on the Rust toolchain.
        "packages": {
            "py-jsonschema": {"require": "@4.0:4.17"},
            **{f"py-{name}": {"require": f"@{version}"} for name, version in sorted(pins.items())},
        },
        "config": {"install_tree": {"padded_length": PADDED_LENGTH}},
        "view": True,
    }
    yaml = YAML()
    yaml.width = 200
    out = io.StringIO()
    yaml.dump({"spack": environment}, out)
    return HEADER + out.getvalue()


def environment_files(release: Release, folder: Path, scopes: Mapping[str, Path]) -> dict[Path, str]:
    """Return the files of the environments below ``folder``, text by path: a general one, and one for each system.

    ``scopes`` are the folders of Spack configuration by system. They are included by relative paths, so that the files
    are valid wherever the checkout is.
    """
    files = {folder / release.name / "spack.yaml": environment_text(release)}
    for system, scope in sorted(scopes.items()):
        target = folder / release.name / system
        files[target / "spack.yaml"] = environment_text(release, scope=Path(os.path.relpath(scope, target)))
    return files
