"""The pytest plugin: inert without ``--site``; with it, every case of the collected modules runs on that system.

pytest --pyargs sdk_tests.integration --site auto --tier smoke -k psij
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sdk_tests.model.attempt import Outcome

AUTO = "auto"
REFUSED = ("setuponly", "setupplan", "setupshow")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("exaworks", "ExaWorks: run cases on a system")
    group.addoption("--site", metavar="SITE/SYSTEM", help="run the cases on this system; 'auto' recognises it")
    group.addoption("--site-file", metavar="FILE", type=Path, help="a site file that comes before the packaged ones")
    group.addoption("--deployment", metavar="KIND:NAME", help="what is tested; default: what the site file says")
    group.addoption("--case", metavar="PATTERN", action="append", default=[], help="shell pattern of case ids")
    group.addoption("--component", metavar="NAME", action="append", default=[], help="only cases with this component")
    group.addoption("--scheduler", metavar="NAME", action="append", default=[], help="only cases on this scheduler")
    group.addoption("--tier", choices=("smoke", "integration", "scale"), default="integration", help="how much to run")
    group.addoption("--max-jobs", type=int, metavar="N", help="at most N batch jobs at once on each scheduler")
    group.addoption("--no-upload", action="store_true", help="keep the results here")
    group.addoption("--resume", metavar="RUN", help="run what is still owed of an earlier run")


def pytest_configure(config: pytest.Config) -> None:
    site = config.getoption("--site")
    if site is None:
        return
    refuse_what_cannot_work(config)
    import click

    from dashboard_client.schema import Selection, Tier
    from exaworks_sdk.paths import places
    from sdk_tests.judging.harness import Harness
    from sdk_tests.plan.options import Options
    from sdk_tests.plan.prepare import prepare

    chosen = {name: config.getoption(f"--{name}") for name in ("case", "component", "scheduler")}
    options = Options(
        site=None if site == AUTO else site,
        site_file=config.getoption("--site-file"),
        deployment=config.getoption("--deployment"),
        selection=Selection(
            cases=chosen["case"],
            components=chosen["component"],
            schedulers=chosen["scheduler"],
            tier=Tier(config.getoption("--tier")),
            partial=any(chosen.values()) or bool(config.getoption("keyword") or config.getoption("markexpr")),
        ),
        max_jobs=config.getoption("--max-jobs"),
        upload=not config.getoption("--no-upload"),
        resume=config.getoption("--resume"),
    )
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    echo = reporter.write_line if reporter else print
    try:
        from sdk_tests.plan.resume import resumed

        preparation = prepare(resumed(options, places()), places(), echo)
    except click.ClickException as error:
        raise pytest.UsageError(error.format_message()) from error
    config.add_cleanup(preparation.close)
    config.pluginmanager.register(Harness(preparation, echo=echo), "exaworks-harness")


def refuse_what_cannot_work(config: pytest.Config) -> None:
    """Refuse options of pytest under which a case would look judged without having been.

    Raises:
        pytest.UsageError: names the option.
    """
    if config.getoption("numprocesses", None) or config.getoption("dist", "no") != "no":
        raise pytest.UsageError("--site runs all cases at once by itself; leave out pytest-xdist's -n and --dist")
    for name in REFUSED:
        if config.getoption(name, False):
            raise pytest.UsageError(f"--site cannot be combined with --{name.replace('setup', 'setup-')}")


@pytest.fixture
def outcome(request: pytest.FixtureRequest) -> Outcome:
    """What the case's payload answered; skips or fails where there is nothing to assert on."""
    from sdk_tests.judging.item_state import ANSWERED

    landed = request.node.stash.get(ANSWERED, None)
    if landed is None:
        pytest.fail("a case runs only under the harness: add --site auto (or use `exaworks validate`)", pytrace=False)
    judgement, answer = landed
    if judgement is not None:
        said = f"[{judgement.cause.cls.value}/{judgement.cause.rule}] {judgement.cause.evidence}"
        if judgement.outcome.value == "skip":
            pytest.skip(said)
        pytest.fail(said, pytrace=False)
    return answer  # type: ignore[no-any-return]
