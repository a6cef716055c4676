"""How long a warm submit takes from its row to the last of its Jobs: in parallel, and one step after another.

Takes turns between the two ways: once with an API server that answers at once, once with one that takes 40 ms for each
call, as one over a network does. The clock is the app's own: ``created_at`` (before the answer 202) to the end of the
step ``submitting``, and of that the step ``configuring``, which is what the two ways do differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bench.common import Figure, Section
from bench.stand import Stand, Stands

RUNS = 20
TURN = 5
LATENCY_MS = 40
WAYS = {"parallel": "1", "one after another": "0"}


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one submit."""

    to_all_jobs: float
    configuring: float


def run(stands: Stands) -> list[Section]:
    """Measure both ways on both API servers; a quick run does without the slow one."""
    runs, turn = stands.options.count(RUNS, 1), stands.options.count(TURN, 1)
    with stands.stand() as stand:
        stand.warm()
        sections = [_section("the API server answers at once", _measure(stand, runs, turn))]
        if not stands.options.quick:
            stand.product.control("/faults", {"latency_ms": LATENCY_MS, "count": 10**9})
            sections.append(_section(f"the API server takes {LATENCY_MS} ms a call", _measure(stand, runs, turn)))
    return sections


def _measure(stand: Stand, runs: int, turn: int) -> dict[str, list[Times]]:
    """Turns of a few submits of each way."""
    times: dict[str, list[Times]] = {way: [] for way in WAYS}
    for _ in range(runs // turn):
        for way, setting in WAYS.items():
            stand.use({"ELB_PARALLEL_WARM_REUSE": setting})
            _one_submit(stand)  # the first one after a start pays for imports
            times[way] += [_one_submit(stand) for _ in range(turn)]
    return times


def _one_submit(stand: Stand) -> Times:
    """One warm search of 2 batches x 4 shards, run to its end."""
    job_id, _ = stand.submit()
    stand.wait_ended(job_id)
    shown = stand.product.detail(job_id)
    steps = {step["name"]: step for step in shown["steps"]}
    begun, ended = (datetime.fromisoformat(t) for t in (shown["created_at"], steps["submitting"]["completed_at"]))
    return Times((ended - begun).total_seconds(), steps["configuring"]["seconds"])


def _section(title: str, times: dict[str, list[Times]]) -> Section:
    figures = []
    for way, measured in times.items():
        figures.append(Figure(f"202 to all Jobs, {way}", [each.to_all_jobs for each in measured], "s"))
        figures.append(Figure(f"of that: configuring, {way}", [each.configuring for each in measured], "s"))
    return Section(f"A warm submit of 2 batches x 4 shards; {title}", figures)
