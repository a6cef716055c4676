"""The operations of uploaded queries."""

from __future__ import annotations

from triggers.contract import queries as shown
from triggers.contract.operation import Answer, Body, Operation, Parameter, Tag, ok
from triggers.contract.parameters import PROGRAMS, cluster_query, text
from triggers.requests import MAX_BODY_BYTES, EmptyRequest

FASTA_TYPES = ("text/plain", "application/octet-stream", "application/gzip")
PLATFORM_BODY_BYTES = 100_000_000
"""What the platform lets through; the setting ``ELB_QUERY_BODY_LIMIT_BYTES`` may be lower."""
_ACCOUNT = tuple(parameter for parameter in cluster_query() if parameter.name == "storage_account")
_PROGRAM = text("program", "Check the queries for this program only; else nucleotides or proteins will do.", **PROGRAMS)
_EXAMPLE = ">q1\nATGAGCAAAATCAGTACG\n>q2\nTTAGCAGTCGCG\n"
_NOTHING = Body(EmptyRequest, "An empty object.", MAX_BODY_BYTES, required=False)
_UPLOAD_ID = Parameter("id", "path", "The `upload_id`.", {"type": "string", "pattern": "^[0-9a-f]{32}$"})

OPERATIONS = (
    Operation(
        "POST",
        "/api/blast/queries",
        "blast_queries",
        Tag.QUERIES,
        "Store queries for searches to come",
        ok(shown.StoredQuery) | {201: Answer("The queries are stored.", (shown.StoredQuery,))},
        description="200 where the same content was there. Content that is sent again is stored once.",
        parameters=(
            _PROGRAM,
            *_ACCOUNT,
            Parameter("Content-Encoding", "header", "`gzip`, where the body is packed.", {"type": "string"}),
        ),
        body=Body(None, "FASTA, plain or gzip.", PLATFORM_BODY_BYTES, media=FASTA_TYPES, example=_EXAMPLE),
        errors=(422, 429),
    ),
    Operation(
        "POST",
        "/api/blast/queries/uploads",
        "blast_queries_uploads",
        Tag.QUERIES,
        "Begin an upload of queries straight to storage",
        {
            201: Answer(
                "Where to PUT the file, and how to go on.",
                (shown.Upload,),
                links={"blast_queries_uploads_commit": {"id": "upload_id"}},
            )
        },
        parameters=_ACCOUNT,
        body=_NOTHING,
        errors=(429,),
    ),
    Operation(
        "POST",
        "/api/blast/queries/uploads/{id}/commit",
        "blast_queries_uploads_commit",
        Tag.QUERIES,
        "Check an upload, and keep what was checked",
        ok(shown.StoredQuery),
        description="Repeatable.",
        parameters=(_UPLOAD_ID, _PROGRAM, *_ACCOUNT),
        body=_NOTHING,
        errors=(404, 409, 429),
    ),
)
