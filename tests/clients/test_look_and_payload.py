"""A look knows a search by its columns; what it writes leaves the history of the steps, which lies in the payload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.clients.provider import AzureClients, use
from shared.clients.sightings import write_sightings
from shared.domain.search import Search
from shared.domain.snapshot import ClusterSnapshot, JobState, JobView
from shared.domain.states import Phase, StepName
from shared.domain.timeline import begin, finish
from tests.clients.conftest import Place
from tests.clients.support import T0, a_cluster, a_search


class NobodyToWake:
    """Orchestrations that need no waking here."""

    def wake(self, instance_id: str, event: str) -> None:
        """Nothing."""


@pytest.fixture
def running(place: Place) -> Iterator[Search]:
    """A search of two Jobs with a history of steps and a payload too long for a column."""
    clients = AzureClients(place.settings())
    with use(clients):
        search = a_search("anna", cluster=a_cluster(), phase=Phase.SUBMITTED, expected_jobs=2, jobs_created_at=T0)
        steps = finish(begin(search.steps, StepName.PREPARING, T0), StepName.PREPARING, T0, "said so")
        options = {"extra": "x" * 40_000}
        yield clients.searches.create(replace(search, steps=steps, options=options, plan={"shards": 2}))[0]


def snapshot(search: Search, *states: JobState) -> ClusterSnapshot:
    """What a look sees now."""

    def job(number: int, state: JobState) -> JobView:
        labels = {"app": "blast", "elb-job-id": search.job_id, "elb-attempt": "1", "shard": f"{number:02d}"}
        fields: dict[str, Any] = {
            "uid": f"u{number}",
            "labels": labels,
            "annotations": {},
            "created_at": datetime.now(UTC),
        }
        fields |= {"started_at": None, "completed_at": None, "deleting": False, "reason": "", "message": "", "node": ""}
        return JobView(name=f"job-{number}", active=int(state is JobState.RUNNING), state=state, **fields)

    return ClusterSnapshot(datetime.now(UTC), tuple(job(n, s) for n, s in enumerate(states)), ())


@pytest.mark.proves("F3")
class TestALook:
    def test_reads_no_payload_and_loses_none(self, place: Place, running: Search) -> None:
        clients = AzureClients(place.settings())
        with place.blob.watching() as blobs:
            copies = clients.searches.unfinished(running.cluster.key)
        assert not blobs
        assert [(copy.job_id, copy.cluster) for copy in copies] == [(running.job_id, running.cluster)]
        seen = snapshot(running, JobState.SUCCEEDED, JobState.PENDING)
        write_sightings(copies, seen, NobodyToWake(), "")  # type: ignore[arg-type]  # all that it needs
        after = clients.searches.get(running.owner, running.job_id)
        assert (after.phase, after.progress.succeeded) == (Phase.RUNNING, 1)
        assert after.options == running.options
        assert after.plan == running.plan
        preparing, *_ = after.steps
        assert (preparing.detail, preparing.completed_at) == ("said so", T0)
        assert next(step for step in after.steps if step.name is StepName.RUNNING).started_at is not None

    def test_that_sees_nothing_new_writes_nothing(self, place: Place, running: Search) -> None:
        clients = AzureClients(place.settings())
        seen = snapshot(running, JobState.SUCCEEDED, JobState.PENDING)
        for times in range(2):
            copies = clients.searches.unfinished(running.cluster.key)
            with place.table.watching() as requests:
                later = replace(seen, observed_at=seen.observed_at + timedelta(seconds=times))
                write_sightings(copies, later, NobodyToWake(), "")  # type: ignore[arg-type]  # all that it needs
            assert bool(requests) == (times == 0)
