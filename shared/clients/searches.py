"""Where searches are kept: what everybody who reads or changes them may rely on.

``shared.clients.search_store`` keeps them in Azure Tables; tests have a dict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.search import Search
from shared.domain.search_filter import EVERYTHING, SearchFilter

Change = Callable[[Search], Search]


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The caller's key and what came with it, both hashed."""

    key: str
    body: str


class SearchStore(Protocol):
    """Where searches are kept."""

    def create(self, search: Search, idempotency: IdempotencyKey | None = None) -> tuple[Search, bool]:
        """Write a new search; with a known key, the search that it made, and False."""

    def known(self, owner: str, idempotency: IdempotencyKey) -> Search | None:
        """The search that this key made; None for a new key. Raises ConflictError for another body."""

    def find(self, job_id: str, owner: str | None = None) -> Search:
        """A search by any of its ids; NotFoundError where there is none, or none of this owner's.

        Another's costs what one costs that is not there.
        """

    def get(self, owner: str, job_id: str) -> Search:
        """A search whose owner is known. Raises NotFoundError."""

    def update(self, owner: str, job_id: str, change: Change) -> Search:
        """Apply a pure change; writes nothing when nothing changes."""

    def page(
        self, owner: str, limit: int, after: str | None, where: SearchFilter = EVERYTHING
    ) -> tuple[list[Search], str | None]:
        """An owner's searches, newest first, without payloads; and where the next page begins."""

    def page_of_all(
        self, limit: int, after: str | None, where: SearchFilter = EVERYTHING
    ) -> tuple[list[Search], str | None]:
        """Everybody's searches, newest first, without payloads; filtered after the page was read."""

    def unfinished(self, cluster_key: str) -> list[Search]:
        """The searches of a cluster that are active or being deleted, oldest first: copies, without payloads."""

    def unfinished_rows(self, cluster_key: str) -> list[Search]:
        """The same from their own rows, with payloads; copies that were left behind are mended."""

    def expired(self, now: datetime, limit: int, after: str | None = None) -> tuple[list[Search], str | None]:
        """Searches whose results were kept until before now, without payloads, and where the next page begins."""

    def index_older(self, limit: int) -> bool:
        """Let ``expired`` find the next older searches, which were completed before it could; whether more follow."""

    def mend_copy(self, owner: str, job_id: str) -> None:
        """Bring the copy by which an unfinished search is found up to date with its row."""

    def delete(self, search: Search) -> None:
        """Remove a search's rows; what is gone already is fine."""

    def add_alias(self, owner: str, job_id: str, alias: str) -> bool:
        """Let another id lead to a search; False when it leads to another search already."""
