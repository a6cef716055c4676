"""Logs of a search's Jobs: bounded, without secrets, the search's own, and a silent cluster is no error."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, ClassVar

import azure.functions as func
import pytest

from shared import responses
from shared.domain.callback import callback_token
from shared.domain.errors import PermanentError, TransientError
from shared.domain.schedule import ClusterRow
from shared.domain.search import Search
from shared.domain.search_logs import MOST_BYTES, MOST_JOBS
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import JOB_ID, Json, ago, job_id, put_search
from triggers import logs

DOWN = TransientError("kube_unreachable", "the cluster did not answer for list of pods")


@pytest.fixture(autouse=True)
def signed_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests come from the development user, who may see everything."""
    monkeypatch.setattr(responses, "settings", lambda: world.settings)


def put_jobs(world: World, states: list[str], **fields: Any) -> Search:
    """A search that has Jobs in these states, each with a pod that wrote ``from <name>``."""
    names = [f"blastn-{number}" for number in range(len(states))]
    jobs = [
        {"name": name, "shard": number, "batch": 0, "state": state}
        for number, (name, state) in enumerate(zip(names, states, strict=True))
    ]
    search = put_search(world, **({"phase": Phase.RUNNING, "jobs": tuple(jobs)} | fields))
    for name in names:
        put_pod_of(world, name)
    return search


def put_pod_of(world: World, job: str, text: str | None = None, *, name: str = "", created: float = 10) -> Json:
    """A pod of a Job, with what it wrote."""
    labels = {"elb-job-id": JOB_ID, "job-name": job}
    name = name or f"{job}-pod"
    metadata: Json = {"name": name, "labels": labels, "creationTimestamp": ago(created).isoformat()}
    status = {"phase": "Running", "containerStatuses": [{"name": "blast", "state": {}}]}
    world.cluster.logs[name] = f"from {job}\n" if text is None else text
    return world.cluster.put("pods", {"metadata": metadata, "spec": {}, "status": status})


def ask(world: World, **params: str) -> tuple[int, Json]:
    """Status and body."""
    headers = {"Host": "localhost:7071"}
    request = func.HttpRequest(
        "GET", "http://localhost:7071/api", headers=headers, route_params={"id": JOB_ID}, params=params, body=b""
    )
    answer = logs.show_logs(request)
    body: Json = json.loads(answer.get_body())
    return answer.status_code, body


class TestTails:
    def test_one_per_job_with_what_is_known_of_it(self, world: World) -> None:
        put_jobs(world, ["running", "failed"])
        status, body = ask(world)
        assert (status, body["jobs_total"], body["truncated"]) == (200, 2, False)
        assert (body["stale"], body["stale_reason"]) == (False, None)
        assert body["observed_at"] is not None
        assert body["items"] == [
            {
                "job": name, "shard": shard, "batch": 0, "state": state, "pod": f"{name}-pod", "container": "blast",
                "source": "pod", "reason": None, "text": f"from {name}\n", "truncated": False,
            }
            for name, shard, state in (("blastn-1", 1, "failed"), ("blastn-0", 0, "running"))
        ]  # fmt: skip

    def test_of_one_job_by_its_name(self, world: World) -> None:
        put_jobs(world, ["running", "failed"])
        assert [item["job"] for item in ask(world, job="blastn-0")[1]["items"]] == ["blastn-0"]

    def test_of_the_newest_pod(self, world: World) -> None:
        put_jobs(world, ["running"])
        put_pod_of(world, "blastn-0", "the first try\n", name="older", created=99)
        assert [item["text"] for item in ask(world)[1]["items"]] == ["from blastn-0\n"]

    def test_of_every_container_by_its_name(self, world: World) -> None:
        put_jobs(world, ["running"])
        pod = world.cluster.objects["pods"]["blastn-0-pod"]
        pod["spec"]["containers"] = [{"name": "blast"}, {"name": "results-export"}]
        waiting = {"waiting": {"reason": "PodInitializing"}}
        pod["status"]["initContainerStatuses"] = [{"name": "import", "state": {}}]
        pod["status"]["containerStatuses"] = [
            {"name": "blast", "state": {}},
            {"name": "results-export", "state": waiting},
        ]
        world.cluster.logs = {"blastn-0-pod/import": "fetched\n", "blastn-0-pod/blast": "searching\n"}
        items = ask(world)[1]["items"]
        assert [(item["container"], item["text"]) for item in items] == [
            ("import", "fetched\n"),
            ("blast", "searching\n"),
            ("results-export", ""),
        ]
        assert items[2]["reason"] == "the container has not begun: PodInitializing"

    def test_a_pod_that_waits_says_for_what(self, world: World) -> None:
        put_jobs(world, ["pending"])
        message = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
        world.cluster.objects["pods"]["blastn-0-pod"]["status"] = {"phase": "Pending", "conditions": [message]}
        [item] = ask(world)[1]["items"]
        assert (item["source"], item["reason"]) == ("none", "the pod has not begun: Unschedulable: 0/3 nodes")

    def test_a_search_without_jobs_has_none(self, world: World) -> None:
        put_search(world)
        assert ask(world)[1]["items"] == []
        assert world.cluster.calls == {}


