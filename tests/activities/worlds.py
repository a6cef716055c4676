"""What tests put into a world: a search, a database with its layout, nodes, Jobs in every state, results."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from activities.warmup_jobs import create_warmup_job
from shared.clients.catalogue import save_layout
from shared.config import read_settings
from shared.domain.blast_options import read_options
from shared.domain.names import blast_job_name
from shared.domain.programs import Program
from shared.domain.results import (
    DATABASES_CONTAINER,
    QUERIES_CONTAINER,
    RESULTS_CONTAINER,
    batch_blob,
    piece_blob,
    query_blob,
)
from shared.domain.search import ClusterRef, Search
from shared.domain.states import Phase
from tests.activities.fakes import World

CLUSTER = ClusterRef("sub", "group", "cluster", "store")
OTHER_CLUSTER = ClusterRef("sub", "group", "other", "store")
DB = "db"
JOB_ID = "job-" + "0" * 31 + "1"
QUERY = b">q1\nACGTACGTAC\n>q2\nACGTACGTAC\n>q3\nACGTACGTAC\n"
ENVIRONMENT = {
    "ELB_DEFAULT_CLUSTER": "sub/group/cluster",
    "ELB_DEFAULT_STORAGE_ACCOUNT": "store",
    "ELB_CALLBACK_SECRET": "secret",
    "ELB_CALLBACK_URL": "http://localhost:7071",
    "AUTH_MODE": "dev",
    "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
}
Json = dict[str, Any]


def new_world(**environment: str) -> World:
    """An empty world with these settings besides the usual ones."""
    return World(read_settings(ENVIRONMENT | environment))


def ago(seconds: float) -> datetime:
    """So many seconds before now."""
    return datetime.now(UTC) - timedelta(seconds=seconds)


def job_id(number: int) -> str:
    """A job id."""
    return f"job-{number:032x}"


def put_search(world: World, job_id: str = JOB_ID, **fields: Any) -> Search:
    """A search in its row, with its query in storage: three queries, two of them to a batch."""
    search = Search(
        job_id=job_id,
        owner="anna",
        program="blastn",
        database=DB,
        cluster=CLUSTER,
        created_at=ago(100),
        options=read_options(Program.BLASTN, {"outfmt": "6 qseqid sseqid bitscore", "task": "megablast"}).to_dict(),
        query={"blob": query_blob(job_id), "batch_len": 20, "sha256": "0" * 64},
    )
    world.store.blobs[QUERIES_CONTAINER, query_blob(job_id)] = QUERY
    world.clusters.refs[CLUSTER.key] = CLUSTER
    return world.searches.put(replace(search, **fields))


def put_running_search(world: World, number: int = 1, jobs: int = 2, **fields: Any) -> Search:
    """A search whose Jobs were created: they are pending until ``put_job`` says otherwise."""
    usual: Json = {"phase": Phase.RUNNING, "expected_jobs": jobs, "jobs_created_at": ago(60)}
    usual["plan"] = {"batches": 1, "shards": jobs}
    search = put_search(world, job_id(number), **(usual | fields))
    for shard in range(jobs):
        put_job(world, search, shard)
    return search


def put_job(world: World, search: Search, shard: int, state: str = "pending", **fields: Any) -> Json:
    """A BLAST Job of a search; fields are merged into its metadata."""
    name = blast_job_name(search.program, search.database, shard, 0, search.job_id, search.attempt)
    labels = {"app": "blast", "elb-job-id": search.job_id, "elb-attempt": str(search.attempt)}
    labels |= {"shard": f"{shard:02d}", "batch": "000"}
    metadata = {"name": name, "labels": labels, "creationTimestamp": ago(60).isoformat()} | fields
    return world.cluster.put("jobs", {"metadata": metadata, "spec": {}, "status": status_of(state)})


def status_of(state: str) -> Json:
    """A Job's status as the API server writes it."""
    conditions = {
        "succeeded": [{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}],
        "failed": [
            {"type": "FailureTarget", "status": "True"},
            {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed too often"},
        ],
    }
    ended = {"conditions": conditions[state]} if state in conditions else {}
    return {"active": 1 if state == "running" else 0} | ended


def put_pod(world: World, job: Json, phase: str, exit_code: int | None = None) -> Json:
    """The pod of a Job."""
    name = f"{job['metadata']['name']}-pod"
    terminated = {"terminated": {"exitCode": exit_code, "reason": "Error"}} if exit_code is not None else {}
    pod = {
        "metadata": {"name": name, "labels": {**job["metadata"]["labels"], "job-name": job["metadata"]["name"]}},
        "spec": {"nodeName": "node-a"},
        "status": {"phase": phase, "containerStatuses": [{"name": "blast", "state": terminated}]},
    }
    return world.cluster.put("pods", pod)


def put_node(world: World, name: str, *, ready: bool = True, memory: str = "8Gi", pool: str = "blast") -> None:
    """A node of the BLAST pool, or of a system pool."""
    labels = {"workload": "blast"} if pool == "blast" else {"kubernetes.azure.com/mode": pool}
    status = {
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        "capacity": {"memory": memory},
    }
    world.cluster.put("nodes", {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": status})


def put_database(world: World, name: str = DB, volumes: int = 4, shards: int = 2, updated: str = "2024-05-24") -> None:
    """A nucleotide database in storage, with a layout unless ``shards`` is 0."""
    for volume in range(volumes):
        for part in ("nhr", "nin", "nsq"):
            put_file(world, name, f"{name}.{volume:02d}.{part}", b"x" * 100)
    metadata = {
        "dbname": name,
        "dbtype": "Nucleotide",
        "description": "a database",
        "number-of-sequences": 10,
        "number-of-letters": 1000,
        "number-of-volumes": volumes,
        "last-updated": f"{updated}T00:00:00",
    }
    put_file(world, name, f"{name}-nucl-metadata.json", json.dumps(metadata).encode())
    if shards:
        save_layout(world.store, name, shards)


def put_file(world: World, database: str, file: str, content: bytes) -> None:
    """A file of a database."""
    world.store.blobs[DATABASES_CONTAINER, f"{database}/{file}"] = content


def put_warm_cluster(world: World, *, version: str | None = None) -> None:
    """Two nodes, the database in storage, and its warmup Jobs as the product makes them, all succeeded."""
    put_node(world, "node-a")
    put_node(world, "node-b")
    put_database(world)
    layout = json.loads(world.store.read(DATABASES_CONTAINER, f"{DB}/shards/2.json"))
    for shard, node in enumerate(("node-a", "node-b")):
        data = warmup_data(shard=shard, node=node, source_version=version or layout["source_version"])
        name = create_warmup_job(data)["job"]
        world.cluster.objects["jobs"][name]["status"] = status_of("succeeded")


def warmup_data(**fields: Any) -> Json:
    """What ``create_warmup_job`` gets."""
    usual = {"database": DB, "cluster": CLUSTER.to_dict(), "force": False, "layout": 2, "source_version": "v1"}
    return {**usual, "shard": 0, "node": "node-a", **fields}


def ref(search: Search, **fields: Any) -> Json:
    """What activities get of a search."""
    return {**search.ref, **fields}


def put_batches(world: World, search: Search, queries: list[list[str]]) -> None:
    """The staged batches: ids of the queries of each."""
    for batch, ids in enumerate(queries):
        text = "".join(f">{name}\nACGT\n" for name in ids).encode()
        world.store.blobs[QUERIES_CONTAINER, batch_blob(search.job_id, batch)] = gzip.compress(text, mtime=0)


def put_piece(world: World, search: Search, batch: int, shard: int, rows: list[bytes]) -> None:
    """What one Job wrote; rows as ``hit`` makes them."""
    put_raw_piece(world, search, batch, shard, gzip.compress(b"".join(rows), mtime=0))


def put_raw_piece(world: World, search: Search, batch: int, shard: int, content: bytes) -> None:
    """What one Job wrote, byte for byte."""
    world.store.blobs[RESULTS_CONTAINER, piece_blob(search.job_id, batch, shard)] = content


def hit(query: str, subject: str, score: int = 50) -> bytes:
    """A row of a shard: the search's three columns, then E-value and score."""
    return f"{query}\t{subject}\t90\t1e-5\t{score}\n".encode()


def put_finished_search(world: World, **fields: Any) -> Search:
    """A search of two batches in two shards whose Jobs have written everything, before it is exported."""
    plan = {"batches": 2, "shards": 2, "source_version": "v1"}
    search = put_search(world, phase=Phase.EXPORTING, plan=plan, expected_jobs=4, jobs_created_at=ago(60), **fields)
    put_batches(world, search, [["q1", "q2"], ["q3"]])
    for batch, query in enumerate(("q1", "q3")):
        put_piece(world, search, batch, 0, [hit(query, "a", 60)])
        put_piece(world, search, batch, 1, [hit(query, "b", 70)])
    return search
