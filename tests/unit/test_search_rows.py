"""How a search is laid out in its row, and rows of other versions."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.clients import search_migrations
from shared.clients.search_migrations import SCHEMA, migrated
from shared.clients.search_rows import COLUMNS, columns_of, payload_of, search_of, utf16_units, with_payload
from shared.domain.errors import PermanentError
from shared.domain.search import ClusterRef, Search
from shared.domain.states import Phase

AT = datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=UTC)
SEARCH = Search("job", "owner", "blastn", "core_nt", ClusterRef("s", "g", "c", "a"), AT, phase=Phase.RUNNING)
ERROR = {"code": "c", "message": "m", "hint": "h", "job": "j", "exit_code": 3}
MAX_COLUMN = 32_768
"""UTF-16 units that a Table string may have."""


class TestMigrations:
    def test_there_is_a_step_from_every_version(self) -> None:
        assert set(search_migrations._STEPS) == set(range(1, SCHEMA))

    def test_the_first_one_knew_no_outcome_and_kept_staleness(self) -> None:
        row = {"schema": 1, "job_id": "job", "stale_reason": "silent", "phase": "running"}
        assert migrated(row) == {"schema": 1, "job_id": "job", "phase": "running", "outcome": "", "seen_digest": ""}

    @pytest.mark.parametrize("schema", [SCHEMA, SCHEMA + 1, 99])
    def test_the_present_one_and_newer_ones_stay_as_they_are(self, schema: int) -> None:
        row = {"schema": schema, "outcome": "done", "colour": "red", "stale_reason": "x"}
        assert migrated(row) == row

    def test_the_row_that_was_read_is_not_changed(self) -> None:
        row = {"schema": 1, "stale_reason": "silent"}
        migrated(row)
        assert row == {"schema": 1, "stale_reason": "silent"}

    @pytest.mark.parametrize(("schema", "said"), [({"schema": 1}, 1), ({"schema": 9}, 9), ({}, 1)])
    def test_a_search_says_by_which_it_was_written(self, schema: dict[str, int], said: int) -> None:
        """A row that does not say is written whole with its first change."""
        assert search_of({"job_id": "job", "phase": "running", **schema}).schema == said


class TestColumns:
    def test_they_are_all_that_a_list_reads(self) -> None:
        assert list(columns_of(SEARCH)) != []
        assert set(columns_of(SEARCH)) == set(COLUMNS)
        assert len(set(COLUMNS)) == len(COLUMNS)

    @pytest.mark.parametrize("phase", list(Phase))
    def test_a_search_without_a_payload_comes_back(self, phase: Phase) -> None:
        search = replace(SEARCH, phase=phase, outcome="failed", outcome_at=AT, waiting_since=AT, aliases=("a", "b"))
        assert search_of(columns_of(search)) == replace(search, schema=SCHEMA)

    def test_an_unknown_phase_is_said(self) -> None:
        with pytest.raises(PermanentError) as caught:
            search_of(columns_of(SEARCH) | {"phase": "dreaming"})
        assert caught.value.code == "row_of_newer_version"


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "shown"),
        [
            (None, None),
            (ERROR | {"log_tail": "x" * 9, "pod": "p"}, ERROR),
            ({"code": "c"}, {"code": "c", "message": "", "hint": "", "job": "", "exit_code": None}),
            ({"code": "c", "hint": None, "exit_code": 0}, {**dict.fromkeys(ERROR, ""), "code": "c", "exit_code": 0}),
        ],
    )
    def test_a_list_shows_them_without_their_log(self, error: Any, shown: Any) -> None:
        assert search_of(columns_of(replace(SEARCH, error=error))).error == shown

    @pytest.mark.parametrize("letter", ["a", "🧬", "\x00", '"'])
    def test_no_error_is_too_long_for_a_column(self, letter: str) -> None:
        error = dict.fromkeys(("code", "message", "hint", "job", "log_tail"), letter * 100_000) | {"exit_code": 1}
        brief = columns_of(replace(SEARCH, error=error))["error_brief"]
        assert utf16_units(brief) < MAX_COLUMN
        assert {name: len(text) for name, text in json.loads(brief).items() if name != "exit_code"} == {
            "code": 100,
            "message": 1000,
            "hint": 1000,
            "job": 100,
        }

    def test_in_short_twice_is_in_short(self) -> None:
        """A copy that was read from a row in short says what the row itself says."""
        row = columns_of(replace(SEARCH, error={"code": "c" * 200, "message": "🧬" * 2000, "log_tail": "l"}))
        assert columns_of(search_of(row)) == row

    def test_with_the_payload_they_are_whole(self) -> None:
        search = replace(SEARCH, error=ERROR | {"log_tail": "l" * 5000})
        read = with_payload(search_of(columns_of(search)), payload_of(search))
        assert read.error == search.error
