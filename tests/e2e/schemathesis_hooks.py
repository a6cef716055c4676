"""What schemathesis is not to send (``schemathesis.toml`` names this module)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import schemathesis

LONGEST_QUERY = 7000
"""Characters. A request line of more than 8 KB or so is refused by every server on the way, as each thinks best and not
as the API does (RFC 9110, 4.1); several parameters at the length that each may have would make one."""


@schemathesis.hook
def filter_query(context: Any, query: dict[str, Any] | None) -> bool:
    """Whether a query is short enough to reach the app."""
    return len(urlencode(query or {}, doseq=True)) <= LONGEST_QUERY
