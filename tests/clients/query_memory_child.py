"""Handles a query of 100 MB in a process of its own and prints by how many bytes the process grew meanwhile.

    python -m tests.clients.query_memory_child body|commit|search  reads|line

The settings are the environment's. What a cold process loads on first use is loaded before the measurement, by a small
query.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import azure.functions as func

from activities.preparation import stage_queries
from shared.clients.blobs import Blobs
from shared.clients.given_queries import query_of_upload
from shared.clients.provider import AzureClients, use
from shared.clients.uploads import incoming_blob, store_body
from shared.config import settings
from shared.domain.ids import new_job_id
from shared.domain.results import QUERIES_CONTAINER, query_blob
from shared.domain.search import Search
from triggers import queries

SIZE = 100_000_000
SMALL = 10_000
Step = Callable[[bytes], Callable[[], object]]


def query(kind: str, size: int) -> bytes:
    """Reads of 150 letters, or one sequence on one line."""
    letters = bytes(random.Random(1).choices(b"ACGT", k=20_000))  # noqa: S311 - the same in every run
    if kind == "line":
        return b">one\n" + (letters * (size // len(letters) + 1))[: size - 6] + b"\n"
    one = b"".join(b">read%09d\n%b\n" % (number, letters[number % 19_000 :][:150]) for number in range(size // 166))
    return one + b"\n" * (size - len(one))


def body(text: bytes) -> Callable[[], object]:
    """``POST /api/blast/queries``."""
    return lambda: call(queries.store_query, text)


def commit(text: bytes) -> Callable[[], object]:
    """``POST /api/blast/queries/uploads/{id}/commit``, of what lies in storage already."""
    upload_id = uuid.uuid4().hex
    blobs().put(QUERIES_CONTAINER, incoming_blob(settings().dev_user, upload_id), text, "text/plain")
    return lambda: call(queries.commit, b"", id=upload_id)


def search(text: bytes) -> Callable[[], object]:
    """What a submit does with an upload, and the cutting into batches."""
    blob = store_body(blobs(), settings().dev_user, text, None, settings()).blob
    cluster = settings().cluster
    assert cluster

    def run() -> None:
        given = query_of_upload(blobs(), settings().dev_user, blob, use=True)
        job_id = new_job_id(0, os.urandom(10))
        given.store(blobs(), query_blob(job_id))
        letters = given.file.queries.letters
        del given  # the cutting is another invocation
        about = {"blob": query_blob(job_id), "batch_len": 1_000_000, "letters": letters}
        now = APP.now()
        made = Search(job_id, "owner", "blastn", "db", cluster, created_at=now, query=about)
        found, _ = APP.searches.create(replace(made, attempt_started_at=now))
        staged = stage_queries(found.ref)
        assert staged["letters"] == letters, staged

    return run


def call(handler: Callable[[func.HttpRequest], func.HttpResponse], content: bytes, **route: str) -> None:
    """Call a handler and hold it to its success."""
    headers = {"Host": "localhost:7071"}
    request = func.HttpRequest("POST", "http://localhost:7071/", headers=headers, route_params=route, body=content)
    answer = handler(request)
    assert answer.status_code in (200, 201), answer.get_body()


def blobs() -> Blobs:
    """The default account's."""
    return APP.blobs(settings().default_storage_account)


def growth(run: Callable[[], object]) -> int:
    """Bytes by which the process's resident memory grew at most, as the kernel saw it."""
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    run()
    return resident("VmHWM") - before


def resident(which: str) -> int:
    """A line of the process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))


if __name__ == "__main__":
    APP = AzureClients(settings())
    STEPS: dict[str, Step] = {"body": body, "commit": commit, "search": search}
    step, kind = STEPS[sys.argv[1]], sys.argv[2]
    with use(APP):
        step(query(kind, SMALL))()
        text = query(kind, SIZE)
        run = step(text)
        if sys.argv[1] != "body":
            del text
        result: dict[str, Any] = {"growth": growth(run)}
    print(json.dumps(result))
