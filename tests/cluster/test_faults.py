"""Faults on demand, nodes that come and go, power, and the life of the process itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes import client, config

from local.cluster.harness import RunningCluster
from tests.cluster.support import Json, Raw, control, eventually, job, node_name, on_node, pod

NewCluster = Callable[..., RunningCluster]


@pytest.fixture
def faulty(raw: Raw) -> Iterator[Raw]:
    """A namespace of the shared cluster; its faults end with the test."""
    yield raw
    control(raw.cluster, "/faults", method="DELETE")


def _fault(raw: Raw, **fault: object) -> None:
    control(raw.cluster, "/faults", {"path_regex": raw.namespace, **fault})


def test_too_many_requests_with_retry_after(faulty: Raw) -> None:
    _fault(faulty, status=429, retry_after=3, count=1, method="GET")
    answer = faulty.request("GET", "pods")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")
    assert answer.json()["reason"] == "TooManyRequests"
    assert faulty.request("GET", "pods").status_code == 200


def test_server_error_for_one_method_and_path_only(faulty: Raw) -> None:
    _fault(faulty, status=500, path_regex=f"{faulty.namespace}/jobs", method="POST")
    assert faulty.request("POST", "jobs.batch", job("x", "true")).status_code == 500
    assert faulty.request("GET", "jobs.batch").status_code == 200


def test_latency(faulty: Raw) -> None:
    _fault(faulty, latency_ms=300, count=1)
    begun = time.monotonic()
    assert faulty.request("GET", "pods").status_code == 200
    assert time.monotonic() - begun >= 0.3


def test_connection_reset(faulty: Raw) -> None:
    _fault(faulty, reset=True, count=1)
    with pytest.raises(httpx.TransportError):
        faulty.request("GET", "pods")
    assert faulty.request("GET", "pods").status_code == 200


def test_wrong_faults_are_refused(cluster: RunningCluster) -> None:
    answer = httpx.post(f"{cluster.control_url}/faults", json={"statsu": 500})
    assert answer.status_code == 400
    assert "statsu" in answer.json()["error"]


@pytest.mark.parametrize("headers", [{"Host": "example.org"}, {"Origin": "http://example.org"}], ids=["host", "origin"])
def test_a_web_page_cannot_control(cluster: RunningCluster, headers: dict[str, str]) -> None:
    assert httpx.get(f"{cluster.control_url}/state", headers=headers).status_code == 403
    assert httpx.post(f"{cluster.control_url}/power", headers=headers, json={"state": "stopped"}).status_code == 403
    own = {"Origin": cluster.control_url}
    assert httpx.get(f"{cluster.control_url}/state", headers=own).json()["powered"] is True


def test_calls_are_counted_since_a_mark(raw: Raw) -> None:
    mark = control(raw.cluster, "/calls/mark", {})["mark"]
    raw.items("pods")
    raw.items("pods", labelSelector="app=blast")
    raw.get("jobs.batch/none")
    assert control(raw.cluster, f"/calls?since={mark}", method="GET") == {"list pods": 2, "get jobs.batch": 1}


def test_a_denied_image_and_a_slow_one(new_cluster: NewCluster) -> None:
    raw = Raw(new_cluster(1), "default")
    control(raw.cluster, "/images", {"deny": ["ncbi/elb:1.4.0"], "slow": {"busybox": 0.5}})
    raw.create(pod("denied", "true"))
    raw.create(pod("slow", "true", image="busybox"))

    def state() -> Json:
        return dict((raw.get("pods/denied")["status"].get("containerStatuses") or [{}])[0].get("state", {}))

    eventually(lambda: "waiting" in state() and "401 Unauthorized" in state()["waiting"].get("message", ""), "the 401")
    slow = (raw.get("pods/slow")["status"]["containerStatuses"])[0]["state"]
    assert slow == {"waiting": {"reason": "ContainerCreating"}}
    assert raw.ended("slow") == "Succeeded"
    assert control(raw.cluster, "/state", method="GET")["counts"]["pods"] == 2


def test_the_cluster_clock_can_be_skewed(new_cluster: NewCluster) -> None:
    raw = Raw(new_cluster(1), "default")
    control(raw.cluster, "/clock", {"skew_seconds": -86400})
    raw.create(job("yesterday", "true"))
    assert raw.job_ended("yesterday") == "Complete"
    created = raw.get("jobs.batch/yesterday")["metadata"]["creationTimestamp"]
    assert created < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 80000))


def test_without_the_token_401_and_kubectl_knows_it(new_cluster: NewCluster) -> None:
    raw = Raw(new_cluster(1, token="s3cret"), "default")
    answer = httpx.get(f"{raw.cluster.api_url}/api/v1/nodes")
    assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized")
    headers = {"Authorization": "Bearer s3cret"}
    assert httpx.get(f"{raw.cluster.api_url}/api/v1/nodes", headers=headers).status_code == 200
    assert node_name(0) in raw.kubectl("get", "nodes")
    settings = client.Configuration()
    config.load_kube_config(str(raw.cluster.kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]
    with client.ApiClient(settings) as connected:
        core: Any = client.CoreV1Api(connected)
        assert len(core.list_node().items) == 1
    control(raw.cluster, "/token", {"token": "another"})
    assert httpx.get(f"{raw.cluster.api_url}/api/v1/nodes", headers=headers).status_code == 401


def _ready(raw: Raw) -> Json:
    return {name: node["ready"] for name, node in control(raw.cluster, "/state", method="GET")["nodes"].items()}


def test_a_lost_node_takes_its_pods_and_the_job_goes_elsewhere(new_cluster: NewCluster) -> None:
    raw = Raw(new_cluster(2), "default")
    raw.create(job("moves", "sleep 60", {"terminationGracePeriodSeconds": 1}))

    def where() -> list[str]:
        return [each["spec"]["nodeName"] for each in raw.pods_of("moves") if each["status"]["phase"] == "Running"]

    first = eventually(where, "a running pod")[0]
    control(raw.cluster, f"/nodes/{first}", {"action": "lose"})
    assert first not in _ready(raw)
    second = eventually(where, "a running pod on the other node")[0]
    assert second != first


def test_a_stopped_node_is_unknown_and_its_pods_are_found_dead_later(new_cluster: NewCluster) -> None:
    raw = Raw(new_cluster(2), "default")
    raw.create(pod("stays", "sleep 60", affinity=on_node(node_name(0))))
    eventually(lambda: raw.phase("stays") == "Running", "the pod to run")
    control(raw.cluster, f"/nodes/{node_name(0)}", {"action": "stop"})
    assert _ready(raw) == {node_name(0): False, node_name(1): True}
    assert raw.phase("stays") == "Running"
    answer = raw.request("GET", "pods/stays/log")
    assert (answer.status_code, "10250: i/o timeout" in answer.text) == (500, True)
    assert "NotReady" in raw.kubectl("get", "nodes")
    control(raw.cluster, f"/nodes/{node_name(0)}", {"action": "start"})
    assert raw.ended("stays") == "Failed"
    assert _ready(raw)[node_name(0)]


def test_a_replaced_node_has_an_empty_disk(new_cluster: NewCluster) -> None:
    raw = Raw(new_cluster(1), "default")
    on_disk = raw.cluster.node_folder(node_name(0)) / "workspace/blast/nt.00"
    on_disk.parent.mkdir(parents=True)
    on_disk.write_text("data")
    control(raw.cluster, f"/nodes/{node_name(0)}", {"action": "replace", "new_name": node_name(7)})
    assert _ready(raw) == {node_name(7): True}
    assert not list(raw.cluster.node_folder(node_name(7)).iterdir())


def test_a_stopped_cluster_refuses_and_comes_back_with_its_disks(new_cluster: NewCluster) -> None:
    raw = Raw(new_cluster(1), "default")
    raw.create(job("survives", "sleep 60", backoffLimit=3))
    eventually(lambda: raw.pods_of("survives")[0]["status"]["phase"] == "Running", "the pod to run")
    on_disk = raw.cluster.node_folder(node_name(0)) / "kept"
    on_disk.write_text("data")
    control(raw.cluster, "/power", {"state": "stopped"})
    with pytest.raises(httpx.ConnectError):
        raw.items("pods")
    assert control(raw.cluster, "/state", method="GET")["running_pods"] == 0
    control(raw.cluster, "/power", {"state": "running"})

    def phases() -> list[str]:
        return sorted(each["status"]["phase"] for each in raw.pods_of("survives"))

    eventually(lambda: phases() == ["Failed", "Running"], "a second pod")
    assert on_disk.read_text() == "data"


def _processes_with(text: str) -> list[int]:
    """The processes whose command line has this text."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if text.encode() in line and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_pod_survives_the_emulator(new_cluster: NewCluster, number: signal.Signals) -> None:
    raw = Raw(new_cluster(1), "default")
    marker = f"pod-of-{raw.cluster.process.pid}"
    for index in range(3):
        script = f"trap '' TERM; : {marker}; sleep 600 & sleep 600"
        raw.create(pod(f"pod-{index}", script))
    eventually(lambda: all(raw.phase(f"pod-{index}") == "Running" for index in range(3)), "three pods")
    assert _processes_with(marker)
    begun = time.monotonic()
    raw.cluster.process.send_signal(number)
    code = raw.cluster.process.wait(15)
    eventually(lambda: not _processes_with(marker), "the end of the pods' processes", 10.0)
    assert time.monotonic() - begun < 10.0
    assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)
