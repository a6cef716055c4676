"""Job ids: UUIDs of version 7, newest first when inverted, and foreign ids that have their place among them."""

from __future__ import annotations

import os
import random
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.ids import (
    content_key,
    is_job_id,
    is_own_id,
    new_job_id,
    newest_first_key,
    owner_key,
    row_key,
    short_id,
    time_of_key,
)

NOW_MS = 1_772_625_600_000
NOW = datetime.fromtimestamp(NOW_MS // 1000, UTC)


def test_the_form_is_that_of_rfc_9562() -> None:
    for _ in range(200):
        job_id = new_job_id(NOW_MS, os.urandom(10))
        assert is_job_id(job_id)
        value = uuid.UUID(job_id.removeprefix("job-"))
        assert value.version == 7
        assert value.variant == uuid.RFC_4122
        assert value.int >> 80 == NOW_MS


def test_all_entropy_but_the_six_fixed_bits_is_used() -> None:
    ones = int(new_job_id(0, b"\xff" * 10)[4:], 16)
    zeros = int(new_job_id(0, b"\x00" * 10)[4:], 16)
    assert (ones ^ zeros).bit_count() == 74


@pytest.mark.parametrize(
    ("now_ms", "entropy"), [(-1, b"0" * 10), (1 << 48, b"0" * 10), (NOW_MS, b"0" * 9), (NOW_MS, b"0" * 11)]
)
def test_what_does_not_fit_is_refused(now_ms: int, entropy: bytes) -> None:
    with pytest.raises(ValueError, match="48 bits"):
        new_job_id(now_ms, entropy)


def test_the_last_millisecond_fits() -> None:
    assert is_job_id(new_job_id((1 << 48) - 1, b"\x00" * 10))


def test_keys_sort_newest_first() -> None:
    generator = random.Random(1)  # noqa: S311
    times = sorted(generator.sample(range(1 << 48), 500))
    ids = [new_job_id(at, generator.randbytes(10)) for at in times]
    assert sorted(ids) == ids
    keys = [newest_first_key(job_id) for job_id in ids]
    assert sorted(keys, reverse=True) == keys
    assert len(set(keys)) == len(keys)
    assert [row_key(job_id, NOW) for job_id in ids] == keys


@pytest.mark.parametrize(
    "foreign",
    ["", "job-", "blast-1", "job-" + "G" * 32, "job-" + "A" * 32, "job-" + "0" * 33, "job-" + "0" * 32 + "\n"],
)
def test_foreign_ids(foreign: str) -> None:
    assert not is_job_id(foreign)
    with pytest.raises(ValueError, match="does not say"):
        newest_first_key(foreign)
    key = row_key(foreign, NOW)
    assert re.fullmatch("[0-9a-f]{32}", key)
    assert key == row_key(foreign, NOW)
    assert key != row_key(foreign + "x", NOW)


@pytest.mark.parametrize(
    ("text", "own"),
    [
        (new_job_id(NOW_MS, b"\xff" * 10), True),
        (new_job_id(0, b"\x00" * 10), True),
        (f"job-{uuid.UUID(int=7, version=4).hex}", False),
        ("job-" + "7" * 32, False),
        ("job-" + "7" * 16 + "a" * 16, True),
        ("job-" + "7" * 31, False),
        ("blast-1", False),
    ],
)
def test_ours_are_of_version_7(text: str, own: bool) -> None:
    assert is_own_id(text) is own


class TestKeysOfForeignIds:
    """They have their place by when they began, among ours."""

    def test_between_ours(self) -> None:
        def own(ms: int) -> str:
            return row_key(new_job_id(NOW_MS + ms, os.urandom(10)), NOW)

        def foreign(ms: int) -> str:
            return row_key(f"run-{os.urandom(4).hex()}", NOW + timedelta(milliseconds=ms))

        keys = [make(ms) for ms in range(50) for make in ((own, foreign)[ms % 2],)]
        assert sorted(keys, reverse=True) == keys

    @pytest.mark.parametrize(
        "at", [NOW, NOW + timedelta(milliseconds=1), NOW.replace(year=9999), datetime(1970, 1, 1, tzinfo=UTC)]
    )
    def test_a_key_says_the_time(self, at: datetime) -> None:
        assert time_of_key(row_key("run-1", at)) == at
        assert time_of_key(row_key("run-1", at + timedelta(microseconds=999))) == at

    def test_before_1970_is_1970(self) -> None:
        assert time_of_key(row_key("run-1", datetime(1, 1, 1, tzinfo=UTC))) == datetime(1970, 1, 1, tzinfo=UTC)

    def test_ours_say_it_too(self) -> None:
        assert time_of_key(newest_first_key(new_job_id(NOW_MS, os.urandom(10)))) == NOW

    def test_begun_at_once_they_differ(self) -> None:
        assert len({row_key(f"run-{n}", NOW) for n in range(1000)}) == 1000


def test_short_id_is_the_last_twelve() -> None:
    assert short_id("job-0195616f2b007a2b8c3d4e5f60718293") == "4e5f60718293"


@pytest.mark.parametrize("owner", ["ada", "", "a/b\\c#d?e", "é" * 1000])
def test_an_owner_s_key_is_valid_in_a_table_and_says_nothing(owner: str) -> None:
    key = owner_key(owner)
    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")
    assert key != owner_key(owner + " ")


def test_content_keys_do_not_run_parts_together() -> None:
    keys = [content_key(*parts) for parts in (("a", "bc"), ("ab", "c"), ("abc",), ("a\x00b", "c"), ("a", "b\x00c"), ())]
    assert len(set(keys)) == len(keys)
    assert content_key("a", "bc") == keys[0]
