"""The environment variables of the project; a test compares the list with the variables that the code names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Audience(Enum):
    """Who sets a variable, or for whom the program sets it."""

    EVERYBODY = "Everybody"
    COLLECTOR = "Collectors and uploads"
    CI = "Pipelines and cron"
    IMAGES = "Container images"
    TESTS = "The project's own tests"
    INTERNAL = "Set by the program"


@dataclass(frozen=True)
class Variable:
    """One environment variable: who needs it, and what it sets."""

    name: str
    audience: Audience
    sets: str


def _of(audience: Audience, **sets: str) -> tuple[Variable, ...]:
    return tuple(Variable(f"EXAWORKS_{name}", audience, text) for name, text in sets.items())


VARIABLES: tuple[Variable, ...] = (
    *_of(
        Audience.EVERYBODY,
        HOME="the folder of environments, runs and testbeds; otherwise `.exaworks` in the checkout, or "
        "`$XDG_STATE_HOME/exaworks` of an installation",
        PYTHON="the Python (3.10 or newer) that creates the environment of a checkout",
        SITES="folders of site files that are searched before the packaged ones, separated by colons",
        WHEELHOUSE="a folder of packages; nothing is installed from anywhere else",
    ),
    *_of(
        Audience.COLLECTOR,
        COLLECTOR_URL="the address of the collector, where the site file has none",
        COLLECTOR_TOKEN="the token with which results are uploaded",  # noqa: S106
        COLLECTOR_DATABASE="the database of the collector, such as `postgresql://user@host/name`",
        COLLECTOR_SMTP="the mail server for hooks with a `mailto:` address, as `host:port`",
        COLLECTOR_SMTP_STARTTLS="whether the connection to the mail server is encrypted before anything is sent",
        COLLECTOR_SMTP_USER="the user name at the mail server",
        COLLECTOR_SMTP_PASSWORD_FILE="a file with the password of that user",  # noqa: S106
        COLLECTOR_MAIL_FROM="the sender of these messages",
    ),
    *_of(
        Audience.CI,
        TIER="the tier of a pipeline: `smoke`, `integration` or `scale`",
        DEPLOYMENT="the deployment that a pipeline validates, instead of the site file's",
        LANES="the lanes that a pipeline runs, separated by commas, or `all`",
        PODS="the name of a runner of your own on a site's Kubernetes, to use instead of the site's runners",
        CI_OPTIONS="further options of `exaworks validate`; they do not apply to the control stage",
        CI_ENV="the file of variables that cron's script reads, instead of `~/.config/exaworks/ci.env`",
        CI_HOME="the folder of a site's pipelines, instead of `work_dir` of the site file",
        TRIGGER="what started the run, for the record: `schedule`, `push`, …",
        SDK_URL="where jobs fetch the SDK, if another project includes the pipeline's file",
        SDK_REF="the branch, tag or commit of it",
        GITLAB_TOKEN="a GitLab token with the scope `api`, for the status of a merge request",  # noqa: S106
        ID_TOKEN="the job's identity token, with which GitLab's jobs upload without a stored token",  # noqa: S106
    ),
    *_of(
        Audience.IMAGES,
        BUILD_FLAGS="further options of the engine's build command, such as `--isolation chroot`",
        IMAGE="the name of the image; set in every image of the release",
        IMAGE_ENGINE="the engine that runs payloads in an image, if several are installed",
        IMAGE_FLAGS="further options of its `run` or `exec`",
        IMAGE_ENV="names of further variables that payloads in an image get, separated by commas",
    ),
    *_of(
        Audience.TESTS,
        REQUIRE="names of software, separated by commas, whose absence fails a test instead of skipping it",
        TEST_DEPLOYMENT="an environment with the release's components",
        SCREENSHOTS="a folder for pictures of every dashboard page",
        GITLAB_CI_LOCAL="the program `gitlab-ci-local`",
    ),
    *_of(
        Audience.INTERNAL,
        COLLECTOR_EPHEMERAL_TOKEN="a token that only the embedded collector of this run accepts",  # noqa: S106
        MACHINE_HOME="the folder of the machine's runs, in a pod that submits to it",
        CASE_MARK="marks the processes of a case, so that they can be found when it ends",
        TESTBED="marks a testbed: its folder",
        TESTBED_DAEMON="marks the daemons of a Slurm testbed",
        TESTBED_JOB="marks the jobs of a Slurm testbed",
    ),
)
"""Every variable of the project, in the order in which pages show them."""
