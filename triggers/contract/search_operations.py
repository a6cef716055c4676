"""The operations of searches."""

from __future__ import annotations

from triggers.changes import CancelRequest
from triggers.contract import searches as shown
from triggers.contract.operation import Access, Answer, Body, Operation, Tag, accepted, ok
from triggers.contract.parameters import CURSOR, IDEMPOTENCY_KEY, JOB_ID, LIMIT, STATUS, text
from triggers.paging import MAX_FILTER
from triggers.requests import MAX_BODY_BYTES, SubmitRequest

_EXAMPLE = {
    "program": "blastn",
    "database": "resfinder",
    "title": "run 7",
    "query_fasta": ">q1\nATGAGCAAAATCAGTACGTTAGCAGTCGCGTTAGCCGTTTTAGGCGGTTGC\n",
    "options": {"task": "megablast", "evalue": 0.01, "outfmt": "6 std"},
}
SUBMIT = Body(SubmitRequest, "The search.", MAX_BODY_BYTES, example=_EXAMPLE)
_CLONE = Body(
    SubmitRequest,
    "The fields of a submit that are to replace the original's; without a query the original's is copied.",
    MAX_BODY_BYTES,
    required=False,
    partial=True,
    example={"title": "once more"},
)
_CANCEL = Body(CancelRequest, "Why.", MAX_BODY_BYTES, required=False, example={"reason": "wrong database"})
_OF_JOB = {
    name: {"id": "job_id"}
    for name in (
        "blast_jobs_detail",
        "blast_jobs_events",
        "blast_jobs_results",
        "blast_jobs_hits",
        "blast_jobs_logs",
        "blast_jobs_cancel",
        "blast_jobs_retry",
        "blast_jobs_clone",
        "blast_jobs_delete",
    )
}
_JOB = "/api/blast/jobs/{id}"


def _submit(path: str, name: str, summary: str) -> Operation:
    return Operation(
        "POST",
        path,
        name,
        Tag.SEARCHES,
        summary,
        accepted(shown.JobAccepted, _OF_JOB),
        parameters=(IDEMPOTENCY_KEY,),
        body=SUBMIT,
        errors=(409, 429),
    )


OPERATIONS = (
    _submit("/api/blast/jobs", "blast_jobs_submit", "Submit a search"),
    _submit("/api/blast/submit", "blast_submit", "Submit a search (alias)"),
    Operation(
        "POST",
        "/api/blast/jobs/validate",
        "blast_jobs_validate",
        Tag.SEARCHES,
        "Run all checks of a submit and start nothing",
        ok(shown.Validation),
        description="Answers 200 for a wrong request too: `ok` says whether a submit would be accepted.",
        body=SUBMIT,
        errors=(429,),
    ),
    Operation(
        "GET",
        "/api/blast/jobs",
        "blast_jobs_list",
        Tag.SEARCHES,
        "List searches, newest first",
        ok(shown.SearchPage),
        description="Filters are applied to the page that was read: a filtered page may be short and have a cursor.",
        parameters=(
            LIMIT,
            CURSOR,
            STATUS,
            text("program", "Only searches of this program.", maxLength=MAX_FILTER),
            text("db", "Only searches of this database.", maxLength=MAX_FILTER),
            text("q", "Only searches with this text in their title.", maxLength=MAX_FILTER),
            text("owner", "Operators: the searches of this owner, or `*` for everybody's."),
        ),
        errors=(400, 403, 422),
    ),
    Operation(
        "GET",
        _JOB,
        "blast_jobs_detail",
        Tag.SEARCHES,
        "Show one search",
        ok(shown.SearchDetail),
        parameters=(JOB_ID,),
        errors=(404,),
    ),
    Operation(
        "GET",
        f"{_JOB}/events",
        "blast_jobs_events",
        Tag.SEARCHES,
        "Show a search's history, newest first",
        ok(shown.EventPage),
        parameters=(JOB_ID, LIMIT, CURSOR),
        errors=(400, 404),
    ),
    Operation(
        "POST",
        f"{_JOB}/cancel",
        "blast_jobs_cancel",
        Tag.SEARCHES,
        "Cancel a search",
        accepted(shown.ChangeAccepted),
        description="Idempotent, in any state. `cancelled` is said when a look has found nothing left of it.",
        parameters=(JOB_ID,),
        body=_CANCEL,
        errors=(404,),
    ),
    Operation(
        "POST",
        f"{_JOB}/retry",
        "blast_jobs_retry",
        Tag.SEARCHES,
        "Begin a new attempt of a failed or cancelled search",
        accepted(shown.ChangeAccepted),
        description="Only what is missing is run again.",
        parameters=(JOB_ID,),
        errors=(404, 409),
    ),
    Operation(
        "POST",
        f"{_JOB}/clone",
        "blast_jobs_clone",
        Tag.SEARCHES,
        "Begin a new search like this one",
        accepted(shown.JobAccepted, _OF_JOB),
        parameters=(JOB_ID, IDEMPOTENCY_KEY),
        body=_CLONE,
        errors=(404, 409, 429),
    ),
    Operation(
        "DELETE",
        _JOB,
        "blast_jobs_delete",
        Tag.SEARCHES,
        "Delete a search with everything that belongs to it",
        accepted(shown.ChangeAccepted),
        description="The row goes last: from then on the search is a 404.",
        parameters=(JOB_ID,),
        errors=(404,),
    ),
    Operation(
        "POST",
        f"{_JOB}/notify",
        "blast_jobs_notify",
        Tag.SEARCHES,
        "A Job of the search says that it ends",
        {202: Answer("Whether anybody was woken.", (shown.Woken,))},
        access=Access.JOB,
        description="It wakes and proves nothing: what it wakes looks for itself.",
        parameters=(JOB_ID,),
        errors=(404,),
    ),
)
