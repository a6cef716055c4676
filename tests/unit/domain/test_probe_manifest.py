"""The residency probe's DaemonSet, as a whole."""

from __future__ import annotations

import json

from shared.domain.probe_manifest import PROBE_HASH, ProbeSet


def test_the_whole_object() -> None:
    made = ProbeSet("registry/ncbi/elb:1.4.0", "echo $(date) $PATH", 60).manifest()
    digest = made["metadata"]["annotations"].pop(PROBE_HASH)
    assert len(digest) == 64
    assert made == {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": "elb-cache-probe",
            "labels": {"app": "elb-cache-probe", "app.kubernetes.io/managed-by": "elb-control-plane"},
            "annotations": {},
        },
        "spec": {
            "selector": {"matchLabels": {"app": "elb-cache-probe"}},
            "template": {
                "metadata": {"labels": {"app": "elb-cache-probe", "app.kubernetes.io/managed-by": "elb-control-plane"}},
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 1,
                    "tolerations": [{"key": "workload", "operator": "Equal", "value": "blast", "effect": "NoSchedule"}],
                    "affinity": {
                        "nodeAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": {
                                "nodeSelectorTerms": [
                                    {
                                        "matchExpressions": [
                                            {
                                                "key": "kubernetes.azure.com/mode",
                                                "operator": "NotIn",
                                                "values": ["system"],
                                            }
                                        ]
                                    }
                                ]
                            }
                        }
                    },
                    "containers": [
                        {
                            "name": "probe",
                            "image": "registry/ncbi/elb:1.4.0",
                            "command": ["/bin/bash", "-c", "echo $$(date) $$PATH"],
                            "env": [{"name": "ELB_PROBE_SECONDS", "value": "60"}],
                            "resources": {
                                "requests": {"cpu": "10m", "memory": "32Mi"},
                                "limits": {"cpu": "250m", "memory": "128Mi"},
                            },
                            "volumeMounts": [{"name": "blastdb", "mountPath": "/blast/blastdb", "readOnly": True}],
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                                "readOnlyRootFilesystem": True,
                            },
                        }
                    ],
                    "volumes": [
                        {"name": "blastdb", "hostPath": {"path": "/workspace/blast", "type": "DirectoryOrCreate"}}
                    ],
                },
            },
        },
    }
    json.dumps(made)


def test_the_hash_is_that_of_the_content() -> None:
    def digest(image: str = "i", script: str = "s", seconds: int = 60) -> str:
        return str(ProbeSet(image, script, seconds).manifest()["metadata"]["annotations"][PROBE_HASH])

    assert digest() == digest()
    assert len({digest(), digest(image="j"), digest(script="t"), digest(seconds=5)}) == 4
