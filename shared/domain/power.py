"""Starting and stopping a cluster: where it leads, and what a look on the way means. Pure.

Called by ``activities/cluster_power.py``; the orchestrator decides by the verdict.
"""

from __future__ import annotations

from enum import StrEnum

from shared.domain.lifecycle import Lifecycle


class Target(StrEnum):
    """What is asked for."""

    START = "start"
    STOP = "stop"

    @property
    def reached(self) -> Lifecycle:
        """Where it leads."""
        return Lifecycle.RUNNING if self is Target.START else Lifecycle.STOPPED

    @property
    def under_way(self) -> Lifecycle:
        """What the cluster is on the way."""
        return Lifecycle.STARTING if self is Target.START else Lifecycle.STOPPING

    @property
    def opposite(self) -> Target:
        """The other one."""
        return Target.STOP if self is Target.START else Target.START


class Verdict(StrEnum):
    """What one look means for an operation that was asked for and accepted."""

    REACHED = "reached"
    WAITING = "waiting"
    OPPOSITE = "opposite"
    """The other one is under way: somebody asked for it since."""
    UNCHANGED = "unchanged"
    """As it was before. Right after the request ARM may still say so; later it had no effect, or was undone."""
    FAILED = "failed"


def verdict_of(target: Target, lifecycle: Lifecycle, *, workload: bool) -> Verdict:
    """What a look means.

    Args:
        workload: whether the cluster is workload-ready: a start has only then come to its end.
    """
    if lifecycle is target.reached:
        return Verdict.REACHED if workload or target is Target.STOP else Verdict.WAITING
    if lifecycle is target.opposite.under_way:
        return Verdict.OPPOSITE
    if lifecycle is target.opposite.reached:
        return Verdict.UNCHANGED
    if lifecycle in (Lifecycle.FAILED, Lifecycle.DELETING, Lifecycle.NOT_FOUND):
        return Verdict.FAILED
    return Verdict.WAITING
