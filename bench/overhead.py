"""What the product adds to a search: from the answer 202 to ``completed``, less the slowest BLAST container's own time.

Warm searches of 2 batches x 4 shards, one at a time. The containers' times are the emulated cluster's own, in
microseconds: from the start of the process to its end. The end of the search is the time at which storage wrote the
row with ``completed``.
"""

from __future__ import annotations

from bench.common import Figure, Section
from bench.stand import Stand, Stands, moment

RUNS = 20
MEDIAN_SECONDS = 2.0
STEPS = ("preparing", "configuring", "staging_db", "submitting", "running", "exporting")


def run(stands: Stands) -> list[Section]:
    """Measure."""
    with stands.stand() as stand:
        stand.warm()
        one_search(stand)  # the first one pays for imports
        searches = [one_search(stand) for _ in range(stands.options.count(RUNS, 2))]
    figures = [
        Figure(
            "202 to completed, less the slowest container",
            [each["added"] for each in searches],
            "s",
            MEDIAN_SECONDS,
            "median",
        ),
        Figure("202 to completed", [each["whole"] for each in searches], "s"),
        Figure("slowest container", [each["slowest"] for each in searches], "s"),
        Figure("first container starts after 202", [each["first"] for each in searches], "s"),
        Figure("last Job ended to completed", [each["after"] for each in searches], "s"),
        *(Figure(f"step {step}", [each[step] for each in searches], "s") for step in STEPS),
    ]
    note = "containers: the emulated cluster's times of their processes; completed: storage's time of the row's write"
    return [Section("What the product adds to a warm search (2 batches x 4 shards)", figures, [note])]


def one_search(stand: Stand) -> dict[str, float]:
    """One search, run to its end; seconds of its parts."""
    job_id, answered = stand.submit()
    end = stand.wait_ended(job_id)
    steps = {step["name"]: step["seconds"] or 0.0 for step in stand.product.detail(job_id)["steps"]}
    seen = stand.times(f"elb-job-id={job_id}")
    runs = [(moment(pod["started"]), moment(pod["ended"])) for pod in seen["pods"]]
    slowest = max(ended - started for started, ended in runs)
    return {
        "whole": end.at - answered,
        "slowest": slowest,
        "added": end.at - answered - slowest,
        "first": min(started for started, _ in runs) - answered,
        "after": end.at - max(moment(job["ended"]) for job in seen["jobs"]),
        **steps,
    }
