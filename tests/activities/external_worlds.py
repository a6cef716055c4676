"""What tests put into a world of a search begun outside: its Jobs, its row, its results."""

from __future__ import annotations

import gzip
from typing import Any

from shared.domain.progress import Progress
from shared.domain.results import RESULTS_CONTAINER
from shared.domain.search import Search
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.worlds import Json, ago, put_search, status_of

ID = "blast-of-ada"
PIECES = {f"batch_{number:03d}-blastn-nt.out.gz": gzip.compress(b"row\n" * number, mtime=0) for number in range(3)}


def put_outside(
    world: World, name: str = "blastn-batch-nt-job-000-1", job_id: str = ID, state: str = "running", **more: Any
) -> Json:
    """A BLAST Job as the command line labels it, with a uid of its own."""
    labels = {"app": "blast", "elb-job-id": job_id, "db": "nt"} | more.pop("labels", {})
    metadata = {"name": name, "uid": f"uid-{name}", "labels": labels, "creationTimestamp": ago(60).isoformat()}
    return world.cluster.put("jobs", {"metadata": metadata | more, "spec": {}, "status": status_of(state)})


def put_pod_of(world: World, job: Json, env_id: str = "") -> None:
    """A running pod of a Job, with an id in its environment."""
    env = [{"name": "BLAST_ELB_JOB_ID", "value": env_id}] if env_id else []
    name = job["metadata"]["name"]
    metadata = {"name": f"{name}-pod", "labels": {"app": "blast", "job-name": name}}
    spec = {"containers": [{"name": "blast", "env": env}]}
    world.cluster.put("pods", {"metadata": metadata, "spec": spec, "status": {"phase": "Running"}})


def put_external(world: World, **fields: Any) -> Search:
    """A search begun outside whose Jobs have all succeeded."""
    given: Json = {"engine": "external", "source": "external", "query": {}, "options": {}, "jobs_created_at": ago(60)}
    given |= {"phase": Phase.RESULTS_PENDING, "progress": Progress(total=3, succeeded=3), "owner": "dev@localhost"}
    return put_search(world, ID, **(given | fields))


def put_results(world: World, **change: bytes) -> None:
    """The results of three Jobs."""
    for name, content in PIECES.items():
        world.store.blobs[RESULTS_CONTAINER, f"{ID}/{name}"] = change.get(name[:9], content)
