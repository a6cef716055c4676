"""The operations of results."""

from __future__ import annotations

from shared.domain.conversion import TableFormat
from triggers.contract import results as shown
from triggers.contract.base import ErrorReply
from triggers.contract.operation import Answer, Operation, Parameter, Tag, ok
from triggers.contract.parameters import CURSOR, JOB_ID, LIMIT, text
from triggers.hits import MAX_QUERY_CHARACTERS

RESULT_TYPES = ("text/tab-separated-values", "text/csv", "application/xml", "application/gzip")
"""Media types of published files."""
_JOB = "/api/blast/jobs/{id}"
_NAME = Parameter("name", "path", "Of a file in the manifest.", {"type": "string", "pattern": "^[^/]{1,300}$"})
_FILE_HEADERS = ("ETag", "Content-Disposition")
_SORTS = ("evalue", "bit_score", "identity", "length")


def _header(name: str, description: str) -> Parameter:
    return Parameter(name, "header", description, {"type": "string"})


_DOWNLOAD = Operation(
    "GET",
    f"{_JOB}/results/{{name}}",
    "blast_jobs_results_download",
    Tag.RESULTS,
    "Download a published file, or a part of it",
    {
        200: Answer("The file.", media=RESULT_TYPES, headers=_FILE_HEADERS),
        206: Answer("The part.", media=RESULT_TYPES, headers=(*_FILE_HEADERS, "Accept-Ranges", "Content-Range")),
        302: Answer("A read-only address in storage, good for 5 minutes: the file is large.", headers=("Location",)),
        304: Answer("It is what `If-None-Match` names.", headers=("ETag",)),
        416: Answer("The range lies outside the file.", (ErrorReply,), headers=("Content-Range", "Accept-Ranges")),
    },
    description="A part asked for by `range` always comes through the service, at most 8 MB of it.",
    parameters=(
        JOB_ID,
        _NAME,
        text(
            "range",
            "Bytes: `first-last`, `first-`, or `-count` for the last ones.",
            pattern="^([0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})$",
        ),
        text("format", "Convert a table to this, with a header row; not with `range`.", enum=[*map(str, TableFormat)]),
        _header("Range", "The same as `range`, as RFC 9110 has it; one part."),
        _header("If-Range", "An `ETag`: of another version `Range` is passed over."),
        _header("If-None-Match", "An `ETag`."),
    ),
    errors=(400, 404, 409, 410),
)

OPERATIONS = (
    Operation(
        "GET",
        f"{_JOB}/results",
        "blast_jobs_results",
        Tag.RESULTS,
        "Show what a completed search has published",
        ok(shown.Results),
        parameters=(JOB_ID,),
        errors=(404, 409, 410),
    ),
    _DOWNLOAD,
    Operation(
        "GET",
        f"{_JOB}/hits",
        "blast_jobs_hits",
        Tag.RESULTS,
        "List hits as JSON, with filters",
        ok(shown.HitPage),
        description="At most 8 MiB of the result are looked through for a page: go on until there is no cursor.",
        parameters=(
            JOB_ID,
            text("query", "Only hits of this query.", minLength=1, maxLength=MAX_QUERY_CHARACTERS),
            Parameter("min_identity", "query", "Percent at least.", {"type": "number", "minimum": 0, "maximum": 100}),
            Parameter("max_evalue", "query", "E-value at most.", {"type": "number", "minimum": 0}),
            text(
                "sort",
                "By this, descending with `-`; only within one query, or a result of at most 8 MiB.",
                enum=[sign + key for key in _SORTS for sign in ("", "-")],
            ),
            LIMIT,
            CURSOR,
        ),
        errors=(400, 404, 409, 410, 422),
    ),
    Operation(
        "GET",
        f"{_JOB}/logs",
        "blast_jobs_logs",
        Tag.RESULTS,
        "Show the log tails of a search's Jobs",
        ok(shown.Logs),
        parameters=(
            JOB_ID,
            text("job", "Only of this Job, by its name."),
            Parameter(
                "tail", "query", "Lines at most.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
            ),
        ),
        errors=(400, 404),
    ),
)
