"""Rows of searches, written through the app's own store: many of them, of one owner, at 10 s from each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

from bench.stand import OWNER, Stand
from local.stack.identity import RESOURCE_GROUP, STORAGE_ACCOUNT, SUBSCRIPTION
from local.stack.stack import Stack
from shared.clients.provider import AzureClients
from shared.config import read_settings
from shared.domain.ids import new_job_id
from shared.domain.progress import Progress
from shared.domain.search import ClusterRef, Search
from shared.domain.states import Phase

APART = timedelta(seconds=10)
WRITERS = 8
_PAST = ClusterRef(SUBSCRIPTION, RESOURCE_GROUP, "elb-bench-past", STORAGE_ACCOUNT)


def clients_of(stack: Stack) -> AzureClients:
    """The app's own clients, for the storage of a stack."""
    described = stack.stack_json
    return AzureClients(
        read_settings(
            {
                "AzureWebJobsStorage": described["storage_connection_string"],
                "ELB_STATE_TABLE_ENDPOINT": described["table_endpoint"],
                "ELB_BLOB_ENDPOINT": described["blob_endpoint"],
                "ELB_DEFAULT_STORAGE_ACCOUNT": STORAGE_ACCOUNT,
            }
        )
    )


def write_active(stand: Stand, clusters: Sequence[ClusterRef], newest: datetime, positions: Sequence[int]) -> list[str]:
    """Write running searches with one Job each, in turn on these clusters.

    Args:
        newest: when the search at position 0 was submitted.

    Returns:
        Their ids; the n-th one is on cluster ``n % len(clusters)``.
    """
    searches = [
        replace(_search(newest - position * APART), cluster=clusters[number % len(clusters)])
        for number, position in enumerate(positions)
    ]
    running = Progress(total=1, running=1)
    return _write(stand, [replace(search, phase=Phase.RUNNING, progress=running) for search in searches])


def write_ended(stand: Stand, newest: datetime, positions: Sequence[int]) -> list[str]:
    """Write completed searches, of a cluster that has no others."""
    searches = [_search(newest - position * APART) for position in positions]
    done = Progress(total=1, succeeded=1)
    ended = [
        replace(search, phase=Phase.COMPLETED, completed_at=search.created_at, progress=done) for search in searches
    ]
    return _write(stand, ended)


def _search(created_at: datetime) -> Search:
    return Search(
        job_id=new_job_id(int(created_at.timestamp() * 1000), os.urandom(10)),
        owner=OWNER,
        program="blastn",
        database="resfinder",
        cluster=_PAST,
        created_at=created_at,
        title="a search of the benchmark",
        started_at=created_at,
        attempt_started_at=created_at,
        jobs_created_at=created_at,
        expected_jobs=1,
        query={"blob": f"{OWNER}/no-such-query"},
    )


def _write(stand: Stand, searches: Sequence[Search]) -> list[str]:
    clients = clients_of(stand.stack)
    for cluster in {search.cluster.key: search.cluster for search in searches}.values():
        clients.clusters.remember(cluster)
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(clients.searches.create, searches))
    return [search.job_id for search in searches]
