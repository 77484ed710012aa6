"""The environments that a run has to create first, which takes most of a first start, and what is done meanwhile.

While an environment is being created, the schedulers are prepared and tried, and what works is shown at once. The cases
of this first look run again as cases of the run, which record their results.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from sdk_tests.errors import HarnessError
from sdk_tests.plan.available_scheduler import AvailableScheduler
from sdk_tests.plan.options import Options
from sdk_tests.plan.preparation import Echo
from sdk_tests.plan.probe import PAYLOADS
from sdk_tests.schedulers import JobSpec

if TYPE_CHECKING:
    from exaworks_sdk.paths import Places
    from exaworks_sdk.release import Release

LIMIT = 30.0
"""Seconds that the first look at a scheduler may take."""
T = TypeVar("T")


def to_create(texts: Iterable[str], options: Options, places: Places) -> list[Release]:
    """Return the releases among the named deployments whose pip environment is absent or out of date."""
    from exaworks_sdk.install import pip_deployment_exists
    from exaworks_sdk.release import load

    named = [load(text.partition(":")[2] or None) for text in texts if text.partition(":")[0] == "release"]
    return [each for each in named if not pip_deployment_exists(places, each, wheelhouse=options.wheelhouse)]


def create_beside(
    releases: Sequence[Release],
    texts: Sequence[str],
    options: Options,
    places: Places,
    echo: Echo,
    work: Callable[[Echo], T],
) -> T:
    """Create the environments of releases, do ``work`` at the same time, and return its result.

    Raises:
        click.ClickException: the only deployment of the run could not be created. One of several is tried again by
            ``resolve_targets``, whose message names it.
    """
    from exaworks_sdk.install import pip_deployment

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work, above_a_bar(echo))
        for release in releases:
            try:
                pip_deployment(places, release, progress=echo, wheelhouse=options.wheelhouse)
            except click.ClickException:
                if len(texts) == 1:
                    raise
        return future.result()


def first_look(name: str, scheduler: AvailableScheduler, echo: Echo) -> bool | None:
    """Run the program of the control case on a scheduler that only this run uses, and show whether that works.

    Returns None, and runs nothing, on a scheduler of a site: its queue is not used twice for one answer.
    """
    if scheduler.inside or (scheduler.kind.batch and scheduler.testbed is None):
        return None
    began = time.monotonic()
    kind, queue = scheduler.kind, scheduler.kind.spec.default_queue
    with tempfile.TemporaryDirectory(prefix="exaworks-first-") as folder:
        spec = JobSpec(
            "ex-first", Path(folder), Path(folder), 1, kind.walltime(queue, 1, LIMIT), queue, kind.view(1)["account"]
        )
        program = [sys.executable, "-I", str(PAYLOADS / "control" / "hello.py")]
        try:
            done = subprocess.run(
                kind.control_argv(program, spec),
                env=dict(kind.env),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=LIMIT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired, HarnessError):
            return False  # its control case gives the reason
    works = done.returncode == 0 and b"Hello World!" in done.stdout
    if works:
        echo(f"works: control/hello@{name} ({time.monotonic() - began:.1f} s), while the deployment is being created")
    return works


def above_a_bar(echo: Echo) -> Echo:
    """Return a function that prints lines while a bar may be drawn on the terminal by another thread."""
    return (lambda text: echo(f"\r\x1b[K{text}")) if sys.stderr.isatty() else echo
