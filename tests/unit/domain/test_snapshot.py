"""Jobs and pods as read from the API server's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.snapshot import JobState, read_job, read_pod, read_snapshot
from shared.domain.times import parse_time
from tests.unit.domain.objects import COMPLETE, FAILED, JOB_ID, NOW, ago, condition, job, pod, snapshot

UNSCHEDULABLE = condition("PodScheduled", "False", reason="Unschedulable", message="0/3 nodes are available")


class TestJobState:
    @pytest.mark.parametrize(
        ("conditions", "counters", "state"),
        [
            ([], {}, JobState.PENDING),
            ([], {"active": 1}, JobState.RUNNING),
            ([], {"failed": 2}, JobState.PENDING),
            ([], {"active": 1, "failed": 3}, JobState.RUNNING),
            ([COMPLETE], {"succeeded": 1}, JobState.SUCCEEDED),
            ([COMPLETE], {"succeeded": 1, "failed": 1}, JobState.SUCCEEDED),
            ([FAILED], {"failed": 4}, JobState.FAILED),
            ([condition("SuccessCriteriaMet")], {"active": 1}, JobState.RUNNING),
            ([condition("SuccessCriteriaMet")], {}, JobState.PENDING),
            ([condition("SuccessCriteriaMet"), COMPLETE], {"succeeded": 1}, JobState.SUCCEEDED),
            ([condition("FailureTarget")], {"active": 1}, JobState.RUNNING),
            ([condition("FailureTarget")], {}, JobState.PENDING),
            ([condition("FailureTarget"), FAILED], {"failed": 1}, JobState.FAILED),
            ([condition("Complete", "False")], {"active": 1}, JobState.RUNNING),
            ([condition("Failed", "Unknown")], {}, JobState.PENDING),
            ([condition("Suspended")], {}, JobState.PENDING),
        ],
    )
    def test_conditions_decide_and_counters_of_retried_pods_do_not(
        self, conditions: list[dict[str, Any]], counters: dict[str, Any], state: JobState
    ) -> None:
        assert read_job(job("a", *conditions, **counters)).state is state

    def test_why_it_failed(self) -> None:
        view = read_job(job("a", condition("FailureTarget", reason="x"), FAILED))
        assert (view.reason, view.message) == ("BackoffLimitExceeded", "Job has reached the specified backoff limit")


def test_a_job() -> None:
    view = read_job(
        job(
            "a",
            COMPLETE,
            annotations={"k": "v"},
            created=ago(hours=1),
            started=ago(minutes=9),
            completed=ago(minutes=1),
            node="n1",
        )
    )
    assert (view.name, view.uid, view.annotations, view.node, view.deleting) == ("a", "uid-a", {"k": "v"}, "n1", False)
    assert (view.created_at, view.started_at, view.completed_at) == (
        parse_time(ago(hours=1)),
        parse_time(ago(minutes=9)),
        parse_time(ago(minutes=1)),
    )


def test_an_object_with_nothing_in_it() -> None:
    assert read_job({"metadata": {"name": "a"}}).state is JobState.PENDING
    bare = read_pod({"metadata": {"name": "p"}})
    assert (bare.phase, bare.owner_job, bare.containers, bare.why_waiting) == ("Unknown", "", (), "")
    assert read_job(job("a", created="not a time")).created_at is None


class TestWhyAPodWaits:
    @pytest.mark.parametrize(
        ("found", "reason"),
        [
            (pod("a", "Pending", conditions=[UNSCHEDULABLE]), "Unschedulable: 0/3 nodes are available"),
            (pod("a", "Pending", waiting=("ImagePullBackOff", "no such tag")), "ImagePullBackOff: no such tag"),
            (pod("a", "Pending", waiting=("ErrImagePull", "")), "ErrImagePull"),
            (
                pod("a", "Pending", waiting=("CreateContainerConfigError", 'configmap "x" not found')),
                'CreateContainerConfigError: configmap "x" not found',
            ),
            (pod("a", "Pending", waiting=("ContainerCreating", "")), ""),
            (pod("a", "Pending"), ""),
            (pod("a", "Pending", conditions=[condition("PodScheduled")]), ""),
            (pod("a", "Pending", conditions=[condition("PodScheduled", "False", reason="SchedulingGated")]), ""),
            (pod("a", "Running", conditions=[UNSCHEDULABLE]), ""),
            (pod("a", "Failed", waiting=("x", "y")), ""),
        ],
    )
    def test_reason(self, found: dict[str, Any], reason: str) -> None:
        assert read_pod(found).why_waiting == reason

    def test_init_containers_count(self) -> None:
        found = pod("a", "Pending", waiting=("PodInitializing", ""))
        state = {"waiting": {"reason": "ImagePullBackOff", "message": "m"}}
        found["status"]["initContainerStatuses"] = [{"name": "init", "state": state}]
        assert read_pod(found).why_waiting == "ImagePullBackOff: m"


def test_how_a_container_ended() -> None:
    (container,) = read_pod(pod("a", "Failed", ended=(137, "OOMKilled"))).containers
    assert (container.exit_code, container.terminated_reason) == (137, "OOMKilled")
    assert container.finished_at == parse_time(ago(minutes=1))


class TestJobIdsOfAPod:
    def test_from_any_container_s_environment(self) -> None:
        found = pod("a", env_id=JOB_ID)
        found["spec"]["initContainers"] = [{"env": [{"name": "BLAST_ELB_JOB_ID", "value": "alias"}]}]
        assert read_pod(found).job_ids == {JOB_ID, "alias"}

    def test_empty_and_indirect_values_are_none(self) -> None:
        found = pod("a")
        found["spec"]["containers"][0]["env"] = [
            {"name": "BLAST_ELB_JOB_ID", "value": ""},
            {"name": "BLAST_ELB_JOB_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "OTHER", "value": JOB_ID},
        ]
        assert read_pod(found).job_ids == frozenset()


def test_the_owner_may_be_in_the_label_of_older_clusters() -> None:
    found = pod("a")
    del found["metadata"]["ownerReferences"]
    found["metadata"]["labels"]["job-name"] = "b"
    assert read_pod(found).owner_job == "b"


def test_pods_of_a_job_newest_first_without_those_being_deleted() -> None:
    pods = [
        pod("a", name="old", created=ago(minutes=9)),
        pod("a", name="new", created=ago(minutes=1)),
        pod("a", name="unknown", created="?"),
        pod("a", name="going", created=ago(minutes=0), deleting=True),
        pod("b", name="other"),
    ]
    seen = snapshot([job("a")], pods)
    assert [p.name for p in seen.pods_of(seen.jobs[0])] == ["new", "old", "unknown"]


def test_an_empty_cluster() -> None:
    seen = read_snapshot([], [], NOW)
    assert (seen.jobs, seen.pods, seen.observed_at) == ((), (), NOW)
