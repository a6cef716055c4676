"""What a search costs: seconds that were observed, at a price that was set; and what is not known before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain.cost import planned_cost, run_seconds, search_cost
from shared.domain.snapshot import ContainerView, PodView, read_pod

START = datetime(2026, 1, 1, tzinfo=UTC)


def pod(*containers: ContainerView) -> PodView:
    return PodView("p", "Succeeded", "n", {}, START, False, "j", frozenset(), containers)


def ran(seconds: float, **fields: Any) -> ContainerView:
    return ContainerView("blast", started_at=START, finished_at=START + timedelta(seconds=seconds), **fields)


@pytest.mark.parametrize(
    ("pods", "seconds"),
    [
        ([], 0),
        ([pod()], 0),
        ([pod(ran(90))], 90),
        ([pod(ran(90)), pod(ran(30))], 120),
        ([pod(ran(90), ran(10))], 100),
        ([pod(ran(90, is_init=True))], 0),
        ([pod(ContainerView("blast", started_at=START))], 0),
        ([pod(ContainerView("blast", finished_at=START))], 0),
        ([pod(ran(-5))], 0),
    ],
    ids=["none", "no container", "one", "two pods", "two containers", "init", "still at it", "no begin", "backwards"],
)
def test_seconds_of_what_has_ended(pods: list[PodView], seconds: int) -> None:
    assert run_seconds(pods) == seconds


def test_times_are_those_of_the_api_server() -> None:
    ended = {"exitCode": 0, "startedAt": "2026-01-01T00:00:10Z", "finishedAt": "2026-01-01T00:01:10Z"}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": "blast", "state": {"terminated": ended}}]}
    assert run_seconds([read_pod({"metadata": {"name": "p"}, "status": status})]) == 60


@pytest.mark.parametrize(
    ("seconds", "cpus", "price", "usd"),
    [
        (3600, 1, 0.063, 0.063),
        (3600, 4, 0.063, 0.252),
        (100_000, 4, 0.063, 7.0),
        (1, 1, 0.063, 0.0),
        (58, 1, 0.063, 0.001),
    ],
)
def test_seconds_times_processors_times_price(seconds: int, cpus: int, price: float, usd: float) -> None:
    cost = search_cost(seconds, cpus, price)
    assert cost is not None
    assert cost["estimate_usd"] == usd
    for figure in (f"{seconds} s", f"{cpus} vCPU", f"{price:g} USD"):
        assert figure in cost["assumptions"]


@pytest.mark.parametrize(("seconds", "price"), [(0, 0.063), (100, 0.0), (0, 0.0)])
def test_nothing_is_said_without_a_price_or_a_job_that_has_ended(seconds: int, price: float) -> None:
    assert search_cost(seconds, 4, price) is None


@pytest.mark.parametrize(
    ("jobs", "price", "reason"), [(8, 0.063, "2.02 USD"), (None, 0.063, "can be asked"), (8, 0.0, "ELB_VCPU_HOUR_USD")]
)
def test_no_figure_is_made_up_for_what_has_not_run(jobs: int | None, price: float, reason: str) -> None:
    estimate = planned_cost(jobs, 4, price)
    assert (estimate["jobs"], estimate["usd"]) == (jobs, None)
    assert reason in estimate["assumptions"]
