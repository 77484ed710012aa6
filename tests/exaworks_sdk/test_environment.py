"""What a failed step says: the line that tells what failed, and what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from exaworks_sdk.environment import EnvironmentFailedError, Recipe, make, pins

GCC = "error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory"
HEADERS = "netifaces.c:1:10: fatal error: Python.h: No such file or directory"
BUILT = "ERROR: Failed building wheel for netifaces"


@pytest.mark.parametrize(
    ("output", "said", "hint"),
    [
        (f"  {GCC}\n{BUILT}\nerror: legacy-install-failure", BUILT, "install gcc and python3-dev"),
        (f"error: [Errno 2] No such file or directory: 'gcc'\n{BUILT}", BUILT, "install gcc and python3-dev"),
        (f"{HEADERS}\n{BUILT}", BUILT, "install python3-dev"),
        ("ERROR: Cannot unpack:\n  No space left on device", "ERROR: Cannot unpack: No space left", "The disk is full"),
        ("OSError: [Errno 122] Disk quota exceeded", "Disk quota exceeded", "Your quota is used up"),
        ("ProxyError('Cannot connect')\nERROR: No matching distribution found for x", "found for x", "HTTPS_PROXY"),
        ("SSL: CERTIFICATE_VERIFY_FAILED\nERROR: No matching distribution", "No matching", "PIP_CERT"),
        (f"error: Command {'x' * 999} failed", "failed", "All of its output"),
        ("something else", "something else", "All of its output"),
        ("", "exit code 3", "All of its output"),
    ],
)
def test_a_failed_step_is_told_in_two_lines(tmp_path: Path, output: str, said: str, hint: str) -> None:
    lock = tmp_path / "x.lock"
    lock.touch()
    python = tmp_path / "python"
    (tmp_path / "says").write_text(output)
    python.write_text(f"#!/bin/sh\ncat {tmp_path}/says\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(EnvironmentFailedError) as error:
        make(Recipe(tmp_path / "made", lock, "the environment", str(python)), lambda line: None)
    first, second = str(error.value).splitlines()
    assert first.startswith("cannot make a virtual environment for the environment: ")
    assert said in first
    assert len(first) < 400
    assert hint in second
    assert str(tmp_path / "made.log") in second


def test_a_lock_is_split_into_its_pins_with_their_hashes(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    lock.write_text(
        "# by hand\na==1 ; python_version < '3.11' \\\n    --hash=x \\\n    --hash=y\nb-c==2 \\\n    --hash=z\n"
    )
    assert pins(lock) == [
        ("a", "a==1 ; python_version < '3.11' \\\n    --hash=x \\\n    --hash=y\n"),
        ("b-c", "b-c==2 \\\n    --hash=z\n"),
    ]
