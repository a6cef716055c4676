"""How a warmup fails: a code for each cause, and what to do about it.

The codes come from the warmup script (``shared/scripts/warm.sh``) and from what the cluster shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from shared.domain.incidents import IMAGE_REASONS
from shared.domain.roles import Role

ROLE_TIME = timedelta(seconds=180)
"""How long a new role assignment may take to act on storage (60 to 180 s are usual)."""
FAR = timedelta(seconds=600)
"""How long a warmup waits for an image that cannot be pulled."""
ODD = timedelta(seconds=60)
"""How long a warmup may be stale or cooled before it ends: a node may be not ready for a moment."""
REMAKE_PAUSES = (5, 10, 20, 30)
"""Seconds before Jobs that failed for a missing role are made anew; the last one again and again."""
MISSING = timedelta(seconds=5)
"""How long Jobs must have been missing until they are made anew: another warmup may be about to make its own."""
MOST_REPLACED = 5
"""How often missing Jobs are made anew before whoever removes them is taken to mean it."""
_CODED = re.compile(r"([a-z][a-z0-9]*(?:_[a-z0-9]+)+): (.*)", re.DOTALL)
_HINTS = {
    "storage_role_missing": "assign Storage Blob Data Reader on the database container to the cluster's kubelet "
    "identity; a new assignment takes 60 to 180 s to act",
    "storage_firewall": "allow {subnet} in the storage account's network rules",
    "image_pull_failed": "see that the image is in the registry and that the kubelet identity has AcrPull on it",
    "disk_full": "use nodes with larger disks, or release a database that is not needed",
    "bad_database": "upload the database's files again; they differ from what makeblastdb wrote",
    "node_memory_full": "use nodes with more memory, prepare more shards, or release a database that is not needed",
    "node_lost": "start the warmup again when the node pool has its nodes; auto-warm does it by itself",
    "download_failed": "see the shards' last log lines in /api/monitor/aks/warmup-status; start the warmup again",
    "warmup_removed": "start the warmup again if the database is still wanted",
    "warmup_superseded": "see /api/monitor/aks/warmup-status; start the warmup again for storage's version",
}
_ROLES = {"storage_role_missing": Role.BLOB_READER.label, "image_pull_failed": Role.ACR_PULL.label}
"""Causes that a role of the kubelet identity would mend."""
_OTHER_HINT = "read the shards' messages in /api/monitor/aks/warmup-status; start the warmup again when mended"


def failure_of(database: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """The error object of a warmup whose shards failed.

    Args:
        status: as ``observe_warmup`` gives it; ``subnet`` names what a firewall must let in, where that is known.
    """
    message = str(status.get("active_message") or "a shard failed")
    coded = _CODED.fullmatch(message)
    code, text = (coded[1], coded[2]) if coded else ("warmup_failed", message)
    if waits_for_image(status):
        code, text = "image_pull_failed", message
    return warmup_error(database, code, text, status)


def warmup_error(database: str, code: str, text: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """The error object for a code, with the hint that goes with it."""
    hint = _HINTS.get(code, _OTHER_HINT).format(subnet=status.get("subnet") or "the nodes' subnet")
    return {
        "code": code,
        "message": f"database {database} could not be warmed: {text}",
        "hint": hint,
        "log_tail": status.get("active_last_log") or "",
    }


def with_role_warnings(error: dict[str, Any], warnings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The error with a hint that says how to assign the role which it is for and which the app could not assign.

    Args:
        warnings: of ``ensure_roles``; one without ``role`` is about all of them.
    """
    role = _ROLES.get(error["code"])
    hints = [str(w["hint"]) for w in warnings if role and w.get("role") in (None, role) and w.get("hint")]
    return error | {"hint": "; ".join([error["hint"], *hints])}


def jobs_missing(status: Mapping[str, Any], plan: Mapping[str, Any]) -> bool:
    """Whether Jobs of a plan are gone, some or all. Jobs of another plan belong to a warmup that has replaced this one.

    Args:
        status: as ``observe_warmup`` gives it; of a cluster that did not answer nothing is known to be missing.
    """
    present = status.get("pod_statuses")
    if not present:
        return present is not None
    of_plan = (status.get("shards"), status.get("source_version")) == (plan["layout"], plan["source_version"])
    return of_plan and len(present) < len(plan["nodes"])


def waits_for_image(status: Mapping[str, Any]) -> bool:
    """Whether a shard waits for an image that could not be pulled."""
    return str(status.get("active_message") or "").startswith(IMAGE_REASONS)


def given_up(database: str, status: Mapping[str, Any], odd_for: timedelta) -> dict[str, Any] | None:
    """The error of a warmup that will not end well by itself; None while it may.

    Args:
        odd_for: how long the status has been what it is now, without a success or a failure.
    """
    state, why = status.get("status"), str(status.get("stale_reason") or "")
    if state == "stale" and odd_for >= ODD:
        code = "node_lost" if status.get("lost_nodes") else "warmup_superseded"
        return warmup_error(database, code, why or "it is stale", status)
    if state == "cooled" and odd_for >= ODD:
        return warmup_error(database, "node_memory_full", why or "it was pushed out of memory again", status)
    if state == "loading" and waits_for_image(status) and odd_for >= FAR:
        return warmup_error(database, "image_pull_failed", str(status["active_message"]), status)
    return None


def subnet_of(managed_cluster: Mapping[str, Any]) -> str:
    """The subnet of the nodes, for people: of the pools' own where they have one, else of the cluster's node group."""
    properties = managed_cluster.get("properties") or {}
    pools = properties.get("agentPoolProfiles") or ()
    named = sorted({str(pool["vnetSubnetID"]) for pool in pools if pool.get("vnetSubnetID")})
    if named:
        return "subnet " + ", ".join(named)
    group = properties.get("nodeResourceGroup")
    return f"the subnet aks-subnet in resource group {group}" if group else "the nodes' subnet"
