"""What a release has come to: which searches are in its way, what was removed, and what could not be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.domain.errors import ConflictError
from shared.domain.functions import search_instance
from shared.domain.search import Search
from shared.domain.states import AT_THE_DATABASE

MARKER = "ELB_CLEAN "
"""What the last line of the clean-up script begins with; JSON follows."""
_NAMED = 20


class Outcome(StrEnum):
    """How a release ended."""

    RELEASED = "released"
    PARTIAL = "partial"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What the clean-up of one node has come to.

    Attributes:
        done: whether it has ended, well or not.
        removed_bytes: of files that were there.
        error: why the node is not clean; empty when it is.
    """

    node: str
    done: bool
    removed_bytes: int = 0
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the durable boundary."""
        return {"node": self.node, "done": self.done, "removed_bytes": self.removed_bytes, "error": self.error}


def read_cleaning(node: str, log: str, *, failed: bool) -> Cleaning:
    """What the log of an ended clean-up pod says.

    Args:
        failed: whether its Job has failed.
    """
    lines = [line[len(MARKER) :] for line in log.splitlines() if line.startswith(MARKER)]
    try:
        told = json.loads(lines[-1]) if lines else None
    except ValueError:  # cut
        told = None
    if not isinstance(told, Mapping):
        said = next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "")
        why = f"its clean-up {'failed' if failed else 'did not say what it did'}"
        return Cleaning(node, done=True, error=f"node {node}: {why}{f': {said[:300]}' if said else ''}")
    removed, left, resident = (_number(told.get(f"{key}_bytes")) for key in ("removed", "left", "resident"))
    error = ""
    if failed or not told.get("gone"):
        error = f"node {node}: {left} bytes of the folder are still there"
    elif resident:
        error = f"node {node}: {resident} bytes stay in memory until the processes that use them have ended"
    return Cleaning(node, done=True, removed_bytes=removed, error=error)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def check_not_used(database: str, searches: Iterable[Search]) -> None:
    """Refuse the release of a database that active searches use.

    One that waits uses nothing yet: when its turn comes, the database is warmed for it. One that has read everything
    uses nothing any more.

    Args:
        searches: those of the cluster that have not ended.

    Raises:
        ConflictError: ``database_in_use``, with the searches' ids.
    """
    _refuse(database, users_at_work(database, searches))


def check_not_at_work(database: str, searches: Iterable[Search], besides: str = "") -> None:
    """Refuse to bring another version of a database while searches read the one on the nodes.

    Args:
        searches: those of the cluster that have not ended.
        besides: the search that does not count, if any: its id, or that of its own warmup's instance.

    Raises:
        ConflictError: ``database_in_use``, with the searches' ids.
    """
    others = [s for s in searches if besides not in (s.job_id, f"warmup-{search_instance(s.job_id, s.run)}")]
    _refuse(database, users_at_work(database, others), " in the version that is on the nodes")


def users_at_work(database: str, searches: Iterable[Search]) -> list[str]:
    """Ids of the searches whose Jobs read the database on the nodes, or will in a moment."""
    return [search.job_id for search in searches if search.phase in AT_THE_DATABASE and search.database == database]


def _refuse(database: str, users: Sequence[str], how: str = "") -> None:
    if not users:
        return
    named = ", ".join(users[:_NAMED]) + (f" and {len(users) - _NAMED} more" if len(users) > _NAMED else "")
    count = f"{len(users)} active search{'' if len(users) == 1 else 'es'}"
    message = f"database {database} is in use{how} by {count}: {named}"
    details = tuple({"field": "database", "message": job_id} for job_id in users[:_NAMED])
    raise ConflictError("database_in_use", message, "wait for them, cancel them, or send force: true", details=details)


def outcome_of(
    database: str, objects: Sequence[str], cleanings: Iterable[Mapping[str, Any]], errors: Sequence[str]
) -> dict[str, Any]:
    """The answer of a release.

    Args:
        objects: names of the Kubernetes objects that were removed, with their kind.
        cleanings: one per node, as ``Cleaning.to_dict``.
        errors: what else could not be done.
    """
    cleanings = list(cleanings)
    folders = [f"node/{c['node']}/{database}" for c in cleanings if c["removed_bytes"] and not c["error"]]
    failed = [*errors, *(c["error"] for c in cleanings if c["error"])]
    deleted = [*objects, *folders]
    status = Outcome.PARTIAL if failed else Outcome.RELEASED if deleted else Outcome.NOTHING
    return {"status": status.value, "database": database, "deleted": deleted, "errors": failed}
