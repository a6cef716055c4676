"""Published results over HTTP: what there is, and downloads, whole or in parts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import azure.functions as func

from shared.auth import Caller
from shared.clients.provider import clients
from shared.clients.published import manifest_of, read_part
from shared.domain.conversion import TableFormat, convert_table, not_convertible
from shared.domain.errors import MalformedError
from shared.domain.hits import number_lines
from shared.domain.published import PublishedFile, find_file, listed_files, readable_format
from shared.domain.ranges import Part, PartAsked, names_it, no_part, parse_header, parse_part
from shared.domain.results import RESULTS_CONTAINER
from shared.domain.search import Search
from shared.responses import Reply, endpoint
from triggers.blueprint import http
from triggers.jobs import find_own

LINK_LIFE = timedelta(minutes=5)


@http("api/blast/jobs/{id}/results", "GET", name="blast_jobs_results")
@endpoint
def show_results(req: func.HttpRequest, caller: Caller) -> Reply:
    """What was published: files, provenance, summary. Only of a completed search."""
    search = find_own(req, caller)
    published = manifest_of(search)
    base = f"/api/blast/jobs/{search.job_id}/results"
    files = [{**file, "url": f"{base}/{file['name']}"} for file in listed_files(search, published)]
    return Reply({"manifest": files, "provenance": published.get("provenance"), "summary": published.get("summary")})


@http("api/blast/jobs/{id}/results/{name}", "GET", name="blast_jobs_results_download")
@endpoint
def download_result(req: func.HttpRequest, caller: Caller) -> Reply:
    """A published file: small ones and parts through the app, larger ones by a short-lived link to storage."""
    search = find_own(req, caller)
    file = find_file(search, manifest_of(search), str(req.route_params.get("name") or ""))
    if "format" in req.params:
        return _converted(req, search, file)
    asked = _parameter(req)
    if names_it(req.headers.get("If-None-Match") or "", file.etag):
        return Reply(None, 304, _headers(file), content=b"", content_type=file.content_type)
    most = clients().settings.download_limit_bytes
    if asked is None and file.size > most:
        blobs = clients().blobs(search.cluster.storage_account)
        link = blobs.url(RESULTS_CONTAINER, file.blob, permissions="r", life=LINK_LIFE)
        return Reply(None, 302, {"Location": link}, content=b"")
    asked = asked or _header(req, file)
    if asked is None:
        return _content(search, file, Part(0, file.size), 200, {})
    part = asked.of(file.size, most)
    if part is None:
        error = {"code": "range_not_satisfiable", "message": f"the file has {file.size} bytes", "hint": ""}
        error["hint"] = "ask for bytes below that number"
        return Reply({"error": error}, 416, {"Content-Range": no_part(file.size), "Accept-Ranges": "bytes"})
    return _content(search, file, part, 206, {"Content-Range": part.header(file.size)})


def _converted(req: func.HttpRequest, search: Search, file: PublishedFile) -> Reply:
    """``?format=``: the table with a header row, whole, up to the limit of a download."""
    if req.params["format"] not in set(TableFormat) or "range" in req.params:
        hint = f"use one of {', '.join(TableFormat)}; range is for the file as it is"
        raise MalformedError("invalid_format", "format is not csv or tsv, or comes with range", hint)
    target = TableFormat(req.params["format"])
    if file.size > clients().settings.download_limit_bytes:
        raise not_convertible(f"the file has {file.size} bytes, too many to be converted here")
    disposition = f'attachment; filename="{file.name.rpartition(".")[0]}.{target}"'
    headers = {"ETag": f'"{file.sha256}-{target}"', "Content-Disposition": disposition}
    if names_it(req.headers.get("If-None-Match") or "", headers["ETag"]):
        return Reply(None, 304, headers, content=b"", content_type=target.content_type)
    content = read_part(search, file, Part(0, file.size))
    lines = (line for _, line in number_lines([content], 0, is_end=True))
    table = convert_table(readable_format(search), lines, target)
    return Reply(None, 200, headers, content=table, content_type=target.content_type)


def _parameter(req: func.HttpRequest) -> PartAsked | None:
    """``?range=``. Raises MalformedError ``invalid_range``."""
    text = req.params.get("range")
    if text is None:
        return None
    asked = parse_part(text)
    if asked is None:
        raise MalformedError(
            "invalid_range", "range is not one part of a file", "write it as 0-999, 1000- or -1000, in bytes"
        )
    return asked


def _header(req: func.HttpRequest, file: PublishedFile) -> PartAsked | None:
    """``Range``, unless ``If-Range`` is about another version of the file; a date there is never ours."""
    if req.headers.get("If-Range", file.etag).strip() != file.etag:
        return None
    return parse_header(req.headers.get("Range") or "")


def _content(search: Search, file: PublishedFile, part: Part, status: int, headers: dict[str, Any]) -> Reply:
    content = read_part(search, file, part)
    return Reply(None, status, _headers(file) | headers, content=content, content_type=file.content_type)


def _headers(file: PublishedFile) -> dict[str, str]:
    disposition = f'attachment; filename="{file.name}"'
    return {"ETag": file.etag, "Accept-Ranges": "bytes", "Content-Disposition": disposition}
