"""What of a search does not fit in its row: in a blob that the row names, and never lost without being missed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest

from shared.clients.blobs import Blobs
from shared.clients.provider import AzureClients
from shared.clients.search_payloads import STATE_CONTAINER
from shared.clients.search_rows import MAX_PAYLOAD_UNITS, payload_of, utf16_units
from shared.clients.searches import SearchStore
from shared.clients.table_rows import SEARCHES
from shared.domain.errors import TransientError
from shared.domain.ids import newest_first_key, owner_key
from shared.domain.search import Search
from tests.clients.conftest import Place
from tests.clients.support import a_search, held_at
from tests.clients.wire import Rule


class TestPayload:
    @pytest.mark.parametrize("text", ["a" * 40_000, "🧬" * 20_000, '"\\' * 20_000], ids=["ascii", "astral", "escapes"])
    def test_a_long_one_goes_to_a_blob_and_back(
        self, searches: SearchStore, clients: AzureClients, owner: str, text: str
    ) -> None:
        search, _ = searches.create(a_search(owner, labels={"text": text}))
        assert searches.get(owner, search.job_id).labels == {"text": text}
        row = clients.tables.client(SEARCHES).get_entity(owner_key(owner), f"s:{newest_first_key(search.job_id)}")
        assert row["payload"] == ""
        assert row["payload_blob"].startswith(f"{search.job_id}/payload-")
        searches.update(owner, search.job_id, lambda row: replace(row, labels={"text": text + "b"}))
        assert searches.get(owner, search.job_id).labels == {"text": text + "b"}
        searches.update(owner, search.job_id, lambda row: replace(row, labels={}))
        assert searches.get(owner, search.job_id).labels == {}

    def test_one_that_was_replaced_is_deleted_after_the_row_was_written(
        self, place: Place, searches: SearchStore, blobs: Blobs, owner: str
    ) -> None:
        def stored() -> list[str]:
            return [blob.name for blob in blobs.listing(STATE_CONTAINER, f"{search.job_id}/")]

        search, _ = searches.create(a_search(owner, labels={"text": "a" * 40_000}))
        (first,) = stored()
        broken = Rule("PATCH", "elbsearches", times=99, status=403)
        with place.table.breaking(broken), pytest.raises(TransientError):
            searches.update(owner, search.job_id, lambda row: replace(row, labels={"text": "b" * 40_000}))
        assert first in stored()
        assert searches.get(owner, search.job_id).labels == {"text": "a" * 40_000}
        searches.update(owner, search.job_id, lambda row: replace(row, labels={"text": "b" * 40_000}))
        (second,) = stored()
        assert second != first
        searches.update(owner, search.job_id, lambda row: replace(row, title="new"))
        assert stored() == [second]
        searches.update(owner, search.job_id, lambda row: replace(row, labels={}))
        assert stored() == []

    def test_one_that_is_missing_is_never_taken_for_a_search_that_is_not_there(
        self, searches: SearchStore, blobs: Blobs, owner: str
    ) -> None:
        """Whoever takes a search for gone deletes what is left of it."""
        search, _ = searches.create(a_search(owner, labels={"text": "a" * 40_000}))
        names = [blob.name for blob in blobs.listing(STATE_CONTAINER, f"{search.job_id}/")]
        blobs.delete(STATE_CONTAINER, names)
        reads: tuple[Callable[[], Search], ...] = (
            lambda: searches.get(owner, search.job_id),
            lambda: searches.find(search.job_id),
            lambda: searches.update(owner, search.job_id, lambda row: row),
        )
        for read in reads:
            with pytest.raises(TransientError) as caught:
                read()
            assert caught.value.code == "payload_missing"

    def test_the_limit_is_met_exactly(self, searches: SearchStore, clients: AzureClients, owner: str) -> None:
        room = MAX_PAYLOAD_UNITS - utf16_units(payload_of(a_search(owner, labels={"t": ""})))
        for length, is_blob in ((room, False), (room + 1, True)):
            search, _ = searches.create(a_search(owner, labels={"t": "a" * length}))
            row = clients.tables.client(SEARCHES).get_entity(owner_key(owner), f"s:{newest_first_key(search.job_id)}")
            assert bool(row["payload_blob"]) is is_blob
            assert searches.get(owner, search.job_id).labels["t"] == "a" * length


class TestNames:
    """Two processes change a search one after the other; what the first one replaced, it may delete late."""

    def test_a_late_delete_does_not_meet_what_was_written_since(
        self, place: Place, searches: SearchStore, owner: str
    ) -> None:
        def put(letter: str) -> Search:
            return searches.update(owner, search.job_id, lambda row: replace(row, labels={"text": letter * 40_000}))

        search, _ = searches.create(a_search(owner))
        put("a")
        with held_at(place.blob, "DELETE", search.job_id, lambda: put("b")):
            put("a")
        assert searches.get(owner, search.job_id).labels == {"text": "a" * 40_000}

    def test_what_is_tried_again_after_a_failure_leaves_no_blob_behind(
        self, place: Place, searches: SearchStore, blobs: Blobs, owner: str
    ) -> None:
        search, _ = searches.create(a_search(owner))
        for broken in (True, False):
            rule = Rule("PATCH", "elbsearches", times=99 if broken else 0, status=403)
            with place.table.breaking(rule), pytest.raises(TransientError) if broken else nullcontext():
                searches.update(owner, search.job_id, lambda row: replace(row, labels={"text": "a" * 40_000}))
        assert len(blobs.listing(STATE_CONTAINER, f"{search.job_id}/")) == 1
