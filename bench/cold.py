"""A search on a cold cluster, step by step: the database lies in storage and on no node. Then the same one, warm."""

from __future__ import annotations

from typing import Any

from bench.common import Figure, Section
from bench.stand import Stand, Stands


def run(stands: Stands) -> list[Section]:
    """Measure one search on a stack on which nothing was searched before, and one after it."""
    with stands.stand() as stand:
        stand.upload()
        return [_section(stand, f"A search of 2 batches x 4 shards, {how}") for how in ("cold", "then warm")]


def _section(stand: Stand, title: str) -> Section:
    job_id, answered = stand.submit()
    end = stand.wait_ended(job_id, 600)
    steps: list[dict[str, Any]] = stand.product.detail(job_id)["steps"]
    figures = [Figure(f"{step['name']} ({step['status']})", [step["seconds"] or 0.0], "s") for step in steps]
    notes = [f"{step['name']}: {step['detail']}" for step in steps if step["detail"]]
    return Section(title, [*figures, Figure("202 to completed", [end.at - answered], "s")], notes)
