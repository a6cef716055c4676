"""A LIST in pages that breaks half-way: it begins again, or nothing is concluded from the half that came.

The client is the real one, in front of an API server that answers as a test says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from activities.observation import observe_cluster
from shared.clients.kube import KubeClient
from shared.clients.kube_credentials import KubeAccess
from shared.domain.schedule import staleness
from shared.domain.search import Search
from tests.activities.fakes import World
from tests.activities.worlds import CLUSTER, ago, put_job, put_running_search, ref
from tests.clients.wire import Rule, Wire

FIRST = r"/jobs\?(?!.*continue=)"
SECOND = r"/jobs\?.*continue="
FAULTS = {
    "500": {"status": 500, "body": b'{"kind":"Status","message":"etcdserver: request timed out"}'},
    "connection reset": {"status": 0},
    "410 expired": {"status": 410, "body": b'{"kind":"Status","reason":"Expired","message":"continue too old"}'},
    "403": {"status": 403, "body": b'{"kind":"Status","message":"jobs.batch is forbidden"}'},
    "no list": {"status": 200, "body": b"{}"},
    "cut": {"status": 200, "body": b'{"kind":"JobList","items":[{"metadata"'},
}


class HalfLists:
    """A search of two Jobs, both succeeded, each on a page of its own; its cluster, as the wire shows it."""

    def __init__(self, world: World, wire: Wire) -> None:
        self.world, self.wire = world, wire
        self.search = put_running_search(world)
        jobs = [put_job(world, self.search, shard, "succeeded") for shard in range(2)]
        self.pages = [_page("JobList", [jobs[0]], "second"), _page("JobList", [jobs[1]])]
        client = KubeClient(KubeAccess(wire.url, "", ""), "default", lambda: "token", timeout=(2, 2))
        world.kube = lambda cluster, *, patient=True: client  # type: ignore[assignment,method-assign,return-value]

    @contextmanager
    def serving(self, *faults: Rule) -> Iterator[None]:
        """What the API server answers, the faults first."""
        pages = [Rule("GET", path, 99, 200, body=page) for path, page in zip((FIRST, SECOND), self.pages, strict=True)]
        with self.wire.breaking(*faults, *pages, Rule("GET", "/pods", 99, 200, body=_page("PodList", []))):
            yield

    def look(self) -> str:
        """What the monitor is told by a look that is taken now."""
        return str(observe_cluster(ref(self.search, follow_up=False, max_age=0), self.world.durable)["state"])

    @property
    def row(self) -> Search:
        return self.world.searches.get(self.search.owner, self.search.job_id)


def _page(kind: str, items: list[Any], more: str = "") -> bytes:
    return json.dumps({"kind": kind, "metadata": {"continue": more} if more else {}, "items": items}).encode()


@pytest.fixture
def half(world: World) -> Iterator[HalfLists]:
    with Wire().serving() as wire:
        yield HalfLists(world, wire)


def test_both_pages_make_it_done(half: HalfLists) -> None:
    with half.serving():
        assert half.look() == "done"


@pytest.mark.proves("T5")
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", [FIRST, SECOND, "/pods"], ids=["first page", "second page", "pods"])
def test_a_lasting_fault_concludes_nothing(half: HalfLists, path: str, fault: str) -> None:
    with half.serving(Rule("GET", path, 99, **FAULTS[fault])):  # type: ignore[arg-type]
        assert half.look() == "active"
        assert half.look() == "active"
    assert (half.row.phase, half.row.progress, half.row.jobs) == (half.search.phase, half.search.progress, ())
    assert half.row.outcome == ""
    assert half.world.durable.woken == []
    row = half.world.clusters.read(CLUSTER)
    assert row.unreachable_since is not None
    assert staleness(row, ago(0))


@pytest.mark.proves("T5")
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", [SECOND, "/pods"], ids=["second page", "pods"])
def test_a_passing_fault_is_over_at_the_next_look(half: HalfLists, path: str, fault: str) -> None:
    with half.serving(Rule("GET", path, 1, **FAULTS[fault])):  # type: ignore[arg-type]
        first = half.look()
        half.world.clusters.set(CLUSTER, observed_at=ago(11))  # an unreachable cluster is probed every 10 s
        assert (first, half.look()) in (("active", "done"), ("done", "done"))
    assert staleness(half.world.clusters.read(CLUSTER), ago(0)) is None


@pytest.mark.parametrize("times", [1, 2])
def test_a_list_that_expires_begins_again_in_the_same_look(half: HalfLists, times: int) -> None:
    with half.serving(Rule("GET", SECOND, times, **FAULTS["410 expired"])), half.wire.watching() as seen:  # type: ignore[arg-type]
        assert half.look() == "done"
    pages = [each for each in seen if "/jobs?" in each.path]
    assert ["continue=" in each.path for each in pages] == [False, True] * (times + 1)
