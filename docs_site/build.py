"""Build and serve the site of one checkout with MkDocs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from docs_site.errors import DocsError

_ENVIRONMENT = {"NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def build(checkout: Path, target: Path) -> None:
    """Build the site into ``target``, which is replaced. A warning, such as a link without a target, is an error.

    Raises:
        DocsError: MkDocs reported a warning or an error; the message contains its output.
    """
    # Not --quiet: with it, MkDocs does not count warnings, and builds a site with broken links.
    command = _mkdocs(checkout, "build", "--strict", "--clean", "--site-dir", str(target.absolute()))
    done = subprocess.run(
        command, cwd=checkout, env=_environ(checkout), capture_output=True, text=True, check=False, timeout=600
    )
    lines = (done.stdout + done.stderr).splitlines()
    if done.returncode != 0 or any(line.startswith("WARNING") for line in lines):
        reasons = "\n".join(line for line in lines if not line.startswith("INFO"))
        raise DocsError(f"the site cannot be built without warnings:\n{reasons or f'exit code {done.returncode}'}")


def serve(checkout: Path, port: int) -> int:
    """Serve the site on loopback, and build it again when a page changes, until it is interrupted."""
    command = _mkdocs(checkout, "serve", "--dev-addr", f"127.0.0.1:{port}")
    try:
        return subprocess.run(command, cwd=checkout, env=_environ(checkout), check=False).returncode
    except KeyboardInterrupt:
        return 130


def _mkdocs(checkout: Path, subcommand: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "mkdocs", subcommand, "--config-file", str(checkout / "mkdocs.yml"), *arguments]


def _environ(checkout: Path) -> dict[str, str]:
    """Return an environment in which Python imports the packages of this checkout before those that are installed."""
    return {**os.environ, **_ENVIRONMENT, "PYTHONPATH": str(checkout)}
