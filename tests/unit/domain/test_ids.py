"""Job ids: UUIDs of version 7, newest first when inverted, and foreign ids that have a place too."""

from __future__ import annotations

import os
import random
import uuid

import pytest

from shared.domain.ids import content_key, is_job_id, new_job_id, newest_first_key, owner_key, short_id

NOW_MS = 1_772_625_600_000


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


def test_keys_sort_newest_first_and_foreign_ids_after_all_of_ours() -> None:
    generator = random.Random(1)  # noqa: S311
    times = sorted(generator.sample(range(1 << 48), 500))
    ids = [new_job_id(at, generator.randbytes(10)) for at in times]
    assert sorted(ids) == ids
    keys = [newest_first_key(job_id) for job_id in ids]
    assert sorted(keys, reverse=True) == keys
    assert len(set(keys)) == len(keys)
    oldest = newest_first_key(new_job_id(0, b"\x00" * 10))
    assert oldest < newest_first_key("blast-2019")


@pytest.mark.parametrize(
    "foreign",
    ["", "job-", "blast-1", "job-" + "G" * 32, "job-" + "A" * 32, "job-" + "0" * 33, "job-" + "0" * 32 + "\n"],
)
def test_foreign_ids(foreign: str) -> None:
    assert not is_job_id(foreign)
    key = newest_first_key(foreign)
    assert key.startswith("~")
    assert len(key) == 33
    assert key == newest_first_key(foreign)
    assert key != newest_first_key(foreign + "x")


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
