"""Requests are offered to the limits in their order, and a look at many equal ones costs one offer."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from sdk_tests.execution.messages import LaunchRequest
from sdk_tests.execution.pending import PendingRequests

REQUESTS = st.lists(
    st.builds(
        lambda scheduler, where, nodes, cores, walltime, first, alone: LaunchRequest(
            case_id="a/b@c",
            attempt=1,
            argv=["true"],
            env="e",
            scratch="/s",
            scheduler=scheduler,
            where=where,
            nodes=nodes,
            cores=cores,
            walltime=walltime,
            first=first,
            alone=alone,
        ),
        *(st.sampled_from(("local", "slurm")), st.sampled_from(("login", "job", "allocation"))),
        *(st.integers(1, 2), st.integers(1, 3), st.sampled_from((30.0, 60.0)), st.booleans(), st.booleans()),
    ),
    max_size=30,
)


def pending(requests: Sequence[LaunchRequest]) -> PendingRequests:
    queue = PendingRequests(shares)
    queue.add(requests)
    return queue


def shares(request: LaunchRequest) -> bool:
    return request.where == "allocation" and not request.alone


def test_requests_that_share_an_allocation_count_as_long_as_all_of_them_together() -> None:
    def request(name: str, where: str, seconds: float, **rest: float) -> LaunchRequest:
        return LaunchRequest(
            case_id=name,
            attempt=1,
            argv=[],
            env="",
            scratch="",
            scheduler="slurm",
            where=where,
            walltime=seconds,
            **rest,
        )

    shared = [request(name, "allocation", 40.0) for name in "abc"]
    queue = pending([request("long", "job", 130.0), request("short", "job", 110.0), *shared])
    order: list[list[str]] = []
    queue.start(lambda offered: order.append([each.case_id for each in offered]) is None)
    assert order == [["long"], ["a", "b", "c"], ["short"]]


def test_what_took_long_in_earlier_runs_goes_before_what_may_take_long() -> None:
    def request(name: str, walltime: float, expected: float) -> LaunchRequest:
        return LaunchRequest(
            case_id=name,
            attempt=1,
            argv=[],
            env="",
            scratch="",
            scheduler="local",
            where="login",
            walltime=walltime,
            expected=expected,
        )

    queue = pending([request("may", 300.0, 20.0), request("does", 120.0, 85.0), request("unknown", 60.0, 0.0)])
    order: list[str] = []
    queue.start(lambda offered: order.append(offered[0].case_id) is None)
    assert order == ["does", "unknown", "may"]


@given(requests=REQUESTS)
def test_every_request_is_started_once_in_its_order(requests: list[LaunchRequest]) -> None:
    queue, started = pending(requests), list[LaunchRequest]()

    def start(offered: Sequence[LaunchRequest]) -> bool:
        started.extend(offered)
        return True

    queue.start(start)
    single = [request for request in started if not shares(request)]
    assert single == sorted((r for r in requests if not shares(r)), key=lambda r: (not r.first, -r.walltime))
    assert sorted(map(id, started)) == sorted(map(id, requests))
    assert queue.remove() == []


@given(requests=REQUESTS, data=st.data())
def test_a_refused_request_stays_and_none_that_is_offered_is_lost(
    requests: list[LaunchRequest], data: st.DataObject
) -> None:
    queue, started = pending(requests), list[LaunchRequest]()

    def start(offered: Sequence[LaunchRequest]) -> bool:
        admitted = data.draw(st.booleans())
        if admitted:
            started.extend(offered)
        return admitted

    queue.start(start)
    assert sorted(map(id, [*started, *queue.remove()])) == sorted(map(id, requests))


@given(requests=REQUESTS)
def test_one_refusal_holds_for_all_requests_that_the_limits_cannot_tell_apart(requests: list[LaunchRequest]) -> None:
    queue, offers = pending(requests), list[Sequence[LaunchRequest]]()

    def start(offered: Sequence[LaunchRequest]) -> bool:
        offers.append(offered)
        return False

    queue.start(start)
    kinds = [
        (r[0].scheduler, r[0].where, shares(r[0]) and r[0].nodes, shares(r[0]) or r[0].cores, r[0].alone)
        for r in offers
    ]
    assert len(kinds) == len(set(kinds))
    assert sorted(map(id, queue.remove())) == sorted(map(id, requests))


def test_what_is_added_while_requests_are_started_waits_for_the_next_time() -> None:
    one = LaunchRequest(
        case_id="a/b@c", attempt=1, argv=["true"], env="e", scratch="/s", scheduler="slurm", where="allocation"
    )
    queue, offers = pending([one]), list[Sequence[LaunchRequest]]()

    def start(offered: Sequence[LaunchRequest]) -> bool:
        offers.append(offered)
        queue.add(offered)  # the job was refused at once, and its requests are launched again
        return True

    queue.start(start)
    assert offers == [[one]]
    assert queue.remove() == [one]


def test_the_requests_of_one_scheduler_are_removed_and_the_others_stay() -> None:
    def request(scheduler: str) -> LaunchRequest:
        return LaunchRequest(
            case_id=f"a/b@{scheduler}", attempt=1, argv=["x"], env="e", scratch="/s", scheduler=scheduler, where="job"
        )

    queue = pending([request("slurm"), request("flux")])
    assert [each.scheduler for each in queue.remove("slurm")] == ["slurm"]
    assert [each.scheduler for each in queue.remove()] == ["flux"]
