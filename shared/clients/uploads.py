"""Uploads: query files that somebody brings before the search, checked once and then never changed.

Where they lie in the container of queries, ``<owner key>`` keeping owners apart:

- ``uploads/<owner key>/<name>``: text that was checked, beside it its record (``shared.clients.query_files``), which is
  written last. Nobody but the app can write there. The name is the text's SHA-256 where the text came through the
  app, so that a repeated upload is the same blob; else the id of the upload, and then the blob is written once.
- ``incoming/<owner key>/<id>``: what a caller writes by a signed URL, of whatever content. It may be written again
  after it was checked, which is why the checked text is a copy of it, guarded by the ETag that was read.

A search takes a copy, so that uploads can be forgotten without asking which searches are of them.

docs/decisions/0024-uploads-of-queries.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.clients.blobs import BlobItem, Blobs
from shared.clients.known_clusters import known_clusters
from shared.clients.provider import clients
from shared.clients.query_files import (
    CONTENT_TYPE,
    QueryFile,
    body_blocks,
    check_text,
    fasta_text,
    is_plain,
    read_record,
    record_blob,
    write_record,
)
from shared.config import Settings
from shared.domain.errors import ConflictError, ElbError, InvalidInputError, NotFoundError
from shared.domain.ids import owner_key
from shared.domain.programs import Program
from shared.domain.results import QUERIES_CONTAINER
from shared.telemetry import log_event

UPLOADS, INCOMING = "uploads", "incoming"
LINK_LIFE = timedelta(minutes=15)
INCOMING_LIFE = timedelta(days=1)
"""After which what was written and not committed goes, and text without a record, of a check that was interrupted."""
READ_LIFE = timedelta(hours=1)
"""Of the signed URL by which storage copies; a pending copy goes on reading with it."""
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Upload:
    """A checked query of somebody's.

    Attributes:
        blob: what ``query_blob`` of a submit is to be.
        is_new: whether it was not there before.
    """

    blob: str
    file: QueryFile
    is_new: bool = True


def upload_blob(owner: str, name: str) -> str:
    """Name of an owner's checked query."""
    return f"{UPLOADS}/{owner_key(owner)}/{name}"


def incoming_blob(owner: str, upload_id: str) -> str:
    """Name of what an owner writes by a signed URL."""
    return f"{INCOMING}/{owner_key(owner)}/{upload_id}"


def store_body(blobs: Blobs, owner: str, body: bytes, program: Program | None, settings: Settings) -> Upload:
    """Check a body and keep its text.

    Args:
        program: that the query has to be of; None for any.

    Raises:
        InvalidInputError, TooLargeError: as ``check_text``; nothing was written.
    """
    text = fasta_text(body_blocks(body), settings.query_upload_limit_bytes)
    file = check_text(text, settings)
    _check_program(file, program)
    blob = upload_blob(owner, file.sha256)
    try:
        blobs.touch(QUERIES_CONTAINER, record_blob(blob))
    except NotFoundError:  # it is new, or was forgotten just now
        blobs.put_blocks(QUERIES_CONTAINER, blob, text, CONTENT_TYPE)
        write_record(blobs, blob, file)
        return Upload(blob, file)
    return Upload(blob, file, is_new=False)


def upload_url(blobs: Blobs, owner: str, upload_id: str) -> str:
    """Where the owner may write one blob, and nothing else, for 15 minutes."""
    return blobs.url(QUERIES_CONTAINER, incoming_blob(owner, upload_id), permissions="cw", life=LINK_LIFE)


def commit_upload(blobs: Blobs, owner: str, upload_id: str, program: Program | None, settings: Settings) -> Upload:
    """Check what was written by the signed URL, and keep its text; again, it answers the same.

    Args:
        program: that the query has to be of; None for any.

    Raises:
        NotFoundError: ``upload_not_found``: nothing was written, or by somebody else.
        ConflictError: ``upload_changed``: it was written to while it was read.
        InvalidInputError, TooLargeError: as ``check_text``; what was written stays for a day, to be written anew.
    """
    if not _UPLOAD_ID.fullmatch(upload_id):
        raise _upload_not_found()
    blob, incoming = upload_blob(owner, upload_id), incoming_blob(owner, upload_id)
    known = _committed(blobs, blob)
    if known is None:
        try:
            known = _freeze(blobs, incoming, blob, program, settings)
        except NotFoundError:  # never written; or committed by another request meanwhile, which then removed it
            known = _committed(blobs, blob)
    if known is None:
        raise _upload_not_found()
    _check_program(known.file, program)
    return known


def _committed(blobs: Blobs, blob: str) -> Upload | None:
    try:
        return Upload(blob, read_record(blobs, blob), is_new=False)
    except NotFoundError:
        return None


def _freeze(blobs: Blobs, incoming: str, blob: str, program: Program | None, settings: Settings) -> Upload:
    """Bring the text to where nobody writes any more, then its record. Raises NotFoundError."""
    if not _is_there(blobs, blob):
        item = blobs.stat(QUERIES_CONTAINER, incoming)
        try:
            file = _copy_checked(blobs, item, blob, program, settings)
        except ConflictError as error:
            if error.code != "blob_exists":
                hint = "commit it again when the upload is over"
                raise ConflictError("upload_changed", "the upload was written to while it was checked", hint) from error
        else:
            return _recorded(blobs, incoming, blob, file)
    # Another commit has brought it here, and may have died since: the record is of what lies here. Touched first, so
    # that a purge which has seen it without a record leaves it.
    blobs.touch(QUERIES_CONTAINER, blob)
    return _recorded(blobs, incoming, blob, check_text(lambda: blobs.stream(QUERIES_CONTAINER, blob), settings))


