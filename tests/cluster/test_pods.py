"""The kubelet: pods really run, with their volumes, environment, logs, restarts and grace period."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.cluster.harness import RunningCluster
from tests.cluster.support import Json, Raw, control, eventually, node_name, on_node, pod


def _output(raw: Raw, name: str, script: str, **more: Any) -> str:
    raw.create(pod(name, script, **more))
    assert raw.ended(name) == "Succeeded", raw.log(name)
    return raw.log(name)


def test_the_pod_is_a_machine_of_its_own(raw: Raw) -> None:
    lines = _output(raw, "own", "hostname; ls /proc | grep -c '^[0-9]'; touch /usr/x || echo read-only").splitlines()
    assert lines[0] == "own"
    assert int(lines[1]) < 10
    assert lines[-1] == "read-only"


def _field(path: str) -> Json:
    return {"valueFrom": {"fieldRef": {"fieldPath": path}}}


def test_environment_as_the_kubelet_makes_it(raw: Raw) -> None:
    raw.create({"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"db": "nt", "unused": "x"}})
    raw.create({"kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"token": "s3cret"}})
    env: list[Json] = [
        {"name": "NAME", **_field("metadata.name")},
        {"name": "APP", **_field("metadata.labels['app']")},
        {"name": "NODE", **_field("spec.nodeName")},
        {"name": "HOST_IP", **_field("status.hostIP")},
        {"name": "POD_IP", **_field("status.podIP")},
        {"name": "DB", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "db"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "JOINED", "value": "$(DB)-$(NAME)-$$(DB)-$(NONE)"},
    ]
    names = " ".join("$" + each["name"] for each in env)
    source = [{"configMapRef": {"name": "settings"}, "prefix": "cm_"}]
    more: Json = {"env": env, "envFrom": source, "affinity": on_node(node_name(1))}
    words = _output(raw, "env", f"echo {names} $cm_db", **more).split()
    assert words[:3] == ["env", "blast", node_name(1)]
    assert words[3] == "10.224.0.5"
    assert words[4].startswith("10.244.")
    assert words[5:] == ["nt", "s3cret", "nt-env-$(DB)-$(NONE)", "nt"]


def test_args_and_command_expand_variables(raw: Raw) -> None:
    more = {"command": ["echo"], "args": ["$(WHO)", "there"], "env": [{"name": "WHO", "value": "you"}]}
    assert _output(raw, "args", "", **more) == "you there\n"


def test_a_config_map_is_mounted_read_only_with_items_and_mode(raw: Raw) -> None:
    data = {"run.sh": "#!/bin/sh\necho from $0\n", "other": "x"}
    raw.create({"kind": "ConfigMap", "metadata": {"name": "scripts"}, "data": data})
    volume = {"configMap": {"name": "scripts", "defaultMode": 0o755, "items": [{"key": "run.sh", "path": "bin/go"}]}}
    mounts = [{"name": "scripts", "mountPath": "/scripts"}]
    script = "/scripts/bin/go; ls /scripts; touch /scripts/x || echo read-only"
    output = _output(raw, "mounted", script, volumes=[{"name": "scripts", **volume}], volumeMounts=mounts)
    assert output.splitlines()[:2] == ["from /scripts/bin/go", "bin"]
    assert output.endswith("read-only\n")


def test_a_pod_waits_for_its_config_map(raw: Raw) -> None:
    volumes = [{"name": "scripts", "configMap": {"name": "later"}}]
    raw.create(
        pod("waits", "cat /scripts/a", volumes=volumes, volumeMounts=[{"name": "scripts", "mountPath": "/scripts"}])
    )

    def reasons() -> set[str]:
        return {each["reason"] for each in raw.items("events")}

    eventually(lambda: "FailedMount" in reasons(), "the event FailedMount")
    raw.create({"kind": "ConfigMap", "metadata": {"name": "later"}, "data": {"a": "here"}})
    assert raw.ended("waits") == "Succeeded"


def test_each_node_has_a_disk_of_its_own(raw: Raw) -> None:
    folder = f"/workspace/{raw.namespace}"
    disk = {
        "volumes": [{"name": "disk", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}}],
        "volumeMounts": [{"name": "disk", "mountPath": "/blast/blastdb"}],
    }
    _output(raw, "writes", "echo data > /blast/blastdb/nt.00", affinity=on_node(node_name(0)), **disk)
    assert _output(raw, "reads", "cat /blast/blastdb/nt.00", affinity=on_node(node_name(0)), **disk) == "data\n"
    assert _output(raw, "elsewhere", "ls /blast/blastdb", affinity=on_node(node_name(1)), **disk) == ""
    on_disk = raw.cluster.node_folder(node_name(0)) / folder.lstrip("/") / "nt.00"
    assert on_disk.read_text() == "data\n"


def test_a_read_only_mount_is_read_only(raw: Raw) -> None:
    volumes = [{"name": "disk", "hostPath": {"path": "/workspace/blast"}}]
    mounts = [{"name": "disk", "mountPath": "/db", "readOnly": True}]
    assert "Read-only" in _output(raw, "ro", "touch /db/x; true", volumes=volumes, volumeMounts=mounts)


def test_a_read_only_image_leaves_the_volumes_as_they_are(raw: Raw) -> None:
    more: Json = {
        "volumes": [{"name": "work", "emptyDir": {}}],
        "volumeMounts": [{"name": "work", "mountPath": "/work"}],
    }
    script = "touch /tmp/x; touch /root/x; touch /x; echo written > /work/x; echo out >/dev/null; cat /work/x"
    lines = _output(raw, "sealed", script, **more, securityContext={"readOnlyRootFilesystem": True}).splitlines()
    assert ["Read-only" in line for line in lines] == [True, True, True, False]
    assert lines[-1] == "written"


def test_an_empty_dir_is_shared_with_init_containers_and_goes_with_the_pod(raw: Raw) -> None:
    mounts = [{"name": "work", "mountPath": "/work"}]
    first = {"image": "busybox", "volumeMounts": mounts}
    inits = [
        {"name": "one", **first, "command": ["sh", "-c", "echo 1 > /work/a"]},
        {"name": "two", **first, "command": ["sh", "-c", "echo 2 >> /work/a"]},
    ]
    more: Json = {"initContainers": inits, "volumes": [{"name": "work", "emptyDir": {}}], "volumeMounts": mounts}
    assert _output(raw, "inits", "cat /work/a", **more) == "1\n2\n"
    uid = raw.get("pods/inits")["metadata"]["uid"]
    left = list(Path(raw.cluster.root / "pods" / f"{raw.namespace}_inits_{uid}").glob("volumes/*"))
    assert left == []


def test_a_failing_init_container_fails_the_pod(raw: Raw) -> None:
    init = {"name": "first", "image": "busybox", "command": ["sh", "-c", "exit 3"]}
    raw.create(pod("broken", "true", initContainers=[init]))
    assert raw.ended("broken") == "Failed"
    status = raw.get("pods/broken")["status"]
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"


# Kubernetes makes `$` of `$$` in a command line, so that a shell's `$$` is written `$$$$` there.
KILLS_ITSELF = "kill -9 $$$$"


@pytest.mark.parametrize(
    ("script", "code", "reason"), [("exit 4", 4, "Error"), (KILLS_ITSELF, 137, "Error"), ("true", 0, "Completed")]
)
def test_exit_codes_and_reasons(raw: Raw, script: str, code: int, reason: str) -> None:
    raw.create(pod("ends", script))
    raw.ended("ends")
    ended = raw.get("pods/ends")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (code, reason)


def test_a_command_that_is_not_there_is_a_start_error(raw: Raw) -> None:
    raw.create(pod("typo", "", command=["blastnn"]))
    assert raw.ended("typo") == "Failed"
    ended = raw.get("pods/typo")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")


def test_out_of_memory_on_demand(raw: Raw) -> None:
    raw.create(pod("large", "sleep 60"))
    eventually(lambda: raw.phase("large") == "Running", "the pod to run")
    control(raw.cluster, f"/pods/{raw.namespace}/large/oom", {})
    raw.ended("large")
    ended = raw.get("pods/large")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


def test_a_pods_own_deadline(raw: Raw) -> None:
    raw.create(pod("late", "sleep 60", activeDeadlineSeconds=1, terminationGracePeriodSeconds=1))
    assert raw.ended("late") == "Failed"
    assert raw.get("pods/late")["status"]["reason"] == "DeadlineExceeded"


def test_the_tools_come_first_in_the_path(new_cluster: Callable[..., RunningCluster], tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    tool = tmp_path / "tools" / "azcopy"
    tool.write_text("#!/bin/sh\necho tool $0\n")
    tool.chmod(0o755)
    raw = Raw(new_cluster(1, tools=[tool.parent]), "default")
    assert _output(raw, "tool", "azcopy") == "tool /opt/tools/0/azcopy\n"


def test_logs_have_both_streams_tails_and_limits(raw: Raw) -> None:
    _output(raw, "talks", "for i in 1 2 3 4 5; do echo line $i; done; echo problem >&2")
    assert raw.log("talks", tailLines="2") == "line 5\nproblem\n"
    assert raw.log("talks", tailLines="0") == ""
    assert raw.log("talks", limitBytes="6") == "line 1"
    assert raw.log("talks", timestamps="true").splitlines()[0].endswith("Z line 1")
    assert raw.request("GET", "pods/talks/log", limitBytes="0").status_code == 422
    assert raw.request("GET", "pods/talks/log", container="none").status_code == 400
    assert raw.request("GET", "pods/talks/log", previous="true").status_code == 400


def test_of_several_containers_one_must_be_named(raw: Raw) -> None:
    """The text is the API server's (kubernetes, pkg/registry/core/pod/strategy.go)."""
    both = pod("both", "echo one", initContainers=[{"name": "first", "image": "ncbi/elb:1.4.0", "command": ["true"]}])
    both["spec"]["containers"].append({**both["spec"]["containers"][0], "name": "beside"})
    raw.create(both)
    raw.ended("both")
    named = both["spec"]["containers"][0]["name"]
    refused = raw.request("GET", "pods/both/log")
    assert refused.status_code == 400
    assert refused.json()["message"] == (
        f"a container name must be specified for pod both, choose one of: [{named} beside] "
        "or one of the init containers: [first]"
    )
    assert raw.log("both", container=named) == "one\n"


