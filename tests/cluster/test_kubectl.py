"""The real kubectl, unchanged."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.support import KUBECTL, Raw, eventually, job, node_name, pod

pytestmark = pytest.mark.skipif(not Path(KUBECTL).exists(), reason=f"{KUBECTL} is absent (Debian: kubernetes-client)")


def _header(table: str) -> list[str]:
    return table.splitlines()[0].split()


@pytest.fixture
def finished(raw: Raw) -> Raw:
    """A namespace with a Job `search` that has ended."""
    raw.kubectl("apply", "-f", "-", given=json.dumps(job("search", "echo hit; echo hsp")))
    raw.kubectl("wait", "--for=condition=complete", "job/search", "--timeout=10s")
    return raw


def test_get_nodes(raw: Raw) -> None:
    table = raw.kubectl("get", "nodes", "-o", "wide")
    assert _header(table)[:6] == ["NAME", "STATUS", "ROLES", "AGE", "VERSION", "INTERNAL-IP"]
    assert table.count(" Ready ") == 3


def test_get_jobs_and_pods(finished: Raw) -> None:
    jobs = finished.kubectl("get", "jobs", "-o", "wide")
    assert _header(jobs) == ["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert jobs.splitlines()[1].split()[:3] == ["search", "Complete", "1/1"]
    pods = finished.kubectl("get", "pods", "-l", "app=blast", "-o", "wide")
    assert _header(pods)[:7] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"]
    assert pods.splitlines()[1].split()[1:4] == ["0/1", "Completed", "0"]


def test_get_everything_else(finished: Raw) -> None:
    assert "pod/search-" in finished.kubectl("get", "all")
    assert _header(finished.kubectl("get", "events")) == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert "Active" in finished.kubectl("get", "namespaces")
    assert node_name(0) in finished.kubectl("get", "leases", "-n", "kube-node-lease")
    name = finished.kubectl("get", "pods", "-o", "jsonpath={.items[0].metadata.name}")
    assert name.startswith("search-")
    assert finished.kubectl("get", "pods", "-o", "name") == f"pod/{name}\n"


def test_describe(finished: Raw) -> None:
    described = finished.kubectl("describe", "job", "search")
    assert "0 Active (0 Ready) / 1 Succeeded / 0 Failed" in described
    assert "SuccessfulCreate" in described
    described = finished.kubectl("describe", "pods")
    for reason in ("Scheduled", "Pulled", "Created", "Started"):
        assert reason in described
    assert "MemoryPressure" in finished.kubectl("describe", "node", node_name(0))


def test_logs(finished: Raw) -> None:
    assert finished.kubectl("logs", "job/search") == "hit\nhsp\n"
    assert finished.kubectl("logs", "-l", "app=blast", "--tail=1") == "hsp\n"


def test_logs_follow_to_the_end_of_the_container(raw: Raw) -> None:
    raw.create(pod("follows", "echo one; sleep 0.5; echo two"))
    eventually(lambda: raw.phase("follows") == "Running", "the pod to run")
    assert raw.kubectl("logs", "-f", "follows") == "one\ntwo\n"


def test_apply_creates_changes_and_leaves_alone(raw: Raw) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "scripts"}, "data": {"a": "1", "b": "2"}}
    assert raw.kubectl("apply", "-f", "-", given=json.dumps(body)) == "configmap/scripts created\n"
    assert raw.kubectl("apply", "-f", "-", given=json.dumps(body)) == "configmap/scripts unchanged\n"
    changed = json.dumps(body | {"data": {"a": "3"}})
    assert raw.kubectl("apply", "-f", "-", given=changed) == "configmap/scripts configured\n"
    assert raw.get("configmaps/scripts")["data"] == {"a": "3"}


def test_server_side_apply(raw: Raw) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "scripts"}, "data": {"a": "1", "b": "2"}}
    raw.kubectl("apply", "--server-side", "-f", "-", given=json.dumps(body))
    raw.kubectl("apply", "--server-side", "-f", "-", given=json.dumps(body | {"data": {"a": "3"}}))
    assert raw.get("configmaps/scripts")["data"] == {"a": "3"}


def test_create_from_a_file(raw: Raw) -> None:
    assert raw.kubectl("create", "-f", "-", given=json.dumps(job("made", "true"))) == "job.batch/made created\n"


def test_label_and_annotate(raw: Raw) -> None:
    raw.create({"kind": "ConfigMap", "metadata": {"name": "scripts", "labels": {"old": "1"}}})
    raw.kubectl("label", "configmap", "scripts", "db=nt", "old-")
    raw.kubectl("annotate", "configmap", "scripts", "source=2024-01-01")
    meta = raw.get("configmaps/scripts")["metadata"]
    assert (meta["labels"], meta["annotations"]) == ({"db": "nt"}, {"source": "2024-01-01"})


def test_delete_a_job_and_its_pods(finished: Raw) -> None:
    finished.kubectl("delete", "job", "search")
    eventually(lambda: not finished.items("pods"), "the pods to go")


def test_delete_by_selector(raw: Raw) -> None:
    for number in range(3):
        raw.create(job(f"search-{number}", "sleep 30", {"terminationGracePeriodSeconds": 1}))
    raw.kubectl("delete", "jobs", "-l", "app=blast")
    assert raw.items("jobs.batch") == []


def test_top(raw: Raw) -> None:
    assert _header(raw.kubectl("top", "nodes")) == ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    raw.create(pod("busy", "sleep 30", terminationGracePeriodSeconds=1))
    eventually(lambda: raw.phase("busy") == "Running", "the pod to run")
    assert "busy" in raw.kubectl("top", "pods")


def test_cordon_keeps_pods_away(raw: Raw) -> None:
    raw.kubectl("cordon", node_name(1))
    assert "Ready,SchedulingDisabled" in raw.kubectl("get", "nodes")
    raw.kubectl("uncordon", node_name(1))
    assert "SchedulingDisabled" not in raw.kubectl("get", "nodes")


@pytest.fixture
def watching(raw: Raw) -> Iterator[subprocess.Popen[str]]:
    """`kubectl get pods -w` in the namespace."""
    argv = [KUBECTL, "--kubeconfig", str(raw.cluster.kubeconfig), "-n", raw.namespace, "get", "pods", "-w"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.terminate()


def test_watch_shows_a_pod_to_its_end(raw: Raw, watching: subprocess.Popen[str]) -> None:
    raw.create(pod("seen", "sleep 0.3"))
    assert watching.stdout is not None
    states = []
    for line in watching.stdout:
        states.append(line.split()[2])
        if "Completed" in line:
            break
    assert [state for state in dict.fromkeys(states) if state != "STATUS"][-2:] == ["Running", "Completed"]


def test_the_server_refuses_through_kubectl(raw: Raw) -> None:
    argv = [KUBECTL, "--kubeconfig", str(raw.cluster.kubeconfig), "-n", raw.namespace]
    run = subprocess.run([*argv, "get", "job", "none"], capture_output=True, text=True)
    assert run.stderr == 'Error from server (NotFound): jobs.batch "none" not found\n'
    bad = json.dumps(job("bad", "true", {"restartPolicy": "Always"}))
    run = subprocess.run([*argv, "apply", "-f", "-"], input=bad, capture_output=True, text=True)
    assert 'The Job "bad" is invalid: spec.template.spec.restartPolicy: Unsupported value: "Always"' in run.stderr
