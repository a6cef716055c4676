"""Two instances of the app on one storage account: one look per window between them, counted at the API server."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from local.host.harness import HostProcess
from local.stack.home import REPOSITORY
from local.stack.identity import Identity
from local.stack.settings import app_settings
from shared.domain.schedule import SHORTEST_WINDOW
from tests.e2e.product import Product, wait_for

TIMERS = ("reconcile_stale_jobs", "reconcile_auto_warm", "discover_external", "purge_history")
CALLS = 200
SECONDS = 8.0
PACE = 25


@pytest.fixture(scope="module")
def second_host(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of another instance, without the timers: here each host has a task hub of its own, on Azure not."""
    folder = tmp_path_factory.mktemp("second")
    stack = product.stack.stack_json
    blob, queue, table = (
        part.split(":")[2].split("/")[0]
        for part in stack["storage_connection_string"].split(";")
        if part.split("=")[0] in ("BlobEndpoint", "QueueEndpoint", "TableEndpoint")
    )
    ports = {
        "app": urlsplit(stack["api"]).port or 0,  # the call-backs go to the first one
        "blob": int(blob),
        "queue": int(queue),
        "table": int(table),
        "arm": urlsplit(stack["arm"]).port or 0,
    }
    settings = app_settings(ports, Identity.of(product.stack.home))
    settings |= {f"AzureWebJobs.{timer}.Disabled": "true" for timer in TIMERS}
    with HostProcess(REPOSITORY, folder / "host.sqlite", settings) as host:
        yield f"{host.base_url}/api"


@pytest.fixture
def running(product: Product) -> Iterator[str]:
    """A search whose BLAST runs for a while; nobody has called back yet, and nobody will during the test."""
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": PACE})
    job_id = product.submit(title="two hosts")
    wait_for(lambda: product.detail(job_id)["phase"] == "running" or None, 60, "a running pod")
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 0})
    yield job_id
    product.http.post(f"/blast/jobs/{job_id}/cancel", json={})
    product.wait_end(job_id)


class Lists:
    """Counts the LISTs that reach the API server."""

    def __init__(self, product: Product) -> None:
        self.control = product.stack.stack_json["cluster_control"]
        self.mark = httpx.post(f"{self.control}/calls/mark").json()["mark"]

    def count(self) -> Counter[str]:
        """Calls since the beginning, by verb and kind."""
        return Counter(httpx.get(f"{self.control}/calls", params={"since": self.mark}).json())


def list_all(bases: list[str], calls: int) -> list[httpx.Response]:
    """So many list calls at once, spread over the hosts."""
    with httpx.Client(timeout=60, limits=httpx.Limits(max_connections=50)) as http, ThreadPoolExecutor(50) as pool:
        return list(pool.map(lambda n: http.get(f"{bases[n % len(bases)]}/blast/jobs"), range(calls)))


@pytest.mark.proves("F2")
def test_many_list_calls_at_once_are_one_look(product: Product, running: str) -> None:
    """At most two LISTs in a window: one of Jobs, one of pods."""
    lists, began = Lists(product), time.monotonic()
    answers = list_all([product.stack.api], CALLS)
    windows = math.ceil((time.monotonic() - began) / SHORTEST_WINDOW) + 1
    assert {answer.status_code for answer in answers} == {200}
    assert lists.count()["list jobs.batch"] <= windows
    assert lists.count()["list pods"] <= windows


@pytest.mark.proves("F8", "F2")
def test_two_hosts_take_one_look_per_window_between_them(product: Product, running: str, second_host: str) -> None:
    lists, began = Lists(product), time.monotonic()
    shown = []
    while time.monotonic() - began < SECONDS:
        shown += list_all([product.stack.api, second_host], 20)
        time.sleep(0.2)
    windows = math.ceil((time.monotonic() - began) / SHORTEST_WINDOW) + 1
    counts = lists.count()
    assert {answer.status_code for answer in shown} == {200}
    assert 1 <= counts["list jobs.batch"] <= windows, counts
    assert counts["list pods"] <= windows, counts
    items = [item for answer in shown for item in answer.json()["items"] if item["job_id"] == running]
    assert len(items) == len(shown)
    assert not any(item["stale"] for item in items)


@pytest.mark.proves("F8")
def test_what_one_host_saw_the_other_one_shows(product: Product, running: str, second_host: str) -> None:
    def both() -> tuple[str, str]:
        bases = (product.stack.api, second_host)
        first, second = (httpx.get(f"{base}/blast/jobs/{running}").json() for base in bases)
        return first["observed_at"], second["observed_at"]

    wait_for(lambda: len(set(both())) == 1 or None, 20, "the same look in both hosts")


def test_the_second_hosts_folder_is_its_own(second_host: str, product: Product) -> None:
    """It is another process with another state, or the tests above would prove nothing."""
    assert second_host != product.stack.api
    assert httpx.get(f"{second_host}/health").json() == {"status": "ok"}
    assert Path(product.stack.home.state / "host.sqlite").exists()