def test_a_clipped_log_keeps_its_end(raw: Raw) -> None:
    _output(raw, "long", "seq 1000")
    control(raw.cluster, f"/pods/{raw.namespace}/long/clip-log", {"keep_bytes": 9})
    assert raw.log("long") == "999\n1000\n"


def test_a_crashing_container_backs_off_and_keeps_the_previous_log(raw: Raw) -> None:
    raw.create(pod("crashes", "echo try; exit 1", restartPolicy="OnFailure"))

    def waiting() -> Json:
        status = (raw.get("pods/crashes")["status"].get("containerStatuses") or [{}])[0]
        loops = (status.get("state") or {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
        return dict(status) if loops and status["restartCount"] >= 1 else {}

    status = eventually(waiting, "CrashLoopBackOff")
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert raw.phase("crashes") == "Running"
    assert raw.log("crashes", previous="true") == "try\n"


def test_an_unknown_image_is_waited_for(raw: Raw) -> None:
    raw.create(pod("unknown", "true", image="registry.example/none:1"))

    def reason() -> str:
        status = (raw.get("pods/unknown")["status"].get("containerStatuses") or [{}])[0]
        return str((status.get("state") or {}).get("waiting", {}).get("reason", ""))

    eventually(lambda: reason() == "ImagePullBackOff", "ImagePullBackOff")
    assert raw.phase("unknown") == "Pending"
    refused = raw.request("GET", "pods/unknown/log")
    assert refused.status_code == 400
    assert "trying and failing to pull image" in refused.json()["message"]
    control(raw.cluster, "/images", {"add": ["registry.example/none:1"]})
    assert raw.ended("unknown") == "Succeeded"


def test_any_registry_prefix_names_a_known_image(raw: Raw) -> None:
    assert _output(raw, "prefixed", "echo ok", image="elbacr.azurecr.io/ncbi/elb:1.4.0") == "ok\n"


def test_the_grace_period_lets_a_trap_run(raw: Raw) -> None:
    volumes = [{"name": "disk", "hostPath": {"path": f"/grace/{raw.namespace}"}}]
    script = "trap 'echo saved > /disk/saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    more: Json = {"volumes": volumes, "volumeMounts": [{"name": "disk", "mountPath": "/disk"}]}
    raw.create(pod("polite", script, affinity=on_node(node_name(2)), **more))
    eventually(lambda: raw.phase("polite") == "Running" and raw.log("polite") == "ready\n", "the trap to be set")
    assert raw.request("DELETE", "pods/polite").json()["metadata"]["deletionTimestamp"]
    eventually(lambda: not raw.get("pods/polite"), "the pod to go", 3.0)
    saved = raw.cluster.node_folder(node_name(2)) / f"grace/{raw.namespace}/saved"
    assert saved.read_text() == "saved\n"


def test_a_pod_that_ignores_term_is_killed_after_the_grace_period(raw: Raw) -> None:
    raw.create(pod("stubborn", "trap '' TERM; echo ready; while :; do sleep 0.05; done"))
    eventually(lambda: raw.phase("stubborn") == "Running" and raw.log("stubborn"), "the trap to be set")
    begun = time.monotonic()
    raw.request("DELETE", "pods/stubborn", gracePeriodSeconds="1")
    assert raw.get("pods/stubborn")["metadata"]["deletionTimestamp"]
    eventually(lambda: not raw.get("pods/stubborn"), "the pod to go", 4.0)
    assert time.monotonic() - begun >= 1.0


def test_a_forced_delete_takes_the_pod_at_once(raw: Raw) -> None:
    raw.create(pod("forced", "trap '' TERM; sleep 60"))
    eventually(lambda: raw.phase("forced") == "Running", "the pod to run")
    raw.request("DELETE", "pods/forced", gracePeriodSeconds="0")
    assert raw.get("pods/forced") == {}


def test_a_slowed_pod_waits_before_its_command(raw: Raw) -> None:
    control(raw.cluster, "/pace", {"label_selector": f"speed={raw.namespace}", "delay_seconds": 1})
    raw.create(pod("slowed", "date +%s.%N", labels={"speed": raw.namespace}))
    begun = time.monotonic()
    assert raw.ended("slowed") == "Succeeded"
    assert time.monotonic() - begun >= 1.0
    control(raw.cluster, "/pace", {"label_selector": f"speed={raw.namespace}", "delay_seconds": 0})


def test_a_daemon_set_runs_one_pod_on_every_node(raw: Raw) -> None:
    labels = {"app": "elb-cache-probe"}
    spec = pod("probe", "echo $NODE; sleep 60", terminationGracePeriodSeconds=1)["spec"] | {"restartPolicy": "Always"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    body = {"metadata": {"name": "probe"}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    raw.create(body | {"kind": "DaemonSet", "apiVersion": "apps/v1"})

    def ready() -> bool:
        return bool(raw.get("daemonsets.apps/probe")["status"].get("numberReady") == 3)

    eventually(ready, "three ready pods")
    nodes = {each["spec"]["nodeName"] for each in raw.items("pods", labelSelector="app=elb-cache-probe")}
    assert nodes == {node_name(number) for number in range(3)}
    raw.request("DELETE", "daemonsets.apps/probe")
    eventually(lambda: not raw.items("pods", labelSelector="app=elb-cache-probe"), "the pods to go", 4.0)
