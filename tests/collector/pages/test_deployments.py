"""A run with two deployments on the dashboard: each result shows which deployment it is of."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import pytest

from collector.status.waivers import SystemWaiver
from collector.store.names import CellName
from dashboard_client.schema import Deployment, Outcome, Record
from tests.collector.process import Collector
from tests.collector.samples import closing, manifest, record

PIP, SPACK = (
    Deployment(name="release 2026.11", kind="venv", digest="a" * 64),
    Deployment(name="spack 2026.11", kind="spack", digest="b" * 64),
)
CASES = ["control/hello@slurm", "parsl/hello@slurm", "parsl/hello@slurm/in:spack", "flux+psij/hello@slurm/2n/in:spack"]


def of(case_id: str, outcome: Outcome = Outcome.PASS) -> Record:
    result = record("two-1", case_id, outcome)
    deployment = SPACK if case_id.endswith("/in:spack") else PIP
    return msgspec.structs.replace(result, stack=msgspec.structs.replace(result.stack, deployment=deployment))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    served = Collector(tmp_path_factory.mktemp("two"))
    served.open(manifest("two-1", CASES, deployments=[PIP, SPACK]))
    results = [of(CASES[0]), of(CASES[1]), of(CASES[2], Outcome.FAIL), of(CASES[3])]
    assert served.add(*results).ok
    served.close("two-1", closing(4, exit_code=1))
    yield served
    assert served.stop() == 0


@pytest.mark.parametrize("page", ["/", "/runs/ornl/frontier/two-1", "/systems/ornl/frontier"])
def test_a_page_shows_the_results_of_each_deployment_by_itself(shown: Collector, page: str) -> None:
    text = shown.get(page).text
    assert "parsl in spack" in re.sub("<[^>]*>", "", text)


def test_the_page_of_a_run_names_both_deployments_and_that_of_a_record_its_own(shown: Collector) -> None:
    run = shown.get("/runs/ornl/frontier/two-1").text
    assert PIP.name in run
    assert SPACK.name in run
    page = shown.get(f"/records/{of(CASES[2]).record_id}").text
    assert SPACK.name in page
    assert PIP.name not in page


def test_a_waiver_for_a_case_covers_it_in_every_deployment() -> None:
    fields = {"reason": "known", "owner": None, "expires": None, "source": "site file"}
    waiver = SystemWaiver("ornl", "frontier", "parsl/hello@slurm", **fields)  # type: ignore[arg-type]
    assert [waiver.covers("ornl", "frontier", case_id) for case_id in CASES] == [False, True, True, False]
    of_one = SystemWaiver("ornl", "frontier", "*/in:spack", **fields)  # type: ignore[arg-type]
    assert [of_one.covers("ornl", "frontier", case_id) for case_id in CASES] == [False, False, True, True]


@pytest.mark.parametrize(
    ("case_id", "scheduler", "subject"),
    [
        ("parsl/hello@slurm", "slurm", "flux+psij"),
        ("parsl/hello@slurm+flux/2n", "slurm+flux", "flux+psij"),
        ("parsl/hello@slurm+flux/2n/in:spack", "slurm+flux", "flux+psij+in spack"),
    ],
)
def test_a_cell_has_the_scheduler_without_the_deployment(case_id: str, scheduler: str, subject: str) -> None:
    row = CellName(case_id, "flux", ("psij",), "smoke").row(1)
    assert (row["scheduler"], row["subject"]) == (scheduler, subject)
