"""How long a warm submit takes from its row to the last of its Jobs: in parallel, and one step after another.

``python -m bench.submit`` starts a stack of its own, takes turns between the two ways, and prints medians. The clock
is the app's own: ``created_at`` (before the answer 202) to the end of the step ``submitting``.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from local.stack.stack import Stack
from tests.e2e.product import Product

RUNS = 20
TURN = 5


def seconds_to_all_jobs(product: Product) -> float:
    """One warm search of 2 batches x 4 shards, run to its end."""
    shown = product.wait_end(product.submit())
    if shown["status"] != "completed":
        raise RuntimeError(f"the search ended {shown['status']}: {shown['error']}")
    step = next(step for step in shown["steps"] if step["name"] == "submitting")
    begun, ended = datetime.fromisoformat(shown["created_at"]), datetime.fromisoformat(step["completed_at"])
    return (ended - begun).total_seconds()


def main() -> None:
    """Measure and print."""
    times: dict[str, list[float]] = {"parallel": [], "one after another": []}
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "database"
        subprocess.run([sys.executable, "-m", "local.sample.build", "--out", str(database)], check=True)
        with Stack(Path(folder) / "stack", fresh=True) as stack:
            product = Product(stack, database)
            product.prepare()
            for _ in range(RUNS // TURN):
                for way, setting in (("parallel", "1"), ("one after another", "0")):
                    stack.restart_host({"ELB_PARALLEL_WARM_REUSE": setting})
                    seconds_to_all_jobs(product)  # the first one after a start pays for imports
                    times[way] += [seconds_to_all_jobs(product) for _ in range(TURN)]
            product.close()
    print(f"202 to all Jobs, 2 batches x 4 shards, warm; {platform.machine()}, Python {platform.python_version()}")
    for way, seconds in times.items():
        low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
        print(f"  {way:18}  min {low:.3f} s  median {middle:.3f} s  max {high:.3f} s  ({len(seconds)} runs)")
    print(json.dumps({way: {"median": statistics.median(s), "runs": s} for way, s in times.items()}))


if __name__ == "__main__":
    main()
