"""Azure Tables: the one place that makes table clients and turns the SDK's errors into ours."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.clients.counters import count_storage_call
from shared.clients.credentials import TokenCredential, account_key
from shared.config import Settings
from shared.domain.errors import ConflictError, NotFoundError, StoredValueError, TransientError

SEARCHES = "elbsearches"
INDEX = "elbindex"
CLUSTERS = "elbclusters"
EVENTS = "elbevents"
STATS = "elbstats"
RATES = "elbrates"
_MAX_KEY_PART = 400
"""Characters. A key may have 1 KiB, which is 512 UTF-16 units, and a part is not the whole key."""


def key_part(text: str) -> str:
    """Any text as a part of a key; different texts give different parts.

    Azure Tables refuses ``/``, ``\\``, ``#``, ``?`` and control characters in keys, and keys of more than 1 KiB (Azure
    Storage, "Understanding the Table service data model").
    """
    escaped = "".join(c if (c.isascii() and c.isalnum()) or c in "-_.|" else f"%{ord(c):06x}" for c in text)
    return escaped if len(escaped) <= _MAX_KEY_PART else "~" + hashlib.sha256(escaped.encode()).hexdigest()


class Tables:
    """Table clients of the state account, each made once; a missing table is made on first use."""

    def __init__(self, settings: Settings, credential: TokenCredential) -> None:
        from azure.core.credentials import AzureNamedKeyCredential
        from azure.data.tables import TableServiceClient

        account = settings.default_storage_account
        key = account_key(settings, account)
        sdk_credential: Any = AzureNamedKeyCredential(account, key) if key else credential
        endpoint = settings.table_endpoint.format(account=account)
        # A caller waits behind this, and whoever called it tries again: a few quick tries, and no endless wait.
        self._service = TableServiceClient(
            endpoint,
            credential=sdk_credential,
            retry_total=3,
            retry_backoff_factor=0.3,
            connection_timeout=5,
            read_timeout=30,
            raw_request_hook=count_storage_call,
        )
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self, name: str) -> Any:
        """The SDK's client of a table that exists."""
        with self._lock:
            if name not in self._clients:
                with translated(name):
                    self._clients[name] = self._service.create_table_if_not_exists(name)
            return self._clients[name]


def corrupted_row(table: str, row: Any, column: str) -> StoredValueError:
    """The error of a stored row that cannot be read."""
    return StoredValueError(
        "row_corrupted",
        f"column {column} of row {row['RowKey']} in table {table} cannot be read; it was left as it is",
        f"set the column right, or delete the row (partition {row['PartitionKey']}): the app then begins it anew",
    )


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the SDK's errors into ours.

    Raises:
        NotFoundError: ``row_not_found``.
        ConflictError: ``row_exists`` or ``row_changed`` (the ETag does not match).
        TransientError: ``state_unavailable``.
    """
    from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError

    try:
        yield
    except ResourceNotFoundError as error:
        raise NotFoundError("row_not_found", f"{what} is not there") from error
    except ResourceExistsError as error:
        raise ConflictError("row_exists", f"{what} is there already") from error
    except HttpResponseError as error:
        if error.status_code == 404:  # in a transaction, which has an error class of its own
            raise NotFoundError("row_not_found", f"{what} is not there") from error
        if error.status_code == 412:
            raise ConflictError("row_changed", f"{what} was changed meanwhile") from error
        if error.status_code == 409:
            raise ConflictError("row_exists", f"{what} is there already") from error
        raise TransientError(
            "state_unavailable",
            f"the state store did not serve {what} ({error.status_code})",
            "try again; if it stays, check the app's role on the storage account",
        ) from error
    except AzureError as error:
        raise TransientError("state_unavailable", f"the state store did not serve {what}", "try again") from error
