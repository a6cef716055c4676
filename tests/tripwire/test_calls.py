"""What a request says about its search, and the pattern that it belongs to."""

from __future__ import annotations

import pytest

from local.tripwire.calls import Call, decoded
from shared.domain.ids import newest_first_key

JOB = "job-01a2001c7a95757ab99c392833f2e6e1"
OTHER = "job-01a2001c82e0724d85134d0348b0c4e3"
ROW = newest_first_key(JOB)


@pytest.mark.parametrize(
    ("path", "body", "job_id"),
    [
        (f"/elblocal/queries/{JOB}/query.fa", "", JOB),
        (f"/elblocal/elbsearches(PartitionKey='{'a' * 32}',RowKey='s:{ROW}')", "", JOB),
        (f"/elblocal/elbindex(PartitionKey='all',RowKey='{ROW}')", "", JOB),
        ("/elblocal/$batch", f"PATCH http://127.0.0.1:1/elblocal/elbsearches(PartitionKey='o',RowKey='s:{ROW}')", JOB),
        ("/apis/batch/v1/namespaces/default/jobs", f'{{"labels": {{"elb-job-id": "{JOB}"}}}}', JOB),
        (f"/elblocal/queries/{JOB}/query.fa", OTHER, JOB),
        (f"/elblocal/elbsearches(PartitionKey='{'a' * 32}',RowKey='i:{'b' * 32}')", "", None),
        ("/api/v1/nodes", "", None),
        ("/api/v1/nodes", "job-123", None),
    ],
)
def test_a_request_names_its_search(path: str, body: str, job_id: str | None) -> None:
    assert Call("any", "GET", path, body).job_id == job_id


@pytest.mark.parametrize(
    ("raw", "pattern"),
    [
        (
            f"/elblocal/elbsearches(PartitionKey=%27{'a' * 32}%27,RowKey=%27s%3A{ROW}%27)?$select=a",
            "any GET /elblocal/elbsearches(PartitionKey='{owner}',RowKey='s:{row}')",
        ),
        (
            f"/elblocal/queries/{JOB}/batch_017.fa.gz?comp=block&blockid=x",
            "any GET /elblocal/queries/{job}/batch_{batch}.fa.gz?comp=block",
        ),
        (
            "/elblocal/results?restype=container&comp=list&prefix=" + JOB,
            "any GET /elblocal/results?restype=container&comp=list&prefix={job}",
        ),
        (
            f"/elblocal/elbstats(PartitionKey='2026-01-02T03',RowKey='ended|{'a' * 32}')",
            "any GET /elblocal/elbstats(PartitionKey='{hour}',RowKey='ended|{digest}')",
        ),
        (
            f"/elblocal/elbstats(PartitionKey='2026-01-02T03',RowKey='registered|{'a' * 32}')",
            "any GET /elblocal/elbstats(PartitionKey='{hour}',RowKey='registered|{digest}')",
        ),
        ("/apis/x/jobs/blastn-resfinder-b000-s01-0123456789", "any GET /apis/x/jobs/{job name}"),
        ("/api/v1/pods?labelSelector=app%3Dblast&limit=500", "any GET /api/v1/pods?labelSelector=app=blast"),
        (
            "/subscriptions/00000000-0000-4000-8000-000000000001/x?api-version=1",
            "any GET /subscriptions/{subscription}/x",
        ),
    ],
)
def test_a_pattern_has_nothing_of_one_search(raw: str, pattern: str) -> None:
    assert Call("any", "GET", decoded(raw)).pattern == pattern
