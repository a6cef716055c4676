"""When a database is warmed by itself, cell by cell: gate, storage, warmth, and the tries before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from shared.domain.auto_warm import (
    APART,
    HELD,
    Action,
    Attempt,
    Decision,
    Fate,
    Seen,
    Situation,
    StorageState,
    Stored,
    auto_instance,
    pause_after,
    plan_auto_warm,
)
from shared.domain.preference import AutoWarmPreference
from shared.domain.warmth import Warmth

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CLUSTER, DB, VERSION, PREFERENCE = "sub|group|cluster", "db", "v1", "p1"
SHARDED = Stored(StorageState.SHARDED, VERSION)
COLD = Seen(Warmth.COLD)


def tried(**fields: object) -> Attempt:
    """A try that has failed, an hour ago."""
    usual = Attempt(
        DB,
        number=4,
        tries=2,
        instance_id="warmup-auto-4",
        began_at=NOW - timedelta(hours=1),
        next_at=NOW,
        source_version=VERSION,
        preference=PREFERENCE,
        etag="e",
    )
    return replace(usual, **fields)  # type: ignore[arg-type]  # fields of an attempt


def situation(*attempts: Attempt, seen: Seen | None = COLD, stored: Stored = SHARDED, **fields: object) -> Situation:
    """A cluster whose gate is open, and one database."""
    usual = Situation(
        cluster_key=CLUSTER,
        version=PREFERENCE,
        gate=True,
        gate_reason="",
        stored={DB: stored},
        seen={} if seen is None else {DB: seen},
        attempts={attempt.database: attempt for attempt in attempts},
        fates={},
    )
    return replace(usual, **fields)  # type: ignore[arg-type]  # fields of a situation


def decide(found: Situation, now: datetime = NOW) -> Decision:
    """What is done about the one database."""
    [decision] = plan_auto_warm(AutoWarmPreference((DB,), enabled=True), found, now)
    return decision


def outcome(found: Situation, now: datetime = NOW) -> tuple[Action, str]:
    decision = decide(found, now)
    return decision.action, decision.reason


@pytest.mark.parametrize(
    ("tries", "seconds"), [(0, 60), (1, 60), (2, 120), (3, 240), (6, 1920), (7, 3600), (8, 3600), (10_000, 3600)]
)
@pytest.mark.proves("W8")
def test_the_pause_doubles_up_to_an_hour(tries: int, seconds: int) -> None:
    assert pause_after(tries) == timedelta(seconds=seconds)


class TestWarmth:
    @pytest.mark.proves("W8")
    @pytest.mark.parametrize(
        ("seen", "action", "reason"),
        [
            (Seen(Warmth.COLD), Action.WARM, "cold"),
            (Seen(Warmth.STALE), Action.WARM, "stale"),
            (Seen(Warmth.STALE, moving=True), Action.WAIT, "loading"),
            (Seen(Warmth.FAILED), Action.WARM, "failed"),
            (Seen(Warmth.FAILED, moving=True), Action.WARM, "failed"),
            (Seen(Warmth.COOLED), Action.WARM, "cooled"),
            (Seen(Warmth.LOADING), Action.WARM, "loading"),
            (Seen(Warmth.LOADING, moving=True), Action.WAIT, "loading"),
            (Seen(Warmth.READY), Action.SKIP, "warm"),
            (Seen(Warmth.UNKNOWN), Action.SKIP, "unknown"),
            (None, Action.SKIP, "unknown"),
        ],
    )
    def test_each(self, seen: Seen | None, action: Action, reason: str) -> None:
        assert outcome(situation(seen=seen)) == (action, reason)

    @pytest.mark.parametrize("warmth", Warmth)
    def test_behind_the_gate_nothing_is_done(self, warmth: Warmth) -> None:
        found = situation(seen=Seen(warmth), gate=False, gate_reason="no node")
        assert decide(found) == Decision(DB, Action.WAIT, "not_ready", "no node")

    def test_somebody_who_is_at_it_is_waited_for(self) -> None:
        assert outcome(situation(busy={DB})) == (Action.WAIT, "busy")


class TestStorage:
    @pytest.mark.proves("W7")
    @pytest.mark.parametrize(
        ("state", "reason"),
        [
            (StorageState.NOT_DOWNLOADED, "database_not_downloaded"),
            (StorageState.INCOMPLETE, "database_incomplete"),
            (StorageState.DOWNLOADED, "database_downloaded"),
            (StorageState.UNKNOWN, "storage_unknown"),
        ],
    )
    def test_what_is_not_ready_to_be_warmed_is_skipped_with_the_reason(self, state: StorageState, reason: str) -> None:
        decision = decide(situation(stored=Stored(state)))
        assert (decision.action, decision.reason) == (Action.SKIP, reason)
        assert decision.message
        assert decision.attempt is None

    def test_the_reason_that_storage_gives_comes_first(self) -> None:
        assert decide(situation(stored=Stored(StorageState.INCOMPLETE, why="volume 3 is missing"))).message == (
            "volume 3 is missing"
        )


class TestTries:
    def test_the_first_one(self) -> None:
        assert decide(situation()).attempt == Attempt(
            DB,
            number=1,
            tries=1,
            instance_id=auto_instance(CLUSTER, DB, VERSION, 1),
            settled=False,
            began_at=NOW,
            next_at=NOW + 60 * SECOND,
            source_version=VERSION,
            preference=PREFERENCE,
        )

    def test_a_failed_one_is_settled_and_the_pause_counts_from_when_that_is_seen(self) -> None:
        found = situation(tried(settled=False), fates={"warmup-auto-4": Fate.FAILED}, seen=Seen(Warmth.FAILED))
        decision = decide(found)
        assert (decision.action, decision.reason) == (Action.WAIT, "failed")
        assert decision.attempt == tried(settled=True, next_at=NOW + 120 * SECOND)

    @pytest.mark.parametrize(("seconds", "action"), [(-1, Action.WAIT), (0, Action.WARM), (1, Action.WARM)])
    def test_the_next_one_comes_at_its_time(self, seconds: int, action: Action) -> None:
        assert decide(situation(tried(next_at=NOW)), NOW + seconds * SECOND).action is action

    def test_a_time_that_a_wrong_clock_wrote_holds_nothing_up(self) -> None:
        day = timedelta(days=1)
        ahead = tried(began_at=NOW + day, next_at=NOW + day + 60 * SECOND)
        assert decide(situation(ahead)).action is Action.WARM

    def test_nor_does_a_try_that_it_took(self) -> None:
        other = Attempt("other", 1, 1, "warmup-auto-1", settled=False, began_at=NOW + timedelta(days=1))
        found = replace(situation(), attempts={"other": other})
        assert decide(found).action is Action.WARM

    def test_it_is_another_instance_with_a_longer_pause(self) -> None:
        attempt = decide(situation(tried())).attempt
        assert attempt is not None
        assert (attempt.number, attempt.tries, attempt.etag) == (5, 3, "e")
        assert attempt.instance_id == auto_instance(CLUSTER, DB, VERSION, 5)
        assert attempt.next_at == NOW + 240 * SECOND

    @pytest.mark.parametrize("warmth", Warmth)
    def test_while_one_is_under_way_no_other_begins(self, warmth: Warmth) -> None:
        found = situation(tried(settled=False), fates={"warmup-auto-4": Fate.RUNNING}, seen=Seen(warmth))
        assert outcome(found) == (Action.WAIT, "under_way")

    def test_one_that_nobody_knows_of_is_taken_for_under_way(self) -> None:
        assert outcome(situation(tried(settled=False))) == (Action.WAIT, "under_way")

    def test_one_that_was_taken_and_never_began_is_begun_under_its_own_id(self) -> None:
        own = auto_instance(CLUSTER, DB, VERSION, 4)
        taken = tried(settled=False, instance_id=own, next_at=NOW)
        found = situation(taken, fates={own: Fate.ABSENT})
        assert outcome(found, NOW - SECOND) == (Action.WAIT, "backoff")
        decision = decide(found)
        assert decision.action is Action.WARM
        assert decision.attempt is not None
        assert (decision.attempt.instance_id, decision.attempt.number) == (own, 4)

    @pytest.mark.parametrize(
        "change",
        [
            {"version": "p2"},
            {"stored": Stored(StorageState.SHARDED, "v2")},
            {"up_since": NOW - timedelta(minutes=59)},
        ],
        ids=["another preference", "another version of the database", "the cluster was started"],
    )
    @pytest.mark.proves("W8")
    def test_what_ends_the_backoff(self, change: dict[str, Stored]) -> None:
        waiting = tried(tries=7, next_at=NOW + timedelta(minutes=50))
        assert outcome(situation(waiting)) == (Action.WAIT, "backoff")
        decision = decide(situation(waiting, **change))  # type: ignore[arg-type]  # fields of a situation
        assert decision.action is Action.WARM
        assert decision.attempt is not None
        assert (decision.attempt.number, decision.attempt.tries) == (5, 1)

    def test_nodes_that_were_up_before_do_not(self) -> None:
        waiting = tried(next_at=NOW + SECOND)
        assert outcome(situation(waiting, up_since=NOW - timedelta(hours=2))) == (Action.WAIT, "backoff")


class TestSuccess:
    def test_it_is_remembered_since_when(self) -> None:
        found = situation(tried(settled=False), fates={"warmup-auto-4": Fate.SUCCEEDED}, seen=Seen(Warmth.READY))
        assert decide(found).attempt == tried(settled=True, ready_since=NOW)

    @pytest.mark.parametrize(("tries", "action"), [(1, Action.WARM), (2, Action.WAIT)])
    def test_what_the_first_try_brought_and_is_lost_is_brought_back_at_once(self, tries: int, action: Action) -> None:
        later = NOW + 10 * SECOND
        before = tried(settled=False, tries=tries, began_at=NOW, next_at=NOW + 60 * SECOND)
        fates = {"warmup-auto-4": Fate.SUCCEEDED}
        after = decide(situation(before, fates=fates, seen=Seen(Warmth.READY)), later).attempt
        assert after is not None
        assert decide(situation(after, seen=Seen(Warmth.STALE)), later).action is action

    @pytest.mark.parametrize(("held", "forgotten"), [(HELD - SECOND, False), (HELD, True)])
    def test_the_tries_are_forgotten_when_it_has_held(self, held: timedelta, forgotten: bool) -> None:
        before = tried(ready_since=NOW - held)
        after = decide(situation(before, seen=Seen(Warmth.READY))).attempt
        assert after == (replace(before, tries=0, next_at=None, ready_since=None) if forgotten else None)

    def test_then_nothing_is_written_any_more(self) -> None:
        assert decide(situation(tried(tries=0), seen=Seen(Warmth.READY))).attempt is None
        assert decide(situation(seen=Seen(Warmth.READY))).attempt is None

    def test_what_is_lost_right_after_is_warmed_at_its_time(self) -> None:
        """The pause counts from the beginning of a try that succeeded, which lies back by now."""
        found = situation(tried(settled=False), fates={"warmup-auto-4": Fate.SUCCEEDED}, seen=Seen(Warmth.STALE))
        assert outcome(found) == (Action.WARM, "stale")

    def test_two_that_push_each_other_out_are_touched_ever_more_rarely(self) -> None:
        """Each try succeeds at once, and a minute later the database has cooled again: for six hours."""
        attempt = Attempt(DB)
        began: list[datetime] = []
        for minute in range(360):
            now = NOW + timedelta(minutes=minute)
            seen = Seen(Warmth.READY if began and (now - began[-1]) <= timedelta(minutes=1) else Warmth.COOLED)
            fates = {attempt.instance_id: Fate.SUCCEEDED}
            decision = decide(situation(attempt, seen=seen, fates=fates), now)
            attempt = decision.attempt or attempt
            if decision.action is Action.WARM:
                began.append(now)
        apart = [(later - earlier) // timedelta(minutes=1) for earlier, later in pairwise(began)]
        assert apart[:6] == [2, 2, 4, 8, 16, 32]
        assert set(apart[6:]) == {60}


class TestSeveral:
    def plan(self, *databases: str, now: datetime = NOW, **fields: object) -> list[tuple[str, Action, str]]:
        found = replace(
            situation(),
            stored=dict.fromkeys(databases, SHARDED),
            seen=dict.fromkeys(databases, Seen(Warmth.COLD)),
            **fields,  # type: ignore[arg-type]  # fields of a situation
        )
        decisions = plan_auto_warm(AutoWarmPreference(databases, enabled=True), found, now)
        return [(d.database, d.action, d.reason) for d in decisions]

    def test_one_begins_and_the_others_wait_for_its_plan(self) -> None:
        assert self.plan("a", "b", "c") == [
            ("a", Action.WARM, "cold"),
            ("b", Action.WAIT, "after_another"),
            ("c", Action.WAIT, "after_another"),
        ]

    @pytest.mark.parametrize(("age", "action"), [(APART - SECOND, Action.WAIT), (APART, Action.WARM)])
    def test_also_for_one_that_began_just_before(self, age: timedelta, action: Action) -> None:
        other = Attempt("other", 1, 1, "warmup-auto-1", settled=False, began_at=NOW - age)
        assert self.plan("a", attempts={"other": other})[0][1] is action

    def test_one_in_its_pause_holds_up_no_other(self) -> None:
        waiting = tried(database="a", next_at=NOW + SECOND)
        assert [action for _, action, _ in self.plan("a", "b", attempts={"a": waiting})] == [Action.WAIT, Action.WARM]

    def test_nothing_when_it_is_switched_off(self) -> None:
        assert plan_auto_warm(AutoWarmPreference((DB,), enabled=False), situation(), NOW) == []


class TestInstances:
    def test_the_same_for_everybody_and_another_for_anything_else(self) -> None:
        ids = {
            auto_instance(*identity)
            for identity in [
                ("c", "d", "v", 1),
                ("c", "d", "v", 1),
                ("c", "d", "v", 2),
                ("c", "d", "w", 1),
                ("c", "e", "v", 1),
                ("d", "d", "v", 1),
            ]
        }
        assert len(ids) == 5
