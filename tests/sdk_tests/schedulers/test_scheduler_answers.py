"""Whether a scheduler counts as the machine's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdk_tests.schedulers.registry import answers
from tests.sdk_tests.schedulers.conftest import Cluster

pytestmark = pytest.mark.needs("slurm", "munge")


def test_a_testbeds_slurm_is_not_the_machines_own(slurm: Cluster) -> None:
    without = {name: value for name, value in slurm.env.items() if name != "SLURM_CONF"}
    assert slurm.kind.probe().found
    assert answers(slurm.env) == answers(without)


def test_a_slurm_that_no_testbed_made_is_the_machines_own(slurm: Cluster, tmp_path: Path) -> None:
    configuration = tmp_path / "slurm.conf"
    configuration.write_bytes(Path(slurm.env["SLURM_CONF"]).read_bytes())
    assert answers({**slurm.env, "SLURM_CONF": str(configuration)}) == ["slurm"]
