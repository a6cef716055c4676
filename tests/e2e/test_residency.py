"""What is in the nodes' memory, on the whole stack: warm, pushed out, and shown so without anybody's doing."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.product import DATABASE, Product, wait_for

SECONDS = 15
"""The probe measures every 2 s here."""


def row(product: Product) -> dict[str, Any]:
    """The database's row."""
    answer = product.http.get("/blast/databases")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = next(item for item in answer.json()["items"] if item["name"] == DATABASE)
    return found


def row_in_state(product: Product, state: str) -> dict[str, Any]:
    """The row once all four shards were measured and the database is said to be so."""

    def look() -> dict[str, Any] | None:
        found = row(product)
        warmth = found["warmth"]
        return found if warmth["state"] == state and warmth["residency_reason"] is None else None

    return wait_for(look, SECONDS, f"{DATABASE} to be {state}")


def folders(product: Product) -> list[Path]:
    """The database's folder on each node that has one."""
    return sorted((product.stack.home.state / "cluster" / "nodes").glob(f"*/workspace/blast/{DATABASE}"))


@pytest.fixture
def in_memory(product: Product) -> Iterator[list[Path]]:
    """The database's folders, all of them in memory before and after the test."""
    found = folders(product)
    assert len(found) == 4
    subprocess.run(["vmtouch", "-qt", *map(str, found)], check=True)
    yield found
    subprocess.run(["vmtouch", "-qt", *map(str, found)], check=True)
    row_in_state(product, "ready")


def test_a_node_whose_memory_was_emptied_shows_the_database_as_cooled(product: Product, in_memory: list[Path]) -> None:
    warm = row_in_state(product, "ready")
    assert warm["warmth"]["resident_bytes"] == warm["warmth"]["bytes"] > 0
    assert warm["allowed_actions"] == ["rewarm", "release"]
    assert [len(node["shards"]) for node in warm["fit"]["nodes"]] == [1, 1, 1, 1]

    node = in_memory[2]
    subprocess.run(["sync", *map(str, node.iterdir())], check=True)  # only what is on the disk can be pushed out
    subprocess.run(["vmtouch", "-qe", str(node)], check=True)
    cooled = row_in_state(product, "cooled")
    assert node.parents[2].name in cooled["warmth"]["reason"]
    assert cooled["warmth"]["resident_bytes"] < cooled["warmth"]["bytes"]

    shown = product.http.get("/monitor/aks/nodes").json()
    assert not shown["stale"]
    by_name = {item["name"]: item for item in shown["items"]}
    resident = {name: item["resident_bytes"] for name, item in by_name.items()}
    assert resident[node.parents[2].name] < min(n for name, n in resident.items() if name != node.parents[2].name)
    assert sum(len(item["shards"]) for item in by_name.values()) == 4
    assert shown["capacity"]["headroom_bytes"] > 0
