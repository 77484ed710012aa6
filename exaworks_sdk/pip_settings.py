"""pip's own configuration, translated for uv: the index, proxies and certificates that a site has set up for pip.

uv does not read pip's configuration. If that has a setting which is not known here, pip is used instead of uv, so that
no package ever comes from another place than the one that pip would use.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field

PACKAGE_PLACEMENT = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER")
"""Settings of pip that would install packages outside the environment; all other settings of the user apply."""

PACKAGE_CHOICE = (
    *("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "PIP_REQUIREMENT", "PIP_NO_BINARY", "PIP_ONLY_BINARY"),
    *("PIP_PREFER_BINARY", "PIP_UPGRADE", "PIP_UPGRADE_STRATEGY", "PIP_IGNORE_INSTALLED", "PIP_NO_DEPS"),
    *("PIP_DRY_RUN", "PIP_REQUIRE_VIRTUALENV", "PIP_PYTHON", "PIP_PLATFORM", "PIP_PYTHON_VERSION"),
    *("PIP_IMPLEMENTATION", "PIP_ABI", "PIP_PRE", "PIP_EDITABLE"),
)
"""Settings of pip that images and sites export and that have no say here: the lock pins every file by its hash."""

WITHOUT_MEANING = frozenset(
    (
        *("disable-pip-version-check", "no-input", "no-color", "progress-bar", "quiet", "verbose", "log", "retries"),
        *("no-cache-dir", "cache-dir", "root-user-action", "break-system-packages", "no-warn-script-location"),
        *("no-compile", "exists-action", "require-hashes", "config-file"),
        *(name.removeprefix("PIP_").lower().replace("_", "-") for name in (*PACKAGE_PLACEMENT, *PACKAGE_CHOICE)),
    )
)
"""Settings that do not change which files uv gets, or from where."""

LIMIT = 60.0
"""Seconds that pip may take to print its configuration."""


@dataclass(frozen=True)
class UvSettings:
    """The same settings for uv: arguments of ``uv pip install``, and variables."""

    arguments: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)


def uv_settings(listing: Iterable[str]) -> UvSettings | None:
    """Translate the lines of ``pip config list``; None if one of them is a setting that has no translation.

    A setting of the command ``install`` or of a variable replaces the global one, as in pip.
    """
    settings: dict[str, str] = {}
    chosen: dict[str, int] = {}
    for line in listing:
        name, equals, value = line.partition("=")
        section, _, key = name.strip().partition(".")
        order = {"global": 0, "install": 1, ":env:": 2}.get(section)
        if not equals or order is None:
            continue  # a setting of another command
        key = key.strip().lstrip(".").replace("_", "-")
        if order >= chosen.get(key, 0):
            try:
                settings[key], chosen[key] = str(ast.literal_eval(value.strip())), order
            except (ValueError, SyntaxError):
                return None
    return _translate(settings)


def _translate(settings: dict[str, str]) -> UvSettings | None:
    arguments: list[str] = []
    environ: dict[str, str] = {}
    for key, value in settings.items():
        if key == "index-url":
            environ["UV_DEFAULT_INDEX"] = value  # an address may contain a password, and the log has the arguments
        elif key == "extra-index-url":
            environ["UV_INDEX"] = " ".join(value.split())
        elif key == "find-links" and "@" in value:
            return None
        elif key == "find-links":
            arguments += [word for place in value.split() for word in ("--find-links", place)]
        elif key == "no-index":
            arguments += ["--no-index"] if value.lower() in ("1", "true", "yes", "on") else []
        elif key == "trusted-host":
            arguments += [word for host in value.split() for word in ("--allow-insecure-host", host)]
        elif key == "cert":
            environ["SSL_CERT_FILE"] = value
        elif key == "client-cert":
            environ["SSL_CLIENT_CERT"] = value
        elif key == "proxy":
            environ |= {"ALL_PROXY": value, "HTTP_PROXY": value, "HTTPS_PROXY": value}
        elif key in ("timeout", "default-timeout"):
            environ["UV_HTTP_TIMEOUT"] = str(int(float(value)) or 1) if value.replace(".", "", 1).isdigit() else "60"
        elif key not in WITHOUT_MEANING:
            return None
    return UvSettings(tuple(arguments), environ)


def of_pip(pip: list[str]) -> UvSettings | None:
    """Return the configuration of a pip, given the command that starts it; None if it has no translation."""
    try:
        done = subprocess.run(
            [*pip, "config", "list"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return uv_settings(done.stdout.splitlines())
