"""What the probe of a deployment notes about a Flux that is on PATH, but is not part of the deployment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sdk_tests.deployments import Deployment
from sdk_tests.plan.components import FLUX, ComponentKind
from sdk_tests.plan.preflight import start
from sdk_tests.plan.probe import probe

FLUXES = {
    "bindings that import what this Python lacks": (
        "import no_such_cffi",
        "this deployment's Python cannot import Flux's bindings in FOLDER: No module named 'no_such_cffi'; ",
    ),
    "bindings that end the interpreter": (
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "Flux's Python bindings cannot be imported: killed by signal 11",
    ),
    "bindings that can be imported": ("", None),
}


def deployment(tmp_path: Path, source: str | None) -> Deployment:
    """Return a deployment with this Python. source: of the bindings of a Flux on its PATH; None: there is no Flux."""
    (tmp_path / "bin").mkdir()
    if source is not None:
        package = tmp_path / "lib" / "flux"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "job.py").write_text(source)
        flux = tmp_path / "bin" / "flux"
        flux.write_text(f'#!/bin/sh\n[ "$1" = env ] && echo {tmp_path}/lib || echo commands: 0.88.0\n')
        flux.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    return Deployment(name="box", kind="venv", python=sys.executable, environ=environ, delta={})


@pytest.mark.parametrize(("source", "note"), FLUXES.values(), ids=FLUXES)
def test_bindings_of_flux_that_this_python_cannot_use_are_noted_with_the_reason(
    source: str, note: str | None, tmp_path: Path
) -> None:
    contents = probe(deployment(tmp_path, source), {"flux": FLUX})
    assert contents.components["flux"].version == "0.88.0"
    expected = () if note is None else (note.replace("FOLDER", f"{tmp_path}/lib"),)
    assert tuple(text[: len(wanted)] for text, wanted in zip(contents.notes, expected, strict=True)) == expected


def test_no_bindings_are_noted_where_there_is_no_flux(tmp_path: Path) -> None:
    assert probe(deployment(tmp_path, None), {"flux": FLUX}).notes == ()


def test_the_preflight_reports_what_the_probe_has_noted(tmp_path: Path) -> None:
    preflight = start(deployment(tmp_path, None), list[ComponentKind](), notes=["install ply into the deployment"])
    result = preflight.result()
    assert result is not None
    assert result.notes[0] == "install ply into the deployment"
