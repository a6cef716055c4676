"""The containers that the product expects to exist. Used by :class:`Stack` once the storage emulator serves."""

from __future__ import annotations

CONTAINERS = ("blast-db", "queries", "results")


def make_containers(connection: str) -> None:
    """Create what is not there.

    Args:
        connection: connection string of the storage emulator.
    """
    # Imported here: it takes a while, and most commands of this package do without.
    from azure.core.exceptions import ResourceExistsError
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient.from_connection_string(connection) as service:
        for name in CONTAINERS:
            try:
                service.create_container(name)
            except ResourceExistsError:
                continue
