"""Call-backs that come too early, too often, for somebody else or with a wrong token: none of them ends a search."""

from __future__ import annotations

import azure.functions as func
import pytest

from activities.observation import observe_cluster
from shared import responses
from shared.domain.callback import callback_token
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import put_job, put_pod, put_running_search, ref
from triggers import jobs

pytestmark = pytest.mark.proves("F5")


@pytest.fixture(autouse=True)
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of the world."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)


@pytest.fixture
def search(world: World) -> Search:
    """Two Jobs, one succeeded, the other one at work."""
    made = put_running_search(world)
    put_job(world, made, 0, "succeeded")
    put_pod(world, put_job(world, made, 1, "running"), "Running")
    return made


def call(world: World, job_id: str, token: str) -> int:
    """Call back as a Job does."""
    request = func.HttpRequest(
        "POST",
        "http://localhost:7071/api/blast/jobs",
        headers={"Host": "localhost:7071", "X-Elb-Token": token},
        route_params={"id": job_id},
        body=b"",
    )
    return int(jobs.notify(request, world.durable).status_code)


def look(world: World, search: Search) -> str:
    return str(observe_cluster(ref(search, follow_up=True, max_age=0), world.durable)["state"])


def test_one_that_comes_before_its_job_has_ended(world: World, search: Search) -> None:
    """The pod calls while it still runs: its Job gets its condition only afterwards."""
    for _ in range(3):
        assert call(world, search.job_id, callback_token("secret", search.job_id)) == 202
        assert look(world, search) == "active"
        row = world.searches.get(search.owner, search.job_id)
        assert (row.phase, row.outcome, row.progress.succeeded) == (Phase.RUNNING, "", 1)
    put_job(world, search, 1, "succeeded")
    assert look(world, search) == "done"


def test_one_of_a_job_that_failed(world: World, search: Search) -> None:
    put_job(world, search, 1, "failed")
    assert call(world, search.job_id, callback_token("secret", search.job_id)) == 202
    assert look(world, search) == "failed"


def test_one_for_another_search(world: World, search: Search) -> None:
    """What is done wakes only its own, whatever it says."""
    done = put_running_search(world, 2, jobs=1)
    put_job(world, done, 0, "succeeded")
    assert call(world, search.job_id, callback_token("secret", done.job_id)) == 403
    assert world.durable.woken == []
    assert call(world, done.job_id, callback_token("secret", done.job_id)) == 202
    assert world.durable.woken == [f"monitor-{done.job_id}"]
    assert look(world, search) == "active"


@pytest.mark.parametrize("token", ["", "0" * 64, callback_token("another secret", "job")])
def test_one_with_a_wrong_token(world: World, search: Search, token: str) -> None:
    before = world.searches.get(search.owner, search.job_id)
    assert call(world, search.job_id, token) == 403
    assert world.searches.get(search.owner, search.job_id) == before
    assert world.durable.woken == []
    assert look(world, search) == "active"


@pytest.mark.parametrize("phase", [Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED, Phase.CANCELLING])
def test_one_after_the_end(world: World, phase: Phase) -> None:
    ended = put_running_search(world, phase=phase)
    assert call(world, ended.job_id, callback_token("secret", ended.job_id)) == 202
    assert world.searches.get(ended.owner, ended.job_id).phase is phase
