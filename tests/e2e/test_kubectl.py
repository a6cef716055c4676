"""What an operator types while a search runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.product import Product, wait_for


@pytest.fixture
def running_search(product: Product) -> Iterator[str]:
    """A search whose pods run and stay a while."""
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 8})
    job_id = product.submit()
    wait_for(lambda: _running_pods(product, job_id) == 8 or None, 30, "eight running pods")
    product.control("/pace", {"label_selector": "app=blast", "delay_seconds": 0})
    yield job_id
    product.wait_end(job_id)


def test_an_operator_can_look_with_kubectl(product: Product, running_search: str) -> None:
    table = product.kubectl("get", "nodes,jobs,pods", "-o", "wide", "-l", f"elb-job-id={running_search}")
    assert table.count("job.batch/") == 8
    assert table.count("pod/") == 8
    assert product.kubectl("get", "nodes", "-o", "wide").count(" Ready ") == 4
    name = product.kubectl("get", "jobs", "-l", f"elb-job-id={running_search}", "-o", "name").split()[0]
    described = product.kubectl("describe", name)
    assert running_search in described
    assert "SuccessfulCreate" in described
    wait_for(lambda: "uploaded" in product.kubectl("logs", name) or None, 60, "the end of the pod's log")
    assert f"job {running_search} on" in product.kubectl("logs", name)
    assert "sig=" not in product.kubectl("logs", name)


def test_a_job_deleted_by_hand_is_never_called_completed(product: Product, running_search: str) -> None:
    name = product.kubectl("get", "jobs", "-l", f"elb-job-id={running_search}", "-o", "name").split()[0]
    product.kubectl("delete", name)
    assert name not in product.kubectl("get", "jobs", "-o", "name").split()
    shown = product.wait_end(running_search)
    assert (shown["status"], shown["error"]["code"]) == ("failed", "results_lost")
    assert f"{running_search}/pieces/" in shown["error"]["message"]


def _running_pods(product: Product, job_id: str) -> int:
    pods = product.kubectl("get", "pods", "-l", f"elb-job-id={job_id}", "-o", "jsonpath={.items[*].status.phase}")
    return pods.split().count("Running")
