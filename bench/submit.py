"""How long a warm submit takes from its row to the last of its Jobs: in parallel, and one step after another.

``python -m bench.submit`` starts a stack of its own, takes turns between the two ways, and prints medians: once with an
API server that answers at once, once with one that takes 40 ms for each call, as one over a network does. The clock is
the app's own: ``created_at`` (before the answer 202) to the end of the step ``submitting``, and of that the step
``configuring``, which is what the two ways do differently.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from local.stack.stack import Stack
from tests.e2e.product import Product

RUNS = 20
TURN = 5
LATENCY_MS = 40
WAYS = {"parallel": "1", "one after another": "0"}


@dataclass(frozen=True)
class Times:
    """Seconds of one submit."""

    to_all_jobs: float
    configuring: float


def one_submit(product: Product) -> Times:
    """One warm search of 2 batches x 4 shards, run to its end."""
    shown = product.wait_end(product.submit())
    if shown["status"] != "completed":
        raise RuntimeError(f"the search ended {shown['status']}: {shown['error']}")
    steps = {step["name"]: step for step in shown["steps"]}
    begun, ended = (datetime.fromisoformat(t) for t in (shown["created_at"], steps["submitting"]["completed_at"]))
    return Times((ended - begun).total_seconds(), steps["configuring"]["seconds"])


def measure(product: Product) -> dict[str, list[Times]]:
    """Turns of five submits of each way."""
    times: dict[str, list[Times]] = {way: [] for way in WAYS}
    for _ in range(RUNS // TURN):
        for way, setting in WAYS.items():
            product.stack.restart_host({"ELB_PARALLEL_WARM_REUSE": setting})
            one_submit(product)  # the first one after a start pays for imports
            times[way] += [one_submit(product) for _ in range(TURN)]
    return times


def show(title: str, times: dict[str, list[Times]]) -> dict[str, object]:
    """Print a table; the same as data."""
    print(title)
    figures: dict[str, object] = {}
    for way, runs in times.items():
        whole, part = [run.to_all_jobs for run in runs], [run.configuring for run in runs]
        print(
            f"  {way:18} 202 to all Jobs: median {median(whole):.3f} s (min {min(whole):.3f}, max {max(whole):.3f}); "
            f"configuring: median {median(part):.3f} s; {len(runs)} runs"
        )
        figures[way] = {"to_all_jobs": median(whole), "configuring": median(part), "runs": whole}
    return figures


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "database"
        subprocess.run([sys.executable, "-m", "local.sample.build", "--out", str(database)], check=True)
        with Stack(Path(folder) / "stack", fresh=True) as stack:
            product = Product(stack, database)
            product.prepare()
            print(f"warm, 2 batches x 4 shards; {os.cpu_count()} cores, {platform.machine()}")
            figures = {"at once": show("API server answers at once", measure(product))}
            product.control("/faults", {"latency_ms": LATENCY_MS, "count": 10**9})
            figures["40 ms"] = show(f"API server takes {LATENCY_MS} ms a call", measure(product))
            product.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
