"""The pytest plugin. It is inactive without ``--site``; with it, every case of the collected modules runs on a system.

pytest --pyargs sdk_tests.integration --site auto --tier smoke -k psij
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sdk_tests.model.attempt import Outcome

AUTO = "auto"
INCOMPATIBLE_OPTIONS = ("setuponly", "setupplan", "setupshow")
SELECTING_OPTIONS = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "stepwise")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("exaworks", "ExaWorks: run cases on a system")
    group.addoption("--site", metavar="SITE/SYSTEM", help="run the cases on this system; 'auto' detects it")
    group.addoption("--site-file", metavar="FILE", type=Path, help="read this site file before the packaged ones")
    group.addoption(
        "--deployment",
        metavar="KIND:NAME",
        action="append",
        default=[],
        help="deployment to test, may be repeated; default: those of the site file",
    )
    group.addoption("--case", metavar="PATTERN", action="append", default=[], help="shell pattern of case ids")
    group.addoption("--component", metavar="NAME", action="append", default=[], help="only cases with this component")
    group.addoption("--scheduler", metavar="NAME", action="append", default=[], help="only cases on this scheduler")
    group.addoption("--tier", choices=("smoke", "integration", "scale"), default="integration", help="how much to run")
    group.addoption("--max-jobs", type=int, metavar="N", help="at most N batch jobs at once on each scheduler")
    group.addoption("--no-upload", action="store_true", help="do not upload the results")
    group.addoption("--resume", metavar="RUN", help="run the unfinished cases of an earlier run")


def pytest_configure(config: pytest.Config) -> None:
    site = config.getoption("--site")
    if site is None:
        return
    refuse_incompatible_options(config)
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
        deployments=tuple(config.getoption("--deployment")),
        selection=Selection(
            cases=chosen["case"],
            components=chosen["component"],
            schedulers=chosen["scheduler"],
            tier=Tier(config.getoption("--tier")),
            partial=any(chosen.values()) or not whole_suite(config),
        ),
        max_jobs=config.getoption("--max-jobs"),
        upload=not config.getoption("--no-upload"),
        resume=config.getoption("--resume"),
    )
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    echo = reporter.write_line if reporter else print
    try:
        from sdk_tests.plan.resume import resumed_options
        from sdk_tests.recording.run import with_recorded_deployments

        options = with_recorded_deployments(resumed_options(options, places()))
        preparation = prepare(options, places(), echo)
    except click.ClickException as error:
        raise pytest.UsageError(error.format_message()) from error
    config.add_cleanup(preparation.close)
    config.pluginmanager.register(Harness(preparation, echo=echo), "exaworks-harness")


def whole_suite(config: pytest.Config) -> bool:
    """Return whether all cases of the project are collected; cases that are left out must not count as missing."""
    if any(config.getoption(name, None) for name in SELECTING_OPTIONS):
        return False
    folder = Path(__file__).parent.parent / "integration"
    return all(
        argument == "sdk_tests.integration" or (config.invocation_params.dir / argument).resolve() == folder.resolve()
        for argument in config.args
    )


def refuse_incompatible_options(config: pytest.Config) -> None:
    """Refuse options of pytest with which a case would be reported as judged although it never ran.

    Raises:
        pytest.UsageError: names the option.
    """
    if config.getoption("numprocesses", None) or config.getoption("dist", "no") != "no":
        raise pytest.UsageError("--site already runs all cases in parallel; remove pytest-xdist's -n and --dist")
    for name in INCOMPATIBLE_OPTIONS:
        if config.getoption(name, False):
            option = f"--{name.replace('setup', 'setup-')}"
            raise pytest.UsageError(f"--site cannot be combined with {option}; remove one of the two")


@pytest.fixture
def outcome(request: pytest.FixtureRequest) -> Outcome:
    """Return the outcome of the case's attempt; skip or fail if there is nothing to assert on."""
    from sdk_tests.judging.item_state import JUDGE_INPUT

    judge_input = request.node.stash.get(JUDGE_INPUT, None)
    if judge_input is None:
        pytest.fail("a case runs only under the harness: add --site auto (or use `exaworks validate`)", pytrace=False)
    judgement, attempt_outcome = judge_input
    if judgement is not None:
        message = f"[{judgement.cause.cls.value}/{judgement.cause.rule}] {judgement.cause.evidence}"
        if judgement.outcome.value == "skip":
            pytest.skip(message)
        pytest.fail(message, pytrace=False)
    return attempt_outcome  # type: ignore[no-any-return]
