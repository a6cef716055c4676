"""The Jobs that the stand-in makes, as whole values, after the templates of elastic-blast (``recorded.json``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

IMAGE = "ncbi/elb:1.4.0"
_TOLERATIONS = [{"key": "workload", "operator": "Equal", "value": "blast", "effect": "NoSchedule"}]
_SHARED = {"name": "shared-data", "mountPath": "/shared"}
_DATABASES = {"name": "blast-dbs", "mountPath": "/blast/blastdb", "subPath": "blast"}


@dataclass(frozen=True)
class Submission:
    """One ``elastic-blast submit``.

    Attributes:
        results: URL of the container of results, with the command's own id as a folder.
        access: the variables with which the stand-in reaches cluster and storage.
    """

    job_id: str
    program: str
    db: str
    db_url: str
    results: str
    options: str
    memory_request: str
    memory_limit: str
    cluster_name: str
    resource_group: str
    access: Mapping[str, str]

    @property
    def short_id(self) -> str:
        """``BLAST_ELB_JOB_ID_SHORT``: what sets the names of two submissions apart."""
        return self.job_id[-8:]

    @property
    def _molecule(self) -> str:
        return "prot" if self.program in ("blastp", "blastx") else "nucl"

    def setup_job(self, ordinal: int, node: str) -> dict[str, Any]:
        """Brings the database to a node."""
        container = {
            "name": "get-blastdb",
            "image": IMAGE,
            "workingDir": "/blast/blastdb",
            "volumeMounts": [{**_DATABASES, "name": "blastdb"}],
            "env": self._env(
                {
                    "BLAST_USAGE_REPORT": "false",
                    "ELB_DB": self.db,
                    "ELB_DB_MOL_TYPE": self._molecule,
                    "ELB_STAND_IN_DB": self.db_url,
                }
            ),
            "command": ["elastic-blast", "pod", "get-blastdb"],
        }
        spec = {
            "restartPolicy": "Never",
            "nodeSelector": {"kubernetes.io/hostname": node},
            "volumes": [{"name": "blastdb", "hostPath": {"path": "/workspace", "type": "DirectoryOrCreate"}}],
            "containers": [container],
        }
        return self._job(f"init-ssd-{self.short_id}-{ordinal}", {"app": "setup"}, spec, backoff_limit=3)

    def blast_job(self, batch: int) -> dict[str, Any]:
        """Searches one batch in the whole database."""
        number = f"{batch:03d}"
        common = {"JOB_NUM": number, "ELB_RESULTS": self.results}
        named = common | {"ELB_BLAST_PROGRAM": self.program, "ELB_DB": self.db, "RESULTS_DIR": "/shared/results"}
        blast_env = named | {
            "BLAST_USAGE_REPORT": "false",
            "BLAST_ELB_JOB_ID": self.job_id,
            "BLAST_ELB_BATCH_NUM": str(batch),
            "BLAST_ELB_VERSION": "stand-in",
            "ELB_NUM_CPUS": "1",
            "ELB_BLAST_OPTIONS": self.options,
            "ELB_TIMEFMT": "%s%N",
            "ELB_DB_MOL_TYPE": self._molecule,
            "QUERY_DIR": "/shared/requests",
        }
        fetch = _container("import-query-batches", "query", self._env(common), [_SHARED])
        blast = _container("blast", "blast", self._env(blast_env), [_DATABASES, _SHARED])
        blast["workingDir"] = "/blast/blastdb"
        blast["resources"] = {
            "requests": {"memory": self.memory_request, "cpu": "1"},
            "limits": {"memory": self.memory_limit, "cpu": "2"},
        }
        export = _container("results-export", "export", self._env(named), [_SHARED])
        spec = {
            "restartPolicy": "OnFailure",
            "volumes": [
                {"name": "blast-dbs", "hostPath": {"path": "/workspace", "type": "DirectoryOrCreate"}},
                {"name": "shared-data", "emptyDir": {}},
            ],
            "initContainers": [fetch],
            "containers": [blast, export],
        }
        name = f"{self.program}-batch-{_slug(self.db)}-job-{number}-{self.short_id}"
        return self._job(name, {"app": "blast", "db": self.db}, spec, backoff_limit=3)

    def finalizer_job(self) -> dict[str, Any]:
        """Waits for the BLAST Jobs, then writes the marker."""
        env = {
            "ELB_RESULTS": self.results,
            "ELB_AZURE_RESOURCE_GROUP": self.resource_group,
            "ELB_CLUSTER_NAME": self.cluster_name,
            "ELB_REUSE_CLUSTER": "true",
            "ELB_METADATA_DIR": "metadata",
            "ELB_DB_PARTITIONS": "0",
            "ELB_BLAST_PROGRAM": self.program,
            "BLAST_ELB_JOB_ID": self.job_id,
        }
        container = _container("finalizer", "finalizer", self._env(env), [])
        spec = {"restartPolicy": "Never", "containers": [container]}
        return self._job(f"elb-finalizer-{self.short_id}", {"app": "finalizer"}, spec, backoff_limit=0)

    def _env(self, env: Mapping[str, str]) -> list[dict[str, str]]:
        return [{"name": name, "value": value.replace("$", "$$")} for name, value in {**env, **self.access}.items()]

    def _job(
        self, name: str, labels: Mapping[str, str], spec: Mapping[str, Any], *, backoff_limit: int
    ) -> dict[str, Any]:
        own = {**labels, "elb-job-id": self.job_id}
        pod = {"tolerations": _TOLERATIONS, "automountServiceAccountToken": False, **spec}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": own},
            "spec": {"backoffLimit": backoff_limit, "template": {"metadata": {"labels": own}, "spec": pod}},
        }


def _container(name: str, step: str, env: list[dict[str, str]], mounts: list[dict[str, str]]) -> dict[str, Any]:
    command = ["elastic-blast", "pod", step]
    return {"name": name, "image": IMAGE, "env": env, "volumeMounts": mounts, "command": command}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
