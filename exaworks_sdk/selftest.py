"""``exaworks selftest``: run the project's own tests in a checkout."""

from __future__ import annotations

import click

TWO_FILES_AT_A_TIME = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  exaworks selftest                                run all tests
  exaworks selftest tests/site_configs -x          with any arguments of pytest
  exaworks selftest -m "not slow"
  exaworks selftest -n 0 --pdb tests/ci            run one file after the other, with a debugger
  EXAWORKS_REQUIRE=slurm,munge exaworks selftest   fail instead of skipping if these are absent
""",
)
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def selftest(ctx: click.Context, pytest_args: tuple[str, ...]) -> None:
    """Run the project's tests, linters and type checks.

    Tests of software that this machine lacks are skipped, and the end of the output names that software. Arguments are
    passed to pytest; the last line and the exit code are those of pytest. Two test files run at a time, since most
    tests wait for a scheduler or a server; ``-n 0`` runs one after the other, which ``--pdb`` needs.
    """
    import os
    import sys
    from importlib.util import find_spec

    from exaworks_sdk.errors import SelftestError
    from exaworks_sdk.paths import Places

    places = ctx.find_object(Places)
    if places is None or places.checkout is None or not (places.checkout / "tests").is_dir():
        raise SelftestError(
            "selftest runs from a checkout only: this exaworks is installed without its tests. Clone the repository."
        )
    if find_spec("hypothesis") is None:
        raise SelftestError(
            f"{sys.executable} lacks the packages of the dev extra: run ./exaworks selftest, or install .[dev]."
        )
    os.chdir(places.checkout)
    sys.stdout.flush()
    argv = [sys.executable, "-I", "-m", "pytest", *TWO_FILES_AT_A_TIME, *pytest_args]
    os.execv(sys.executable, argv)  # noqa: S606
