"""Lists of the API, page after page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elb.api import Api, Json
from elb.errors import UnreachableError

PAGE = 500
"""The API's largest page."""


def read_items(api: Api, path: str, params: Mapping[str, Any], limit: int | None) -> tuple[list[Json], str | None]:
    """Rows of a list, over as many pages as it takes; a filtered page may be short and still not be the last.

    Args:
        api: where.
        path: of the list.
        params: its filters; ``cursor`` where to begin.
        limit: rows at most; None for all.

    Returns:
        The rows, and the cursor of what follows, if anything does.

    Raises:
        ClientError: as ``Api.send``; a cursor that leads to itself is not the API's.
    """
    items: list[Json] = []
    cursor = params.get("cursor")
    while True:
        size = PAGE if limit is None else min(PAGE, limit - len(items))
        page = api.get(path, {**params, "limit": size, "cursor": cursor})
        items += page.get("items") or []
        after = page.get("next_cursor")
        if after is not None and after == cursor:
            raise UnreachableError("endless_list", f"{path} goes in a circle", "report this with the app's version")
        cursor = after
        if cursor is None or (limit is not None and len(items) >= limit):
            return items, cursor
