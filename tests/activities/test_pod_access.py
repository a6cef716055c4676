"""What the pods get of storage: signed addresses of their own search's blobs, for what they do, for a while."""

from __future__ import annotations

import re

import pytest

from activities.search_jobs import SIGNATURE_MARGIN, create_search_jobs
from activities.warmup_jobs import create_warmup_job
from tests.activities.fakes import World
from tests.activities.worlds import Json, put_search, put_warm_cluster, ref, warmup_data

ADDRESS = re.compile(
    r"https://store/(?P<container>[a-z-]+)/(?P<blob>[^?]*)\?sp=(?P<may>[a-z]+)&seconds=(?P<seconds>\d+)"
)


def grants(job: Json) -> dict[str, dict[str, str]]:
    """Environment variable -> what its address allows."""
    [container] = job["spec"]["template"]["spec"]["containers"]
    found = {entry["name"]: ADDRESS.fullmatch(entry["value"]) for entry in container["env"]}
    return {name: match.groupdict() for name, match in found.items() if match}


@pytest.mark.proves("Q5")
def test_a_search_s_pods_read_one_query_and_write_one_result(world: World) -> None:
    put_warm_cluster(world)
    search = put_search(world, plan={"batches": 2, "sequences": 3})
    create_search_jobs(ref(search))
    jobs = [job for name, job in world.cluster.objects["jobs"].items() if not name.startswith("warm-")]
    written = set()
    for job in jobs:
        query, result = (grants(job)[name] for name in ("ELB_QUERY_URL", "ELB_RESULT_URL"))
        assert len(grants(job)) == 2
        assert (query["container"], query["may"], result["container"], result["may"]) == (
            "queries",
            "r",
            "results",
            "cw",
        )
        assert query["blob"].startswith(f"{search.job_id}/")
        assert result["blob"].startswith(f"{search.job_id}/")
        written.add(result["blob"])
        longest = job["spec"]["activeDeadlineSeconds"] + SIGNATURE_MARGIN.total_seconds()
        assert all(int(grant["seconds"]) <= longest for grant in (query, result))
    assert len(written) == len(jobs) == 4


@pytest.mark.proves("Q5")
def test_a_warmup_s_pod_reads_databases_and_nothing_else(world: World) -> None:
    put_warm_cluster(world)
    name = create_warmup_job(warmup_data(shard=0, node="node-a", force=True, source_version="v2"))["job"]
    [grant] = grants(world.cluster.objects["jobs"][name]).values()
    assert (grant["container"], grant["blob"], set(grant["may"])) == ("blast-db", "", {"r", "l"})
    longest = world.cluster.objects["jobs"][name]["spec"]["activeDeadlineSeconds"]
    assert int(grant["seconds"]) <= longest + 3600
