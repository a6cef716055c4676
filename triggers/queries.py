"""Query files over HTTP, before the search: as a body, or, for larger ones, straight to storage and then checked."""

from __future__ import annotations

import uuid

import azure.functions as func

from shared.auth import Caller
from shared.clients.blobs import Blobs
from shared.clients.provider import clients
from shared.clients.uploads import LINK_LIFE, Upload, commit_upload, store_body, upload_blob, upload_url
from shared.domain.errors import InvalidInputError, TooLargeError
from shared.domain.programs import Program
from shared.domain.rates import Rate
from shared.domain.times import format_time
from shared.responses import Reply, endpoint
from shared.telemetry import log_event
from triggers.blueprint import http
from triggers.rates import limit_rate
from triggers.requests import EmptyRequest, StorageFields, as_model, read_body
from triggers.submission import read_program

ENCODINGS = ("", "identity", "gzip")


@http("api/blast/queries", "POST", name="blast_queries")
@endpoint
def store_query(req: func.HttpRequest, caller: Caller) -> Reply:
    """Check the FASTA of the body and keep it. The platform has buffered the body; here it is read where it lies."""
    limit_rate(caller, Rate.UPLOAD)
    program, (_, blobs) = _asked_program(req), _asked_storage(req)
    settings = clients().settings
    body: bytes = req.get_body()
    if len(body) > settings.query_body_limit_bytes:
        raise TooLargeError(
            "query_too_large",
            f"the body has {len(body)} bytes",
            f"send at most {settings.query_body_limit_bytes} here, or upload it: POST /api/blast/queries/uploads",
        )
    encoding = (req.headers.get("Content-Encoding") or "").strip().lower()
    if encoding not in ENCODINGS:
        raise InvalidInputError(
            "unsupported_encoding",
            "the Content-Encoding is not one of those that are unpacked here",
            "send the file as it is, or packed by gzip",
            field="Content-Encoding",
        )
    # Whether it is packed its own first bytes say: something on the way may have unpacked it and left the header.
    upload = store_body(blobs, caller.owner, body, program, settings)
    return _reply(upload, 201 if upload.is_new else 200)


@http("api/blast/queries/uploads", "POST", name="blast_queries_uploads")
@endpoint
def begin_upload(req: func.HttpRequest, caller: Caller) -> Reply:
    """A place in storage to write one file to, and nothing else, for a while."""
    limit_rate(caller, Rate.UPLOAD)
    read_body(req, EmptyRequest)
    account, blobs = _asked_storage(req)
    upload_id = uuid.uuid4().hex
    expires_at = clients().now() + LINK_LIFE
    commit_url = f"/api/blast/queries/uploads/{upload_id}/commit"
    if account != clients().settings.default_storage_account:
        commit_url += f"?storage_account={account}"
    body = {
        "upload_id": upload_id,
        "upload_url": upload_url(blobs, caller.owner, upload_id),
        "query_blob": upload_blob(caller.owner, upload_id),
        "expires_at": format_time(expires_at),
        "commit_url": commit_url,
    }
    return Reply(body, 201)


@http("api/blast/queries/uploads/{id}/commit", "POST", name="blast_queries_uploads_commit")
@endpoint
def commit(req: func.HttpRequest, caller: Caller) -> Reply:
    """Check what was uploaded, in blocks, and keep what was checked: later writes do not reach it."""
    limit_rate(caller, Rate.UPLOAD)
    read_body(req, EmptyRequest)
    program, (_, blobs) = _asked_program(req), _asked_storage(req)
    upload_id = str(req.route_params.get("id") or "")
    return _reply(commit_upload(blobs, caller.owner, upload_id, program, clients().settings), 200)


def _reply(upload: Upload, status: int) -> Reply:
    file = upload.file
    body = {
        "query_blob": upload.blob,
        "sequences": file.queries.sequences,
        "letters": file.queries.letters,
        "bytes": file.size,
        "sha256": file.sha256,
        "programs": [program.value for program in file.queries.programs],
    }
    log_event("query_stored", bytes=file.size, sequences=file.queries.sequences, new=upload.is_new)
    return Reply(body, status)


def _asked_program(req: func.HttpRequest) -> Program | None:
    name = req.params.get("program")
    return None if name is None else read_program(name)


def _asked_storage(req: func.HttpRequest) -> tuple[str, Blobs]:
    """The storage account that the query names, by default the default one, and its blobs."""
    named = {name: req.params[name] for name in StorageFields.model_fields if name in req.params}
    account = as_model(named, StorageFields).storage_account or clients().settings.default_storage_account
    return account, clients().blobs(account)
