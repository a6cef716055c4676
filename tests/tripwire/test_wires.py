"""Which requests a tripwire meets."""

from __future__ import annotations

import pytest

from local.tripwire.calls import Call
from local.tripwire.wires import Scope, Tripwire, reset

JOB = "job-01a2001c7a95757ab99c392833f2e6e1"
GET_NODES = Call("kubernetes", "GET", "/api/v1/nodes")


@pytest.mark.parametrize(
    ("wanted", "is_met"),
    [
        ({}, True),
        ({"service": "kubernetes"}, True),
        ({"service": "arm"}, False),
        ({"method": "GET", "path": "/nodes$"}, True),
        ({"method": "POST"}, False),
        ({"path": "^/nodes"}, False),
        ({"body": "x"}, False),
        ({"pattern": "kubernetes GET /api/v1/nodes"}, True),
        ({"pattern": "kubernetes GET /api/v1"}, False),
    ],
)
def test_every_part_must_match(wanted: dict[str, str], is_met: bool) -> None:
    wire = Tripwire(reset(), **wanted)  # type: ignore[arg-type]
    assert wire.take(GET_NODES) is is_met
    assert wire.has_fired is is_met


@pytest.mark.parametrize(
    ("nth", "times", "met"),
    [(1, 1, [True, False, False]), (2, 1, [False, True, False]), (2, None, [False, True, True]), (4, 1, [False] * 3)],
)
def test_the_nth_is_met_so_many_times(nth: int, times: int | None, met: list[bool]) -> None:
    wire = Tripwire(reset(), nth=nth, times=times)
    assert [wire.take(GET_NODES) for _ in met] == met


def test_a_scope_lets_only_its_search_through() -> None:
    scope = Scope()
    wire, own = Tripwire(reset(), scope=scope), Call("blob", "PUT", f"/queries/{JOB}/query.fa")
    assert not wire.take(own)
    scope.job_id = JOB
    assert not wire.take(GET_NODES)
    assert wire.take(own)


def test_one_tripwire_may_wait_for_another() -> None:
    first = Tripwire(None, service="arm")
    second = Tripwire(reset(), service="kubernetes", after=first)
    assert not second.take(GET_NODES)
    assert first.take(Call("arm", "GET", "/"))
    assert second.take(GET_NODES)
    assert second.wait(0.1) is GET_NODES


def test_a_wait_for_nothing_says_what_did_not_come() -> None:
    with pytest.raises(TimeoutError, match="arm POST"):
        Tripwire(reset(), service="arm", method="POST").wait(0.01)
