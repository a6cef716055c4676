"""From a submit request to a search: every check before anything is written."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from shared.auth import Caller
from shared.clients.catalogue import Database, load_database, unknown_database
from shared.clients.given_queries import GivenQuery, query_of_text, query_of_upload
from shared.clients.provider import clients
from shared.clients.searches import IdempotencyKey
from shared.domain.batching import count_batches
from shared.domain.blast_options import BlastOptions, read_options
from shared.domain.errors import ConflictError, InvalidInputError, NotFoundError, PermanentError, TooLargeError
from shared.domain.fasta import QuerySet
from shared.domain.ids import content_key, new_job_id
from shared.domain.programs import Program, database_type, default_batch_length
from shared.domain.results import query_blob
from shared.domain.search import ClusterRef, Search
from shared.domain.states import StepName
from shared.domain.timeline import begin, new_timeline
from shared.domain.webhook_urls import FIELD, parse_webhook_url
from shared.domain.whole_formats import batch_length, check_batches, check_layouts
from triggers.idempotency import check_idempotency_key
from triggers.requests import SubmitRequest

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")


MAX_JOBS = 2000
"""Jobs of one search at most: more would crowd out everybody else's on the cluster's API server."""
CHECKS = ("program", "options", "cluster", "labels", "webhook", "database", "query", "size")
"""What is checked, in this order; a check may use what those before it found."""


class Submission:
    """A submit request and what its checks find out. ``check`` for a submit, ``report`` for a dry run."""

    program: Program
    options: BlastOptions
    cluster: ClusterRef
    database: Database
    query: GivenQuery

    def __init__(self, caller: Caller, request: SubmitRequest, given: Callable[[], GivenQuery] | None = None) -> None:
        self.caller, self.request, self.given = caller, request, given
        self._is_submit = False

    def check(self) -> Submission:
        """Run every check.

        Raises:
            PermanentError: the first that fails, with the field; nothing was written.
        """
        self._is_submit = True
        for name in CHECKS:
            getattr(self, f"_check_{name}")()
        return self

    def report(self) -> list[dict[str, Any]]:
        """Run every check and say how each went; one that needs what another did not find is skipped."""
        rows = []
        for name in CHECKS:
            row: dict[str, Any] = {"id": name, "status": "ok", "message": "", "hint": ""}
            try:
                getattr(self, f"_check_{name}")()
            except PermanentError as error:
                row |= {"status": "failed", "code": error.code, "message": error.message, "hint": error.hint}
            except AttributeError:
                row |= {"status": "skipped", "message": "it needs what an earlier check did not find"}
            rows.append(row)
        return rows

    def _check_program(self) -> None:
        self.program = read_program(self.request.program)

    def _check_options(self) -> None:
        self.options = _options(self.program, self.request)

    def _check_cluster(self) -> None:
        self.cluster = self.request.cluster.resolve(clients().settings)

    def _check_labels(self) -> None:
        _check_labels(self.request.labels)

    def _check_webhook(self) -> None:
        _check_webhook(self.request.webhook_url)

    def _check_database(self) -> None:
        account, cli = self.cluster.storage_account, self.request.engine == "cli"
        self.database = _database(self.program, self.request.database, account, sharded=not cli)
        check_layouts(self.options.outfmt, self.program, self.database.layouts, self.request.engine)

    def _check_query(self) -> None:
        given = self.given or partial(self._given_query, self.program, self.cluster.storage_account)
        query = given()
        query.file.queries.check(self.program, "query_blob" if self.request.query_blob else "query_fasta")
        self.query = query

    def _check_size(self) -> None:
        batches = count_batches(self.queries.lengths, self.batch_len)
        check_batches(self.options.outfmt, batches, default_batch_length(self.program, self.options.task))
        shards = max(self.database.layouts, default=1) if self.request.engine == "native" else 1
        jobs = batches * shards
        if jobs > MAX_JOBS:
            raise InvalidInputError(
                "too_many_jobs",
                f"{batches} batches and up to {shards} shards make {jobs} Jobs",
                f"make batch_len about {-(-self.batch_len * jobs // MAX_JOBS)}, so that there are at most {MAX_JOBS}",
                field="batch_len",
            )

    @property
    def queries(self) -> QuerySet:
        """The query's sequences, without their letters."""
        return self.query.file.queries

    @property
    def batch_len(self) -> int:
        """Letters of query in a batch."""
        default = default_batch_length(self.program, self.options.task)
        return self.request.batch_len or batch_length(self.options.outfmt, default, self.queries.letters)

    def _given_query(self, program: Program, account: str) -> GivenQuery:
        if (self.request.query_fasta is None) == (self.request.query_blob is None):
            raise InvalidInputError(
                "one_query_required",
                "exactly one of query_fasta and query_blob is needed",
                "send the sequences in query_fasta, or name an uploaded blob in query_blob",
                field="query_fasta",
            )
        if self.request.query_blob is not None:
            blobs = clients().blobs(account)
            return query_of_upload(blobs, self.caller.owner, self.request.query_blob, use=self._is_submit)
        text, limit = self.request.query_fasta or "", clients().settings.query_limit_bytes
        size = len(text.encode(errors="surrogatepass"))
        if size > limit:
            hint = f"send at most {limit} bytes here; more with POST /api/blast/queries"
            raise TooLargeError("query_too_large", f"query_fasta has {size} bytes", hint)
        return query_of_text(text, clients().settings, program)

    def search(self, idempotency: IdempotencyKey | None = None, cloned_from: str | None = None) -> Search:
        """The search as its row will have it."""
        job_id = new_job_id(time.time_ns() // 1_000_000, os.urandom(10))
        now = clients().now()
        query = {
            "blob": query_blob(job_id),
            "sha256": self.query.file.sha256,
            "sequences": self.queries.sequences,
            "letters": self.queries.letters,
            "batch_len": self.batch_len,
        }
        return Search(
            job_id=job_id,
            owner=self.caller.owner,
            program=self.program.value,
            database=self.request.database,
            cluster=self.cluster,
            created_at=now,
            attempt_started_at=now,
            steps=begin(new_timeline(), StepName.PREPARING, now),
            title=self.request.title,
            engine=self.request.engine,
            idempotency_key=idempotency.key if idempotency else "",
            cloned_from=cloned_from,
            options=self.options.to_dict(),
            labels=dict(self.request.labels),
            webhook_url=self.request.webhook_url or "",
            query=query,
        )

    def check_same_query(self, search: Search) -> None:
        """Refuse to put another query in the place of the one that a search was made for.

        Raises:
            ConflictError: ``idempotency_key_reused``.
        """
        if self.query.file.sha256 != search.query["sha256"]:
            raise ConflictError(
                "idempotency_key_reused",
                "this Idempotency-Key came with another query before",
                "use a new key for a new search",
            )

    def idempotency(self, key: str | None, cloned_from: str | None = None) -> IdempotencyKey | None:
        """The caller's key and the body, hashed; None without a key.

        Raises:
            InvalidInputError: ``invalid_idempotency_key``.
        """
        key = check_idempotency_key(key)
        if key is None:
            return None
        # Only what was sent: a field that a later release adds must not make an old key another request.
        sent = self.request.model_dump(mode="json", exclude_unset=True)
        body = json.dumps(sent, sort_keys=True)
        return IdempotencyKey(content_key("submit", key), content_key(body, *([cloned_from] if cloned_from else [])))


def read_program(name: str) -> Program:
    """A program by its name. Raises InvalidInputError ``unknown_program``."""
    try:
        return Program(name)
    except ValueError:
        known = ", ".join(Program)
        raise InvalidInputError(
            "unknown_program", f"unknown program {name!r}", f"use one of {known}", field="program"
        ) from None


def _options(program: Program, request: SubmitRequest) -> BlastOptions:
    data = request.options.model_dump()
    if isinstance(data.get("outfmt"), int):
        data["outfmt"] = str(data["outfmt"])
    return read_options(program, data)


def _database(program: Program, name: str, account: str, *, sharded: bool) -> Database:
    """The database, of the right type and, where it must be ``sharded``, with a layout; PermanentError otherwise."""
    try:
        database = load_database(clients().blobs(account), name)
    except NotFoundError as error:
        raise unknown_database(name) from error
    wanted, found = database_type(program), database.metadata.dbtype
    if wanted is not found:
        raise InvalidInputError(
            "wrong_database_type",
            f"{program} searches a {wanted} database, {name} is {found}",
            "choose another program or another database",
            field="database",
        )
    if sharded and not database.layouts:
        raise PermanentError(
            "database_not_sharded",
            f"database {name} has no prepared shards",
            f"prepare them with POST /api/blast/databases/{name}/shards",
            details=({"field": "database", "message": "no prepared shards"},),
        )
    return database


def _check_labels(labels: dict[str, str]) -> None:
    for key, value in labels.items():
        if not _LABEL.fullmatch(key) or len(value) > 200 or any(ord(c) < 32 for c in value):
            raise InvalidInputError(
                "invalid_label",
                "a label's name or value is not allowed",
                "names: letters, digits and ._/- up to 63; values: up to 200 printable characters",
                field="labels",
            )


def _check_webhook(url: str | None) -> None:
    """By its form; where its name leads is judged when it is connected to. Raises InvalidInputError."""
    if url is None:
        return
    if not clients().settings.webhook_secret:
        raise InvalidInputError(
            "webhooks_not_configured",
            "webhook_url: this app sends no webhooks, because it has no secret to sign them with",
            "leave webhook_url out and ask for the search's status, or have the operator set ELB_WEBHOOK_SECRET",
            field=FIELD,
        )
    parse_webhook_url(url, clients().settings.allowed_receivers)