@pytest.mark.proves("Q4")
class TestLimits:
    @pytest.mark.parametrize(("tail", "lines"), [(None, 100), ("1", 1), ("1000", 1000)])
    def test_so_many_lines(self, world: World, tail: str | None, lines: int) -> None:
        put_jobs(world, ["running"])
        world.cluster.logs["blastn-0-pod"] = "".join(f"{number}\n" for number in range(2000))
        [item] = ask(world, **({"tail": tail} if tail else {}))[1]["items"]
        assert item["text"].splitlines() == [str(number) for number in range(2000 - lines, 2000)]
        assert item["truncated"]

    @pytest.mark.parametrize("tail", ["0", "1001", "-1", "x", "", "1e2", "\u0661"])
    def test_other_numbers_are_refused(self, world: World, tail: str) -> None:
        put_jobs(world, ["running"])
        status, body = ask(world, tail=tail)
        assert (status, body["error"]["code"]) == (400, "invalid_tail")

    def test_so_many_bytes(self, world: World) -> None:
        put_jobs(world, ["running"])
        world.cluster.logs["blastn-0-pod"] = ("x" * 999 + "\n") * 900
        [item] = ask(world, tail="1000")[1]["items"]
        assert MOST_BYTES - 1000 < len(item["text"]) <= MOST_BYTES
        assert item["truncated"]

    @pytest.mark.parametrize(("jobs", "truncated"), [(MOST_JOBS, False), (MOST_JOBS + 1, True)])
    def test_so_many_jobs(self, world: World, jobs: int, truncated: bool) -> None:
        put_jobs(world, ["running"] * (jobs - 1) + ["failed"])
        _, body = ask(world)
        assert (body["jobs_total"], body["truncated"]) == (jobs, truncated)
        assert len(body["items"]) == MOST_JOBS == world.cluster.calls["log pods"]
        assert body["items"][0]["state"] == "failed"


@pytest.mark.proves("Q2")
class TestIsolation:
    @pytest.mark.parametrize("name", ["blastn-of-bob", "", "blastn-0-pod", "x)", "blastn-0,blastn-of-bob", "\udc80"])
    def test_only_jobs_of_the_search_are_read(self, world: World, name: str) -> None:
        put_jobs(world, ["running"])
        put_pod_of(world, "blastn-of-bob")
        status, body = ask(world, job=name)
        assert (status, body["error"]["code"]) == (404, "log_not_found")
        assert world.cluster.calls == {}

    def test_a_pod_that_only_bears_the_label_is_somebody_elses(self, world: World) -> None:
        put_jobs(world, ["running"])
        put_pod_of(world, "blastn-0", "secret\n", name="newer", created=1)
        owners = [{"kind": "Job", "name": "job-of-bob"}]
        world.cluster.objects["pods"]["newer"]["metadata"]["ownerReferences"] = owners
        assert [item["pod"] for item in ask(world)[1]["items"]] == ["blastn-0-pod"]

    def test_no_secret_is_shown(self, world: World) -> None:
        token = callback_token("secret", JOB_ID)
        put_jobs(world, ["running"])
        world.cluster.logs["blastn-0-pod"] = f"GET https://a.net/c/b?se=1&sig=abc\n{token}\n"
        [item] = ask(world)[1]["items"]
        assert item["text"] == "GET https://a.net/c/b?***\n***\n"


class TestNoPods:
    ERROR: ClassVar[Json] = {"code": "bad_query", "message": "m", "hint": "h", "job": "blastn-1", "exit_code": 1}

    def test_the_stored_lines_of_the_failed_one_are_shown_and_said_to_be_so(self, world: World) -> None:
        error = {**self.ERROR, "log_tail": "Query is Empty! https://a.net/b?sig=abc\n"}
        put_jobs(world, ["succeeded", "failed"], phase=Phase.FAILED, error=error)
        world.cluster.objects["pods"].clear()
        _, body = ask(world)
        assert [(item["job"], item["source"], item["reason"]) for item in body["items"]] == [
            ("blastn-1", "stored", "its pods are gone"),
            ("blastn-0", "none", "its pods are gone"),
        ]
        assert body["items"][0]["text"] == "Query is Empty! https://a.net/b?***\n"
        assert not body["stale"]

    @pytest.mark.parametrize("error", [DOWN, PermanentError("kube_refused", "you may not")])
    @pytest.mark.parametrize("where", [("list", "pods"), ("log", "blastn-0-pod")])
    def test_a_cluster_that_does_not_answer_makes_it_stale(
        self, world: World, error: Any, where: tuple[str, str]
    ) -> None:
        put_jobs(world, ["running"])
        world.cluster.errors[where] = error
        status, body = ask(world)
        assert (status, body["stale"], body["stale_reason"]) == (200, True, error.message)
        assert [(item["source"], item["reason"]) for item in body["items"]] == [("none", "the cluster cannot be asked")]

    @pytest.mark.proves("C4")
    def test_one_that_is_known_not_to_answer_is_not_asked(self, world: World) -> None:
        search = put_jobs(world, ["running"])
        seen, since = ago(100), ago(50)
        world.clusters.rows[search.cluster.key] = ClusterRow(
            seen_at=seen, unreachable_since=since, unreachable_reason="it does not answer"
        )
        _, body = ask(world)
        assert (body["stale"], body["stale_reason"]) == (True, "it does not answer")
        assert world.cluster.calls == {}

    def test_at_the_first_silence_the_rest_is_left(self, world: World) -> None:
        put_jobs(world, ["running"] * 20)
        for number in range(20):
            world.cluster.errors["log", f"blastn-{number}-pod"] = DOWN
        _, body = ask(world)
        assert body["stale"]
        assert len(body["items"]) == 20
        assert world.cluster.calls["log pods"] < 20

    def test_the_row_of_another_search_changes_nothing(self, world: World) -> None:
        put_search(world, job_id(2), jobs=({"name": "blastn-9", "state": "running"},))
        put_jobs(world, ["running"])
        assert ask(world, job="blastn-9")[0] == 404
        assert replace(world.searches.find(JOB_ID)).jobs != ()
