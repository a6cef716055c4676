"""What a pod cannot do: leave its node's disk, outlive its stack, have more memory than its limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.cluster.clock import Clock
from local.cluster.harness import RunningCluster, start_cluster
from local.cluster.kinds import CONFIG_MAPS, NAMESPACES
from local.cluster.lists import Lists
from local.cluster.patch import APPLY_PATCH
from local.cluster.paths import Target
from local.cluster.store import Store
from local.cluster.verbs import Verbs
from local.cluster.volumes import MountError, PodVolumes
from local.stack.process import MARKER, marked
from tests.cluster.support import Json, Raw, eventually, job, node_name, on_node, pod

UP = "../../etc"
ITEMS = {"items": [{"key": "a", "path": UP}]}
MOUNT = [{"name": "v", "mountPath": "/v"}]


class TestPaths:
    @pytest.mark.parametrize(
        ("volume", "field"),
        [
            ({"hostPath": {"path": f"/{UP}"}}, "hostPath.path"),
            ({"configMap": {"name": "c", **ITEMS}}, "configMap.items[0].path"),
            ({"secret": {"secretName": "s", **ITEMS}}, "secret.items[0].path"),
            ({"downwardAPI": ITEMS}, "downwardAPI.items[0].path"),
            ({"projected": {"sources": [{"secret": ITEMS}]}}, "projected.sources[0].secret.items[0].path"),
        ],
        ids=["hostPath", "configMap", "secret", "downwardAPI", "projected"],
    )
    def test_backsteps_are_refused(self, raw: Raw, volume: Json, field: str) -> None:
        spec: Json = {"volumes": [{"name": "v", **volume}], "volumeMounts": MOUNT}
        for plural, obj, place in (
            ("pods", pod("p", "true", **spec), "spec"),
            ("jobs.batch", job("j", "true", pod=dict(spec)), "spec.template.spec"),
        ):
            answer = raw.request("POST", plural, obj)
            assert answer.status_code == 422, answer.text
            assert f"{place}.volumes[0].{field}" in answer.json()["message"]
            assert "must not contain '..'" in answer.json()["message"]

    @pytest.mark.parametrize(("path", "reason"), [(UP, "must not contain '..'"), ("/etc", "must be a relative path")])
    def test_a_sub_path_stays_below_its_volume(self, raw: Raw, path: str, reason: str) -> None:
        mounts = [{**MOUNT[0], "subPath": path}]
        answer = raw.request("POST", "pods", pod("p", "true", volumes=[{"name": "v"}], volumeMounts=mounts))
        assert answer.status_code == 422
        assert reason in answer.json()["message"]

    def test_names_with_two_dots_are_names(self, raw: Raw) -> None:
        folder = f"/workspace/{raw.namespace}/a..b"
        raw.create(pod("p", "true", volumes=[{"name": "v", "hostPath": {"path": folder}}], volumeMounts=MOUNT))
        assert raw.ended("p") == "Succeeded"

    def test_a_link_that_a_pod_left_does_not_lead_out(self, raw: Raw, tmp_path: Path) -> None:
        folder, node = f"/workspace/{raw.namespace}", on_node(node_name(0))
        disk: Json = {"volumes": [{"name": "v", "hostPath": {"path": folder}}], "volumeMounts": MOUNT}
        raw.create(pod("links", f"ln -s {tmp_path} /v/out", affinity=node, **disk))
        assert raw.ended("links") == "Succeeded"
        through = [{"name": "v", "hostPath": {"path": f"{folder}/out/made"}}]
        raw.create(pod("follows", "touch /v/x", affinity=node, volumes=through, volumeMounts=MOUNT))

        def refusals() -> list[Json]:
            return [each for each in raw.items("events") if each["reason"] == "FailedMount"]

        assert "leads out of the volume" in eventually(refusals, "the event")[0]["message"]
        below = [{**MOUNT[0], "subPath": "out"}]
        raw.create(pod("below", "touch /v/x", affinity=node, volumes=disk["volumes"], volumeMounts=below))
        assert raw.ended("below") == "Failed"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("path", ["/..", "../x", "a/../../x"])
    def test_the_volumes_look_themselves(self, tmp_path: Path, path: str) -> None:
        spec = {"volumes": [{"name": "v", "hostPath": {"path": path}}]}
        volumes = PodVolumes({"spec": spec}, tmp_path / "node", tmp_path / "pod", lambda *_: None)
        with pytest.raises(MountError, match="leads out of the volume"):
            volumes.set_up()


class TestWorkingFolder:
    # The machine has /home; a container has only what it mounts, and /work does not cover /workspace.
    @pytest.mark.parametrize("folder", ["/home", "/workspace/deep", "/work/deep", "/usr/lib", "/"])
    def test_one_that_the_container_does_not_have_is_made(self, raw: Raw, folder: str) -> None:
        mounts = [{"name": "v", "mountPath": "/work"}]
        raw.create(pod("p", "pwd", workingDir=folder, volumes=[{"name": "v"}], volumeMounts=mounts))
        assert raw.ended("p") == "Succeeded", raw.log("p")
        assert raw.log("p") == f"{folder}\n"


class TestMemory:
    HOG = "exec python3 -c 'import time; held = bytearray(200 << 20); print(\"held\", flush=True); time.sleep(60)'"

    def _run(self, raw: Raw, name: str, limit: str, script: str) -> Json:
        raw.create(pod(name, script, resources={"limits": {"memory": limit}}))
        raw.ended(name)
        state: Json = raw.get(f"pods/{name}")["status"]["containerStatuses"][0]["state"]["terminated"]
        return state

    def test_a_container_above_its_limit_is_killed(self, raw: Raw) -> None:
        ended = self._run(raw, "hog", "64Mi", self.HOG)
        assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")

    def test_what_can_be_taken_back_does_not_count(self, raw: Raw) -> None:
        script = "head -c 200M /dev/zero >/tmp/a; cat /tmp/a >/dev/null; sleep 1.2"
        assert self._run(raw, "cache", "64Mi", script)["exitCode"] == 0

    def test_what_processes_share_counts_once(self, raw: Raw) -> None:
        script = "import os, time; held = bytearray(100 << 20); [os.fork() for _ in range(2)]; time.sleep(1.5)"
        ended = self._run(raw, "forks", "256Mi", f"exec python3 -c '{script}'")
        assert (ended["exitCode"], ended["reason"]) == (0, "Completed")


class TestLife:
    def test_a_pod_is_found_by_the_stacks_marker_and_does_not_know_it(
        self, new_cluster: Callable[..., RunningCluster], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv(MARKER, str(tmp_path))
        cluster = new_cluster(1)
        monkeypatch.delenv(MARKER)
        assert marked(str(tmp_path)) == [cluster.process.pid]
        raw = Raw(cluster, "default")
        raw.create(pod("p", "env; sleep 60"))
        eventually(lambda: raw.phase("p") == "Running", "the pod to run")
        assert len(marked(str(tmp_path))) > 1
        assert "HOSTNAME=p" in eventually(lambda: raw.log("p"), "the log")
        assert MARKER not in raw.log("p")
        cluster.stop()
        eventually(lambda: not marked(str(tmp_path)), "the pod to go")

    def test_an_emulator_begins_without_the_folders_of_earlier_pods(self, tmp_path: Path) -> None:
        left = tmp_path / "pods/default_p_1/blast/0.log"
        disk = tmp_path / "nodes/n/workspace/kept"
        for path in (left, disk):
            path.parent.mkdir(parents=True)
            path.touch()
        start_cluster(tmp_path).stop()
        assert not left.exists()
        assert disk.exists()

    def test_what_was_applied_is_forgotten_with_its_object(self) -> None:
        store = Store(Clock())
        verbs = Verbs(store, Lists(store))
        store.create(NAMESPACES, {"metadata": {"name": "default"}})
        target = Target(CONFIG_MAPS, "default", "c", "")
        headers = {"Content-Type": APPLY_PATCH}
        body: Any = {"metadata": {"name": "c"}, "data": {"a": "1"}}
        assert verbs.run("patch", target, {"fieldManager": "me"}, headers, body)[0] == 201
        assert len(verbs._applied) == 1
        verbs.run("delete", target, {}, {}, None)
        assert verbs._applied == {}
