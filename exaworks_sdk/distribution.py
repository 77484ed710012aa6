"""The Linux distribution of this machine, and its own line that installs packages."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

FAMILIES = {
    "apt": ("debian", "ubuntu"),
    "dnf": ("fedora", "rhel", "centos", "rocky", "almalinux", "amzn"),
    "zypper": ("suse", "opensuse", "sles", "sle_hpc"),
}
"""Package managers, and the distributions that use them (ID and ID_LIKE in os-release(5))."""

COMMANDS = {"apt": "apt install", "dnf": "dnf install", "zypper": "zypper install"}

OS_RELEASE = Path("/etc/os-release")


def package_manager(os_release: Path = OS_RELEASE) -> str | None:
    """Return ``apt``, ``dnf`` or ``zypper``: by the distribution, or else by what is on PATH; None if it is another."""
    try:
        text = os_release.read_text(errors="replace")
    except OSError:
        text = ""
    words = " ".join(re.findall(r"^(?:ID|ID_LIKE)=(.*)$", text, re.MULTILINE)).replace('"', " ").replace("'", " ")
    names = [re.sub(r"-.*", "", name) for name in words.lower().split()]
    for manager, known in FAMILIES.items():
        if any(name in known for name in names):
            return manager
    return next((manager for manager in FAMILIES if shutil.which(manager)), None) if not names else None


def install_line(manager: str, packages: Iterable[str]) -> str:
    """Return the command that installs packages; with sudo, unless it is root who asks."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}{COMMANDS[manager]} {' '.join(dict.fromkeys(packages))}"
