"""The query of a search that is being submitted: what its check found, and how it comes into the search's own blob."""

from __future__ import annotations

from dataclasses import dataclass

from shared.clients.blobs import Blobs
from shared.clients.query_files import CONTENT_TYPE, QueryFile, body_blocks, check_text, describe_query, write_record
from shared.clients.uploads import READ_LIFE, find_upload
from shared.config import Settings
from shared.domain.programs import Program
from shared.domain.results import QUERIES_CONTAINER


@dataclass(frozen=True, slots=True)
class GivenQuery:
    """A query that was checked, as text or as a blob that nobody changes.

    Attributes:
        text: the query itself, where it came with the submit.
        source, blob: where it lies, where it does not.
    """

    file: QueryFile
    text: bytes | None = None
    source: Blobs | None = None
    blob: str = ""

    def store(self, blobs: Blobs, name: str) -> None:
        """Give the search a copy of its own: of a blob within storage, without reading it."""
        if self.source is None:
            blobs.put(QUERIES_CONTAINER, name, self.text or b"", CONTENT_TYPE)
            return
        link = self.source.url(QUERIES_CONTAINER, self.blob, permissions="r", life=READ_LIFE)
        blobs.copy(QUERIES_CONTAINER, name, link, CONTENT_TYPE)
        write_record(blobs, name, self.file)


def query_of_text(text: str, settings: Settings, program: Program) -> GivenQuery:
    """The query of a submit's body.

    Raises:
        InvalidInputError, TooLargeError: as ``check_text``.
    """
    # A lone surrogate, which JSON can carry and no file can, is refused as what it stands for: not a letter.
    fasta = text.removeprefix("\ufeff").encode(errors="surrogatepass")
    return GivenQuery(check_text(body_blocks(fasta), settings, program, field="query_fasta"), fasta)


def query_of_upload(blobs: Blobs, owner: str, blob: str, *, use: bool) -> GivenQuery:
    """The query that an owner has uploaded. Raises InvalidInputError ``query_not_found``."""
    return GivenQuery(find_upload(blobs, owner, blob, use=use), source=blobs, blob=blob)


def query_of_search(blobs: Blobs, blob: str, settings: Settings) -> GivenQuery:
    """The query that another search has. Raises NotFoundError ``blob_not_found``."""
    return GivenQuery(describe_query(blobs, blob, settings, "query_fasta"), source=blobs, blob=blob)
