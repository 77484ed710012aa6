"""GitLab's API: the comment in a merge request, the commit status, and the artifacts of child pipelines."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ci.errors import GitLabError
from ci.results import OUTBOX

TOKEN = "EXAWORKS_GITLAB_TOKEN"  # noqa: S105 - the name of a variable
LARGEST = 256 * 1024**2
"""Bytes that the artifacts of one job may unfold to; more is not what our jobs make."""
_OURS = re.compile(
    r"results/([a-z]+)/(stage\.(?:json|xml)|[A-Za-z0-9][A-Za-z0-9._-]{0,127}/(?:"
    + "|".join(map(re.escape, OUTBOX))
    + "))"
)

Say = Callable[[str], None]


def comment(system: str, text: str, state: str, environ: Mapping[str, str]) -> str:
    """Set the commit's status, and in a merge request write one comment a system, or change the one that is there.

    Returns what was done, in words.

    Raises:
        GitLabError: it was not possible; the message says why.
    """
    import_errors()
    from gitlab.exceptions import GitlabError

    try:
        project = _client(environ).projects.get(environ["CI_PROJECT_ID"], lazy=True)
        status = {"name": f"exaworks {system}", "state": state, "target_url": environ.get("CI_PIPELINE_URL", "")}
        project.commits.get(environ["CI_COMMIT_SHA"], lazy=True).statuses.create(status)
        number = environ.get("CI_MERGE_REQUEST_IID")
        if not number:
            return "commit status set"
        marker = f"<!-- exaworks {system} -->"
        request = project.mergerequests.get(number, lazy=True)
        body = f"{marker}\n{text}"
        for note in request.notes.list(iterator=True):
            if note.body.startswith(marker):
                note.body = body
                note.save()
                return "commit status set, comment renewed"
        request.notes.create({"body": body})
    except KeyError as error:
        raise GitLabError(f"{error.args[0]} is not set: this works in a GitLab job only.") from error
    except (GitlabError, OSError) as error:
        raise GitLabError(f"GitLab refused: {error}. The token in {TOKEN} needs the scope api.") from error
    return "commit status set, comment written"


def children(environ: Mapping[str, str], to: Path, say: Say) -> int:
    """Fetch the results of this pipeline's child pipelines into ``to/<child>/``; return how many jobs had some.

    Raises:
        GitLabError: GitLab cannot be asked.
    """
    import_errors()
    from gitlab.exceptions import GitlabError

    fetched = 0
    try:
        project = _client(environ).projects.get(environ["CI_PROJECT_ID"], lazy=True)
        for bridge in project.pipelines.get(environ["CI_PIPELINE_ID"], lazy=True).bridges.list(iterator=True):
            if not bridge.downstream_pipeline:
                continue
            child = project.pipelines.get(bridge.downstream_pipeline["id"], lazy=True)
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", bridge.name)
            for job in child.jobs.list(iterator=True):
                if getattr(job, "artifacts_file", None):
                    packed = project.jobs.get(job.id, lazy=True).artifacts()
                    fetched += _unfold(packed if isinstance(packed, bytes) else b"", to / name)
            say(f"{bridge.name}: {child.get_id()}")
    except KeyError as error:
        raise GitLabError(f"{error.args[0]} is not set: this works in a GitLab job only.") from error
    except (GitlabError, OSError, zipfile.BadZipFile) as error:
        raise GitLabError(f"GitLab refused: {error}. Set {TOKEN} to a token with the scope read_api.") from error
    return fetched


def import_errors() -> None:
    """Say how to get python-gitlab where it is missing.

    Raises:
        GitLabError: it is missing.
    """
    try:
        import gitlab  # noqa: F401
    except ImportError as error:
        raise GitLabError("python-gitlab is not installed: add the extra `ci`, or leave this job out.") from error


def _client(environ: Mapping[str, str]) -> Any:
    """Return a client; the job's own token serves where a GitLab permits it to read pipelines."""
    from gitlab import Gitlab

    given = environ.get(TOKEN)
    own = None if given else environ["CI_JOB_TOKEN"]
    return Gitlab(environ["CI_SERVER_URL"], private_token=given, job_token=own, timeout=30, retry_transient_errors=True)


def _unfold(packed: bytes, folder: Path) -> int:
    """Write the files that our jobs make, by our own names for them; 1 where there was one."""
    if not packed:
        return 0
    room, found = LARGEST, 0
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for member in archive.infolist():
            matched = _OURS.fullmatch(member.filename)
            room -= member.file_size if matched else 0
            if room < 0:
                raise GitLabError(f"the artifacts of a job unfold to more than {LARGEST} bytes; they are none of ours.")
            if matched:
                target = folder / matched[1] / matched[2]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
                found = 1
    return found
