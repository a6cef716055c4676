"""One warm stack for all end-to-end tests, and one search whose BLAST takes 90 s, started before the others need it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.stack.stack import Stack
from tests.e2e.product import Product, wait_for


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory, sample_database: Path) -> Iterator[Product]:
    """A stack with the sample database warm in four shards."""
    settings = {"ELB_RESULTS_GRACE_SECONDS": "3"}
    with Stack(tmp_path_factory.mktemp("stack"), fresh=True, settings=settings) as stack:
        product = Product(stack, sample_database)
        product.prepare()
        yield product
        product.close()


@dataclass(frozen=True)
class SlowSearch:
    """A search that was submitted with slow pods, and whose host was killed while they ran."""

    product: Product
    job_id: str


@pytest.fixture(scope="session")
def slow_search(tmp_path_factory: pytest.TempPathFactory, sample_database: Path) -> Iterator[SlowSearch]:
    """A search whose BLAST takes 90 s, on a stack of its own; its host is killed in the middle and starts again."""
    with Stack(tmp_path_factory.mktemp("slow"), fresh=True) as stack:
        product = Product(stack, sample_database)
        product.prepare()
        product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 90})
        job_id = product.submit(title="slow")
        wait_for(lambda: product.detail(job_id)["phase"] == "running" or None, 60, "a running pod")
        stack.kill_host()
        stack.wait_ready()
        yield SlowSearch(product, job_id)
        product.close()


@pytest.fixture(scope="session", autouse=True)
def start_the_slow_search_first(request: pytest.FixtureRequest) -> None:
    """Where the slow search is wanted at all, its 90 s pass while the other tests run."""
    if any("slow_search" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("slow_search")
