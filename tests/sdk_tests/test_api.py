"""The interface for people who write cases: its names and signatures change only with the major version."""

from __future__ import annotations

import dataclasses
import inspect
from typing import get_args

import pytest

import sdk_tests
from sdk_tests import api

EXPORTED = ["EVERY", "Case", "Fixture", "Outcome", "Where", "case"]

ARGUMENTS_OF_CASE = {
    "payload": inspect.Parameter.empty,
    "component": inspect.Parameter.empty,
    "name": None,
    "variants": None,
    "tier": "integration",
    "schedulers": ("*",),
    "partners": (),
    "params": None,
    "needs": (),
    "fixture": None,
}
"""The arguments of ``case`` with their defaults; further arguments are fields of ``Case``."""

FIELDS_OF_CASE = (
    *("component", "name", "payload", "partners", "variant", "schedulers", "nodes", "tier", "where", "params", "jobs"),
    *("cores", "gpus", "walltime", "total", "answer", "xfail", "broken_on", "versions", "needs", "fixture"),
    "payload_file",
)

FIELDS_OF_FIXTURE = ("name", "payload", "params", "start", "walltime", "jobs", "cores", "payload_file")

FIELDS_OF_OUTCOME = ("case", "case_id", "scheduler", "answer", "exit_code", "nodes", "job_ids", "tail", "params")


def test_the_interface_exports_exactly_these_names() -> None:
    assert sorted(api.__all__) == sorted(EXPORTED)
    assert sorted(sdk_tests.__all__) == sorted(EXPORTED)


@pytest.mark.parametrize("name", EXPORTED)
def test_the_package_exports_the_same_objects(name: str) -> None:
    assert getattr(sdk_tests, name) is getattr(api, name)


def test_another_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = sdk_tests.no_such_name


def test_the_arguments_of_case_and_their_defaults() -> None:
    parameters = dict(inspect.signature(api.case).parameters)
    rest = parameters.pop("rest")
    assert rest.kind is inspect.Parameter.VAR_KEYWORD
    assert {name: parameter.default for name, parameter in parameters.items()} == ARGUMENTS_OF_CASE
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(
    ("model", "names"), [(api.Case, FIELDS_OF_CASE), (api.Fixture, FIELDS_OF_FIXTURE), (api.Outcome, FIELDS_OF_OUTCOME)]
)
def test_the_fields_of_the_models(model: type, names: tuple[str, ...]) -> None:
    assert tuple(field.name for field in dataclasses.fields(model)) == names


def test_the_values_that_a_case_may_use() -> None:
    assert api.EVERY == ("*",)
    assert get_args(api.Where) == ("login", "allocation", "job", "control")


def test_a_declared_case_is_attached_to_its_function() -> None:
    @api.case(payload="control/hello.py", component="parsl", walltime=5.0, variants={"n=1": {"n": 1}, "n=2": {"n": 2}})
    def judge(outcome: api.Outcome) -> None:
        assert outcome.answer

    cases: tuple[api.Case, ...] = judge.exaworks_cases  # type: ignore[attr-defined]
    assert [each.case_id("slurm") for each in cases] == ["parsl/hello:n=1@slurm", "parsl/hello:n=2@slurm"]
    assert {each.walltime for each in cases} == {5.0}
