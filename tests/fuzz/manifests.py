"""Every builder of Kubernetes pods, given two texts that are put wherever it takes a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.cluster.kinds import DAEMON_SETS, DEPLOYMENTS, JOBS, Kind
from shared.domain.cli_manifest import HelperJob, Surroundings
from shared.domain.manifests import BlastJob, PodSize
from shared.domain.openapi_manifest import OpenApi
from shared.domain.probe_manifest import ProbeSet
from shared.domain.search import ClusterRef
from shared.domain.warm_manifests import CleanJob, WarmupJob
from tests.activities.worlds import job_id

JOB = job_id(1)
SIZE = PodSize(1, 1, 2)
Json = dict[str, Any]


def blast(text: str, other: str) -> Json:
    """A search's Job: the database, the arguments, the addresses and the version are any text."""
    job = BlastJob(
        job_id=JOB,
        attempt=1,
        program=text,
        database=other,
        shard=0,
        batch=0,
        layout=2,
        source_version=text,
        node=other,
        command=["blastn", "-db", text, "-outfmt", other],
        query_url=text,
        result_url=other,
        callback_url=text,
        callback_token=other,
        image="ncbi/elb:1.4.0",
        size=SIZE,
        deadline_seconds=60,
        ttl_seconds=120,
    )
    return job.manifest()


def warmup(text: str, other: str) -> Json:
    """A warmup's Job."""
    job = WarmupJob(
        database=text,
        dbtype="nucl",
        layout=2,
        shard=0,
        alias=other,
        volumes=[text, other],
        source_version=text,
        node=other,
        source_url=text,
        files=[(text, 1), (other, 2)],
        touch_limit_bytes=0,
        image="ncbi/elb:1.4.0",
        size=SIZE,
        deadline_seconds=60,
        made_by=other,
    )
    return job.manifest()


def clean(text: str, other: str) -> Json:
    """A release's Job."""
    return CleanJob(text, other, "ncbi/elb:1.4.0", SIZE, made_by=text).manifest()


def helper(text: str, other: str) -> Json:
    """The command line's submit helper; its configuration is checked by itself."""
    return HelperJob(text, 1, 1, other, True, 60, Surroundings("elb-openapi:1", "elb-openapi")).manifest()


def probe(text: str, other: str) -> Json:
    """The probe, whose script is the product's own."""
    return ProbeSet("ncbi/elb:1.4.0", text + other, 60).manifest()


def openapi(text: str, other: str) -> Json:
    """elb-openapi's Deployment."""
    cluster = ClusterRef(text, other, text, other)
    return dict(OpenApi(cluster, "elb-openapi:1", "default", text, other).objects())["deployments"]


BUILDERS: dict[str, tuple[Kind, Callable[[str, str], Json]]] = {
    "blast": (JOBS, blast),
    "warmup": (JOBS, warmup),
    "clean": (JOBS, clean),
    "helper": (JOBS, helper),
    "probe": (DAEMON_SETS, probe),
    "openapi": (DEPLOYMENTS, openapi),
}
