"""The Job controller: pods, counts, conditions and their order, retries, deadlines, podFailurePolicy, suspend."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from tests.cluster.support import Json, Raw, control, eventually, job, pod


def test_a_job_of_true_is_complete_at_once(raw: Raw) -> None:
    raw.create(job("quick", "true"))
    assert raw.job_ended("quick", seconds=2.0) == "Complete"
    status = raw.get("jobs.batch/quick")["status"]
    assert status["succeeded"] == 1
    assert "failed" not in status
    assert "active" not in status
    assert status["completionTime"]
    owner = raw.pods_of("quick")[0]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Job", "quick", True)


def test_labels_and_selector_are_those_of_the_job_controller(raw: Raw) -> None:
    made = raw.create(job("labels", "true"))
    uid = made["metadata"]["uid"]
    assert made["spec"]["selector"]["matchLabels"] == {"batch.kubernetes.io/controller-uid": uid}
    raw.job_ended("labels")
    assert raw.pods_of("labels")[0]["metadata"]["labels"] == {
        "app": "blast",
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": "labels",
        "controller-uid": uid,
        "job-name": "labels",
    }


def test_success_criteria_met_comes_before_complete(raw: Raw) -> None:
    raw.create(job("order", "true"))
    raw.job_ended("order")
    conditions = raw.get("jobs.batch/order")["status"]["conditions"]
    assert [each["type"] for each in conditions] == ["SuccessCriteriaMet", "Complete"]
    assert {each["reason"] for each in conditions} == {"CompletionsReached"}


def test_a_watch_sees_the_conditions_one_after_the_other(raw: Raw) -> None:
    url = f"{raw.cluster.api_url}/apis/batch/v1/namespaces/{raw.namespace}/jobs"
    seen: list[list[str]] = []
    with httpx.stream("GET", url, params={"watch": "1", "timeoutSeconds": "5"}, timeout=10) as stream:
        raw.create(job("steps", "true"))
        for line in stream.iter_lines():
            status = json.loads(line)["object"].get("status") or {}
            types = [each["type"] for each in status.get("conditions") or []]
            if types and types not in seen:
                seen.append(types)
            if "Complete" in types:
                break
    assert seen == [["SuccessCriteriaMet"], ["SuccessCriteriaMet", "Complete"]]


def test_a_failed_pod_is_retried_and_counted_but_the_job_is_complete(raw: Raw) -> None:
    flag = {"volumeMounts": [{"name": "disk", "mountPath": "/disk"}]}
    disk = {"volumes": [{"name": "disk", "hostPath": {"path": f"/retry/{raw.namespace}"}}]}
    pinned = {"nodeSelector": {"kubernetes.io/hostname": "aks-blast-00000000-vmss000000"}}
    raw.create(job("retry", "mkdir /disk/flag && exit 7; true", {**flag, **disk, **pinned}, backoffLimit=1))
    assert raw.job_ended("retry") == "Complete"
    status = raw.get("jobs.batch/retry")["status"]
    assert (status["failed"], status["succeeded"]) == (1, 1)
    phases = sorted(each["status"]["phase"] for each in raw.pods_of("retry"))
    assert phases == ["Failed", "Succeeded"]


def test_failure_target_comes_before_failed(raw: Raw) -> None:
    raw.create(job("fail", "exit 7", backoffLimit=1))
    assert raw.job_ended("fail") == "Failed"
    status = raw.get("jobs.batch/fail")["status"]
    assert [each["type"] for each in status["conditions"]] == ["FailureTarget", "Failed"]
    assert status["conditions"][1]["reason"] == "BackoffLimitExceeded"
    assert status["failed"] == 2


def test_a_retry_waits_for_its_back_off(raw: Raw) -> None:
    begun = time.monotonic()
    raw.create(job("backoff", "exit 1", backoffLimit=2))
    assert raw.job_ended("backoff") == "Failed"
    assert time.monotonic() - begun >= 0.2 + 0.4  # the emulator of these tests begins with 0.2 s and doubles
    made = [each for each in raw.items("events") if each["reason"] == "SuccessfulCreate"]
    assert len(made) == 3


def _policy(*rules: object) -> Json:
    return {"podFailurePolicy": {"rules": list(rules)}, "backoffLimit": 3}


ON_BLAST_CODES = {"action": "FailJob", "onExitCodes": {"containerName": "blast", "operator": "In", "values": [1, 2]}}
ON_DISRUPTION = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}


@pytest.mark.parametrize(("code", "failed", "reason"), [(2, 1, "PodFailurePolicy"), (70, 4, "BackoffLimitExceeded")])
def test_pod_failure_policy_fails_at_once_on_the_named_exit_codes(
    raw: Raw, code: int, failed: int, reason: str
) -> None:
    raw.create(job("policy", f"exit {code}", **_policy(ON_DISRUPTION, ON_BLAST_CODES)))
    assert raw.job_ended("policy") == "Failed"
    status = raw.get("jobs.batch/policy")["status"]
    assert (status["failed"], status["conditions"][-1]["reason"]) == (failed, reason)
    if reason == "PodFailurePolicy":
        name = raw.pods_of("policy")[0]["metadata"]["name"]
        assert status["conditions"][-1]["message"] == (
            f"Container blast for pod {raw.namespace}/{name} failed with exit code 2 matching FailJob rule at index 1"
        )


def test_an_evicted_pod_is_replaced_and_not_counted(raw: Raw) -> None:
    raw.create(job("evicted", "sleep 60", {"terminationGracePeriodSeconds": 1}, **_policy(ON_DISRUPTION)))
    name = str(eventually(lambda: _running(raw, "evicted"), "a running pod"))
    control(raw.cluster, f"/pods/{raw.namespace}/{name}/evict", {})
    replaced = eventually(lambda: _running(raw, "evicted", other_than=name), "a second pod")
    assert replaced != name
    assert "failed" not in raw.get("jobs.batch/evicted")["status"]


def _running(raw: Raw, name: str, other_than: str = "") -> str:
    for each in raw.pods_of(name):
        meta = each["metadata"]
        if each["status"]["phase"] == "Running" and meta["name"] != other_than and "deletionTimestamp" not in meta:
            return str(meta["name"])
    return ""


def test_the_active_deadline_ends_the_job_and_its_pods(raw: Raw) -> None:
    raw.create(job("late", "sleep 60", {"terminationGracePeriodSeconds": 1}, activeDeadlineSeconds=1))
    assert raw.job_ended("late") == "Failed"
    condition = raw.get("jobs.batch/late")["status"]["conditions"][-1]
    assert condition["reason"] == "DeadlineExceeded"
    assert condition["message"] == "Job was active longer than specified deadline"
    assert raw.pods_of("late") == []


@pytest.mark.proves("N15")
def test_a_finished_job_goes_after_its_ttl_with_its_pods(raw: Raw) -> None:
    raw.create(job("brief", "true", ttlSecondsAfterFinished=1))
    raw.job_ended("brief")
    eventually(lambda: not raw.get("jobs.batch/brief") and not raw.pods_of("brief"), "the clean-up", 4.0)


def test_completions_and_parallelism(raw: Raw) -> None:
    raw.create(job("many", "sleep 0.1", completions=5, parallelism=2))
    assert raw.job_ended("many") == "Complete"
    assert raw.get("jobs.batch/many")["status"]["succeeded"] == 5
    assert len(raw.pods_of("many")) == 5


def test_a_suspended_job_makes_pods_when_it_is_resumed(raw: Raw) -> None:
    raw.create(job("paused", "true", suspend=True))
    suspended = eventually(lambda: raw.get("jobs.batch/paused")["status"].get("conditions"), "the condition Suspended")
    assert (suspended[0]["type"], suspended[0]["status"]) == ("Suspended", "True")
    assert raw.pods_of("paused") == []
    body = {"spec": {"suspend": False}}
    answer = raw.request("PATCH", "jobs.batch/paused", body, content_type="application/merge-patch+json")
    assert answer.status_code == 200, answer.text
    assert raw.job_ended("paused") == "Complete"


@pytest.mark.parametrize(("policy", "left"), [("Background", 0), ("Foreground", 0), ("Orphan", 1), ("", 1)])
def test_deleting_a_job_propagates_as_asked(raw: Raw, policy: str, left: int) -> None:
    """Without a policy a Job's pods stay: what batch/v1 does, for the sake of old clients."""
    raw.create(job("gone", "true"))
    raw.job_ended("gone")
    parameters = {"propagationPolicy": policy} if policy else {}
    assert raw.request("DELETE", "jobs.batch/gone", **parameters).status_code == 200
    eventually(lambda: not raw.get("jobs.batch/gone"), "the Job to go")
    eventually(lambda: len(raw.pods_of("gone")) == left, f"{left} pods to be left")
    if left:
        assert raw.pods_of("gone")[0]["metadata"]["ownerReferences"] == []


def test_a_hundred_jobs_at_once(raw: Raw) -> None:
    for number in range(100):
        raw.create(job(f"crowd-{number}", "true"))

    def done() -> bool:
        return sum(1 for each in raw.items("jobs.batch") if each["status"].get("succeeded")) == 100

    eventually(done, "100 Jobs", 30.0)


def test_a_pod_of_its_own_with_a_missing_owner_is_collected(raw: Raw) -> None:
    lost = pod("lost", "sleep 30", terminationGracePeriodSeconds=1)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "none", "uid": "00000000-0000-0000-0000-000000000000"}
    lost["metadata"]["ownerReferences"] = [owner]
    raw.create(lost)
    eventually(lambda: not raw.get("pods/lost"), "the garbage collector", 5.0)
