"""Figures of the control loop in virtual time, for tests and benchmarks: each of a simulation of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.cluster import JobPlan
from tests.simulation.product import Flip, Simulation

HOUR = 3600.0
LAST_MINUTE = 60.0
AFTERWARDS = 200.0
"""Seconds after the end of the Jobs in which a search must be completed, or it counts as never."""


@dataclass(frozen=True, slots=True)
class HistoryLengths:
    """The most events that the history of one instance ever had, and the generations that it took."""

    longest: int
    generations: int


def flip(plan: JobPlan, *, list_every: float | None = None, reconcile: bool = False) -> Flip:
    """How long a search takes from the end of its Jobs to completed.

    Args:
        list_every: seconds between two calls of the list in the last minute; None when nobody looks.
        reconcile: whether the stale reconcile runs every minute.

    Raises:
        RuntimeError: it did not complete.
    """
    with Simulation() as simulation:
        own = simulation.submit(plan)
        if list_every is not None:
            simulation.agenda.every(list_every, simulation.list, first=max(0.5, plan.seconds - LAST_MINUTE))
        if reconcile:
            simulation.run_timers()
        simulation.run_to_end(own, seconds=plan.seconds + AFTERWARDS)
        seen = simulation.flip(own)
    if seen is None:
        raise RuntimeError(f"the search did not complete within {AFTERWARDS} s after its Jobs")
    return seen


def flips_by_poll(seconds: float, interval: float, samples: int = 12) -> list[Flip]:
    """Without call-backs and with nobody looking; the Jobs' ends spread over two intervals of the monitor."""
    return [flip(JobPlan(seconds + 2 * interval * part / samples)) for part in range(samples)]


def flips_by_push(seconds: float, leads: Iterable[float]) -> list[Flip]:
    """With call-backs so many seconds before the Jobs' end."""
    return [flip(JobPlan(seconds, lead=lead)) for lead in leads]


def flips_by_lists(seconds: float, list_every: float = 1.0, samples: int = 8) -> list[Flip]:
    """Without call-backs, while somebody keeps the list open; the Jobs' ends spread over one window of the cluster."""
    return [flip(JobPlan(seconds + 5.0 * part / samples), list_every=list_every) for part in range(samples)]


def monitor_history(hours: float, wake_every: float | None = None) -> HistoryLengths:
    """Of the monitor of a search that runs for so long, called back every so many seconds."""
    with Simulation() as simulation:
        own = simulation.submit(JobPlan(2 * hours * HOUR))
        if wake_every is not None:
            simulation.agenda.every(wake_every, lambda: simulation.notify(own))
        simulation.run_for(hours * HOUR)
        history = simulation.monitor_of(own).history
    return HistoryLengths(history.longest, history.generations)


def waiting_history(hours: float) -> HistoryLengths:
    """Of the parent of a search that waits for so long for its cluster to be started."""
    with Simulation({"ELB_CLUSTER_WAIT_SECONDS": f"{2 * hours * HOUR:.0f}"}) as simulation:
        simulation.world.arm.power = "Stopped"
        own = simulation.submit(None)
        simulation.run_for(hours * HOUR)
        history = simulation.engine.instances[own].history
    return HistoryLengths(history.longest, history.generations)


def lists_of_a_cluster(searches: int, seconds: float = 600.0) -> int:
    """LISTs of Jobs in so many seconds, nobody looking, while so many searches run that were submitted together."""
    with Simulation({"ELB_ACTIVE_SEARCHES": f"{searches}"}) as simulation:
        simulation.submit_many(JobPlan(10 * HOUR), searches)
        began = simulation.agenda.seconds
        simulation.run_for(seconds)
        return len(simulation.kube.lists(began))
