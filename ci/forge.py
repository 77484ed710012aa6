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
"""The most bytes that the artifacts of one job may have when extracted; the jobs of these pipelines have fewer."""
_RESULT_FILE = re.compile(
    r"results/([a-z][a-z0-9-]*)/(stage\.(?:json|xml)|[A-Za-z0-9][A-Za-z0-9._-]{0,127}/(?:"
    + "|".join(map(re.escape, OUTBOX))
    + "))"
)

Echo = Callable[[str], None]


def comment(system: str, text: str, state: str, environ: Mapping[str, str]) -> str:
    """Set the commit's status; in a merge request, create one comment for each system, or update the existing one.

    Returns:
        A message that names what was done.

    Raises:
        GitLabError: GitLab refused it, or this is no GitLab job.
    """
    require_client()
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
                return "commit status set, comment updated"
        request.notes.create({"body": body})
    except KeyError as error:
        raise GitLabError(f"{error.args[0]} is not set: this command works only in a GitLab job.") from error
    except (GitlabError, OSError) as error:
        raise GitLabError(f"GitLab refused the request: {error}. The token in {TOKEN} needs the scope api.") from error
    return "commit status set, comment created"


def children(environ: Mapping[str, str], to: Path, echo: Echo) -> int:
    """Fetch the results of this pipeline's child pipelines into ``to/<child>/``.

    Returns:
        The number of jobs that had results.

    Raises:
        GitLabError: GitLab refused it, or this is no GitLab job.
    """
    require_client()
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
                    fetched += _extract(packed if isinstance(packed, bytes) else b"", to / name)
            echo(f"{bridge.name}: {child.get_id()}")
    except KeyError as error:
        raise GitLabError(f"{error.args[0]} is not set: this command works only in a GitLab job.") from error
    except (GitlabError, OSError, zipfile.BadZipFile) as error:
        message = f"GitLab refused the request: {error}. Set {TOKEN} to a token with the scope read_api."
        raise GitLabError(message) from error
    return fetched


def require_client() -> None:
    """Check that python-gitlab is installed.

    Raises:
        GitLabError: it is not installed; the message names the extra to install.
    """
    try:
        import gitlab  # noqa: F401
    except ImportError as error:
        raise GitLabError("python-gitlab is not installed: install the extra `ci`, or remove this job.") from error


def _client(environ: Mapping[str, str]) -> Any:
    """Return a client with the token in ``$EXAWORKS_GITLAB_TOKEN``, or with the job's own token if that is not set."""
    from gitlab import Gitlab

    given = environ.get(TOKEN)
    own = None if given else environ["CI_JOB_TOKEN"]
    return Gitlab(environ["CI_SERVER_URL"], private_token=given, job_token=own, timeout=30, retry_transient_errors=True)


def _extract(packed: bytes, folder: Path) -> int:
    """Extract the result files of a job, and no other members; return 1 if there was any, else 0."""
    if not packed:
        return 0
    remaining, extracted = LARGEST, 0
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for member in archive.infolist():
            match = _RESULT_FILE.fullmatch(member.filename)
            remaining -= member.file_size if match else 0
            if remaining < 0:
                raise GitLabError(
                    f"the result files of a job have more than {LARGEST} bytes: they are not from this pipeline."
                )
            if match:
                target = folder / match[1] / match[2]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
                extracted = 1
    return extracted
