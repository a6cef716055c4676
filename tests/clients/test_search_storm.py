"""Many threads change, end, retry and reconcile the same few searches: the index says the truth of them afterwards."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from shared.clients import search_index
from shared.clients.search_rows import columns_of
from shared.clients.searches import SearchStore
from shared.domain.errors import TransientError
from shared.domain.progress import Progress
from shared.domain.search import Search, cancelled, enter_phase, fail, request_cancel, retried
from shared.domain.states import Phase
from tests.clients.conftest import Place
from tests.clients.support import T0, a_cluster, a_search, at_once
from tests.clients.wire import Rule, Wire

SEARCHES = 5
THREADS = 6
ROUNDS = 8
CALLS = 8
"""Of each thread in a round, after which all is compared."""

CHANGES: dict[str, Callable[[Search], Search]] = {
    "progress": lambda row: replace(row, progress=Progress(9, running=(row.progress.running + 1) % 9)),
    "payload": lambda row: replace(row, labels={"text": "a" * (len(row.labels.get("text", "")) + 7)}),
    "running": lambda row: enter_phase(row, Phase.RUNNING, T0),
    "failed": lambda row: fail(row, {"code": "x"}, T0),
    "cancelled": lambda row: cancelled(request_cancel(row, T0), T0),
    "retried": lambda row: retried(row, T0),
}
WEIGHTS = {"progress": 6, "payload": 2, "running": 2, "failed": 3, "cancelled": 1, "retried": 6}


class Storm:
    """What the threads do to the searches of one cluster, and how often."""

    def __init__(self, searches: SearchStore, wire: Wire, owner: str, seed: int) -> None:
        cluster = a_cluster()
        self.wire, self.store, self.owner, self.seed, self.key = wire, searches, owner, seed, cluster.key
        self.ids = [searches.create(a_search(owner, cluster=cluster))[0].job_id for _ in range(SEARCHES)]
        self.done: Counter[str] = Counter()
        self.counted: Counter[str] = Counter()
        self._lock = threading.Lock()

    def rounds(self, *rules: Rule) -> None:
        """Let all threads at it, compare, and again."""
        for number in range(ROUNDS):
            chances = [random.Random(f"{self.seed} {number} {thread}") for thread in range(THREADS)]  # noqa: S311
            with self.wire.breaking(*rules):
                at_once(THREADS, lambda thread, chances=chances: self.rage(chances[thread]))  # type: ignore[misc]
            self.check()

    def rage(self, chance: random.Random) -> None:
        """One thread: changes of random searches, now and then a reconcile."""
        for _ in range(CALLS):
            if chance.random() < 0.25:
                what = chance.choice(("unfinished_rows", "mend_copy", "unfinished"))
                self._look(what, chance.choice(self.ids))
            else:
                what = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
                self._change(what, chance.choice(self.ids))
            with self._lock:
                self.done[what] += 1

    def _look(self, what: str, job_id: str) -> None:
        try:
            if what == "mend_copy":
                self.store.mend_copy(self.owner, job_id)
            else:
                getattr(self.store, what)(self.key)
        except TransientError as error:  # of a storage that is being broken
            if error.code != "state_unavailable":
                raise

    def _change(self, what: str, job_id: str) -> None:
        changes = False

        def change(row: Search) -> Search:
            nonlocal changes
            changed = CHANGES[what](row)
            changes = changed != row
            return replace(changed, plan={"count": row.plan.get("count", 0) + 1}) if changes else row

        try:
            self.store.update(self.owner, job_id, change)
        except TransientError as error:
            if error.code not in ("state_unavailable", "row_contended"):
                raise
        else:
            with self._lock:
                self.counted[job_id] += changes

    def check(self) -> None:
        """After one reconcile the index says of every search what its row says, once nobody is about to write one."""
        rows = [self.store.get(self.owner, job_id) for job_id in self.ids]
        wanted = {row.job_id: columns_of(row) for row in rows if row.is_unfinished}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(search_index, "ORPHAN_AGE", timedelta(seconds=-60))
            assert {row.job_id for row in self.store.unfinished_rows(self.key)} == set(wanted)
        assert {copy.job_id: columns_of(copy) for copy in self.store.unfinished(self.key)} == wanted


@dataclass(slots=True)
class Sometimes(Rule):
    """What goes wrong with some of the requests that match."""

    chance: float = 0.0

    def meets(self, method: str, path: str) -> bool:
        """Whether this request is one of them."""
        return Rule.meets(self, method, path) and random.random() < self.chance  # noqa: S311 - no secret


@pytest.fixture
def storm(place: Place, searches: SearchStore, owner: str) -> Storm:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    return Storm(searches, place.table, owner, seed)


def test_no_change_is_lost_and_the_index_is_right(storm: Storm) -> None:
    storm.rounds()
    assert {job_id: storm.store.get(storm.owner, job_id).plan["count"] for job_id in storm.ids} == storm.counted
    assert set(storm.done) == {*WEIGHTS, "unfinished", "unfinished_rows", "mend_copy"}


@pytest.mark.parametrize("written", [False, True], ids=["refused", "answer lost"])
def test_the_index_is_right_where_copies_cannot_always_be_written(storm: Storm, written: bool) -> None:
    chances = {"PUT": 0.4, "DELETE": 0.4, "GET": 0.1}
    storm.rounds(*(Sometimes(method, "elbindex", 10**6, 403, written, chance=p) for method, p in chances.items()))
