"""What was published: when it may be read, and how far a manifest is believed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain.errors import ConflictError, GoneError, NotFoundError, StoredValueError
from shared.domain.published import (
    check_available,
    find_file,
    has_expired,
    listed_files,
    read_manifest,
    without_results,
)
from shared.domain.search import ClusterRef, Search, complete
from shared.domain.states import Phase

NOW = datetime(2026, 3, 1, tzinfo=UTC)
JOB = "job-" + "0" * 31 + "1"
EXPORTING = Search(
    JOB, "anna", "blastn", "db", ClusterRef("s", "g", "c", "a"), NOW - timedelta(days=31), phase=Phase.EXPORTING
)
KEPT = timedelta(days=30)
SEARCH = complete(EXPORTING, NOW - KEPT, NOW)
FILE = {"name": "results.tsv", "size": 5, "sha256": "a" * 64, "content_type": "text/csv"}
MILLISECOND = timedelta(milliseconds=1)


@pytest.mark.proves("N16")
class TestExpiry:
    def test_at_the_limit_they_are_kept_and_just_beyond_it_not(self) -> None:
        check_available(SEARCH, NOW)
        with pytest.raises(GoneError, match="results_expired") as caught:
            check_available(SEARCH, NOW + MILLISECOND)
        assert caught.value.status == 410
        assert "2026-03-01" in caught.value.message

    def test_what_was_removed_is_gone_whatever_the_time(self) -> None:
        assert has_expired(without_results(SEARCH, NOW), NOW - KEPT)

    def test_a_search_stays_completed(self) -> None:
        gone = without_results(SEARCH, NOW + MILLISECOND)
        assert gone == replace(SEARCH, results_removed_at=NOW + MILLISECOND)
        assert without_results(gone, NOW + KEPT) is gone, "once"

    @pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.COMPLETED])
    def test_no_other_search_loses_anything(self, phase: Phase) -> None:
        search = replace(SEARCH, phase=phase)
        assert without_results(search, NOW + KEPT) is search
        with pytest.raises(ConflictError, match="results_not_ready"):
            check_available(search, NOW + KEPT)

    def test_those_of_others_are_kept_for_good(self) -> None:
        search = complete(replace(EXPORTING, engine="external"), NOW - KEPT, NOW)
        check_available(search, NOW + 100 * KEPT)
        assert without_results(search, NOW + 100 * KEPT) is search


class TestManifest:
    @pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b'{"manifest": {}}', b"\xff", b"[" * 100_000])
    def test_one_that_cannot_be_read_is_said_to_be_so(self, text: bytes) -> None:
        with pytest.raises(StoredValueError, match="manifest_unreadable"):
            read_manifest(text)

    def test_a_file(self) -> None:
        file = find_file(SEARCH, {"manifest": [FILE]}, "results.tsv")
        assert (file.blob, file.size, file.etag) == (f"{JOB}/results.tsv", 5, f'"{"a" * 64}"')

    @pytest.mark.parametrize(
        "change",
        [
            {"size": -1},
            {"size": "5"},
            {"size": None},
            {"sha256": "a" * 63},
            {"sha256": 'a"\r\nX: y'},
            {"blob": "job-of-others/results.tsv"},
            {"blob": f"{JOB}/../job-of-others/results.tsv"},
            {"name": 'a"; x="\r\nSet-Cookie: y'},
            {"name": "../results.tsv"},
            {"name": ""},
            {"name": None},
            {"name": "x" * 1025},
        ],
    )
    def test_one_of_which_it_says_what_cannot_be_true_is_not_there(self, change: dict[str, Any]) -> None:
        manifest = json.loads(json.dumps({"manifest": [FILE | change, "no file", None]}))
        assert listed_files(SEARCH, manifest) == []
        with pytest.raises(NotFoundError, match="result_not_found"):
            find_file(SEARCH, manifest, str((FILE | change)["name"]))

    @pytest.mark.parametrize(
        ("said", "believed"),
        [
            ("text/csv", "text/csv"),
            ("application/gzip", "application/gzip"),
            ("text/html", "application/octet-stream"),
            ("text/csv\r\nX: y", "application/octet-stream"),
            ("image/svg+xml", "application/octet-stream"),
        ],
    )
    def test_a_browser_is_never_told_to_run_it(self, said: str, believed: str) -> None:
        file = find_file(SEARCH, {"manifest": [FILE | {"content_type": said}]}, "results.tsv")
        assert file.content_type == believed
