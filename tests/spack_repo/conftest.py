"""A real Spack, if there is one."""

from __future__ import annotations

import pytest

from tests.needs import need
from tests.spack_repo.real_spack import Spack


@pytest.fixture(scope="module")
def spack(tmp_path_factory: pytest.TempPathFactory) -> Spack:
    return Spack(need("spack"), tmp_path_factory.mktemp("spack"))
