"""The official Python client, and the API's answers to what is wrong."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from tests.cluster.support import Json, Raw, control, eventually, job, pod


def test_a_job_from_create_to_delete(raw: Raw, api: Any) -> None:
    batch: Any = client.BatchV1Api(api)
    core: Any = client.CoreV1Api(api)
    made = batch.create_namespaced_job(raw.namespace, job("search", "echo hit"))
    assert made.metadata.uid
    eventually(lambda: batch.read_namespaced_job("search", raw.namespace).status.succeeded, "the Job to be complete")
    pods = core.list_namespaced_pod(raw.namespace, label_selector="job-name=search").items
    assert core.read_namespaced_pod_log(pods[0].metadata.name, raw.namespace) == "hit\n"
    batch.delete_namespaced_job("search", raw.namespace, propagation_policy="Background")
    eventually(lambda: not core.list_namespaced_pod(raw.namespace).items, "the pods to go")
    with pytest.raises(ApiException) as refused:
        batch.read_namespaced_job("search", raw.namespace)
    assert (refused.value.status, refused.value.reason) == (404, "Not Found")


def test_watch_gives_typed_events(raw: Raw, api: Any) -> None:
    core: Any = client.CoreV1Api(api)
    version = core.list_namespaced_pod(raw.namespace).metadata.resource_version
    raw.create(pod("seen", "true"))
    phases = []
    watcher: Any = watch.Watch()  # type: ignore[no-untyped-call]
    for event in watcher.stream(
        core.list_namespaced_pod, raw.namespace, resource_version=version, timeout_seconds=5, _request_timeout=10
    ):
        phases.append(event["object"].status.phase)
        if phases[-1] == "Succeeded":
            watcher.stop()
    assert list(dict.fromkeys(phases)) == ["Pending", "Running", "Succeeded"]


def test_nodes_and_metrics(api: Any) -> None:
    core: Any = client.CoreV1Api(api)
    nodes = core.list_node(label_selector="kubernetes.azure.com/agentpool=blast").items
    assert len(nodes) == 3
    labels = nodes[0].metadata.labels
    assert labels["kubernetes.azure.com/mode"] == "user"
    assert labels["kubernetes.io/hostname"] == nodes[0].metadata.name
    assert nodes[0].status.allocatable["memory"] == "8Gi"
    custom: Any = client.CustomObjectsApi(api)
    metrics = custom.list_cluster_custom_object("metrics.k8s.io", "v1beta1", "nodes")
    assert {"cpu", "memory"} == set(metrics["items"][0]["usage"])


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("db=nt", ["a", "b"]),
        ("db==nt,shard=00", ["a"]),
        ("db!=nt", ["c", "d"]),
        ("db in (nt, nr)", ["a", "b", "c"]),
        ("db notin (nt)", ["c", "d"]),
        ("shard", ["a", "b"]),
        ("!db", ["d"]),
        ("db in (nt),shard notin (00)", ["b"]),
    ],
)
def test_label_selectors(raw: Raw, selector: str, names: list[str]) -> None:
    labels = {"a": {"db": "nt", "shard": "00"}, "b": {"db": "nt", "shard": "01"}, "c": {"db": "nr"}, "d": {}}
    for name, own in labels.items():
        raw.create({"kind": "ConfigMap", "metadata": {"name": name, "labels": own}})
    found = [each["metadata"]["name"] for each in raw.items("configmaps", labelSelector=selector)]
    assert found == names


def test_field_selectors(raw: Raw) -> None:
    raw.create(pod("good", "true"))
    raw.create(pod("bad", "false"))
    assert [raw.ended("good"), raw.ended("bad")] == ["Succeeded", "Failed"]

    def names(selector: str) -> list[str]:
        return [each["metadata"]["name"] for each in raw.items("pods", fieldSelector=selector)]

    assert names("status.phase=Failed") == ["bad"]
    assert names("status.phase!=Failed,status.phase!=Pending") == ["good"]
    assert names("metadata.name=good") == ["good"]
    node = raw.get("pods/good")["spec"]["nodeName"]
    assert "good" in names(f"spec.nodeName={node}")
    events = raw.items("events", fieldSelector="involvedObject.name=good,involvedObject.kind=Pod")
    assert "Scheduled" in {each["reason"] for each in events}
    assert raw.request("GET", "pods", fieldSelector="spec.none=1").status_code == 400


def _config_maps(raw: Raw, count: int) -> list[str]:
    names = [f"cm-{number}" for number in range(count)]
    for name in names:
        raw.create({"kind": "ConfigMap", "metadata": {"name": name}})
    return names


def test_pages_show_one_moment(raw: Raw) -> None:
    names = _config_maps(raw, 5)
    page = raw.request("GET", "configmaps", limit="2").json()
    assert page["metadata"]["remainingItemCount"] == 3
    raw.request("DELETE", "configmaps/cm-4")
    raw.create({"kind": "ConfigMap", "metadata": {"name": "cm-9"}})
    found, version = [each["metadata"]["name"] for each in page["items"]], page["metadata"]["resourceVersion"]
    while token := page["metadata"].get("continue"):
        parameters = {"limit": "2", "continue": token}
        page = raw.request("GET", "configmaps", **parameters).json()
        assert page["metadata"]["resourceVersion"] == version
        found += [each["metadata"]["name"] for each in page["items"]]
    assert found == names


def test_an_old_continue_is_410(raw: Raw) -> None:
    _config_maps(raw, 3)
    token = raw.request("GET", "configmaps", limit="1").json()["metadata"]["continue"]
    control(raw.cluster, "/continue/expire", {})
    answer = raw.request("GET", "configmaps", **{"limit": "1", "continue": token})
    assert (answer.status_code, answer.json()["reason"]) == (410, "Expired")
    assert raw.request("GET", "configmaps", **{"continue": "nonsense"}).status_code == 400


def test_resource_version_zero_ignores_the_limit(raw: Raw) -> None:
    _config_maps(raw, 3)
    assert len(raw.items("configmaps", limit="1", resourceVersion="0")) == 3


def test_a_watch_from_too_long_ago_gets_410(raw: Raw) -> None:
    control(raw.cluster, "/history/expire", {})
    answer = raw.request("GET", "pods", watch="1", resourceVersion="2", timeoutSeconds="2")
    assert '"code":410' in answer.text.replace(" ", "")


def test_names_in_use_and_not_there(raw: Raw) -> None:
    raw.create(job("twice", "true"))
    answer = raw.request("POST", "jobs.batch", job("twice", "true"))
    assert answer.status_code == 409
    status: Json = answer.json()
    assert (status["reason"], status["message"]) == ("AlreadyExists", 'jobs.batch "twice" already exists')
    assert status["details"] == {"name": "twice", "group": "batch", "kind": "jobs"}
    answer = raw.request("GET", "pods/none")
    assert (answer.status_code, answer.json()["message"]) == (404, 'pods "none" not found')
    assert raw.request("DELETE", "configmaps/none").status_code == 404
    assert raw.request("GET", "nothings").status_code == 404
    elsewhere = Raw(raw.cluster, "nowhere")
    answer = elsewhere.request("POST", "pods", pod("lost", "true"))
    assert (answer.status_code, answer.json()["message"]) == (404, 'namespaces "nowhere" not found')


def _changed(body: Json, *path: Any, value: Any) -> Json:
    inner: Any = body
    for part in path[:-1]:
        inner = inner[part]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return body


TEMPLATE = ("spec", "template", "spec")
CONTAINER = (*TEMPLATE, "containers", 0)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("metadata", "name"), "Bad_Name", 'Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain'),
        (("metadata", "name"), "x" * 64, "must be no more than 63 characters"),
        (("metadata", "labels", "app"), "not valid!", "a valid label must be an empty string or consist of"),
        (("metadata", "labels", "app"), "x" * 64, "must be no more than 63 characters"),
        ((*TEMPLATE, "restartPolicy"), None, 'Required value: valid values: "OnFailure", "Never"'),
        ((*TEMPLATE, "restartPolicy"), "Always", 'Unsupported value: "Always"'),
        ((*TEMPLATE, "containers"), None, "spec.template.spec.containers: Required value"),
        ((*CONTAINER, "image"), None, "spec.template.spec.containers[0].image: Required value"),
        ((*CONTAINER, "name"), "Bad", "a lowercase RFC 1123 label"),
        ((*CONTAINER, "volumeMounts"), [{"name": "db", "mountPath": "/db"}], 'volumeMounts[0].name: Not found: "db"'),
        (
            (*CONTAINER, "resources"),
            {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}},
            "must be less than or equal to cpu limit of 1",
        ),
        (("spec", "backoffLimit"), -1, "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"),
    ],
)
def test_what_is_invalid_is_422_with_its_field(raw: Raw, path: tuple[Any, ...], value: Any, message: str) -> None:
    answer = raw.request("POST", "jobs.batch", _changed(job("good", "true"), *path, value=value))
    assert answer.status_code == 422, answer.text
    assert answer.json()["reason"] == "Invalid"
    assert message in answer.json()["message"]
    assert raw.items("jobs.batch") == []


def test_the_name_of_63_characters_is_valid(raw: Raw) -> None:
    raw.create(job("x" * 63, "true"))
    assert raw.job_ended("x" * 63) == "Complete"


def test_a_number_where_a_text_belongs_is_400(raw: Raw) -> None:
    answer = raw.request("POST", "pods", pod("number", "true", env=[{"name": "N", "value": 5}]))
    assert answer.status_code == 400
    assert "cannot unmarshal number" in answer.json()["message"]


def test_a_jobs_template_is_immutable(raw: Raw) -> None:
    raw.create(job("fixed", "sleep 5", {"terminationGracePeriodSeconds": 1}))
    patch = {"spec": {"template": {"spec": {"priority": 5}}}}
    answer = raw.request("PATCH", "jobs.batch/fixed", patch, content_type="application/merge-patch+json")
    assert answer.status_code == 422
    assert "spec.template: Invalid value" in answer.json()["message"]
    assert "field is immutable" in answer.json()["message"]


def test_an_update_with_an_old_version_is_a_conflict(raw: Raw) -> None:
    old = raw.create({"kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"a": "1"}})
    assert raw.request("PUT", "configmaps/shared", old | {"data": {"a": "2"}}).status_code == 200
    answer = raw.request("PUT", "configmaps/shared", old | {"data": {"a": "3"}})
    assert (answer.status_code, answer.json()["reason"]) == (409, "Conflict")


def test_a_delete_with_another_uid_is_a_conflict(raw: Raw) -> None:
    raw.create({"kind": "ConfigMap", "metadata": {"name": "kept"}})
    answer = raw.request("DELETE", "configmaps/kept", {"preconditions": {"uid": "another"}})
    assert answer.status_code == 409
    assert raw.get("configmaps/kept")


def test_generate_name(raw: Raw) -> None:
    body = pod("", "true")
    body["metadata"] = {"generateName": "search-"}
    name = raw.create(body)["metadata"]["name"]
    assert name.startswith("search-")
    assert len(name) == len("search-") + 5


def test_delete_collection_by_selector(raw: Raw) -> None:
    for name, label in (("a", "1"), ("b", "1"), ("c", "2")):
        raw.create({"kind": "ConfigMap", "metadata": {"name": name, "labels": {"set": label}}})
    assert raw.request("DELETE", "configmaps", labelSelector="set=1").status_code == 200
    assert [each["metadata"]["name"] for each in raw.items("configmaps")] == ["c"]


def test_a_name_is_taken_until_its_object_has_gone(raw: Raw) -> None:
    first = raw.create(job("again", "trap 'sleep 0.5; exit 0' TERM; while :; do sleep 0.05; done"))
    eventually(lambda: raw.get("jobs.batch/again")["status"].get("ready"), "the pod to run")
    raw.request("DELETE", "jobs.batch/again", propagationPolicy="Foreground")
    assert raw.get("jobs.batch/again")["metadata"]["deletionTimestamp"]
    answer = raw.request("POST", "jobs.batch", job("again", "true"))
    assert answer.status_code == 409
    assert answer.json()["message"] == 'object is being deleted: jobs.batch "again" already exists'
    eventually(lambda: not raw.get("jobs.batch/again"), "the first Job to go", 5.0)
    assert raw.create(job("again", "true"))["metadata"]["uid"] != first["metadata"]["uid"]


def test_a_config_map_holds_a_mebibyte(raw: Raw) -> None:
    body = {"kind": "ConfigMap", "metadata": {"name": "large"}, "data": {"a": "x" * (1024 * 1024)}}
    raw.create(body)
    answer = raw.request("PUT", "configmaps/large", body | {"data": {"a": "x" * (1024 * 1024 + 1)}})
    assert answer.status_code == 422


def test_items_of_a_list_carry_no_kind(raw: Raw) -> None:
    _config_maps(raw, 1)
    assert "kind" not in raw.items("configmaps")[0]


def test_json_patch(raw: Raw) -> None:
    raw.create({"kind": "ConfigMap", "metadata": {"name": "patched"}, "data": {"a/b": "1"}})
    steps = [{"op": "replace", "path": "/data/a~1b", "value": "2"}, {"op": "add", "path": "/data/c", "value": "3"}]
    kind = "application/json-patch+json"
    assert raw.request("PATCH", "configmaps/patched", steps, content_type=kind).status_code == 200
    assert raw.get("configmaps/patched")["data"] == {"a/b": "2", "c": "3"}
    wrong = [{"op": "test", "path": "/data/c", "value": "4"}]
    assert raw.request("PATCH", "configmaps/patched", wrong, content_type=kind).status_code == 422


def test_a_dry_run_changes_nothing(raw: Raw) -> None:
    assert raw.request("POST", "jobs.batch", job("dry", "true"), dryRun="All").status_code == 201
    assert raw.items("jobs.batch") == []


def test_tables_have_the_cells_of_kubectl(raw: Raw) -> None:
    raw.create(job("shown", "true"))
    raw.job_ended("shown")
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    url = f"{raw.cluster.api_url}/apis/batch/v1/namespaces/{raw.namespace}/jobs"
    table = httpx.get(url, headers=accept).json()
    names = [each["name"] for each in table["columnDefinitions"] if not each["priority"]]
    assert names == ["Name", "Status", "Completions", "Duration", "Age"]
    assert table["rows"][0]["cells"][:3] == ["shown", "Complete", "1/1"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
