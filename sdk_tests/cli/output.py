"""What ``exaworks validate`` prints: a line about each step, the progress, and the end of the run."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass

import click

from dashboard_client.runs import RunFolder
from sdk_tests.report import Progress, screen, short_verdict, summary, summary_json
from sdk_tests.report.stream import write_safely
from sdk_tests.report.text import fit


@dataclass(frozen=True)
class Output:
    """What is printed: one JSON object, all details, or the verdict alone; by default one screen."""

    as_json: bool = False
    verbose: bool = False
    quiet: bool = False

    def echo(self, text: str) -> None:
        """Print a line about what is being done; if only the verdict is wanted, only a problem."""
        if not self.quiet or text.startswith(("error", "warning", "upload failed")):
            (echo_error if self.as_json or self.quiet else _echo)(text)

    def progress(self) -> Progress:
        """Return what displays the progress of the run."""
        stream = None if self.quiet else sys.stderr if self.as_json else sys.stdout
        return Progress(stream, verbose=self.verbose)

    def summary(self, folder: RunFolder, *, dashboard: bool) -> str:
        """Return the end of a run. dashboard: whether its results are in a collector on this machine."""
        manifest, effective = folder.manifest, folder.effective()
        if self.as_json:
            return json.dumps(summary_json(manifest, effective, folder.path), indent=1)
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        if self.quiet:
            text = short_verdict(manifest, effective, colour=colour)
        elif self.verbose:
            report = folder.path / "report.html"
            places = [f"results: {folder.path}", *([f"report:  {report}"] if report.exists() else [])]
            places += ["dashboard: exaworks collector serve"] if dashboard else []
            text = "\n".join([summary(manifest, effective, colour=colour), *places])
        else:
            text = "\n" + screen(manifest, effective, folder.path, colour=colour, dashboard=dashboard)
        return fit(text, sys.stdout.encoding)


def _echo(text: str) -> None:
    write_safely(sys.stdout, lambda: click.echo(text))


def echo_error(text: str) -> None:
    """Print a line on standard error, if somebody reads it."""
    write_safely(sys.stderr, lambda: click.echo(text, err=True))
