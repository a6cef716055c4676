"""Windows, keys, and how the entries of a window add up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from shared.domain.errors import MalformedError
from shared.domain.search import ClusterRef, Search
from shared.domain.states import WAITING, Phase
from shared.domain.stats import (
    KEPT,
    LONGEST_WINDOW,
    Entry,
    Numbers,
    TimerRun,
    add_up,
    answer,
    counted,
    ended,
    hour_of,
    minute_of,
    parse_window,
    registered,
    submitted,
    waiting_of,
    with_held,
)

AT = datetime(2026, 1, 2, 3, 59, 59, 999_000, tzinfo=UTC)


def a_search(number: int, phase: Phase, **fields: Any) -> Search:
    """A search of an owner whom nobody may learn of."""
    where = ClusterRef("sub", "group", "cluster", "store")
    made = {"created_at": AT + timedelta(seconds=number), "phase": phase, **fields}
    return Search(f"job-{number:032x}", "anna", "blastn", "db", where, **made)


class TestWindow:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("15m", 900), ("90s", 90), ("2h", 7200), ("60s", 60), ("1m", 60), ("24h", 86400), ("1440m", 1440 * 60)],
    )
    def test_a_number_and_a_unit(self, text: str, seconds: int) -> None:
        assert parse_window(text) == timedelta(seconds=seconds)

    @pytest.mark.parametrize(
        "text",
        [
            *("59s", "0m", "25h", "1441m", "86401s"),
            *(
                "",
                "15",
                "m",
                "15 m",
                "15M",
                "-15m",
                "+15m",
                "1.5h",
                "15min",
                "1h30m",
                "1d",
                "15m\n",
                "\u0661\u0665m",
                "9" * 5000 + "s",
            ),
        ],
    )
    def test_anything_else_is_malformed(self, text: str) -> None:
        with pytest.raises(MalformedError) as caught:
            parse_window(text)
        assert caught.value.code == "invalid_window"

    def test_entries_are_kept_longer_than_the_longest(self) -> None:
        assert LONGEST_WINDOW + timedelta(hours=1) < KEPT


class TestBuckets:
    @pytest.mark.parametrize(
        ("at", "hour"),
        [
            (AT, "2026-01-02T03"),
            (AT + timedelta(milliseconds=1), "2026-01-02T04"),
            (AT.astimezone(timezone(timedelta(hours=9))), "2026-01-02T03"),
        ],
    )
    def test_hours_are_of_utc(self, at: datetime, hour: str) -> None:
        assert hour_of(at) == hour
        assert submitted("job-a", at).bucket == hour

    def test_hours_sort_as_their_text(self) -> None:
        hours = [hour_of(AT + timedelta(hours=hours)) for hours in range(0, 24 * 400, 7)]
        assert hours == sorted(hours)

    def test_a_minute(self) -> None:
        assert minute_of(AT.astimezone(timezone(timedelta(hours=9)))) == datetime(2026, 1, 2, 3, 59, tzinfo=UTC)


class TestEntries:
    def test_what_happened_twice_has_two_keys(self) -> None:
        entries = [
            submitted("job-a", AT),
            submitted("job-b", AT),
            registered("job-a", AT),
            ended("job-a", 1, "failed", "lost", AT),
            ended("job-a", 2, "completed", "", AT),
            counted("i", 1, {"wake_ups": 1}, AT),
            counted("i", 2, {"wake_ups": 1}, AT),
            counted("j", 1, {"wake_ups": 1}, AT),
        ]
        assert len({entry.key for entry in entries}) == len(entries)

    def test_what_is_written_twice_has_one(self) -> None:
        assert ended("job-a", 1, "failed", "lost", AT) == ended("job-a", 1, "failed", "lost", AT)

    @pytest.mark.parametrize(
        "entry",
        [
            submitted("", AT),
            registered("", AT),
            ended("", 1, "failed", "out_of_memory", AT),
            ended("", 1, "completed", "", AT),
            counted("i", 1, {"kube_calls": 3, "wake_ups": 1}, AT),
        ],
    )
    def test_stored_and_read_again(self, entry: Entry) -> None:
        read = Entry.from_dict({"PartitionKey": "x", "RowKey": "y", **entry.to_dict()})
        assert read is not None
        assert (read.kind, read.at, read.status, read.code, read.counts) == (
            *(entry.kind, entry.at, entry.status, entry.code),
            entry.counts,
        )

    @pytest.mark.parametrize("data", [{}, {"kind": "submitted"}, {"kind": "of tomorrow", "at": "2026-01-02T03:04:05Z"}])
    def test_what_nobody_knows_is_nothing(self, data: dict[str, Any]) -> None:
        assert Entry.from_dict(data) is None

    def test_only_a_failure_has_a_code(self) -> None:
        assert ended("job-a", 1, "cancelled", "lost", AT).code == ""


class TestAddingUp:
    def test_nothing(self) -> None:
        assert add_up([], AT) == Numbers(0, 0, {}, {}, {})

    def test_each_kind_for_itself_and_instances_together(self) -> None:
        entries = [
            submitted("job-a", AT),
            submitted("job-b", AT),
            registered("blast-of-ada", AT),
            ended("job-a", 1, "failed", "lost", AT),
            ended("job-b", 1, "failed", "lost", AT),
            ended("job-c", 1, "failed", "out_of_memory", AT),
            ended("job-a", 2, "completed", "", AT),
            counted("i", 1, {"kube_calls": 3, "wake_ups": 1}, AT),
            counted("j", 1, {"kube_calls": 4}, AT),
        ]
        failures = {"lost": 2, "out_of_memory": 1}
        assert add_up(entries, AT) == Numbers(
            2, 1, {"failed": 3, "completed": 1}, failures, {"kube_calls": 7, "wake_ups": 1}
        )

    @pytest.mark.parametrize(("milliseconds", "count"), [(-1, 0), (0, 1), (1, 1), (3_600_000, 1)])
    def test_from_the_beginning_of_the_window_on(self, milliseconds: int, count: int) -> None:
        assert add_up([submitted("job-a", AT + timedelta(milliseconds=milliseconds))], AT).submitted == count


class TestHeld:
    """What an instance holds, besides what is stored."""

    STORED = counted("i", 1, {"wake_ups": 5}, AT)
    HELD = counted("i", 1, {"wake_ups": 3}, AT + timedelta(milliseconds=1))

    def test_what_is_in_both_counts_as_it_is_stored(self) -> None:
        """Also where the hour has changed meanwhile."""
        assert self.STORED.bucket != self.HELD.bucket
        assert with_held([self.STORED], [self.HELD]) == [self.STORED]

    def test_what_is_in_one_of_them_counts(self) -> None:
        others = [counted("j", 1, {"wake_ups": 1}, AT), counted("i", 2, {"wake_ups": 1}, AT)]
        assert with_held([self.STORED], others) == [self.STORED, *others]
        assert with_held([], [self.HELD]) == [self.HELD]


class TestWaiting:
    def test_only_those_who_wait(self) -> None:
        searches = [a_search(n, phase) for n, phase in enumerate(Phase)]
        assert {row["phase"] for row in waiting_of("c", searches)} == {phase.value for phase in WAITING}

    def test_the_reason_of_the_one_that_waits_longest(self) -> None:
        def waits(number: int, since: int, reason: str) -> Search:
            at = AT + timedelta(seconds=since)
            return a_search(number, Phase.WAITING_FOR_CAPACITY, waiting_since=at, waiting_reason=reason)

        searches = [waits(1, 30, "newest"), waits(2, 10, "oldest"), waits(3, 20, "other")]
        wanted = {"cluster_name": "c", "phase": "waiting_for_capacity", "count": 3, "reason": "oldest"}
        assert waiting_of("c", searches) == [wanted]

    def test_nobody_is_told_who_waits(self) -> None:
        said = str(waiting_of("c", [a_search(7, Phase.WAITING_FOR_CLUSTER)]))
        assert "anna" not in said
        assert f"{7:032x}" not in said


class TestAnswer:
    def test_what_never_happened_is_nought(self) -> None:
        assert answer(timedelta(minutes=15), Numbers(0, 0, {}, {}, {}), [], {}) == {
            "window_seconds": 900,
            "submitted": 0,
            "registered": 0,
            "ended": {"completed": 0, "failed": 0, "cancelled": 0},
            "failures": {},
            "waiting": [],
            "kubernetes": {"calls": 0, "lists": 0},
            "storage": {"calls": 0},
            "looks": {"taken": 0, "throttled": 0, "late": 0},
            "wake_ups": 0,
            "timers": {},
        }

    def test_each_number_in_its_place(self) -> None:
        numbers = Numbers(
            1,
            12,
            {"completed": 2, "failed": 3, "cancelled": 4},
            {"lost": 3},
            {
                **{"kube_calls": 5, "kube_lists": 6, "storage_calls": 7, "looks_taken": 8},
                **{"looks_throttled": 9, "refreshes_late": 10, "wake_ups": 11},
            },
        )
        waiting = [{"cluster_name": "c", "phase": "waiting_for_cluster", "count": 1, "reason": "stopped"}]
        run = TimerRun(AT, 0.5, {"active": 2}, failed=True)
        assert answer(timedelta(hours=2), numbers, waiting, {"reconcile": run}) == {
            "window_seconds": 7200,
            "submitted": 1,
            "registered": 12,
            "ended": {"completed": 2, "failed": 3, "cancelled": 4},
            "failures": {"lost": 3},
            "waiting": waiting,
            "kubernetes": {"calls": 5, "lists": 6},
            "storage": {"calls": 7},
            "looks": {"taken": 8, "throttled": 9, "late": 10},
            "wake_ups": 11,
            "timers": {
                "reconcile": {
                    "last_run": "2026-01-02T03:59:59.999Z",
                    "seconds": 0.5,
                    "result": {"active": 2},
                    "failed": True,
                }
            },
        }
