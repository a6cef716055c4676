"""What the tests of the index of unfinished searches share: changes of a search, and looks at its index row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from azure.data.tables import UpdateMode

from shared.clients.provider import AzureClients
from shared.clients.searches import SearchStore
from shared.clients.table_rows import INDEX, key_part
from shared.domain.search import Search, enter_phase, fail, retried
from shared.domain.states import Phase
from tests.clients.support import T0
from tests.clients.wire import Seen


def failed(row: Search) -> Search:
    """It ended."""
    return fail(row, {"code": "x"}, T0)


def deleting(row: Search) -> Search:
    """It is being deleted."""
    return enter_phase(row, Phase.DELETING, T0)


def again(row: Search) -> Search:
    """It is tried again."""
    return retried(row, T0)


def titled(title: str) -> Callable[[Search], Search]:
    """A change of a column that says nothing about whether the search has ended."""
    return lambda row: replace(row, title=title)


def in_payload(row: Search) -> Search:
    """A change that no column shows."""
    return replace(row, plan={"shards": 3})


def unfinished(searches: SearchStore, search: Search) -> list[str]:
    """Ids of the unfinished searches of a search's cluster, as the index says."""
    return [found.job_id for found in searches.unfinished(search.cluster.key)]


def reconciled(searches: SearchStore, search: Search) -> list[str]:
    """The same as their rows say, which mends the index."""
    return [found.job_id for found in searches.unfinished_rows(search.cluster.key)]


def index_keys(search: Search) -> dict[str, str]:
    """The keys of a search's row among the unfinished ones."""
    return {"PartitionKey": f"active:{key_part(search.cluster.key)}", "RowKey": key_part(search.job_id)}


def copied(clients: AzureClients, search: Search) -> dict[str, Any] | None:
    """What the search's row among the unfinished ones says; None when there is none."""
    keys = index_keys(search)
    query = "PartitionKey eq @PartitionKey and RowKey eq @RowKey"
    found = list(clients.tables.client(INDEX).query_entities(query, parameters=keys))
    return {name: value for name, value in found[0].items() if name not in keys} if found else None


def put_index_row(clients: AzureClients, search: Search, **columns: Any) -> None:
    """Write a search's row among the unfinished ones whatever was there."""
    clients.tables.client(INDEX).upsert_entity(index_keys(search) | columns, mode=UpdateMode.REPLACE)


def steps(seen: list[Seen]) -> list[tuple[str, str]]:
    """Method and table of each request."""
    return [(each.method, "index" if "elbindex" in each.path else "row") for each in seen]
