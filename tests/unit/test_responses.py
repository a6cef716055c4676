"""Answers: the shape of errors, the headers, and that a crash tells the caller an id and nothing else."""

from __future__ import annotations

import inspect
import json
import logging
from typing import Any

import azure.functions as func
import pytest

from shared import responses
from shared.config import read_settings
from shared.domain.errors import (
    ConfigurationError,
    ConflictError,
    ElbError,
    ForbiddenError,
    InvalidInputError,
    MalformedError,
    NotFoundError,
    PermanentError,
    PreconditionFailedError,
    StoredValueError,
    TooLargeError,
    TransientError,
    UnauthenticatedError,
)
from shared.responses import Reply, accepted, anonymous, answer, endpoint

SECRET = "AccountKey=hush"


def answered(outcome: Reply | Exception) -> func.HttpResponse:
    def handler() -> Reply:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return answer(handler, "a_function")


def body(response: func.HttpResponse) -> Any:
    return json.loads(response.get_body())


class TestErrors:
    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            (MalformedError, 400),
            (UnauthenticatedError, 401),
            (ForbiddenError, 403),
            (NotFoundError, 404),
            (ConflictError, 409),
            (PreconditionFailedError, 412),
            (TooLargeError, 413),
            (PermanentError, 422),
            (InvalidInputError, 422),
            (StoredValueError, 500),
            (TransientError, 503),
        ],
    )
    def test_status_and_object(self, kind: type[ElbError], status: int) -> None:
        response = answered(kind("some_code", "what happened", "what to do"))
        assert response.status_code == status
        assert body(response) == {"error": {"code": "some_code", "message": "what happened", "hint": "what to do"}}
        assert response.mimetype == "application/json"
        assert ("Retry-After" in response.headers) is (status == 503)

    def test_the_field_is_in_the_details(self) -> None:
        response = answered(InvalidInputError("bad", "no such column", "h", field="options.outfmt"))
        details = [{"field": "options.outfmt", "message": "no such column"}]
        assert body(response)["error"]["details"] == details

    @pytest.mark.parametrize(("after", "header"), [(None, "5"), (0, "5"), (0.2, "1"), (7, "7"), (7.6, "8")])
    def test_retry_after(self, after: float | None, header: str) -> None:
        response = answered(TransientError("busy", "m", retry_after=after))
        assert response.headers["Retry-After"] == header


class TestCrash:
    @pytest.mark.parametrize(
        "error",
        [
            RuntimeError(SECRET),
            KeyError(SECRET),
            ConfigurationError("wrong_setting", SECRET, SECRET),
            ElbError("odd", SECRET, SECRET),
        ],
    )
    def test_the_caller_sees_an_id_and_the_log_the_rest(
        self, error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "elb"):
            response = answered(error)
        assert response.status_code == 500
        shown = body(response)["error"]
        assert shown.keys() == {"code", "message", "hint"}
        assert shown["code"] == "internal_error"
        assert "hush" not in response.get_body().decode()
        assert "Traceback" not in response.get_body().decode()
        (event,) = [json.loads(record.getMessage()) for record in caplog.records]
        assert event["correlation"] in shown["message"]
        assert SECRET in event["trace"]
        assert event["function"] == "a_function"

    def test_two_crashes_have_two_ids(self) -> None:
        messages = {body(answered(RuntimeError()))["error"]["message"] for _ in range(2)}
        assert len(messages) == 2

    def test_what_ends_the_process_is_not_answered(self) -> None:
        def interrupted() -> Reply:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            answer(interrupted, "a_function")


class TestReplies:
    @pytest.mark.parametrize(
        "outcome", [Reply({"a": 1}), Reply(None, 204), NotFoundError("x", "y"), RuntimeError(), accepted({}, "/x")]
    )
    def test_headers_that_every_answer_has(self, outcome: Reply | Exception) -> None:
        headers = answered(outcome).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"

    def test_accepted(self) -> None:
        response = answered(accepted({"job_id": "job-a"}, "/api/blast/jobs/job-a", 3))
        assert response.status_code == 202
        assert body(response) == {"job_id": "job-a", "status_url": "/api/blast/jobs/job-a"}
        assert (response.headers["Location"], response.headers["Retry-After"]) == ("/api/blast/jobs/job-a", "3")

    def test_content_that_is_not_json(self) -> None:
        response = answered(Reply(content=b"a\tb\n", content_type="text/tab-separated-values"))
        assert (response.get_body(), response.mimetype) == (b"a\tb\n", "text/tab-separated-values")

    def test_text_that_json_cannot_hold_is_escaped(self) -> None:
        response = answered(Reply({"title": "\ud800<script>\u2028"}))
        assert body(response) == {"title": "\ud800<script>\u2028"}


class TestEndpoint:
    def request(self, **headers: str) -> func.HttpRequest:
        return func.HttpRequest("GET", "/api/x", headers=headers, body=b"")

    def test_without_identity_the_handler_is_not_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(responses, "settings", lambda: read_settings({"AUTH_MODE": "dev"}))
        seen = []

        def handler(req: func.HttpRequest, caller: Any) -> Reply:
            seen.append(caller.owner)
            return Reply({})

        assert endpoint(handler)(self.request()).status_code == 401
        assert endpoint(handler)(self.request(Host="example.org")).status_code == 401
        assert seen == []
        assert endpoint(handler)(self.request(Host="localhost:1")).status_code == 200
        assert seen == ["dev@localhost"]

    def test_anonymous_needs_none(self) -> None:
        assert anonymous(lambda req: Reply({"ok": True}))(self.request()).status_code == 200

    def test_the_worker_sees_what_is_bound(self) -> None:
        def with_client(req: func.HttpRequest, caller: Any, client: Any) -> Reply:
            return Reply(client)

        assert list(inspect.signature(endpoint(with_client)).parameters) == ["req", "client"]
        assert list(inspect.signature(anonymous(lambda req: Reply())).parameters) == ["req"]
