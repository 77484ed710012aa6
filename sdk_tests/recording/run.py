"""An open run: the values that judging, recording and finishing share, and the functions that open a run."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from dashboard_client.provenance import harness as provenance
from dashboard_client.redact import redact_manifest
from dashboard_client.runs import RunFolder, new_run_id
from dashboard_client.schema import Deployment, Manifest, Record, Waiver
from exaworks_sdk import __version__
from sdk_tests.errors import RunError
from sdk_tests.model.attempt import Judgement
from sdk_tests.model.timestamps import utc
from sdk_tests.plan.cells import Cell
from sdk_tests.plan.options import Options
from sdk_tests.plan.preparation import Echo, Preparation
from sdk_tests.plan.time_limit import time_limit
from site_configs.load import digest

SECRET_NAMES = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "PRIVATE_KEY")
"""A variable whose name contains one of these holds a secret."""


class RunDisplay:
    """The callbacks that display the progress of a run; this base class displays nothing."""

    def planned(self, manifest: Manifest, prejudged: Mapping[str, Judgement]) -> None:
        """Called when the run is open. prejudged: the verdicts of the cases that do not run, by their ids."""

    def event(self, case_id: str, what: str, detail: str = "") -> None:
        """Called when a case is submitted, queued, started, finished or tried again; ``what`` names the event."""

    def recorded(self, record: Record, done: int, total: int) -> None:
        """Called when a record is on disk."""

    def tick(self) -> None:
        """Called about once a second."""

    def finish(self) -> None:
        """Called when everything has run."""


@dataclass(frozen=True)
class Run:
    """A run whose manifest is on disk. private: the values that redaction masks, as keyword arguments of ``redact``."""

    preparation: Preparation
    folder: RunFolder
    manifest: Manifest
    private: Mapping[str, Any]
    display: RunDisplay
    echo: Echo


def open_run(preparation: Preparation, planned: Iterable[Cell], display: RunDisplay, echo: Echo) -> Run:
    """Create the folder and the manifest of a new run."""
    system = preparation.system
    start_time = time.time()
    started = utc(start_time)
    assert started is not None
    private = private_values(preparation)
    planned = list(planned)
    manifest = redact_manifest(
        Manifest(
            run_id=new_run_id(system.name, datetime.fromtimestamp(start_time, timezone.utc)),
            site=system.site,
            system=system.name,
            started=started,
            trigger=preparation.options.trigger,
            harness=provenance(preparation.places.checkout, __version__, digest(system)),
            release=preparation.release.name if preparation.release else None,
            selection=preparation.options.selection,
            planned=[cell.planned() for cell in planned],
            deployments=[
                Deployment(name=each.deployment.name, kind=each.deployment.kind, digest=each.contents.digest)
                for each in preparation.targets
            ],
            redaction=system.redaction,
            cadence=system.cadence,
            stale_after=system.stale_after,
            time_limit=time_limit(preparation, planned),
            waivers=[Waiver(cases=w.cases, reason=w.reason, expires=w.expires, owner=w.owner) for w in system.waivers],
            owner=system.owner,
        ),
        system.redaction,
        **private,
    )
    folder = RunFolder.create(preparation.places.runs, manifest)
    _keep_options(folder, preparation.options)
    return Run(preparation, folder, manifest, private, display, echo)


OPTIONS = "options.json"
"""The file in the private folder of a run with the options that ``exaworks rerun`` needs."""


class RecordedOptions(msgspec.Struct, frozen=True):
    """The site file and the deployments of a run, as its user gave them; none if the site file decided.

    deployment: of a run of an earlier version, which had one.
    """

    site_file: Path | None = None
    deployment: str | None = None
    deployments: tuple[str, ...] = ()

    @property
    def given(self) -> tuple[str, ...]:
        return self.deployments or ((self.deployment,) if self.deployment is not None else ())


def recorded_options(folder: RunFolder) -> RecordedOptions:
    """Return the options of a run; a run of an earlier version, or a copy without its private folder, has none."""
    try:
        return msgspec.json.decode((folder.private / OPTIONS).read_bytes(), type=RecordedOptions, dec_hook=_path)
    except (OSError, msgspec.MsgspecError):
        return RecordedOptions()


def with_recorded_deployments(options: Options) -> Options:
    """Take the deployments from the run that is resumed, unless the options name some."""
    if options.resume is None or options.deployments:
        return options
    return replace(options, deployments=recorded_options(RunFolder(Path(options.resume))).given)


def _keep_options(folder: RunFolder, options: Options) -> None:
    site_file = options.site_file.resolve() if options.site_file is not None else None
    kept = RecordedOptions(site_file, deployments=options.deployments)
    (folder.private / OPTIONS).write_bytes(msgspec.json.encode(kept, enc_hook=str))


def _path(kind: type, value: str) -> Path:
    return Path(value)


def reopen_run(preparation: Preparation, folder: RunFolder, display: RunDisplay, echo: Echo) -> Run:
    """Continue an earlier run.

    Raises:
        RunError: the content of a deployment has changed since that run.
    """
    manifest = folder.manifest
    known = {deployment.digest for deployment in manifest.deployments}
    for target in preparation.targets:
        if target.contents.digest not in known:
            of = "this deployment" if len(preparation.targets) == 1 else f"the deployment {target.deployment.name}"
            raise RunError(f"run {manifest.run_id} tested another state of {of}; start a new run instead")
    return Run(preparation, folder, manifest, private_values(preparation), display, echo)


def private_values(preparation: Preparation) -> dict[str, Any]:
    """Return the values that redaction masks: those of secret variables, the home folder, and the user's name."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # no entry for this uid, as in some containers
        user = str(os.getuid())
    system = preparation.system
    secret_variables = [system.collector.token_env, *(spec.account_env for spec in system.schedulers)]
    secrets = [value for name, value in os.environ.items() if _is_secret(name) and len(value) >= 8]
    secrets += [os.environ[name] for name in secret_variables if name and os.environ.get(name)]
    return {"secrets": secrets, "home": os.path.expanduser("~"), "user": user}  # noqa: PTH111


def _is_secret(variable: str) -> bool:
    return any(word in variable.upper() for word in SECRET_NAMES)
