"""Deployments: as many pods of the newest template as the spec says."""

from __future__ import annotations

from typing import Any

from tests.cluster.support import Json, Raw, control, eventually


def deployment(script: str = "sleep 100", **spec: Any) -> Json:
    """A deployment of one pod."""
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script]}
    pod = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    template = {"metadata": {"labels": {"app": "served"}}, "spec": pod}
    wanted = {"replicas": 1, "selector": {"matchLabels": {"app": "served"}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "served"}, "spec": wanted}


def create(raw: Raw, obj: Json) -> None:
    """Make it, and expect that it works."""
    answer = raw.request("POST", "deployments.apps", obj)
    assert answer.status_code == 201, answer.text


def available(raw: Raw, replicas: int) -> list[Json]:
    """Wait until so many pods are available; they."""

    def look() -> list[Json] | None:
        found = raw.get("deployments.apps/served")
        status = found.get("status", {})
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        pods = [pod for pod in raw.items("pods") if not pod["metadata"].get("deletionTimestamp")]
        there = seen and status.get("availableReplicas") == replicas == len(pods)
        return (pods or [{}]) if there else None

    found = eventually(look, f"{replicas} available")
    assert found is not None
    return found


def test_its_pods_come_back_scale_and_follow_the_template(raw: Raw) -> None:
    create(raw, deployment())
    [first] = available(raw, 1)
    assert first["metadata"]["labels"]["app"] == "served"
    raw.request("DELETE", f"pods/{first['metadata']['name']}")
    eventually(lambda: [p for p in available(raw, 1) if p["metadata"]["uid"] != first["metadata"]["uid"]], "another")
    raw.kubectl("patch", "deployment", "served", "-p", '{"spec": {"replicas": 0}}')
    available(raw, 0)
    raw.request("PUT", "deployments.apps/served", deployment("sleep 200", replicas=2))
    pods = available(raw, 2)
    assert {pod["spec"]["containers"][0]["command"][2] for pod in pods} == {"sleep 200"}
    shown = raw.kubectl("get", "deployments").splitlines()
    assert shown[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert shown[1].split()[1] == "2/2"
    raw.request("DELETE", "deployments.apps/served")
    eventually(lambda: raw.items("pods") == [], "no pods")


def test_one_whose_image_cannot_be_had_says_so(raw: Raw) -> None:
    wanted = deployment()
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "nobody/has:this"
    create(raw, wanted)

    def reason() -> bool:
        states = [s["state"] for pod in raw.items("pods") for s in pod["status"].get("containerStatuses") or []]
        return any("waiting" in s and s["waiting"]["reason"] in ("ErrImagePull", "ImagePullBackOff") for s in states)

    eventually(reason, "the reason")
    conditions = raw.get("deployments.apps/served")["status"]["conditions"]
    assert [(c["type"], c["status"]) for c in conditions] == [("Available", "False")]


def test_what_is_injected_reaches_its_pods_and_not_its_template(raw: Raw) -> None:
    control(raw.cluster, "/inject", {"label_selector": "app=served", "env": {"ELB_X": "y"}})
    try:
        create(raw, deployment())
        [pod] = available(raw, 1)
    finally:
        control(raw.cluster, "/inject", {"label_selector": "app=served", "env": {}})
    assert {"name": "ELB_X", "value": "y"} in pod["spec"]["containers"][0]["env"]
    template = raw.get("deployments.apps/served")["spec"]["template"]
    assert "env" not in template["spec"]["containers"][0]


def test_a_selector_that_does_not_match_is_refused(raw: Raw) -> None:
    answer = raw.request("POST", "deployments.apps", deployment(selector={"matchLabels": {"app": "other"}}))
    assert answer.status_code == 422
