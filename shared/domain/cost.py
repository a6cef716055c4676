"""What a search costs, as an estimate: the time that its Jobs held their processors, at a price per processor and hour.

Pure. What is counted is what was observed; nothing is said about what cannot be known: how long a Job will run, and who
pays for a node that waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shared.domain.snapshot import PodView

SECONDS_PER_HOUR = 3600


def run_seconds(pods: Iterable[PodView]) -> int:
    """Seconds for which containers of pods ran, of those that have ended; a pod that was retried counts too."""
    spans = (
        (container.finished_at - container.started_at).total_seconds()
        for pod in pods
        for container in pod.containers
        if container.finished_at is not None and container.started_at is not None and not container.is_init
    )
    return sum(max(0, round(span)) for span in spans)


def search_cost(seconds: int, cpus: int, usd_per_vcpu_hour: float) -> dict[str, Any] | None:
    """The cost object of a search; None where no Job has ended yet, or no price is set.

    Args:
        seconds: for which its Jobs ran (``run_seconds``).
        cpus: processors that a Job asks for.
        usd_per_vcpu_hour: price; 0 is none.
    """
    if not seconds or not usd_per_vcpu_hour:
        return None
    usd = seconds * cpus * usd_per_vcpu_hour / SECONDS_PER_HOUR
    assumptions = (
        f"{seconds} s for which Jobs of this attempt ran, those that have ended, x {_rate(cpus, usd_per_vcpu_hour)}; "
        "without nodes that wait, warmups, storage and traffic"
    )
    return {"estimate_usd": _money(usd), "assumptions": assumptions}


def planned_cost(jobs: int | None, cpus: int, usd_per_vcpu_hour: float) -> dict[str, Any]:
    """The estimate of a search that is not there yet: how many Jobs, and why not how much.

    How long BLAST takes depends on how much the queries find, which nobody knows before; a figure would be made up.

    Args:
        jobs: None while the cluster has not told how many shards there are.
    """
    if not usd_per_vcpu_hour:
        assumptions = "no price per processor is set (ELB_VCPU_HOUR_USD)"
    elif jobs is None:
        assumptions = "how many Jobs there will be is known when the cluster can be asked"
    else:
        hour = _money(jobs * cpus * usd_per_vcpu_hour)
        assumptions = (
            "how long BLAST runs depends on what the queries find and is not known before; an hour of all "
            f"{jobs} Jobs would be {hour:g} USD: {_rate(cpus, usd_per_vcpu_hour)} each"
        )
    return {"jobs": jobs, "usd": None, "assumptions": assumptions}


def _rate(cpus: int, usd_per_vcpu_hour: float) -> str:
    return f"{cpus} vCPU x {usd_per_vcpu_hour:g} USD per vCPU and hour"


def _money(usd: float) -> float:
    """Cents, and of less than a dollar four decimals: most searches cost less than a cent."""
    return round(usd, 2 if usd >= 1 else 4)
