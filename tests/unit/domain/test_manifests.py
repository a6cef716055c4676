"""The Kubernetes objects, compared whole: what is not written here must not be there."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from shared.domain.manifests import BlastJob, PodSize, literal, scripts_config_map
from shared.domain.snapshot import read_job
from shared.domain.warm_manifests import CleanJob, WarmupJob
from tests.unit.domain.objects import JOB_ID

BLAST = BlastJob(
    job_id=JOB_ID,
    attempt=1,
    program="blastn",
    database="core_nt",
    shard=3,
    batch=12,
    layout=8,
    source_version="2024-05-24-0123abcd",
    node="aks-blast-000001",
    command=["blastn", "-db", "/blast/blastdb/core_nt/core_nt_08_03", "-dust", "20 64 1"],
    query_url="https://account.blob/queries/q?sig=1",
    result_url="https://account.blob/results/r?sig=2",
    callback_url="https://app/api/blast/jobs/x/notify",
    callback_token="token",
    image="acr.azurecr.io/ncbi/elb:1.4.0",
    size=PodSize(4, 2, 8.5),
    deadline_seconds=86_400,
    ttl_seconds=3600,
)
WARMUP = WarmupJob(
    database="core_nt",
    dbtype="nucl",
    layout=8,
    shard=3,
    alias="core_nt_08_03",
    volumes=["core_nt.06", "core_nt.07"],
    source_version="2024-05-24-0123abcd",
    node="aks-blast-000001",
    source_url="https://account.blob/blast-db?sig=3",
    files=[("core_nt.06.nsq", 100), ("core_nt_08_03.nal", 20)],
    touch_limit_bytes=0,
    image="ncbi/elb:1.4.0",
    size=PodSize(1, 0.5, 4),
    deadline_seconds=3600,
)
PINNED = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["aks-blast-000001"]}]}
            ]
        }
    }
}
TOLERATED = [{"key": "workload", "operator": "Equal", "value": "blast", "effect": "NoSchedule"}]
UNPRIVILEGED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
READ_ONLY = UNPRIVILEGED | {"readOnlyRootFilesystem": True}
SCRIPTS = {"name": "scripts", "configMap": {"name": "elb-control-scripts", "defaultMode": 0o555}}


def test_the_blast_job() -> None:
    labels = {
        "app": "blast",
        "elb-job-id": JOB_ID,
        "elb-attempt": "1",
        "db": "core_nt",
        "shard": "03",
        "batch": "012",
        "app.kubernetes.io/managed-by": "elb-control-plane",
    }
    name = BLAST.name
    assert re.fullmatch(r"blastn-core-nt-b012-s03-[0-9a-f]{10}", name)
    assert BLAST.manifest() == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": 3,
            "activeDeadlineSeconds": 86_400,
            "ttlSecondsAfterFinished": 3600,
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "blast", "operator": "In", "values": [1, 2]},
                    },
                ]
            },
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 5,
                    "tolerations": TOLERATED,
                    "affinity": PINNED,
                    "containers": [
                        {
                            "name": "blast",
                            "image": "acr.azurecr.io/ncbi/elb:1.4.0",
                            "command": ["/bin/bash", "/scripts/blast.sh"],
                            "args": ["blastn", "-db", "/blast/blastdb/core_nt/core_nt_08_03", "-dust", "20 64 1"],
                            "env": [
                                {"name": "BLAST_ELB_JOB_ID", "value": JOB_ID},
                                {"name": "ELB_QUERY_URL", "value": "https://account.blob/queries/q?sig=1"},
                                {"name": "ELB_RESULT_URL", "value": "https://account.blob/results/r?sig=2"},
                                {"name": "ELB_MARKER", "value": "/blast/blastdb/core_nt/.warm-08-03"},
                                {"name": "ELB_SOURCE_VERSION", "value": "2024-05-24-0123abcd"},
                                {"name": "ELB_FULL_EVALUES", "value": ""},
                                {"name": "ELB_CALLBACK_URL", "value": "https://app/api/blast/jobs/x/notify"},
                                {"name": "ELB_CALLBACK_TOKEN", "value": "token"},
                            ],
                            "resources": {
                                "requests": {"cpu": "4", "memory": "2048Mi"},
                                "limits": {"memory": "8704Mi", "cpu": "8"},
                            },
                            "volumeMounts": [
                                {"name": "blastdb", "mountPath": "/blast/blastdb", "readOnly": True},
                                {"name": "scripts", "mountPath": "/scripts", "readOnly": True},
                                {"name": "work", "mountPath": "/work"},
                            ],
                            "securityContext": READ_ONLY,
                            "workingDir": "/work",
                        }
                    ],
                    "volumes": [
                        {"name": "blastdb", "hostPath": {"path": "/workspace/blast", "type": "Directory"}},
                        SCRIPTS,
                        {"name": "work", "emptyDir": {}},
                    ],
                },
            },
        },
    }


def test_the_warmup_job() -> None:
    labels = {
        "app": "elb-db-warmup",
        "db": "core_nt",
        "shard": "03",
        "app.kubernetes.io/managed-by": "elb-control-plane",
    }
    annotations = {"elb-control/source-version": "2024-05-24-0123abcd", "elb-control/layout": "8"}
    assert WARMUP.manifest() == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": WARMUP.name, "labels": labels, "annotations": annotations},
        "spec": {
            "backoffLimit": 1,
            "activeDeadlineSeconds": 3600,
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "warmup", "operator": "In", "values": [65, 66, 67, 68, 69]},
                    },
                ]
            },
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 5,
                    "tolerations": TOLERATED,
                    "affinity": PINNED,
                    "containers": [
                        {
                            "name": "warmup",
                            "image": "ncbi/elb:1.4.0",
                            "command": ["/bin/bash", "/scripts/warm.sh"],
                            "env": [
                                {"name": "ELB_DB", "value": "core_nt"},
                                {"name": "ELB_DBTYPE", "value": "nucl"},
                                {"name": "ELB_SHARD", "value": "03"},
                                {"name": "ELB_LAYOUT", "value": "08"},
                                {"name": "ELB_ALIAS", "value": "core_nt_08_03"},
                                {"name": "ELB_VOLUMES", "value": "core_nt.06 core_nt.07"},
                                {"name": "ELB_SOURCE_VERSION", "value": "2024-05-24-0123abcd"},
                                {"name": "ELB_SOURCE_URL", "value": "https://account.blob/blast-db?sig=3"},
                                {"name": "ELB_FILES", "value": "100 core_nt.06.nsq\n20 core_nt_08_03.nal"},
                                {"name": "ELB_TOUCH_LIMIT_BYTES", "value": "0"},
                            ],
                            "resources": {
                                "requests": {"cpu": "1", "memory": "512Mi"},
                                "limits": {"memory": "4096Mi", "cpu": "2"},
                            },
                            "volumeMounts": [
                                {"name": "blastdb", "mountPath": "/blast/blastdb"},
                                {"name": "scripts", "mountPath": "/scripts", "readOnly": True},
                            ],
                            "securityContext": UNPRIVILEGED,
                        }
                    ],
                    "volumes": [
                        {"name": "blastdb", "hostPath": {"path": "/workspace/blast", "type": "DirectoryOrCreate"}},
                        SCRIPTS,
                    ],
                },
            },
        },
    }


def test_the_warmup_job_of_a_plain_name() -> None:
    assert replace(WARMUP, database="resfinder").name == "warm-resfinder-03"


def test_a_warmup_job_says_which_warmup_made_it() -> None:
    manifest = replace(WARMUP, made_by="warmup-1").manifest()
    assert manifest["metadata"]["annotations"]["elb-control/made-by"] == "warmup-1"


def test_the_clean_up_job() -> None:
    job = CleanJob("resfinder", "aks-blast-000001", "ncbi/elb:1.4.0", PodSize(1, 0.25, 1), "release-1")
    labels = {"app": "elb-cache-clean", "db": "resfinder", "app.kubernetes.io/managed-by": "elb-control-plane"}
    annotations = {"elb-control/made-by": "release-1"}
    cordoned = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}
    assert job.manifest() == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "elb-cache-clean-resfinder-aks-blast-000001",
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
            "backoffLimit": 1,
            "activeDeadlineSeconds": 300,
            "ttlSecondsAfterFinished": 600,
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 5,
                    "tolerations": [*TOLERATED, cordoned],
                    "affinity": PINNED,
                    "containers": [
                        {
                            "name": "clean",
                            "image": "ncbi/elb:1.4.0",
                            "command": ["/bin/bash", "/scripts/clean.sh"],
                            "env": [{"name": "ELB_DB", "value": "resfinder"}],
                            "resources": {
                                "requests": {"cpu": "1", "memory": "256Mi"},
                                "limits": {"memory": "1024Mi", "cpu": "2"},
                            },
                            "volumeMounts": [
                                {"name": "blastdb", "mountPath": "/blast/blastdb"},
                                {"name": "scripts", "mountPath": "/scripts", "readOnly": True},
                            ],
                            "securityContext": READ_ONLY,
                        }
                    ],
                    "volumes": [
                        {"name": "blastdb", "hostPath": {"path": "/workspace/blast", "type": "DirectoryOrCreate"}},
                        SCRIPTS,
                    ],
                },
            },
        },
    }


class TestScriptsConfigMap:
    def test_whole(self) -> None:
        found = scripts_config_map({"blast.sh": "a", "warm.sh": "b"})
        digest = found["metadata"]["annotations"].pop("elb-control/content-hash")
        assert re.fullmatch(r"[0-9a-f]{64}", digest)
        assert found == {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "elb-control-scripts",
                "labels": {"app": "elb-control", "app.kubernetes.io/managed-by": "elb-control-plane"},
                "annotations": {},
            },
            "data": {"blast.sh": "a", "warm.sh": "b"},
        }

    def test_the_hash_is_of_names_and_contents_in_any_order(self) -> None:
        def digest(scripts: dict[str, str]) -> str:
            text = scripts_config_map(scripts)["metadata"]["annotations"]["elb-control/content-hash"]
            assert isinstance(text, str)
            return text

        same = {digest(dict(order)) for order in permutations({"a": "1", "b": "2", "c": ""}.items())}
        assert len(same) == 1
        others = [{"a": "2", "b": "1", "c": ""}, {"a": "1", "b": "2"}, {"a": "1b", "": "2", "c": ""}, {}]
        assert len({*same, *map(digest, others)}) == 5


@pytest.mark.parametrize("job", [BLAST, WARMUP], ids=["blast", "warmup"])
class TestRules:
    def test_pinned_by_affinity_and_never_by_node_name(self, job: BlastJob | WarmupJob) -> None:
        manifest = job.manifest()
        assert "nodeName" not in manifest["spec"]["template"]["spec"]
        assert read_job(manifest).node == "aks-blast-000001"

    @pytest.mark.parametrize("database", ["", "a b", "../../etc", "x" * 300, "日本", "-a-", "$(X)", "a\nb"])
    def test_labels_are_valid_for_any_database(self, job: BlastJob | WarmupJob, database: str) -> None:
        manifest = replace(job, database=database).manifest()
        pod = manifest["spec"]["template"]["metadata"]
        assert pod["labels"] == manifest["metadata"]["labels"]
        for value in pod["labels"].values():
            assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", value)
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", manifest["metadata"]["name"])

    def test_made_twice_it_is_the_same(self, job: BlastJob | WarmupJob) -> None:
        assert job.manifest() == job.manifest()


def test_each_batch_shard_and_attempt_has_its_own_name() -> None:
    changes: list[dict[str, Any]] = [{}, {"batch": 1}, {"shard": 1}, {"attempt": 2}, {"job_id": "x"}, {"database": "y"}]
    assert len({replace(BLAST, **change).name for change in changes}) == len(changes)


def expand(text: str, env: dict[str, str]) -> str:
    """What the kubelet makes of args and env: a transcription of Kubernetes' third_party/forked/golang/expansion."""
    out, at = "", 0
    while at < len(text):
        if text[at] != "$" or at + 1 == len(text):
            out, at = out + text[at], at + 1
        elif text[at + 1] == "$":
            out, at = out + "$", at + 2
        elif text[at + 1] == "(" and ")" in text[at + 2 :]:
            end = text.index(")", at + 2)
            name = text[at + 2 : end]
            out, at = out + env.get(name, f"$({name})"), end + 1
        else:
            out, at = out + text[at : at + 2], at + 2
    return out


class TestLiteral:
    ENV = {"X": "secret", "": "empty", "HOME": "/root"}  # noqa: RUF012

    @pytest.mark.parametrize(
        "text",
        ["", "plain", "$", "$$", "$$$", "$X", "$(X)", "$$(X)", "$$$(X)", "a$(X)b$(HOME)", "$(", "$()", "($X)", "100$"],
    )
    def test_kubernetes_passes_it_on_as_it_is(self, text: str) -> None:
        assert expand(literal(text), self.ENV) == text

    def test_arguments_and_environment_are_literal(self) -> None:
        job = replace(BLAST, command=["blastn", "$(ELB_CALLBACK_TOKEN)"], callback_url="https://x/$(HOME)")
        (container,) = job.manifest()["spec"]["template"]["spec"]["containers"]
        assert container["args"][1] == "$$(ELB_CALLBACK_TOKEN)"
        assert {"name": "ELB_CALLBACK_URL", "value": "https://x/$$(HOME)"} in container["env"]
