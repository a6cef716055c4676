"""The Kubernetes API by the emulator: objects, selectors, pages, logs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.clients.kube import KubeClient
from shared.domain.errors import ConflictError, NotFoundError, PermanentError, TransientError
from tests.clients.conftest import Place
from tests.clients.support import eventually, fresh
from tests.clients.wire import Rule

NOWHERE = {"nodeSelector": {"there-is": "none"}}


def a_pod(script: str, **more: Any) -> dict[str, Any]:
    container = {"name": "blast", "image": "ncbi/elb:1.4.0", "command": ["sh", "-c", script]}
    return {"restartPolicy": "Never", "tolerations": [{"operator": "Exists"}], "containers": [container], **more}


def a_job(name: str, label: str) -> dict[str, Any]:
    """A Job whose pod finds no node."""
    labels = {"app": "blast", "of": label}
    template = {"metadata": {"labels": labels}, "spec": a_pod("true", **NOWHERE)}
    return {"kind": "Job", "metadata": {"name": name, "labels": labels}, "spec": {"template": template}}


@pytest.fixture
def kube(place: Place) -> KubeClient:
    return place.kube()


@pytest.fixture
def label(kube: KubeClient) -> Iterator[str]:
    """A label of the test's own; the Jobs that have it go with the test."""
    name = fresh("of")
    yield name
    for job in kube.jobs(f"of={name}"):
        kube.delete("jobs", job["metadata"]["name"])


