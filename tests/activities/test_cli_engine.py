"""Start, check and remove the submit helper, and what a look at the cluster makes of the command line's Jobs."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from activities.cli_engine import check_cli_submit, remove_cli_submit, start_cli_submit
from shared.clients.observer import look_at_cluster, take_snapshot
from shared.clients.orchestrations import DurableOrchestrations
from shared.domain.cli_engine import SHOWN_BYTES
from shared.domain.cli_manifest import helper_name
from shared.domain.cli_results import success_marker
from shared.domain.errors import NotFoundError, PermanentError, TransientError
from shared.domain.observation import Outcome
from shared.domain.results import RESULTS_CONTAINER
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import (
    CLUSTER,
    JOB_ID,
    Json,
    ago,
    job_id,
    put_job,
    put_node,
    put_search,
    ref,
    status_of,
)

HELPER = helper_name(JOB_ID)
BUSY = TransientError("kube_busy", "429")
ALIAS = "job-" + "ab" * 16


def put_openapi(world: World, phase: str = "Running") -> None:
    """The pod whose image and account the helper has."""
    world.cluster.put(
        "pods",
        {
            "metadata": {"name": "elb-openapi-1", "labels": {"app": "elb-openapi"}},
            "spec": {
                "serviceAccountName": "elb-openapi",
                "containers": [{"name": "api", "image": "acr.azurecr.io/elb-openapi:4.14"}],
            },
            "status": {"phase": phase},
        },
    )


def put_cli_search(world: World, **fields: Any) -> Search:
    """A search of the command line that is being submitted, on a cluster with elb-openapi and a node."""
    put_openapi(world)
    put_node(world, "node-a")
    put_node(world, "system", pool="system")
    return put_search(world, **({"engine": "cli", "phase": Phase.SUBMITTING} | fields))


def put_helper(world: World, state: str, log: str = "", waiting: Json | None = None, **metadata: Any) -> None:
    """The helper with one pod, as the API server has it."""
    labels = {"app": "elb-submit", "elb-job-id": JOB_ID}
    meta = {"name": HELPER, "labels": labels} | metadata
    world.cluster.put("jobs", {"metadata": meta, "spec": {}, "status": status_of(state)})
    phases = {"succeeded": "Succeeded", "failed": "Failed", "running": "Pending" if waiting else "Running"}
    statuses = [{"name": "submit", "state": {"waiting": waiting} if waiting else {}}]
    world.cluster.put(
        "pods",
        {
            "metadata": {"name": "helper-pod", "labels": {**labels, "job-name": HELPER}},
            "spec": {},
            "status": {"phase": phases[state], "containerStatuses": statuses},
        },
    )
    world.cluster.logs["helper-pod"] = log


class TestStart:
    def test_the_helper_has_image_account_and_configuration(self, world: World) -> None:
        search = put_cli_search(world)
        assert start_cli_submit(ref(search, parallel=False)) == {"helper": HELPER}
        made = world.cluster.objects["jobs"][HELPER]["spec"]["template"]["spec"]
        assert made["serviceAccountName"] == "elb-openapi"
        (container,) = made["containers"]
        assert container["image"] == "acr.azurecr.io/elb-openapi:4.14"
        env = {entry["name"]: entry["value"] for entry in container["env"]}
        assert env["ELB_PARALLEL_WARM_REUSE"] == "0"
        for line in (
            "name = cluster",
            "num-nodes = 1",
            "program = blastn",
            "db = https://store.blob.core.windows.net/blast-db/db/db",
            f"queries = https://store.blob.core.windows.net/queries/{JOB_ID}/query.fa",
            "results = https://store.blob.core.windows.net/results",
            "options = -outfmt '6 qseqid sseqid bitscore' -evalue 10 -max_target_seqs 500 -task megablast",
            "batch-len = 20",
            "mem-request = 2G",
            "mem-limit = 8G",
        ):
            assert line in env["ELB_SUBMIT_CONFIG"].splitlines()

    def test_twice_is_the_same_job(self, world: World) -> None:
        search = put_cli_search(world)
        assert start_cli_submit(ref(search)) == start_cli_submit(ref(search))
        assert world.cluster.names("jobs") == [HELPER]

    def test_a_further_helper_and_a_further_attempt_have_names_of_their_own(self, world: World) -> None:
        search = put_cli_search(world, attempt=2)
        assert start_cli_submit(ref(search, number=2)) == {"helper": f"{HELPER}-a2-t2"}

    @pytest.mark.proves("S8")
    @pytest.mark.parametrize("phase", ["", "Pending"])
    def test_no_running_elb_openapi_pod(self, world: World, phase: str) -> None:
        search = put_cli_search(world)
        world.cluster.objects["pods"].clear()
        if phase:
            put_openapi(world, phase)
        error = start_cli_submit(ref(search))["error"]
        assert error["code"] == "openapi_missing"
        assert "POST /api/aks/openapi/deploy" in error["message"]
        assert world.cluster.names("jobs") == []

    def test_one_that_is_still_being_deleted_is_waited_for(self, world: World) -> None:
        search = put_cli_search(world)
        put_helper(world, "succeeded", deletionTimestamp="2026-01-01T00:00:00Z")
        with pytest.raises(TransientError, match="still going"):
            start_cli_submit(ref(search))

    def test_one_that_has_gone_since_it_was_in_the_way_is_made_anew(self, world: World) -> None:
        search = put_cli_search(world)
        put_helper(world, "running")
        world.cluster.fail("get", HELPER, NotFoundError("kube_not_found", "gone"))
        with pytest.raises(TransientError, match="still going"):
            start_cli_submit(ref(search))

    @pytest.mark.parametrize("labels", [{}, {"app": "elb-submit", "elb-job-id": "job-2"}, {"elb-job-id": JOB_ID}])
    def test_somebody_elses_job_is_not_taken_for_ours(self, world: World, labels: Json) -> None:
        search = put_cli_search(world)
        put_helper(world, "running", labels=labels)
        with pytest.raises(PermanentError, match="somebody else") as caught:
            start_cli_submit(ref(search))
        assert caught.value.code == "job_name_taken"

    @pytest.mark.parametrize("fields", [{"cancel_requested_at": ago(1)}, {"phase": Phase.FAILED}])
    def test_nothing_for_a_search_that_is_cancelled_or_ended(self, world: World, fields: Json) -> None:
        assert start_cli_submit(ref(put_cli_search(world, **fields))) == {"helper": ""}
        assert world.cluster.names("jobs") == []


class TestCheck:
    def test_running(self, world: World) -> None:
        search = put_cli_search(world)
        put_helper(world, "running", "begun")
        seen = check_cli_submit(ref(search, with_log=True))
        assert (seen["state"], seen["error"]) == ("running", None)
        assert seen["log"] == "pod helper-pod: phase Running\nbegun"

    def test_a_log_is_kept_out_of_the_history_unless_it_is_wanted(self, world: World) -> None:
        search = put_cli_search(world)
        put_helper(world, "running", "begun")
        assert "begun" not in json.dumps(check_cli_submit(ref(search)))

    def test_stuck_with_a_denied_image(self, world: World) -> None:
        search = put_cli_search(world)
        put_helper(world, "running", waiting={"reason": "ImagePullBackOff", "message": "401 Unauthorized"})
        seen = check_cli_submit(ref(search))
        assert (seen["state"], seen["reasons"]) == ("stuck", ["ImagePullBackOff: 401 Unauthorized"])

    def test_succeeded_under_another_id(self, world: World) -> None:
        search = put_cli_search(world)
        put_helper(world, "succeeded", f"search id {ALIAS}\nEXIT_CODE=0\n")
        seen = check_cli_submit(ref(search))
        assert (seen["state"], seen["alias"]) == ("succeeded", ALIAS)

    def test_the_id_of_somebodys_search_is_no_alias(self, world: World) -> None:
        search = put_cli_search(world)
        put_search(world, job_id(77), owner="bob")
        put_helper(world, "succeeded", f"another search {job_id(77)} runs\nEXIT_CODE=0\n")
        assert check_cli_submit(ref(search))["alias"] == ""

    @pytest.mark.proves("S7")
    def test_a_missing_marker_is_warned_of_with_the_byte_count(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        search = put_cli_search(world)
        put_helper(world, "succeeded", "x" * 1234)
        with caplog.at_level(logging.INFO, "elb"):
            seen = check_cli_submit(ref(search))
        assert (seen["state"], seen["code"]) == ("failed", 6)
        (warning,) = [json.loads(r.message) for r in caplog.records if r.levelno == logging.WARNING]
        assert (warning["event"], warning["bytes"], warning["job"]) == ("cli_exit_marker_missing", 1234, HELPER)

    @pytest.mark.proves("S7")
    def test_a_log_of_2_mb_with_the_marker_last(self, world: World) -> None:
        search = put_cli_search(world)
        put_helper(world, "failed", "n" * 2_000_000 + "\nEXIT_CODE=2\n")
        seen = check_cli_submit(ref(search))
        assert (seen["state"], seen["code"], seen["error"]["code"]) == ("failed", 2, "bad_database")
        assert len(seen["error"]["log_tail"].encode()) == SHOWN_BYTES

    def test_removed_by_somebody(self, world: World) -> None:
        seen = check_cli_submit(ref(put_cli_search(world)))
        assert (seen["state"], seen["may_try_again"]) == ("gone", True)

    def test_the_helper_of_the_number_that_is_asked_for(self, world: World) -> None:
        search = put_cli_search(world)
        put_helper(world, "failed", "EXIT_CODE=8")
        start_cli_submit(ref(search, number=2))
        assert check_cli_submit(ref(search, number=1))["state"] == "failed"
        assert check_cli_submit(ref(search, number=2))["state"] == "running"

    def test_a_log_that_cannot_be_read_now_is_no_end(self, world: World) -> None:
        search = put_cli_search(world)
        put_helper(world, "succeeded", "EXIT_CODE=0")
        world.cluster.fail("log", "helper-pod", BUSY)
        with pytest.raises(TransientError):
            check_cli_submit(ref(search))

    def test_what_the_row_says_comes_first(self, world: World) -> None:
        search = put_cli_search(world, cancel_requested_at=ago(1))
        put_helper(world, "succeeded", "EXIT_CODE=0")
        assert check_cli_submit(ref(search)) == {"state": "cancelled"}
        assert check_cli_submit(ref(put_cli_search(world, phase=Phase.FAILED))) == {"state": "ended"}
        assert check_cli_submit({**ref(search), "job_id": job_id(5)}) == {"state": "missing"}


class TestRemove:
    def test_every_helper_of_the_search_and_nobody_elses(self, world: World) -> None:
        search, other = put_cli_search(world), put_cli_search(world, job_id=job_id(9))
        for number in (1, 2):
            start_cli_submit(ref(search, number=number))
        start_cli_submit(ref(other))
        put_job(world, search, 0)
        left = {*world.cluster.names("jobs")} - {HELPER, f"{HELPER}-t2"}
        assert sorted(remove_cli_submit(ref(search))["deleted"]) == [HELPER, f"{HELPER}-t2"]
        assert {*world.cluster.names("jobs")} == left

    def test_twice_is_fine(self, world: World) -> None:
        search = put_cli_search(world)
        start_cli_submit(ref(search))
        remove_cli_submit(ref(search))
        assert remove_cli_submit(ref(search)) == {"deleted": []}


class TestLookAtTheCluster:
    def look(self, world: World, search: Search) -> Outcome:
        world.clusters.set(CLUSTER, observed_at=None, previous_look_at=None)
        assert look_at_cluster(search.cluster, DurableOrchestrations(world.durable)).taken
        return Outcome(world.searches.get(search.owner, search.job_id).outcome or Outcome.RUNNING)

    def submitted(self, world: World) -> Search:
        search = put_cli_search(world, phase=Phase.RUNNING, jobs_created_at=ago(60))
        for shard in range(2):
            put_job(world, search, shard, "succeeded")
        return search

    def test_done_after_two_lists_in_a_row_and_the_marker(self, world: World) -> None:
        search = self.submitted(world)
        assert [self.look(world, search) for _ in range(3)] == [Outcome.RUNNING] * 3
        world.store.blobs[RESULTS_CONTAINER, success_marker(search.job_id)] = b"SUCCESS\n"
        assert self.look(world, search) is Outcome.DONE
        assert world.searches.get(search.owner, search.job_id).all_succeeded_looks == 2

    def test_the_marker_alone_is_not_enough(self, world: World) -> None:
        search = self.submitted(world)
        world.store.blobs[RESULTS_CONTAINER, success_marker(search.job_id)] = b"SUCCESS\n"
        assert [self.look(world, search) for _ in range(2)] == [Outcome.RUNNING, Outcome.DONE]

    def test_the_marker_lies_under_the_alias(self, world: World) -> None:
        search = put_cli_search(world, phase=Phase.RUNNING, jobs_created_at=ago(60), aliases=(ALIAS,))
        put_job(world, search, 0, "succeeded", labels={"app": "blast", "elb-job-id": ALIAS})
        world.store.blobs[RESULTS_CONTAINER, success_marker(ALIAS)] = b"SUCCESS\n"
        assert [self.look(world, search) for _ in range(2)] == [Outcome.RUNNING, Outcome.DONE]

    def test_its_own_jobs_are_in_the_snapshot_and_the_helper_is_not(self, world: World) -> None:
        search = self.submitted(world)
        put_helper(world, "succeeded")
        labels = {"app": "finalizer", "elb-job-id": search.job_id}
        put_job(world, search, 9, "running", name="elb-finalizer-x", labels=labels)
        assert sorted(job.labels["app"] for job in take_snapshot(CLUSTER).jobs) == ["blast", "blast", "finalizer"]
        assert [self.look(world, search) for _ in range(3)] == [Outcome.RUNNING] * 3
