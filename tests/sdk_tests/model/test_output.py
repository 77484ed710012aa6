"""The line of a program's output that states the reason of a failure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_tests.model.output import telling_line
from sdk_tests.schedulers import CommandResult

USAGES = {
    "a reason before a usage text": (
        "bsub: invalid option -- 'x'\nUsage: bsub [options]\n       [command]\n",
        "bsub: invalid option -- 'x'",
    ),
    "a usage of several lines with words of errors in it": (
        "qsub: illegal -N value\nusage: qsub [-a date_time] [-e path]\n\t[-W error_file=path] [-r y|n]\n"
        "[script | -- command]\n-z no such output\n",
        "qsub: illegal -N value",
    ),
    "a reason that no word marks as one": (
        "bsub: the queue <x> is closed\nUsage: bsub [-h]\n\n  -h  help\n",
        "bsub: the queue <x> is closed",
    ),
    "a usage text first": (
        "usage: flux batch [OPTIONS...] COMMAND\nflux-batch: error: unrecognized arguments: --nonsense\n",
        "flux-batch: error: unrecognized arguments: --nonsense",
    ),
    "a hint after the reason": (
        "sbatch: unrecognized option '--nonsense'\nTry \"sbatch --help\" for more information\n",
        "sbatch: unrecognized option '--nonsense'",
    ),
    "a usage text alone": ("usage: qstat [-f] [-J]\n\t[-B] [server]\n", "usage: qstat [-f] [-J]"),
    "an exception": ("Traceback\nValueError: no such job\nlogging: bye\n", "ValueError: no such job"),
    "an exception with its package": (
        "parsl.errors.ConfigurationError: two executors\nnote: see the docs\n",
        "parsl.errors.ConfigurationError: two executors",
    ),
    "the last error of several": (
        "sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed: Invalid name\n",
        "sbatch: error: Batch job submission failed: Invalid name",
    ),
    "no error at all": ("starting\ndone\n", "done"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("text", "line"), USAGES.values(), ids=USAGES)
def test_the_line_that_names_the_reason_is_shown_and_not_merely_the_last_one(text: str, line: str) -> None:
    assert telling_line(text) == line


@pytest.mark.parametrize(("text", "line"), [case for case in USAGES.values() if case[1]], ids=list(USAGES)[:-1])
def test_the_evidence_of_a_command_is_the_line_that_names_the_reason(text: str, line: str) -> None:
    for done in (CommandResult(("/opt/bin/x",), 2, "", text), CommandResult(("/opt/bin/x",), 2, text, "")):
        assert done.evidence == f"x: exit 2: {line}"


@given(st.text(max_size=200))
def test_some_line_is_shown_whenever_there_is_one(text: str) -> None:
    line = telling_line(text)
    assert bool(line) == bool(text.strip())
    assert line in text
