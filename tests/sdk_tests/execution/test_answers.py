"""Reading a payload's answer: one JSON object, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_tests.execution.answers import CLOSING, OPENING, read_answers
from sdk_tests.execution.messages import EnvironmentChange, LaunchRequest, Setup, Stop, instruction, line
from sdk_tests.schedulers import SchedulerKind
from site_configs.schema import SchedulerSpec

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON))
def test_any_single_object_is_read_back(value: dict[str, object]) -> None:
    raw = json.dumps(value, indent=1).encode()
    assert read_answers(raw, len(raw)) == ((value,), "")


@given(st.binary())
def test_no_output_makes_the_reader_raise_and_a_problem_is_never_silent(raw: bytes) -> None:
    answers, problem = read_answers(raw, len(raw))
    assert problem or len(answers) == 1


@pytest.mark.parametrize(
    "text", ['{"a": 1}{"a": 1}', "{} trailing", "null", '{"a": NaN}', '{"a": Infinity}', "", "[" * 99999]
)
def test_anything_but_one_object_is_a_problem(text: str) -> None:
    assert read_answers(text.encode(), len(text))[1]


def test_an_answer_cut_by_the_bound_is_not_parsed() -> None:
    assert read_answers(b"{}", 5_000_000) == (
        (),
        "standard output has 5000000 bytes, more than the 2 an answer may have",
    )


FRAME = "0123456789abcdef"


def framed(text: str, frame: str = FRAME) -> str:
    return f"{OPENING.format(frame)}\n{text}\n{CLOSING.format(frame)}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("Welcome to the cluster. Please acknowledge us.\n", ""),
        ('{"banner": true}\n', '{"epilogue": true}\n'),
        ("\xff\xfe{", "Sender: LSF System <lsfadmin@host>\nSuccessfully completed.\n"),
        ("\r\n\r\n", "\x00"),
    ],
)
def test_a_framed_answer_is_found_whatever_else_is_printed(before: str, after: str) -> None:
    raw = (before + "\n" + framed('{"a": 1}') + after).encode("latin-1")
    assert read_answers(raw, len(raw) + 10**9, FRAME) == (({"a": 1},), "")


def test_an_answer_in_another_frame_does_not_count() -> None:
    raw = framed('{"a": 1}', "f" * 16).encode()
    assert read_answers(raw, len(raw), FRAME)[1]


def test_two_framed_answers_and_a_broken_one_are_problems() -> None:
    raw = (framed('{"a": 1}') * 2).encode()
    assert read_answers(raw, len(raw), FRAME) == (({"a": 1}, {"a": 1}), "2 JSON objects")
    raw = framed('{"a": ').encode()
    assert "the framed answer is not one JSON object" in read_answers(raw, len(raw), FRAME)[1]


@given(st.binary(), st.binary())
def test_the_frame_is_found_in_any_bytes(before: bytes, after: bytes) -> None:
    raw = before + b"\n" + framed('{"a": 1}').encode() + after
    assert read_answers(raw, len(raw), FRAME) == (({"a": 1},), "")


def test_instructions_survive_the_pipe_also_with_bytes_that_are_no_utf_8() -> None:
    latin = b"/home/caf\xe9".decode("utf-8", "surrogateescape")
    request = LaunchRequest(
        case_id="a/b@local",
        attempt=2,
        argv=["x", "é", latin],
        env="deployment",
        scratch="/s",
        scheduler="local",
        where="login",
    )
    setup = Setup(
        folder="/f",
        envs={"deployment": {"FOO": latin, latin: "1"}},
        changes={"deployment": EnvironmentChange(set={"HOME": latin}, unset=["PYTHONPATH"])},
        schedulers={},
        local_cores=1,
        login_slots=4,
        machine_cores=2,
        python="/p",
        mark="run",
        job_token="t",
    )
    for given_ in (request, setup, Stop()):
        assert instruction(line(given_).rstrip(b"\n")) == given_


def test_the_seam_gives_payloads_what_their_scheduler_needs() -> None:
    from sdk_tests.schedulers.local import LocalKind

    kind: SchedulerKind = LocalKind(SchedulerSpec(kind="local"), {"ACCOUNT": "abc"})
    view = kind.view(1)
    assert {"kind", "queue", "account", "launcher", "launcher_flags", "poll", "exclusive", "directives"} <= view.keys()
    assert view["kind"] == "local"
