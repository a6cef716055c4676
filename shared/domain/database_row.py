"""One row per database: what storage has of it, how warm it is, whether it fits, and what may be done with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from shared.domain.auto_warm import StorageState
from shared.domain.planner import Fit, NodeView, Verdict, candidates
from shared.domain.warmth import Warmth, WarmupStatus


class Action(StrEnum):
    """What an operator may do with a database on a cluster."""

    WARM = "warm"
    REWARM = "rewarm"
    RELEASE = "release"


_ON_NODES = frozenset({Warmth.LOADING, Warmth.READY, Warmth.COOLED, Warmth.STALE, Warmth.FAILED})
"""Something of the database is on the nodes, or may be."""


def allowed_actions(storage: StorageState, warmth: Warmth, fit: Verdict | None, in_use: bool) -> tuple[Action, ...]:
    """What may be done, in the order of the page's buttons.

    Warm brings what is not there; Rewarm does again what is there or was tried, and is no second warmup beside one that
    is under way; both need something to bring and room for it. Release takes away whatever is on the nodes, also of a
    database that storage does not have any more, but not under a search that uses it. Of a cluster that does not
    answer nothing is known, so that nothing is offered.

    Args:
        fit: None where it is not known.
        in_use: whether a search uses the database, so that a release would be refused.
    """
    if warmth is Warmth.UNKNOWN:
        return ()
    actions = []
    if storage is StorageState.SHARDED and fit is Verdict.FITS and warmth is not Warmth.LOADING:
        actions.append(Action.WARM if warmth is Warmth.COLD else Action.REWARM)
    if warmth in _ON_NODES and not in_use:
        actions.append(Action.RELEASE)
    return tuple(actions)


def warmth_cell(status: WarmupStatus | None) -> dict[str, Any]:
    """How warm, in short; the whole of it is at ``/api/monitor/aks/warmup-status``. None: the cluster did not say."""
    if status is None:
        return {"state": Warmth.UNKNOWN.value}
    loading = status.state is Warmth.LOADING
    residency = status.residency or {}
    return {
        "state": status.state.value,
        "progress_pct": status.progress_pct,
        "active_phase": status.active_phase.value if loading or status.state is Warmth.FAILED else None,
        "estimated_remaining_seconds": status.estimated_remaining_seconds,
        "shards": status.layout or None,
        "source_version": next((shard.source_version for shard in status.shards), None),
        "bytes": residency.get("bytes"),
        "resident_bytes": residency.get("resident_bytes"),
        "residency_reason": status.unmeasured or None,
        "reason": status.stale_reason or None,
    }


def fit_cell(fit: Fit, views: Sequence[NodeView], sizes: Mapping[int, Sequence[int]]) -> dict[str, Any]:
    """The verdict, and per node that may hold databases: the room that others leave, and what would go there.

    Args:
        views: all nodes, with what other databases hold there.
        sizes: layout -> bytes of each shard.
    """
    shards: dict[str, list[int]] = {}
    for planned in fit.plan.shards if fit.plan else ():
        shards.setdefault(planned.node, []).append(planned.shard)
    layout = sizes[fit.plan.layout] if fit.plan else ()
    return fit.to_dict() | {
        "nodes": [
            {
                "name": view.name,
                "cache_free_bytes": view.budget_bytes,
                "shards": shards.get(view.name, []),
                "bytes": sum(layout[shard] for shard in shards.get(view.name, [])),
            }
            for view in candidates(views)
        ]
    }
