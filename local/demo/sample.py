"""The sample database: built once per stack folder, and put where databases lie. Used by the demo's first part."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobServiceClient

from local.sample.build import DATABASE, build

CONTAINER = "blast-db"


def built(folder: Path) -> bool:
    """Build the database if it is not there.

    Args:
        folder: where it is to lie; appears with all of its files or not at all.

    Returns:
        Whether it had to be built.
    """
    _remove_unfinished(folder)
    if folder.exists():
        return False
    new = folder.with_name(f"{folder.name}.{os.getpid()}.new")
    shutil.rmtree(new, ignore_errors=True)
    build(new)
    new.rename(folder)
    return True


def _remove_unfinished(folder: Path) -> None:
    """Remove what demos that were interrupted while they built have left; their process id is in the name."""
    for left in folder.parent.glob(f"{folder.name}.*.new"):
        if not Path("/proc", left.name.split(".")[-2]).exists():
            shutil.rmtree(left, ignore_errors=True)


def upload(folder: Path, stack: dict[str, Any]) -> int:
    """Upload what storage does not have in the same size; the metadata, which makes a database of the files, last.

    Args:
        folder: the built database.
        stack: content of ``stack.json``.

    Returns:
        Bytes that were uploaded.
    """
    with BlobServiceClient.from_connection_string(stack["storage_connection_string"]) as service:
        container = service.get_container_client(CONTAINER)
        there = {blob.name: blob.size for blob in container.list_blobs(name_starts_with=f"{DATABASE}/")}
        wanted = sorted(folder.iterdir(), key=lambda path: (path.suffix == ".json", path.name))
        missing = [path for path in wanted if there.get(f"{DATABASE}/{path.name}") != path.stat().st_size]
        for path in missing:
            with path.open("rb") as content:
                container.upload_blob(f"{DATABASE}/{path.name}", content, overwrite=True)
    return sum(path.stat().st_size for path in missing)
