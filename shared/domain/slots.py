"""Who may search next on a cluster: a ceiling of active searches, fair between owners. Pure.

A slot is held by an active search from its admission to its end. Holders that are not active any more have lost their
slot by that alone, so a dead holder's slot comes back without anybody giving it back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """A search that waits for a slot. ``since`` is when it was submitted."""

    job_id: str
    owner: str
    since: datetime


def live_holders(holders: Mapping[str, str], active: Iterable[str]) -> dict[str, str]:
    """The holders (job id -> owner) whose searches are still active."""
    alive = frozenset(active)
    return {job_id: owner for job_id, owner in holders.items() if job_id in alive}


def next_in_line(holders: Mapping[str, str], waiting: Iterable[Waiting], ceiling: int) -> list[str]:
    """Ids of the waiting searches that get the free slots, in that order.

    A slot goes to the owner who holds fewest; between owners who hold as many, to the search submitted first.
    """
    held = Counter(holders.values())
    line = sorted(waiting, key=lambda w: (w.since, w.job_id))
    granted: list[str] = []
    while line and len(holders) + len(granted) < ceiling:
        first = min(line, key=lambda w: held[w.owner])
        line.remove(first)
        held[first.owner] += 1
        granted.append(first.job_id)
    return granted
