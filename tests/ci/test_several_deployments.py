"""Pipelines of a system whose site file names several deployments: each is made, and each stage validates all."""

from __future__ import annotations

import pytest

from ci.phases import STAGES, phases
from ci.system import system_pipeline
from site_configs.load import load_text

SITE = "system: lab/box\ndescription: a machine\nwork_dir: /scratch\nspack_scope: spack/box\n"


@pytest.mark.parametrize(
    ("deployment", "built"),
    [
        ("release", ["setup", "install: release install"]),
        ("spack", ["setup", "concretize: install --site lab/box", "install: install --site lab/box"]),
        (
            "[release, spack]",
            [
                "setup",
                "concretize: install --site lab/box",
                "install: install --site lab/box",
                "release: release install",
            ],
        ),
        (
            "['spack', 'release:2026.11']",
            [
                "setup",
                "concretize: install --site lab/box",
                "install: install --site lab/box",
                "release: release install 2026.11",
            ],
        ),
        ("['module:sdk/1', release]", ["setup", "install: release install"]),
        ("['module:sdk/1', 'venv:/opt/sdk']", ["setup"]),
    ],
)
def test_what_a_pipeline_makes_of_each_list(deployment: str, built: list[str]) -> None:
    system = load_text(f"{SITE}deployment: {deployment}\n", "lab/box.yaml")
    listed = phases(system)
    making = [phase for phase in listed if not phase.tests]
    commands = [" ".join(word for word in phase.argv if word not in ("--until", "concretize")) for phase in making]
    assert [
        phase.name if phase.name == "setup" else f"{phase.name}: {command}"
        for phase, command in zip(making, commands, strict=True)
    ] == built
    assert [phase.after for phase in making] == [None, *(phase.name for phase in making[:-1])]
    control = next(phase for phase in listed if phase.name == "control")
    assert control.after == making[-1].name
    names = [phase.name for phase in listed]
    assert len(set(names)) == len(names)
    assert sorted(names, key=STAGES.index) == names


def test_the_stages_of_both_deployments_are_in_the_pipeline() -> None:
    system = load_text(f"{SITE}deployment: [release, spack]\n", "lab/box.yaml")
    pipeline = system_pipeline(system)
    assert [stage for stage in pipeline.stages if stage in ("concretize", "install", "release", "control")] == [
        "concretize",
        "install",
        "release",
        "control",
    ]
    assert "--deployment" not in str(pipeline.jobs["smoke"]), "the site file decides"
