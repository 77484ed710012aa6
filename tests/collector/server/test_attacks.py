"""A short campaign of malformed requests and half-open connections; ``benchmarks/attacks.py`` runs a long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.collector.process import ROOT, environment


@pytest.mark.slow
def test_malformed_requests_and_half_open_connections_cause_no_failure_and_others_are_served(tmp_path: Path) -> None:
    campaign = [str(ROOT / "benchmarks" / "attacks.py"), "--requests", "640", "--connections", "60", "--before", "1"]
    done = subprocess.run(
        [sys.executable, *campaign], env=environment(TMPDIR=str(tmp_path)), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "640 malformed requests" in done.stdout
    assert "5xx: 0;" in done.stdout
    assert "no problems" in done.stdout
