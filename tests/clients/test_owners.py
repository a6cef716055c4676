"""What the store makes of owners: another's search costs what one costs that is not there, and a page never crosses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.clients.searches import IdempotencyKey, SearchStore
from shared.domain.errors import NotFoundError
from tests.clients.conftest import Place
from tests.clients.support import a_search, fresh
from tests.clients.wire import Seen


def reads(place: Place, searches: SearchStore, job_id: str, owner: str) -> list[tuple[str, str, int]]:
    """What goes over the wire when somebody looks for a search of theirs that is not there."""
    with place.table.watching() as tables, place.blob.watching() as blobs:
        with pytest.raises(NotFoundError):
            searches.find(job_id, owner)
        return [_shape(seen, job_id) for seen in (*tables, *blobs)]


def _shape(seen: Seen, job_id: str) -> tuple[str, str, int]:
    """A request without the id that it names; the status is for the app's eyes only."""
    return seen.method, seen.path.replace(job_id, "<id>"), len(seen.headers)


@pytest.mark.proves("Q2")
class TestFinding:
    @pytest.mark.parametrize("size", [0, 100_000], ids=["a small payload", "a payload in a blob"])
    def test_another_s_costs_one_read_like_none(
        self, place: Place, searches: SearchStore, owner: str, size: int
    ) -> None:
        search, _ = searches.create(a_search(owner, options={"extra": "x" * size}))
        unknown = a_search(owner).job_id
        of_unknown = reads(place, searches, unknown, "bob")
        assert reads(place, searches, search.job_id, "bob") == of_unknown
        assert [method for method, _, _ in of_unknown] == ["GET"]
        assert searches.find(search.job_id, owner).job_id == search.job_id
        assert searches.find(search.job_id).job_id == search.job_id

    def test_so_does_another_s_by_an_alias_or_an_id_of_others(
        self, place: Place, searches: SearchStore, owner: str
    ) -> None:
        search, _ = searches.create(a_search(owner))
        alias, outside = fresh("alias"), fresh("outside")
        searches.add_alias(owner, search.job_id, alias)
        searches.create(replace(a_search(owner), job_id=outside))
        of_unknown = reads(place, searches, fresh("none"), "bob")
        for job_id in (alias, outside):
            assert [one[0] for one in reads(place, searches, job_id, "bob")] == [one[0] for one in of_unknown]
            assert searches.find(job_id, owner).owner == owner


@pytest.mark.proves("Q2")
class TestPages:
    def test_a_cursor_of_another_s_list_leads_into_one_s_own(self, searches: SearchStore, owner: str) -> None:
        mine = [searches.create(a_search(owner, minute=minute))[0].job_id for minute in range(4)]
        other = fresh("other")
        for minute in range(4):
            searches.create(a_search(other, minute=minute))
        _, cursor = searches.page(other, 2, None)
        assert cursor is not None
        found, _ = searches.page(owner, 50, cursor)
        assert {search.owner for search in found} <= {owner}
        assert {search.job_id for search in found} <= set(mine)
        _, cursor = searches.page_of_all(2, None)
        found, _ = searches.page(owner, 50, cursor)
        assert {search.owner for search in found} <= {owner}

    def test_two_owners_may_use_one_key(self, searches: SearchStore, owner: str) -> None:
        other, key = fresh("other"), IdempotencyKey("k" * 32, "b" * 32)
        mine, _ = searches.create(a_search(owner), key)
        assert searches.known(other, key) is None
        theirs, created = searches.create(a_search(other), IdempotencyKey("k" * 32, "c" * 32))
        assert created
        assert theirs.job_id != mine.job_id
        found = searches.known(owner, key)
        assert found is not None
        assert found.job_id == mine.job_id
