"""Auto-warm preferences: the default, changes, limits, and what a stored one must be to be read."""

from __future__ import annotations

import json

import pytest

from shared.domain.errors import InvalidInputError, StoredValueError
from shared.domain.preference import DEFAULT, MAX_DATABASES, AutoWarmPreference, PreferenceChange, read_preference


def preference(*databases: str, enabled: bool = True) -> AutoWarmPreference:
    return AutoWarmPreference(databases, enabled)


def names(number: int) -> tuple[str, ...]:
    return tuple(f"db{n}" for n in range(number))


@pytest.mark.proves("W7")
def test_the_default_is_core_nt() -> None:
    assert preference("core_nt") == DEFAULT


class TestChange:
    @pytest.mark.parametrize(
        ("change", "after"),
        [
            (PreferenceChange(), preference("a", "b")),
            (PreferenceChange(("c", "a")), preference("c", "a")),
            (PreferenceChange(()), preference()),
            (PreferenceChange(add=("c",)), preference("a", "b", "c")),
            (PreferenceChange(add=("a",)), preference("a", "b")),
            (PreferenceChange(remove=("a",)), preference("b")),
            (PreferenceChange(remove=("x",)), preference("a", "b")),
            (PreferenceChange(add=("c",), remove=("b",)), preference("a", "c")),
            (PreferenceChange(enabled=False), preference("a", "b", enabled=False)),
            (PreferenceChange(("c",), enabled=False), preference("c", enabled=False)),
        ],
    )
    def test_what_comes_of_it_once_or_twice(self, change: PreferenceChange, after: AutoWarmPreference) -> None:
        once = change.applied_to(preference("a", "b"))
        assert once == after
        assert change.applied_to(once) == after

    @pytest.mark.parametrize(
        ("databases", "add", "remove"),
        [
            (("a",), ("b",), ()),
            (("a",), (), ("b",)),
            ((), ("b",), ()),
            (("a", "a"), (), ()),
            (None, ("a", "a"), ()),
            (None, ("a",), ("a",)),
        ],
        ids=["list and add", "list and remove", "empty list and add", "twice", "added twice", "added and removed"],
    )
    def test_what_contradicts_itself_is_refused(
        self, databases: tuple[str, ...] | None, add: tuple[str, ...], remove: tuple[str, ...]
    ) -> None:
        with pytest.raises(InvalidInputError, match="invalid_preference"):
            PreferenceChange(databases, add, remove)

    def test_as_many_as_may_be_and_one_more(self) -> None:
        full = PreferenceChange(names(MAX_DATABASES)).applied_to(DEFAULT)
        assert len(full.databases) == MAX_DATABASES
        assert PreferenceChange(add=("db0",)).applied_to(full) == full
        with pytest.raises(InvalidInputError, match="too_many_databases"):
            PreferenceChange(add=("another",)).applied_to(full)
        with pytest.raises(InvalidInputError, match="too_many_databases"):
            PreferenceChange(names(MAX_DATABASES + 1))


class TestStored:
    @pytest.mark.parametrize("kept", [DEFAULT, preference(), preference("a", "b", enabled=False)])
    def test_what_was_written_is_read(self, kept: AutoWarmPreference) -> None:
        assert read_preference(kept.to_text(), "c") == kept

    @pytest.mark.proves("W7")
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "null",
            "[]",
            "{}",
            '{"databases": []}',
            '{"databases": "core_nt", "enabled": true}',
            '{"databases": ["a", 1], "enabled": true}',
            '{"databases": ["a", "a"], "enabled": true}',
            '{"databases": ["a"], "enabled": 1}',
            json.dumps({"databases": names(MAX_DATABASES + 1), "enabled": True}),
            "[" * 100_000,
            None,
            7,
        ],
    )
    def test_anything_else_is_an_error_and_never_the_default(self, text: object) -> None:
        with pytest.raises(StoredValueError, match="preference_corrupted") as raised:
            read_preference(text, "cluster-1")
        assert "cluster-1" in raised.value.message
        assert "PUT" in raised.value.hint