def _copy_checked(blobs: Blobs, item: BlobItem, blob: str, program: Program | None, settings: Settings) -> QueryFile:
    """Check the incoming blob as it is now, and copy just that.

    Raises:
        ConflictError: ``blob_changed``, or ``blob_exists`` for the copy.
    """

    def source() -> Iterator[bytes]:
        return blobs.stream(QUERIES_CONTAINER, item.name, etag=item.etag)

    text = fasta_text(source, settings.query_upload_limit_bytes)
    file = check_text(text, settings)
    _check_program(file, program)
    if is_plain(source) and not item.encoding:  # storage would hand the copy out as if it were packed
        link = blobs.url(QUERIES_CONTAINER, item.name, permissions="r", life=READ_LIFE)
        blobs.copy(QUERIES_CONTAINER, blob, link, CONTENT_TYPE, etag=item.etag, new=True)
    else:
        blobs.put_blocks(QUERIES_CONTAINER, blob, text, CONTENT_TYPE, new=True)
    return file


def _recorded(blobs: Blobs, incoming: str, blob: str, file: QueryFile) -> Upload:
    write_record(blobs, blob, file)
    try:
        blobs.delete(QUERIES_CONTAINER, [incoming])
    except ElbError as error:  # it is committed all the same; the purge tries again
        log_event("incoming_not_removed", code=error.code, message=error.message)
    return Upload(blob, file)


def find_upload(blobs: Blobs, owner: str, blob: str, *, use: bool) -> QueryFile:
    """What is known of an owner's upload.

    Args:
        blob: as a caller names it; it may be anything.
        use: whether it is about to be used, and so kept for some more days.

    Raises:
        InvalidInputError: ``query_not_found``, also for another owner's.
    """
    missing = InvalidInputError(
        "query_not_found", "query_blob is not an uploaded query of yours", "upload it first", field="query_blob"
    )
    if not re.fullmatch(rf"{UPLOADS}/{owner_key(owner)}/[0-9a-f]{{32,64}}", blob, re.ASCII):
        raise missing
    try:
        file = read_record(blobs, blob)
        if use:
            blobs.touch(QUERIES_CONTAINER, record_blob(blob))
    except NotFoundError:
        raise missing from None
    return file


def purge_uploads(now: datetime) -> int:
    """Forget uploads that were not used for a while, and what was never committed, in every storage account.

    One that does not answer keeps no other from its turn; it has its own the next day.

    No search needs any of them. A record goes first, and only if nobody has used it since it was listed: whoever
    finds the record finds the text.

    Returns:
        How many blobs were removed.
    """
    settings = clients().settings
    accounts = {cluster.storage_account for cluster in known_clusters().values()} | {settings.default_storage_account}
    removed = 0
    for account in sorted(accounts):
        try:
            removed += _purge_account(clients().blobs(account), now)
        except ElbError as error:  # the account of a cluster that is gone, say: the others have their turn
            log_event("uploads_not_purged", storage_account=account, code=error.code, message=error.message)
    log_event("uploads_purged", blobs=removed, accounts=len(accounts))
    return removed


def _purge_account(blobs: Blobs, now: datetime) -> int:
    unused, interrupted = now - timedelta(days=clients().settings.upload_days), now - INCOMING_LIFE
    removed = 0
    listed = {item.name: item for item in blobs.listing(QUERIES_CONTAINER, f"{UPLOADS}/")}
    for name, item in listed.items():
        record = listed.get(record_blob(name))
        if name.endswith(record_blob("")):
            continue
        if record is not None:
            if not (_is_before(record, unused) and _forget(blobs, record)):
                continue
            removed += 1
        elif not _is_before(item, interrupted):
            continue
        removed += _forget(blobs, item)
    for item in blobs.listing(QUERIES_CONTAINER, f"{INCOMING}/"):
        removed += _is_before(item, interrupted) and _forget(blobs, item)
    return removed


def _forget(blobs: Blobs, item: BlobItem) -> bool:
    """Remove what nobody has written since it was listed. One that cannot be removed keeps no other from going."""
    try:
        return blobs.delete_unchanged(QUERIES_CONTAINER, item)
    except ElbError as error:  # its uploader has made it so, say, by a lease
        log_event("upload_not_purged", code=error.code, message=error.message)
        return False


def _is_before(item: BlobItem, time: datetime) -> bool:
    return item.modified is not None and item.modified < time


def _is_there(blobs: Blobs, blob: str) -> bool:
    try:
        blobs.stat(QUERIES_CONTAINER, blob)
    except NotFoundError:
        return False
    return True


def _check_program(file: QueryFile, program: Program | None) -> None:
    if program is not None:
        file.queries.check(program, "body")


def _upload_not_found() -> NotFoundError:
    return NotFoundError(
        "upload_not_found",
        "nothing was uploaded under this id",
        "PUT the file to the upload_url first, or ask for a new one with POST /api/blast/queries/uploads",
    )
