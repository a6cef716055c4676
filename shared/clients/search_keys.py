"""Row keys of searches by their id: an id of ours says its key, one that others made has it in the index."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from shared.clients.search_index import SearchIndex
from shared.domain.errors import NotFoundError
from shared.domain.ids import is_own_id, newest_first_key
from shared.domain.search import Search

REMEMBERED_KEYS = 10_000


class SearchKeys:
    """Keys in the table of searches.

    The cache ``row-keys`` remembers those that the index was asked for, the latest ``REMEMBERED_KEYS``. A search that
    was deleted and begun again by others has another key: one that leads nowhere any more is asked for again.
    """

    def __init__(self, index: SearchIndex) -> None:
        self._index = index
        self._remembered: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def use[T](self, job_id: str, work: Callable[[str], T]) -> T:
        """Do something with the row of a search.

        Args:
            work: is given the row key; raises NotFoundError where there is no such row.

        Raises:
            NotFoundError: there is no such search.
        """
        if is_own_id(job_id):
            return work(row_name(newest_first_key(job_id)))
        with self._lock:
            known = self._remembered.get(job_id)
        if known is not None:
            try:
                return work(row_name(known))
            except NotFoundError:
                pass  # deleted; or deleted and begun again
        key = self._index.key_of(job_id)
        with self._lock:
            self._remembered[job_id] = key
            while len(self._remembered) > REMEMBERED_KEYS:
                self._remembered.popitem(last=False)
        return work(row_name(key))


def row_name(key: str) -> str:
    """The row key of a search among the rows of its owner."""
    return f"s:{key}"


def claimed(index: SearchIndex, search: Search) -> Search:
    """A new search as it may be written: one whose id others made is claimed first.

    Raises:
        ConflictError: ``id_taken``.
    """
    return search if is_own_id(search.job_id) else index.claim(search)
