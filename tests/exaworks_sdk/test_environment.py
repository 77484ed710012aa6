"""The message of a failed step: the line with the error, and what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from exaworks_sdk.environment import EnvironmentFailedError, Recipe, make, pins

GCC = "error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory"
HEADERS = "netifaces.c:1:10: fatal error: Python.h: No such file or directory"
BUILT = "ERROR: Failed building wheel for netifaces"


@pytest.mark.parametrize(
    ("output", "reason", "hint"),
    [
        (f"  {GCC}\n{BUILT}\nerror: legacy-install-failure", BUILT, "install gcc and python3-dev"),
        (f"error: [Errno 2] No such file or directory: 'gcc'\n{BUILT}", BUILT, "install gcc and python3-dev"),
        (f"{HEADERS}\n{BUILT}", BUILT, "install python3-dev"),
        ("ERROR: Cannot unpack:\n  No space left on device", "ERROR: Cannot unpack: No space left", "The disk is full"),
        ("OSError: [Errno 122] Disk quota exceeded", "Disk quota exceeded", "Your quota is used up"),
        ("ProxyError('Cannot connect')\nERROR: No matching distribution found for x", "found for x", "HTTPS_PROXY"),
        ("SSL: CERTIFICATE_VERIFY_FAILED\nERROR: No matching distribution", "No matching", "PIP_CERT"),
        (f"error: Command {'x' * 999} failed", "failed", "Full output"),
        ("something else", "something else", "Full output"),
        ("", "exit code 3", "Full output"),
    ],
)
def test_a_failed_step_is_reported_in_two_lines(tmp_path: Path, output: str, reason: str, hint: str) -> None:
    lock = tmp_path / "x.lock"
    lock.touch()
    python = tmp_path / "python"
    (tmp_path / "output").write_text(output)
    python.write_text(f"#!/bin/sh\ncat {tmp_path}/output\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(EnvironmentFailedError) as error:
        make(Recipe(tmp_path / "environment", lock, "the environment", str(python)), lambda line: None)
    first, second = str(error.value).splitlines()
    assert first.startswith("cannot create a virtual environment for the environment: ")
    assert reason in first
    assert len(first) < 400
    assert hint in second
    assert str(tmp_path / "environment.log") in second


def test_a_lock_is_split_into_its_distributions_with_their_hashes(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    lock.write_text(
        "# by hand\na==1 ; python_version < '3.11' \\\n    --hash=x \\\n    --hash=y\nb-c==2 \\\n    --hash=z\n"
    )
    assert pins(lock) == [
        ("a", "a==1 ; python_version < '3.11' \\\n    --hash=x \\\n    --hash=y\n"),
        ("b-c", "b-c==2 \\\n    --hash=z\n"),
    ]
