"""The query of a search on its way to the API: by three ways, by its size.

| size | way |
|---|---|
| up to 1 MB of text | in the submit itself |
| up to 100 MB | ``POST /api/blast/queries`` |
| more | in blocks straight to storage, by the short-lived address of ``POST /api/blast/queries/uploads`` |
"""

from __future__ import annotations

import base64
import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO
from xml.sax.saxutils import escape

import httpx

from elb.api import Api, Json
from elb.errors import UsageError

INLINE_BYTES = 1_000_000
"""The API's default limit of ``query_fasta`` (``ELB_QUERY_LIMIT_BYTES``)."""
BODY_BYTES = 100_000_000
"""The API's default limit of a raw body (``ELB_QUERY_BODY_LIMIT_BYTES``)."""
BLOCK_BYTES = 8 * 1024 * 1024
"""Of one Put Block: few enough bytes to send again, and many times fewer than 50,000 blocks for the largest query."""
_PIECE = 1 << 20
_STORAGE_TIMEOUT = httpx.Timeout(120.0, connect=10.0)
Seen = Callable[[int], None]
"""Told how many bytes have been sent."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query that can be read from its beginning, as often as it has to be sent.

    Args:
        content: an open file that can be rewound.
        size: in bytes.
        name: for messages.
    """

    content: IO[bytes]
    size: int
    name: str

    def text(self) -> str | None:
        """The query as text where it may travel inside the submit; None where it is too large, packed, or no UTF-8."""
        if self.size > INLINE_BYTES:
            return None
        self.content.seek(0)
        data = self.content.read()
        try:
            return data.decode()
        except UnicodeDecodeError:  # gzip too: its second byte begins no character
            return None

    def pieces(self) -> Iterator[bytes]:
        """The query from its beginning."""
        self.content.seek(0)
        return iter(lambda: self.content.read(_PIECE), b"")


@contextmanager
def open_query(path: str) -> Iterator[Query]:
    """A query from a file, or from standard input for ``-``.

    Raises:
        UsageError: it cannot be read, or is empty.
    """
    try:
        content = _standard_input() if path == "-" else open(path, "rb")  # noqa: SIM115, PTH123  # closed below
    except OSError as error:
        raise UsageError("query_unreadable", f"the query {path} cannot be read: {error.strerror}") from error
    with content:
        try:
            size = content.seek(0, io.SEEK_END)
        except OSError:  # a pipe under a name, such as /dev/fd/63
            content, size = _copied(content)
        if size == 0:
            raise UsageError("query_empty", f"the query {path} is empty", "give sequences in FASTA")
        with content:
            yield Query(content, size, "standard input" if path == "-" else path)


def send_query(
    api: Api, query: Query, where: Mapping[str, str | None], seen: Seen, *, body_bytes: int = BODY_BYTES
) -> Json:
    """Bring a query to the API.

    Args:
        api: where to.
        query: what.
        where: ``program``, and ``storage_account`` where it is another than the default one.
        seen: told of the progress of a large one.
        body_bytes: the most that is sent through the app.

    Returns:
        The field of the submit that has it: ``query_fasta`` or ``query_blob``.

    Raises:
        ClientError: the API refused it, naming the line, or did not answer.
    """
    text = query.text()
    if text is not None:
        return {"query_fasta": text}
    if query.size <= body_bytes:
        return {"query_blob": _sent_whole(api, query, where, seen)["query_blob"]}
    return {"query_blob": _sent_in_blocks(api, query, where, seen)["query_blob"]}


def _sent_whole(api: Api, query: Query, where: Mapping[str, str | None], seen: Seen) -> Json:
    def body() -> Iterator[bytes]:
        sent = 0
        for piece in query.pieces():
            yield piece
            sent += len(piece)
            seen(sent)

    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(query.size)}
    # The blob's name is the content's hash: sent twice it is the same blob.
    return api.json(api.send("POST", "blast/queries", content=body, params=where, headers=headers))


def _sent_in_blocks(api: Api, query: Query, where: Mapping[str, str | None], seen: Seen) -> Json:
    account = {"storage_account": where.get("storage_account")}
    upload = api.json(api.send("POST", "blast/queries/uploads", json={}, params=account))
    target = httpx.URL(str(upload["upload_url"]))
    ids: list[str] = []
    sent = 0
    # A client of its own: the token is not for storage.
    with httpx.Client(timeout=_STORAGE_TIMEOUT) as storage:
        query.content.seek(0)
        while block := query.content.read(BLOCK_BYTES):
            ids.append(base64.b64encode(f"{len(ids):08}".encode()).decode())
            _put(api, storage, target.copy_merge_params({"comp": "block", "blockid": ids[-1]}), block)
            sent += len(block)
            seen(sent)
        listed = "".join(f"<Latest>{escape(block_id)}</Latest>" for block_id in ids)
        document = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'
        _put(api, storage, target.copy_merge_params({"comp": "blocklist"}), document.encode())
    params = {"program": where.get("program")}
    return api.json(api.send("POST", str(upload["commit_url"]), json={}, params=params))


def _put(api: Api, storage: httpx.Client, url: httpx.URL, content: bytes) -> None:
    """One request to storage; a block that is sent twice is one block."""
    answer = api.persist(lambda: storage.put(url, content=content), "PUT to the storage of the query")
    api.checked(answer)


def _standard_input() -> IO[bytes]:
    if sys.stdin.isatty():
        raise UsageError("query_missing", "no query: standard input is the terminal", "name a FASTA file")
    return _copied(sys.stdin.buffer)[0]


def _copied(content: IO[bytes]) -> tuple[IO[bytes], int]:
    """What can be read once, as a file that can be read again; on disk where it is large."""
    copy = tempfile.SpooledTemporaryFile(max_size=INLINE_BYTES)  # noqa: SIM115  # its reader closes it
    with content:
        shutil.copyfileobj(content, copy, _PIECE)
    return copy, copy.tell()
