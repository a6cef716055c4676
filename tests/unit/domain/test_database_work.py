"""Warmups share a database, a release has it for itself, and what was lost holds nobody up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.database_work import RELEASE_LIFE, WARMUP_LIFE, DatabaseWork, begin_release, join_warmup, leave
from shared.domain.errors import ConflictError

NOW = datetime(2030, 1, 1, tzinfo=UTC)
IDLE = DatabaseWork()
MOMENT = timedelta(seconds=1)


def test_warmups_join_each_other() -> None:
    work = join_warmup(join_warmup(IDLE, "a", "db", NOW), "b", "db", NOW + MOMENT)
    assert dict(work.warmups) == {"a": NOW, "b": NOW + MOMENT}


def test_joining_twice_is_once() -> None:
    once = join_warmup(IDLE, "a", "db", NOW)
    assert join_warmup(once, "a", "db", NOW + MOMENT) == once


@pytest.mark.parametrize(("age", "refused"), [(RELEASE_LIFE - MOMENT, True), (RELEASE_LIFE, False)])
def test_a_warmup_waits_for_a_release_that_may_be_alive(age: timedelta, refused: bool) -> None:
    work = begin_release(IDLE, "release-1", "db", NOW - age)
    if not refused:
        assert join_warmup(work, "a", "db", NOW).release == ""
        return
    with pytest.raises(ConflictError) as raised:
        join_warmup(work, "a", "db", NOW)
    assert raised.value.code == "operation_in_progress"
    assert "release-1" in raised.value.message


@pytest.mark.parametrize(
    ("age", "ended", "refused"),
    [
        (WARMUP_LIFE - MOMENT, [], True),
        (WARMUP_LIFE, [], False),
        (MOMENT, ["a"], False),
        (MOMENT, ["b"], True),
    ],
)
def test_a_release_waits_for_warmups_that_may_be_alive(age: timedelta, ended: list[str], refused: bool) -> None:
    work = join_warmup(IDLE, "a", "db", NOW - age)
    if not refused:
        assert begin_release(work, "release-1", "db", NOW, ended).warmups == {}
        return
    with pytest.raises(ConflictError, match="a warmup of database db is under way: a"):
        begin_release(work, "release-1", "db", NOW, ended)


def test_a_forced_release_throws_warmups_out() -> None:
    work = begin_release(join_warmup(IDLE, "a", "db", NOW), "release-1", "db", NOW, force=True)
    assert (work.warmups, work.release) == ({}, "release-1")


def test_who_leaves_takes_nobody_along() -> None:
    work = join_warmup(join_warmup(IDLE, "a", "db", NOW), "b", "db", NOW)
    assert set(leave(work, "a").warmups) == {"b"}
    assert leave(leave(work, "a"), "b").is_idle
    assert leave(work, "c") == work
    released = begin_release(IDLE, "r", "db", NOW)
    assert leave(released, "x") == released
    assert leave(released, "r").is_idle


@pytest.mark.parametrize("work", [IDLE, join_warmup(IDLE, "a", "db", NOW), begin_release(IDLE, "release-1", "db", NOW)])
def test_it_is_stored_and_read(work: DatabaseWork) -> None:
    assert DatabaseWork.from_dict(work.to_dict(), "") == work


@pytest.mark.parametrize("stored", [{}, {"warmups": None}, {"warmups": {"a": "never"}, "release": ""}, {"more": 1}])
def test_what_cannot_be_read_claims_nothing(stored: dict[str, object]) -> None:
    assert DatabaseWork.from_dict(stored, "").is_idle
