"""One id in list, detail, labels, blobs and events; any other id by which others know a search leads to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import azure.functions as func
import pytest

from activities.cli_engine import register_cli_search
from activities.search_jobs import create_search_jobs
from shared import responses
from shared.clients.provider import use
from shared.domain.cli_manifest import helper_name
from shared.domain.external_results import external_manifest
from shared.domain.results import RESULTS_CONTAINER, published_blob
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.route_table import principal
from tests.activities.worlds import DB, Json, ago, new_world, put_running_search, put_search, put_warm_cluster, ref
from triggers import changes, jobs, results

pytestmark = pytest.mark.proves("T7")
OWNER = "dev@localhost"
ALIAS = "job-" + "ab" * 16
OTHER_ALIAS = "job-" + "cd" * 16


@pytest.fixture(autouse=True)
def app(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One user on loopback."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)


def ask(
    endpoint: Callable[..., func.HttpResponse],
    *client: Any,
    body: Json | None = None,
    headers: dict[str, str] | None = None,
    **route: str,
) -> Any:
    request = func.HttpRequest(
        "POST" if body is not None else "GET",
        "http://localhost:7071/api",
        headers={"Host": "localhost:7071"} | (headers or {}),
        route_params=route,
        body=json.dumps(body or {}).encode(),
    )
    return endpoint(request, *client)


@pytest.fixture
def search(world: World) -> Search:
    """A completed search of the command line, which knows it by two other ids."""
    made = put_search(world, owner=OWNER, engine="cli", phase=Phase.RUNNING, jobs_created_at=ago(60))
    for alias in (ALIAS, OTHER_ALIAS):
        register_cli_search(ref(made, alias=alias))
    file = {"name": "results.tsv", "size": 5, "sha256": "0" * 64, "content_type": "text/csv"}
    manifest = external_manifest(made, [file], ago(0))
    world.store.blobs[RESULTS_CONTAINER, published_blob(made.job_id, "manifest.json")] = json.dumps(manifest).encode()
    world.store.blobs[RESULTS_CONTAINER, published_blob(made.job_id, "results.tsv")] = b"a row"
    return made


def in_phase(world: World, search: Search, phase: Phase) -> Search:
    return world.searches.put(replace(world.searches.get(search.owner, search.job_id), phase=phase))


@pytest.mark.parametrize("name", ["its own", ALIAS, OTHER_ALIAS])
class TestEveryIdLeadsToIt:
    @pytest.fixture
    def any_id(self, search: Search, name: str) -> str:
        return search.job_id if name == "its own" else name

    def test_detail(self, world: World, search: Search, any_id: str) -> None:
        shown = json.loads(ask(jobs.show_search, world.durable, id=any_id).get_body())
        assert (shown["job_id"], shown["aliases"]) == (search.job_id, [ALIAS, OTHER_ALIAS])

    def test_results(self, world: World, search: Search, any_id: str) -> None:
        in_phase(world, search, Phase.COMPLETED)
        answer = ask(results.show_results, id=any_id)
        (file,) = json.loads(answer.get_body())["manifest"]
        assert file["url"] == f"/api/blast/jobs/{search.job_id}/results/results.tsv"
        assert ask(results.download_result, id=any_id, name="results.tsv").get_body() == b"a row"

    def test_cancel_and_events(self, world: World, search: Search, any_id: str) -> None:
        answer = ask(changes.cancel_search, world.durable, body={}, id=any_id)
        assert (answer.status_code, json.loads(answer.get_body())["job_id"]) == (202, search.job_id)
        assert world.searches.get(OWNER, search.job_id).phase is Phase.CANCELLING
        assert list(world.events.events) == [search.job_id]
        events = json.loads(ask(changes.show_events, id=any_id).get_body())["items"]
        assert [event["kind"] for event in events] == ["cancel_requested"]

    def test_retry(self, world: World, search: Search, any_id: str) -> None:
        in_phase(world, search, Phase.FAILED)
        answer = ask(changes.retry_search, world.durable, body={}, id=any_id)
        assert (answer.status_code, json.loads(answer.get_body())["job_id"]) == (202, search.job_id)
        assert world.searches.get(OWNER, search.job_id).attempt == 2

    def test_delete(self, world: World, search: Search, any_id: str) -> None:
        in_phase(world, search, Phase.COMPLETED)
        answer = ask(changes.delete_search, world.durable, body={}, id=any_id)
        assert (answer.status_code, json.loads(answer.get_body())["job_id"]) == (202, search.job_id)
        assert world.searches.get(OWNER, search.job_id).phase is Phase.DELETING


def test_the_list_has_it_once(world: World, search: Search) -> None:
    items = json.loads(ask(jobs.list_searches, world.durable).get_body())["items"]
    assert [(item["job_id"], item["aliases"]) for item in items] == [(search.job_id, [ALIAS, OTHER_ALIAS])]


def test_an_id_that_nobody_has_leads_nowhere(world: World, search: Search) -> None:
    assert search.aliases == ()
    for unknown in ("job-" + "ef" * 16, ALIAS[:-1], ALIAS + "0", search.job_id[:-1]):
        assert ask(jobs.show_search, world.durable, id=unknown).status_code == 404


def test_an_alias_of_somebody_elses_search_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in = new_world(AUTH_MODE="easyauth", WEBSITE_AUTH_ENABLED="True")
    monkeypatch.setattr(responses, "settings", lambda: signed_in.settings)
    with use(signed_in):
        theirs = put_running_search(signed_in, 7, owner="bert", engine="cli")
        register_cli_search(ref(theirs, alias=ALIAS))
        routes: list[tuple[Any, list[Any]]] = [(jobs.show_search, [signed_in.durable]), (results.show_results, [])]
        routes += [(changes.show_events, []), (changes.cancel_search, [signed_in.durable])]
        for endpoint, client in routes:
            assert ask(endpoint, *client, headers=principal("anna"), body={}, id=ALIAS).status_code == 404
            assert ask(endpoint, *client, headers=principal("bert"), body={}, id=ALIAS).status_code != 404


def test_an_alias_belongs_to_the_first_search_that_has_it(world: World, search: Search) -> None:
    second = put_search(world, "job-" + "12" * 16, owner=OWNER, engine="cli", phase=Phase.RUNNING)
    register_cli_search(ref(second, alias=ALIAS))
    assert world.searches.get(OWNER, second.job_id).aliases == ()
    assert world.searches.find(ALIAS).job_id == search.job_id


def test_labels_names_and_blobs_carry_the_id(world: World) -> None:
    put_warm_cluster(world)
    made = put_search(world, phase=Phase.SUBMITTING, plan={"batches": 2})
    assert create_search_jobs(ref(made)) == {"jobs": 4}
    own = [job for job in world.cluster.objects["jobs"].values() if job["metadata"]["labels"]["app"] == "blast"]
    assert {job["metadata"]["labels"]["elb-job-id"] for job in own} == {made.job_id}
    assert len(own) == 4
    for job in own:
        template = job["spec"]["template"]
        env = {each["name"]: each["value"] for each in template["spec"]["containers"][0]["env"]}
        assert template["metadata"]["labels"]["elb-job-id"] == env["BLAST_ELB_JOB_ID"] == made.job_id
        assert f"/{made.job_id}/" in env["ELB_QUERY_URL"]
        assert f"/{made.job_id}/" in env["ELB_RESULT_URL"]
        assert f"/jobs/{made.job_id}/" in env["ELB_CALLBACK_URL"]
        assert DB in job["metadata"]["name"]
    assert made.job_id in helper_name(made.job_id, 1, 1)
