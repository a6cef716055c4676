"""May a search begin now? Not yet: for what, and how long at most. Never: why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from activities.admission import check_admission
from shared.clients.database_work import begin_release, leave_work
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import use
from shared.domain.database_work import RELEASE_LIFE
from shared.domain.errors import NotFoundError, PermanentError, TransientError
from shared.domain.states import ON_THE_CLUSTER, Phase
from tests.activities.fakes import World
from tests.activities.worlds import (
    CLUSTER,
    DB,
    Json,
    ago,
    job_id,
    new_world,
    put_database,
    put_file,
    put_node,
    put_search,
    put_warm_cluster,
    ref,
    status_of,
)


def admission(world: World) -> Json:
    """Ask for a search that was just submitted."""
    return check_admission(ref(put_search(world)))


class TestAdmitted:
    def test_a_warm_database_needs_no_warmup(self, world: World) -> None:
        put_warm_cluster(world)
        assert admission(world) == {"decision": "admit", "warm": True, "layout": 2}

    def test_a_cold_database_that_fits_is_warmed_first(self, world: World) -> None:
        put_database(world)
        put_node(world, "node-a")
        assert admission(world) == {"decision": "admit", "warm": False, "layout": 2}

    def test_a_failed_warmup_is_begun_again(self, world: World) -> None:
        put_warm_cluster(world)
        world.cluster.objects["jobs"]["warm-db-01"]["status"] = status_of("failed")
        assert admission(world) == {"decision": "admit", "warm": False, "layout": 2}

    @pytest.mark.proves("W9")
    def test_one_of_which_a_job_was_removed_is_warmed_again(self, world: World) -> None:
        put_warm_cluster(world)
        del world.cluster.objects["jobs"]["warm-db-01"]
        assert admission(world) == {"decision": "admit", "warm": False, "layout": 2}

    def test_one_of_another_source_version_is_not_warm(self, world: World) -> None:
        put_warm_cluster(world, version="2020-01-01-00000000")
        assert admission(world)["warm"] is False

    @pytest.mark.proves("W9")
    @pytest.mark.parametrize("left", ["gone", "not ready"])
    def test_one_whose_node_is_lost_is_not_warm(self, world: World, left: str) -> None:
        put_warm_cluster(world)
        if left == "gone":
            del world.cluster.objects["nodes"]["node-b"]
        else:
            put_node(world, "node-b", ready=False)
        assert admission(world)["warm"] is False


class TestWaiting:
    @pytest.mark.parametrize(
        ("provisioning", "power", "said"),
        [
            ("Succeeded", "Stopped", "stopped"),
            ("Starting", "Running", "starting"),
            ("Stopping", "Running", "stopping"),
            ("Creating", "Running", "provisioning"),
            ("Failed", "Running", "failed"),
            ("Succeeded", "", "unknown"),
        ],
    )
    def test_for_a_cluster_that_is_not_running(self, world: World, provisioning: str, power: str, said: str) -> None:
        world.arm.provisioning, world.arm.power = provisioning, power
        verdict = admission(world)
        assert verdict["decision"] == "wait"
        assert verdict["phase"] == "waiting_for_cluster"
        assert verdict["reason"] == f"cluster cluster is {said}"
        assert verdict["seconds"] == 1800

    def test_nobody_asks_the_api_server_of_a_cluster_that_is_not_running(self, world: World) -> None:
        world.arm.power = "Stopped"
        admission(world)
        assert not world.cluster.calls

    def test_for_azure_to_answer(self, world: World) -> None:
        world.arm.failing = TransientError("arm_unavailable", "Azure answered 503")
        assert admission(world)["reason"] == "Azure does not answer: Azure answered 503"

    @pytest.mark.parametrize("kind", ["nodes", "jobs"])
    def test_for_the_cluster_to_answer(self, world: World, kind: str) -> None:
        put_warm_cluster(world)
        world.cluster.fail("list", kind, TransientError("kube_unreachable", "no answer"))
        verdict = admission(world)
        assert (verdict["decision"], verdict["reason"]) == ("wait", "the cluster does not answer: no answer")

    @pytest.mark.parametrize("node", ["none", "not ready", "system"])
    def test_for_a_node(self, world: World, node: str) -> None:
        put_database(world)
        if node != "none":
            put_node(world, "node-a", ready=node != "not ready", pool="system" if node == "system" else "blast")
        assert admission(world)["reason"] == "no ready user node yet"

    @pytest.mark.parametrize("missing", ["not there yet", "not ready"])
    @pytest.mark.parametrize(("memory", "code"), [("1500", "cluster"), ("1k", "node")])
    def test_for_more_nodes_where_the_first_ones_are_too_few(
        self, world: World, missing: str, memory: str, code: str
    ) -> None:
        put_database(world)
        put_node(world, "node-a", memory=memory)
        if missing == "not ready":
            put_node(world, "node-b", ready=False)
        else:
            world.arm.pools = [{"name": "blast", "mode": "User", "vmSize": "sku", "count": 2}]
        verdict = admission(world)
        assert (verdict["decision"], verdict["phase"]) == ("wait", "waiting_for_cluster")
        assert verdict["reason"].startswith("1 of 2 nodes are ready: ")

    @pytest.mark.proves("W9")
    def test_for_searches_that_read_the_version_of_before(self, world: World) -> None:
        put_warm_cluster(world, version="2020-01-01-00000000")
        at_work = put_search(world, job_id(2), phase=Phase.RUNNING)
        verdict = admission(world)
        assert (verdict["decision"], verdict["phase"]) == ("wait", "waiting_for_warmup")
        assert at_work.job_id in verdict["reason"]
        world.searches.put(replace(at_work, phase=Phase.COMPLETED))
        assert admission(world)["decision"] == "admit"

    def test_for_a_database_that_still_arrives(self, world: World) -> None:
        put_node(world, "node-a")
        put_database(world)
        del world.store.blobs["blast-db", f"{DB}/{DB}.01.nsq"]
        verdict = admission(world)
        assert (verdict["decision"], verdict["phase"]) == ("wait", "waiting_for_database")
        assert "db.01.nsq" in verdict["reason"]
        assert verdict["seconds"] == 2700

    def test_for_somebody_elses_warmup(self, world: World) -> None:
        put_warm_cluster(world)
        world.cluster.objects["jobs"]["warm-db-01"]["status"] = status_of("running")
        verdict = admission(world)
        assert (verdict["decision"], verdict["phase"]) == ("wait", "waiting_for_warmup")
        assert verdict["seconds"] == 2700

    @pytest.mark.parametrize("warm", [True, False])
    def test_for_the_end_of_a_release(self, world: World, warm: bool) -> None:
        if warm:
            put_warm_cluster(world)
        else:
            put_database(world)
            put_node(world, "node-a")
        begin_release(CLUSTER, DB, "release-1", {}, DurableOrchestrations(world.durable))
        verdict = admission(world)
        assert (verdict["decision"], verdict["phase"]) == ("wait", "waiting_for_warmup")
        assert (verdict["reason"], verdict["seconds"]) == ("database db is being released", 2700)
        leave_work(CLUSTER, DB, "release-1")
        assert admission(world)["warm"] is warm

    def test_for_no_release_that_was_lost(self, world: World) -> None:
        put_warm_cluster(world)
        begin_release(CLUSTER, DB, "release-1", {}, DurableOrchestrations(world.durable))
        later = world.clock() + RELEASE_LIFE
        world.clock = lambda: later
        assert admission(world)["decision"] == "admit"

    def test_for_a_slot(self) -> None:
        world = new_world(ELB_ACTIVE_SEARCHES="1", ELB_CAPACITY_WAIT_SECONDS="7")
        with use(world):
            put_warm_cluster(world)
            first = put_search(world, job_id(1))
            assert check_admission(ref(first))["decision"] == "admit"
            verdict = check_admission(ref(put_search(world, job_id(2))))
            assert (verdict["decision"], verdict["phase"]) == ("wait", "waiting_for_capacity")
            assert verdict["seconds"] == 7
            world.searches.put(replace(first, phase=Phase.COMPLETED))
            assert check_admission(ref(world.searches.find(job_id(2))))["decision"] == "admit"

    @pytest.mark.proves("N8", "N14")
    def test_for_one_of_ten_slots_for_half_an_hour(self, world: World) -> None:
        put_warm_cluster(world)
        for number in range(1, 11):
            assert check_admission(ref(put_search(world, job_id(number))))["decision"] == "admit", number
        verdict = check_admission(ref(put_search(world, job_id(11))))
        assert (verdict["decision"], verdict["phase"]) == ("wait", "waiting_for_capacity")
        assert verdict["seconds"] == 1800

    @pytest.mark.proves("N9")
    def test_for_a_database_for_three_quarters_of_an_hour(self, world: World) -> None:
        put_warm_cluster(world)
        del world.store.blobs["blast-db", f"{DB}/{DB}.01.nsq"]
        verdict = admission(world)
        assert (verdict["phase"], verdict["seconds"]) == ("waiting_for_database", 2700)

    @pytest.mark.parametrize("name", ["CLUSTER", "DATABASE", "WARMUP"])
    def test_as_long_as_the_setting_says(self, name: str) -> None:
        world = new_world(**{f"ELB_{name}_WAIT_SECONDS": "7"})
        with use(world):
            put_warm_cluster(world)
            if name == "CLUSTER":
                world.arm.power = "Stopped"
            elif name == "DATABASE":
                del world.store.blobs["blast-db", f"{DB}/{DB}.01.nsq"]
            else:
                world.cluster.objects["jobs"]["warm-db-01"]["status"] = status_of("running")
            assert admission(world)["seconds"] == 7


class TestSlots:
    def test_an_attempt_asks_again_for_what_the_one_before_held(self) -> None:
        """Nobody gave its slot back, and somebody else may have it by now."""
        world = new_world(ELB_ACTIVE_SEARCHES="1")
        with use(world):
            put_warm_cluster(world)
            first = put_search(world, job_id(1))
            check_admission(ref(first))
            assert world.clusters.slots(CLUSTER).holders == {f"{first.job_id}-1": "anna"}
            again = world.searches.put(replace(first, attempt=2, run=2))
            assert check_admission(ref(put_search(world, job_id(2))))["decision"] == "admit"
            assert check_admission(ref(again))["decision"] == "wait"

    def test_a_revival_keeps_it(self) -> None:
        world = new_world(ELB_ACTIVE_SEARCHES="1")
        with use(world):
            put_warm_cluster(world)
            first = put_search(world, job_id(1))
            check_admission(ref(first))
            revived = world.searches.put(replace(first, run=2))
            assert check_admission(ref(revived))["decision"] == "admit"

    @pytest.mark.parametrize("phase", sorted(ON_THE_CLUSTER))
    def test_a_revival_that_has_its_jobs_asks_for_nothing(self, phase: Phase) -> None:
        """Neither for a slot that it holds, nor whether the cluster could take it now."""
        world = new_world(ELB_ACTIVE_SEARCHES="1")
        with use(world):
            world.arm.power = "Stopped"
            search = put_search(world, phase=phase, run=2)
            assert check_admission(ref(search)) == {"decision": "resume"}
            assert check_admission(ref(search, run=1)) == {"decision": "superseded"}

    @pytest.mark.parametrize(("silent", "decision"), [(89, "wait"), (91, "admit")])
    def test_one_before_us_in_line_counts_while_it_asks(self, silent: float, decision: str) -> None:
        world = new_world(ELB_ACTIVE_SEARCHES="1")
        with use(world):
            put_warm_cluster(world)
            waiting = {"phase": Phase.WAITING_FOR_CAPACITY, "created_at": ago(900), "checked_at": ago(silent)}
            put_search(world, job_id(1), **waiting)
            assert check_admission(ref(put_search(world, job_id(2))))["decision"] == decision

    def test_one_that_is_being_deleted_holds_none(self) -> None:
        world = new_world(ELB_ACTIVE_SEARCHES="1")
        with use(world):
            put_warm_cluster(world)
            first = put_search(world, job_id(1))
            check_admission(ref(first))
            world.searches.put(replace(first, phase=Phase.DELETING))
            assert check_admission(ref(put_search(world, job_id(2))))["decision"] == "admit"


@pytest.mark.parametrize(
    "fields",
    [
        {"run": 2},
        {"phase": Phase.COMPLETED},
        {"phase": Phase.FAILED},
        {"phase": Phase.DELETING},
    ],
    ids=["another run", "completed", "failed", "deleted"],
)
def test_a_search_that_is_not_ours_any_more_is_not_admitted(world: World, fields: Json) -> None:
    put_warm_cluster(world)
    world.cluster.calls.clear()
    search = put_search(world, **fields)
    assert check_admission(ref(search, run=1)) == {"decision": "superseded"}
    assert not world.cluster.calls
    assert world.clusters.held == {}


def test_a_cancel_marker_ends_the_waiting(world: World) -> None:
    search = put_search(world, phase=Phase.CANCELLING, cancel_requested_at=ago(1))
    assert check_admission(ref(search)) == {"decision": "cancelled"}
    assert not world.cluster.calls


class TestNever:
    """Permanent errors: the registry returns them as data, and the search fails with them."""

    def refusal(self, world: World) -> PermanentError:
        with pytest.raises(PermanentError) as raised:
            admission(world)
        return raised.value

    def test_a_cluster_that_is_not_there(self, world: World) -> None:
        world.arm.failing = NotFoundError("cluster_not_found", "there is no cluster", "check the name")
        error = self.refusal(world)
        assert (error.code, error.hint) == ("cluster_not_found", "check the name")

    def test_azure_refuses_to_tell(self, world: World) -> None:
        world.arm.failing = PermanentError("arm_denied", "Azure refused")
        assert self.refusal(world).code == "arm_denied"

    def test_an_unknown_database(self, world: World) -> None:
        put_node(world, "node-a")
        assert self.refusal(world).code == "unknown_database"

    def test_a_database_without_shards(self, world: World) -> None:
        put_node(world, "node-a")
        put_database(world, shards=0)
        assert self.refusal(world).code == "database_not_sharded"

    def test_shards_of_another_version_do_not_count(self, world: World) -> None:
        put_node(world, "node-a")
        put_database(world)
        put_file(world, DB, f"{DB}.00.nsq", b"newer")
        assert self.refusal(world).code == "database_not_sharded"

    def test_one_that_does_not_fit_says_the_numbers_and_creates_nothing(self, world: World) -> None:
        put_database(world)
        put_node(world, "node-a", memory="1k")
        error = self.refusal(world)
        assert error.code == "node_sku_too_small"
        assert "600 bytes" in error.message
        assert "500" in error.message
        assert world.cluster.names("jobs") == []

    def test_one_that_does_not_fit_on_all_the_nodes_that_there_are_to_be(self, world: World) -> None:
        put_database(world)
        put_node(world, "node-a", memory="1500")
        put_node(world, "system-a", ready=False, pool="system")
        world.arm.pools = [
            {"name": "blast", "mode": "User", "vmSize": "sku", "count": 1},
            {"name": "system", "mode": "System", "vmSize": "sku", "count": 3},
        ]
        assert self.refusal(world).code == "cluster_too_small"
