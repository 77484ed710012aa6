"""In a run with an image as deployment, payloads run inside the image, and records name the image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import PYTHON, Engine
from tests.sdk_tests.bench import Bench

pytestmark = pytest.mark.needs("podman", "slurm", "munge")

SITE = f"""
system: test/box
description: A machine for tests
local: {{allowed: true, cores: 2}}
testbeds: [slurm]
deployment: image:{PYTHON}
limits: {{queue_wait: 00:00:30}}
"""
WHERE = """
import json, os
print(json.dumps({"inside": os.path.exists("/run/.containerenv"), "job": os.environ.get("SLURM_JOB_ID")}))
"""
SLEEPS = "import time; time.sleep(600)"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, site=SITE)
    yield bench
    bench.close()


def test_payloads_run_inside_the_image_and_no_container_remains(podman: Engine, bench: Bench) -> None:
    everywhere = {"schedulers": ("local", "slurm")}
    inside = bench.case("inside", WHERE, "assert outcome.answer['inside']", **everywhere).replace("@local", "")
    bench.case("granted", WHERE, "assert outcome.answer['job']", schedulers=("slurm",))
    bench.case("submits", WHERE, where="login", jobs=1, schedulers=("slurm",))
    bench.case("hangs", SLEEPS, walltime=3.0, **everywhere)
    result = bench.run(**{k: v for k, v in podman.environ.items() if k.startswith("CONTAINERS_")})
    for scheduler in ("local", "slurm"):
        record = result.only(f"{inside}@{scheduler}")
        assert record.verdict.outcome.value == "pass", result.output
        assert record.stack.deployment is not None
        assert record.stack.deployment.kind == "image"
        digest = podman.run("podman", "image", "inspect", "--format", "{{.Digest}}", PYTHON).stdout.strip()
        assert record.stack.deployment.digest == digest.removeprefix("sha256:")
        assert result.only(f"python/hangs@{scheduler}").verdict.cause is not None
    assert result.verdict("python/granted@slurm") == ("pass",)
    assert result.verdict("python/submits@slurm") == ("skip", "distribution", "outside-image")
    assert podman.containers() == []