class TestObjects:
    def test_another_object_of_the_same_name_is_not_deleted(self, kube: KubeClient) -> None:
        name = fresh("map")
        made = kube.create("configmaps", {"kind": "ConfigMap", "metadata": {"name": name}})
        kube.delete("configmaps", name, "00000000-0000-4000-8000-000000000000")
        assert kube.get("configmaps", name)["metadata"]["uid"] == made["metadata"]["uid"]
        for _ in range(2):
            kube.delete("configmaps", name, made["metadata"]["uid"])
        with pytest.raises(NotFoundError):
            kube.get("configmaps", name)

    def test_create_get_replace_delete(self, kube: KubeClient) -> None:
        name = fresh("map")
        made = kube.create("configmaps", {"kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
        assert made["metadata"]["uid"]
        kube.replace("configmaps", {**made, "data": {"a": "ä 🧬"}})
        assert kube.get("configmaps", name)["data"] == {"a": "ä 🧬"}
        for _ in range(2):
            kube.delete("configmaps", name)
            with pytest.raises(NotFoundError) as caught:
                kube.get("configmaps", name)
            assert caught.value.code == "kube_not_found"
            assert f'"{name}" not found' in caught.value.message

    def test_a_job_takes_its_pods_along(self, kube: KubeClient, label: str) -> None:
        name = fresh("job")
        kube.create("jobs", a_job(name, label))
        eventually(lambda: kube.pods(f"of={label}"), "the pod")
        kube.delete("jobs", name)
        eventually(lambda: not kube.pods(f"of={label}"), "the end of the pod")

    def test_what_is_there_already(self, kube: KubeClient) -> None:
        manifest = {"kind": "ConfigMap", "metadata": {"name": fresh("map")}}
        made = kube.create("configmaps", manifest)
        with pytest.raises(ConflictError) as caught:
            kube.create("configmaps", manifest)
        assert caught.value.code == "already_exists"
        kube.replace("configmaps", {**made, "data": {"a": "1"}})
        with pytest.raises(ConflictError) as caught:
            kube.replace("configmaps", {**made, "data": {"a": "2"}})
        assert caught.value.code == "kube_conflict"
        assert "the object has been modified" in caught.value.message

    def test_what_is_invalid(self, kube: KubeClient) -> None:
        with pytest.raises(PermanentError) as caught:
            kube.create("configmaps", {"kind": "ConfigMap", "metadata": {"name": "Not A Name"}})
        assert caught.value.code == "kube_refused"
        assert "RFC 1123" in caught.value.message

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../configmaps/x", "x?y", "x#", "%2e%2e"])
    def test_no_name_leaves_its_collection(self, place: Place, kube: KubeClient, name: str) -> None:
        kept = fresh("kept")
        kube.create("configmaps", {"kind": "ConfigMap", "metadata": {"name": kept}})
        with place.kubernetes.watching() as seen:
            for call in (kube.get, kube.delete):
                try:
                    call("configmaps", name)
                except PermanentError:
                    continue
        prefix = "/api/v1/namespaces/default/configmaps/"
        assert all(each.path.startswith(prefix) and "/" not in each.path.removeprefix(prefix) for each in seen)
        assert all(each.path != prefix and "?" not in each.path for each in seen)
        assert kube.get("configmaps", kept)


class TestLists:
    def test_by_selector(self, kube: KubeClient, label: str) -> None:
        names = sorted(fresh("job") for _ in range(3))
        for name in names:
            kube.create("jobs", a_job(name, label))
        kube.create("jobs", a_job(fresh("job"), other := fresh("of")))
        assert sorted(job["metadata"]["name"] for job in kube.jobs(f"app=blast,of={label}")) == names
        assert len(kube.jobs(f"of in ({label},{other})")) == 4
        assert kube.jobs(f"of={label},app=submit") == []

    @pytest.mark.parametrize("minutes", [-5, 0, 5])
    def test_the_time_is_the_api_servers(self, place: Place, kube: KubeClient, minutes: int) -> None:
        """Its clock dates the objects; ours may be another."""
        place.control("/clock", {"skew_seconds": 60 * minutes})
        try:
            kube.jobs("app=blast")
        finally:
            place.control("/clock", {"skew_seconds": 0})
        told = kube.server_time()
        assert told is not None
        assert abs(told - datetime.now(UTC) - timedelta(minutes=minutes)) < timedelta(seconds=5)

    def test_nodes(self, kube: KubeClient) -> None:
        assert len([node for node in kube.nodes() if node["metadata"]["labels"].get("workload") == "blast"]) == 4

    def test_by_pages(self, place: Place, kube: KubeClient, label: str) -> None:
        names = sorted(fresh("job") for _ in range(7))
        for name in names:
            kube.create("jobs", a_job(name, label))
        with place.kubernetes.watching() as seen:
            found = place.kube(page=3).jobs(f"of={label}")
        assert sorted(job["metadata"]["name"] for job in found) == names
        assert len(seen) == 3
        assert all(f"labelSelector=of%3D{label}" in each.path and "limit=3" in each.path for each in seen)
        assert not any("resourceVersion" in each.path for each in seen)

    def test_one_that_expires_half_way_begins_again(self, place: Place, kube: KubeClient, label: str) -> None:
        names = sorted(fresh("job") for _ in range(5))
        for name in names:
            kube.create("jobs", a_job(name, label))
        expiring = place.kube(before(place, 2), page=2)
        with place.kubernetes.watching() as seen:
            found = expiring.jobs(f"of={label}")
        assert sorted(job["metadata"]["name"] for job in found) == names
        assert [each.status for each in seen] == [200, 410, 200, 200, 200]

    def test_one_that_always_expires_is_an_error(self, place: Place, kube: KubeClient, label: str) -> None:
        for _ in range(3):
            kube.create("jobs", a_job(fresh("job"), label))
        expiring = place.kube(before(place, 2, 4, 6, 8, 10), page=1)
        with pytest.raises(TransientError) as caught:
            expiring.jobs(f"of={label}")
        assert caught.value.code == "kube_list_expired"


def before(place: Place, *requests: int) -> Callable[[], str]:
    """A token that lets all pages expire just before the requests with these numbers."""
    numbers = itertools.count(1)

    def token() -> str:
        if next(numbers) in requests:
            place.control("/continue/expire", {})
        return place.stack.identity.cluster_token

    return token


class TestLogs:
    def run(self, kube: KubeClient, script: str, **more: Any) -> str:
        name = fresh("pod")
        kube.create("pods", {"kind": "Pod", "metadata": {"name": name}, "spec": a_pod(script, **more)})
        return name

    def test_of_a_pod_that_waits_and_of_none(self, kube: KubeClient) -> None:
        name = self.run(kube, "true", **NOWHERE)
        assert kube.log_tail(name, 10, 100) == ""
        kube.delete("pods", name)
        assert kube.log_tail("there-is-none", 10, 100) == ""

    def test_the_last_lines_and_bytes(self, kube: KubeClient) -> None:
        name = self.run(kube, "seq 5000; printf 'last\\377'")
        eventually(lambda: kube.get("pods", name)["status"].get("phase") == "Succeeded", "the pod's end")
        assert kube.log_tail(name, 3, 1000) == "4999\n5000\nlast\ufffd"
        assert kube.log_tail(name, 3, 7) == "0\nlast\ufffd"
        whole = kube.log_tail(name, 10_000, 10_000_000)
        assert whole.startswith("1\n2\n")
        assert len(kube.log_tail(name, 10_000, 16_000)) == 16_000
        kube.delete("pods", name)

    @pytest.mark.proves("T6")
    def test_of_a_pod_with_several_containers(self, kube: KubeClient) -> None:
        name = fresh("pod")
        spec = a_pod("echo from BLAST; exit 3")
        spec["containers"].append({**spec["containers"][0], "name": "results-export", "command": ["echo", "exported"]})
        kube.create("pods", {"kind": "Pod", "metadata": {"name": name}, "spec": spec})
        eventually(lambda: kube.get("pods", name)["status"].get("phase") == "Failed", "the pod's end")
        assert kube.log_tail(name, 10, 100, "blast") == "from BLAST\n"
        assert kube.log_tail(name, 10, 100, "results-export") == "exported\n"
        assert kube.log_tail(name, 10, 100) == "", "the API server does not choose one"
        kube.delete("pods", name)

    def test_a_refusal_is_no_empty_log(self, place: Place, kube: KubeClient) -> None:
        for status in (403, 500):
            with place.kubernetes.breaking(Rule("GET", status=status)), pytest.raises(TransientError):
                kube.log_tail("pod", 10, 100)
