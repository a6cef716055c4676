"""What the tests of the cluster emulator share: manifests, waiting for a condition, kubectl, the control endpoint."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from local.cluster.harness import RunningCluster

Json = dict[str, Any]
KUBECTL = "/usr/bin/kubectl"


def eventually[T](look: Callable[[], T], what: str, seconds: float = 10.0) -> T:
    """The first true value that `look` gives; AssertionError when `seconds` pass without one."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def pod_spec(script: str, **more: Any) -> Json:
    """A pod's spec with one container `blast` that runs a shell script."""
    container: Json = {"name": "blast", "image": "ncbi/elb:1.4.0", "command": ["sh", "-c", script]}
    fields = (
        "env",
        "envFrom",
        "volumeMounts",
        "resources",
        "workingDir",
        "args",
        "image",
        "command",
        "securityContext",
    )
    for field in fields:
        if field in more:
            container[field] = more.pop(field)
    return {"restartPolicy": "Never", "containers": [container], **more}


def job(name: str, script: str, pod: Json | None = None, **spec: Any) -> Json:
    """A Job with one container that runs a shell script; `spec` are further fields of the Job's spec."""
    template = {"metadata": {"labels": {"app": "blast"}}, "spec": pod_spec(script, **(pod or {}))}
    meta = {"name": name, "labels": {"app": "blast"}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": template, **spec}}


def pod(name: str, script: str, **more: Any) -> Json:
    """A pod that runs a shell script."""
    meta = {"name": name, "labels": more.pop("labels", {"app": "blast"})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod_spec(script, **more)}


def on_node(name: str) -> Json:
    """The affinity that pins a pod to one node through the scheduler."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


@dataclass(frozen=True, slots=True)
class Raw:
    """The API of one namespace as plain JSON, past the client's models: for what these would refuse to send."""

    cluster: RunningCluster
    namespace: str

    def request(self, method: str, path: str, body: Any = None, **parameters: str) -> httpx.Response:
        """One call of the API; `path` begins behind the group's root, as `pods/x` or `jobs.batch/x`."""
        resource, _, rest = path.partition("/")
        plural, _, group = resource.partition(".")
        root = f"/apis/{group}/v1" if group else "/api/v1"
        url = f"{self.cluster.api_url}{root}/namespaces/{self.namespace}/{plural}" + (f"/{rest}" if rest else "")
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": parameters.pop("content_type", "application/json")}
        return httpx.request(method, url, params=parameters, content=content, headers=headers, timeout=10)

    def create(self, obj: Json) -> Json:
        """Create an object, and expect that it works."""
        plural = {"Job": "jobs.batch", "DaemonSet": "daemonsets.apps"}.get(obj["kind"], f"{obj['kind'].lower()}s")
        answer = self.request("POST", plural, obj)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def get(self, path: str) -> Json:
        """Read an object; {} when it is not there."""
        answer = self.request("GET", path)
        return {} if answer.status_code == 404 else dict(answer.json())

    def items(self, plural: str, **parameters: str) -> list[Json]:
        """The objects of a list."""
        return list(self.request("GET", plural, **parameters).json()["items"])

    def log(self, name: str, **parameters: str) -> str:
        """A pod's log."""
        return self.request("GET", f"pods/{name}/log", **parameters).text

    def pods_of(self, job_name: str) -> list[Json]:
        """A Job's pods, oldest first."""
        pods = self.items("pods", labelSelector=f"job-name={job_name}")
        return sorted(pods, key=lambda each: int(each["metadata"]["resourceVersion"]))

    def ended(self, name: str, seconds: float = 10.0) -> str:
        """Wait for a pod's end; its phase."""
        ends = ("Succeeded", "Failed")
        return eventually(lambda: next((end for end in ends if self.phase(name) == end), ""), f"{name} to end", seconds)

    def phase(self, name: str) -> str:
        """A pod's phase."""
        return str(self.get(f"pods/{name}").get("status", {}).get("phase", ""))

    def job_condition(self, name: str) -> str:
        """`Complete`, `Failed`, or an empty text while the Job has not ended."""
        conditions = self.get(f"jobs.batch/{name}").get("status", {}).get("conditions") or []
        ended = [each["type"] for each in conditions if each["type"] in ("Complete", "Failed")]
        return str(ended[0]) if ended else ""

    def job_ended(self, name: str, seconds: float = 10.0) -> str:
        """Wait for a Job's end; the type of its last condition."""
        return eventually(lambda: self.job_condition(name), f"the end of Job {name}", seconds)

    def kubectl(self, *words: str, given: str | None = None, seconds: float = 15.0) -> str:
        """Run the real kubectl in the namespace, and expect that it works; its output."""
        argv = [KUBECTL, "--kubeconfig", str(self.cluster.kubeconfig), "-n", self.namespace, *words]
        run = subprocess.run(argv, input=given, capture_output=True, text=True, timeout=seconds)
        assert run.returncode == 0, f"{words}: {run.stdout}{run.stderr}"
        return run.stdout


def control(cluster: RunningCluster, path: str, body: Json | None = None, method: str = "POST") -> Json:
    """One call of the control endpoint, expected to work."""
    answer = httpx.request(method, cluster.control_url + path, json=body if method == "POST" else None, timeout=10)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def node_name(number: int) -> str:
    """The name of the emulator's node number n."""
    return f"aks-blast-00000000-vmss{number:06d}"
