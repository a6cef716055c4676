"""What went wrong with a warmup, found by comparing two looks: each thing once, with shard, attempt and cause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain.incidents import Incident, Seen, incidents, seen_now
from shared.domain.snapshot import ClusterSnapshot, read_snapshot

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
NODES = frozenset({"node-a"})
LINE = (
    'ELB_INCIDENT {"shard":"03","try":2,"cause":"storage_role_missing","message":"no role",'
    '"at":"2030-01-01T11:00:00.500Z"}'
)
Json = dict[str, Any]


def job(uid: str = "u1", node: str = "node-a", **metadata: Any) -> Json:
    """The warmup Job of shard 3."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    meta = {"name": "warm-db-03", "uid": uid, "labels": {"shard": "03"}} | metadata
    return {"metadata": meta, "spec": {"template": {"spec": {"affinity": affinity}}}, "status": {"active": 1}}


def pod(name: str, seconds: int = 0, phase: str = "Running", *, waits: str = "", **metadata: Any) -> Json:
    """A pod of that Job, made so many seconds after noon."""
    made = (NOW + timedelta(seconds=seconds)).isoformat()
    owner = [{"kind": "Job", "name": "warm-db-03"}]
    state = {"waiting": {"reason": waits, "message": "back-off"}} if waits else {}
    return {
        "metadata": {"name": name, "creationTimestamp": made, "ownerReferences": owner} | metadata,
        "spec": {"nodeName": "node-a"},
        "status": {"phase": phase, "containerStatuses": [{"name": "warmup", "state": state}]},
    }


def look(*pods: Json, **change: Any) -> ClusterSnapshot:
    """One look at the Job and these pods."""
    return read_snapshot([job(**change)], pods, NOW + timedelta(minutes=5))


def found(before: Seen, snapshot: ClusterSnapshot, **logs: str) -> list[tuple[int, int, str]]:
    """Shard, attempt and cause of what is found."""
    return [(i.shard, i.attempt, i.cause) for i in incidents(before, snapshot, logs, NODES)]


def seen(*pods: Json, **change: Any) -> Seen:
    """What a look saw."""
    return seen_now(Seen(), look(*pods, **change), (), NODES)


class TestTold:
    def test_a_line_of_the_log_with_its_own_time(self) -> None:
        [incident] = incidents(Seen(), look(pod("a")), {"a": f"x\n{LINE}\ny"}, NODES)
        at = datetime(2030, 1, 1, 11, 0, 0, 500_000, tzinfo=UTC)
        assert incident == Incident(at, 3, 2, "storage_role_missing", "no role")
        event = incident.event()
        assert (event.at, event.kind, event.who, event.why, event.attempt) == (
            at,
            "storage_role_missing",
            "shard 03",
            "no role",
            2,
        )

    def test_seen_again_it_is_the_same(self) -> None:
        first, second = (incidents(Seen(), look(pod("a")), {"a": LINE}, NODES) for _ in range(2))
        assert first == second

    @pytest.mark.parametrize(
        "line", ["ELB_INCIDENT {", "ELB_INCIDENT []", "ELB_INCIDENT null", 'ELB_INCIDENT {"try":1}', LINE[1:], ""]
    )
    def test_what_is_no_whole_line_tells_nothing(self, line: str) -> None:
        assert found(Seen(), look(pod("a")), a=line) == []

    def test_of_a_pod_that_is_being_deleted_as_well(self) -> None:
        leaving = pod("a", deletionTimestamp=NOW.isoformat())
        assert found(Seen(), look(leaving), a=LINE) == [(3, 2, "storage_role_missing")]


class TestImages:
    @pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
    def test_once_for_each_pod(self, reason: str) -> None:
        snapshot = look(pod("a", phase="Pending", waits=reason))
        assert found(Seen(), snapshot) == found(seen(pod("a")), snapshot) == [(3, 1, "image_pull_failed")]
        [incident] = incidents(Seen(), snapshot, {}, NODES)
        assert (incident.at, incident.once) == (NOW, True)

    def test_a_container_that_is_made_is_no_incident(self) -> None:
        assert found(Seen(), look(pod("a", phase="Pending", waits="ContainerCreating"))) == []

    def test_the_second_pod_is_the_second_attempt(self) -> None:
        snapshot = look(pod("a", phase="Failed"), pod("b", 9, phase="Pending", waits="ErrImagePull"))
        assert found(Seen(), snapshot) == [(3, 2, "image_pull_failed")]


class TestPods:
    def test_one_that_is_gone_and_has_a_successor(self) -> None:
        [incident] = incidents(seen(pod("a")), look(pod("b", 10)), {}, NODES)
        assert (incident.cause, incident.at) == ("pod_deleted", NOW + timedelta(seconds=10))
        assert "pod a was taken away; b took its place" in incident.message

    def test_one_that_is_going(self) -> None:
        leaving = pod("a", deletionTimestamp=NOW.isoformat())
        assert found(seen(pod("a")), look(leaving, pod("b", 10))) == [(3, 1, "pod_deleted")]

    def test_also_when_the_successor_comes_later(self) -> None:
        between = seen_now(seen(pod("a")), look(), (), NODES)
        assert found(between, look(pod("b", 10))) == [(3, 1, "pod_deleted")]

    def test_one_that_failed_says_itself_why(self) -> None:
        assert found(seen(pod("a")), look(pod("a", phase="Failed"), pod("b", 10))) == []

    def test_one_that_was_evicted(self) -> None:
        evicted = pod("a", phase="Failed")
        evicted["status"]["conditions"] = [
            {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
        ]
        assert found(seen(pod("a")), look(evicted, pod("b", 10))) == [(3, 2, "pod_evicted")]

    def test_a_job_that_was_made_anew_is_another_one(self) -> None:
        assert found(seen(pod("a")), look(pod("b", 10), uid="u2")) == []

    def test_nothing_was_seen_before(self) -> None:
        assert found(Seen(), look(pod("b", 10))) == []


class TestNodes:
    def test_one_that_is_lost_is_told_when_it_is_lost(self) -> None:
        lost = look(pod("a"), node="node-x")
        before = seen_now(Seen(), lost, (), NODES | {"node-x"})
        assert found(before, lost) == [(3, 1, "node_lost")]
        assert found(seen_now(before, lost, (), NODES), lost) == []


def test_what_was_seen_travels_as_plain_data() -> None:
    before = seen_now(Seen(), look(pod("a"), node="node-x"), ["a", "gone"], NODES)
    assert before == Seen({"warm-db-03": ("u1", "a")}, ["a"], ["node-x"])
    again = Seen.from_dict(before.to_dict())
    assert (again.pods, list(again.read), list(again.lost)) == (before.pods, ["a"], ["node-x"])
    assert Seen.from_dict(None) == Seen.from_dict({}) == Seen()
