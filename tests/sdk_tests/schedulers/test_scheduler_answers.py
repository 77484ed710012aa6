"""Tests of the registry: which schedulers count as the machine's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdk_tests.schedulers.registry import answering_schedulers
from tests.sdk_tests.schedulers.conftest import Cluster

pytestmark = pytest.mark.needs("slurm", "munge")


def test_the_slurm_of_a_testbed_is_not_the_machines_own(slurm: Cluster) -> None:
    without = {name: value for name, value in slurm.env.items() if name != "SLURM_CONF"}
    assert slurm.kind.probe().available
    assert answering_schedulers(slurm.env) == answering_schedulers(without)


def test_a_slurm_whose_configuration_is_outside_a_testbed_is_the_machines_own(slurm: Cluster, tmp_path: Path) -> None:
    configuration = tmp_path / "slurm.conf"
    configuration.write_bytes(Path(slurm.env["SLURM_CONF"]).read_bytes())
    assert answering_schedulers({**slurm.env, "SLURM_CONF": str(configuration)}) == ["slurm"]
