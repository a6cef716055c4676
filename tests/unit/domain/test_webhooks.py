"""What a webhook says, how it is signed, what follows from an answer, and when it is sent again."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from shared.domain.search import ClusterRef, Search, cancelled, complete, enter_phase, fail, request_cancel, retried
from shared.domain.states import Phase
from shared.domain.webhooks import (
    ANNOUNCED_AGE,
    LEASE,
    Answer,
    Delivery,
    Outcome,
    WebhookEvent,
    announced,
    claimed,
    ended_event,
    event_id,
    headers_of,
    next_try,
    outcome_of,
    signature,
)

OTHERS = [100, 101, 199, 300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 411, 413, 422, 429, 499]
OTHERS += [500, 502, 503, 504, 599, 999]
HAND = "f4bb6f1d5f8ad3f42ae78cdbcb16bf001ae326eac1178a5d6e615ebd14495445"
DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"
AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
URL = "https://hooks.example.org/in?token=T0KEN"
SECRET = "0123456789abcdef"
SEARCH = Search(
    "job-1", "anna", "blastn", "core_nt", ClusterRef("s", "g", "c", "a"), AT, phase=Phase.EXPORTING, webhook_url=URL
)
DAY = timedelta(days=1)


def event_of(before: Search, after: Search) -> WebhookEvent:
    """The event of a change that has one."""
    event = ended_event(before, after)
    assert event is not None
    return event


class TestEvent:
    def test_completed(self) -> None:
        event = event_of(SEARCH, complete(SEARCH, AT, AT + DAY))
        assert (event.job_id, event.owner, event.attempt, event.url, event.at) == ("job-1", "anna", 1, URL, AT)
        assert event.type == "search.completed"
        assert json.loads(event.body) == {
            "id": event.event_id,
            "type": "search.completed",
            "job_id": "job-1",
            "status": "completed",
            "attempt": 1,
            "at": "2026-01-02T03:04:05.678Z",
            "job_url": "/api/blast/jobs/job-1",
            "results_url": "/api/blast/jobs/job-1/results",
        }

    def test_failed(self) -> None:
        error = {"code": "out_of_memory", "message": "too much", "hint": "h", "log": "secret lines"}
        body = json.loads(event_of(SEARCH, fail(SEARCH, error, AT)).body)
        assert (body["type"], body["status"]) == ("search.failed", "failed")
        assert body["error"] == {"code": "out_of_memory", "message": "too much"}
        assert "results_url" not in body

    def test_cancelled(self) -> None:
        marked = request_cancel(replace(SEARCH, phase=Phase.RUNNING), AT)
        event = event_of(marked, cancelled(marked, AT))
        assert (event.type, "error" in json.loads(event.body)) == ("search.cancelled", False)

    def test_each_attempt_has_an_event_of_its_own(self) -> None:
        first = fail(SEARCH, {"code": "x"}, AT)
        again = replace(retried(first, AT), phase=Phase.EXPORTING)
        events = [event_of(SEARCH, first), event_of(again, complete(again, AT, AT))]
        assert [event.attempt for event in events] == [1, 2]
        assert len({event.event_id for event in events} | {event_id("job-2", 1)}) == 3

    def test_the_same_change_gives_the_same_event(self) -> None:
        assert event_of(SEARCH, complete(SEARCH, AT, AT)) == event_of(SEARCH, complete(SEARCH, AT, AT))

    @pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED}))
    def test_no_other_phase_is_an_end(self, phase: Phase) -> None:
        assert ended_event(SEARCH, replace(SEARCH, phase=phase, completed_at=AT)) is None

    def test_one_that_had_ended_does_not_end(self) -> None:
        ended = complete(SEARCH, AT, AT)
        assert ended_event(ended, replace(ended, title="another")) is None
        assert ended_event(ended, enter_phase(ended, Phase.DELETING, AT)) is None

    def test_nobody_wants_to_know(self) -> None:
        quiet = replace(SEARCH, webhook_url="")
        assert ended_event(quiet, complete(quiet, AT, AT)) is None

    def test_the_url_is_in_no_text_of_it(self) -> None:
        event = event_of(SEARCH, complete(SEARCH, AT, AT))
        assert "T0KEN" not in f"{SEARCH!r}{event!r}{event.body}"


class TestSignature:
    EVENT = WebhookEvent("job-1", "anna", 1, "search.completed", AT, URL, '{"id":"é"}')

    def test_as_computed_by_hand(self) -> None:
        """printf '1767323045.{}' | openssl dgst -sha256 -hmac 0123456789abcdef"""
        wanted = "t=1767323045,v1=" + HAND
        assert signature(SECRET, 1767323045, b"{}") == wanted

    def test_headers(self) -> None:
        headers = headers_of(self.EVENT, SECRET, AT)
        assert headers == {
            "Content-Type": "application/json",
            "User-Agent": "elb-webhook/1",
            "X-Elb-Event": "search.completed",
            "X-Elb-Delivery": self.EVENT.event_id,
            "X-Elb-Signature": signature(SECRET, int(AT.timestamp()), self.EVENT.body.encode()),
        }

    def test_each_try_is_signed_anew_and_has_the_same_id(self) -> None:
        first, second = (headers_of(self.EVENT, SECRET, at) for at in (AT, AT + DAY))
        assert first["X-Elb-Signature"] != second["X-Elb-Signature"]
        assert first["X-Elb-Delivery"] == second["X-Elb-Delivery"]

    def documented(self) -> Any:
        """The function that the API's document shows."""
        [code] = re.findall(r"```python\n(  import hashlib.*?)```", DOCUMENT.read_text(), re.DOTALL)
        found: dict[str, Any] = {}
        exec(compile(dedent(code), str(DOCUMENT), "exec"), found)  # noqa: S102 - the repository's own document
        return found["is_genuine"]

    def test_the_document_s_own_check_takes_it(self) -> None:
        headers = headers_of(self.EVENT, SECRET, AT)
        assert self.documented()(SECRET, headers["X-Elb-Signature"], self.EVENT.body.encode(), now=AT.timestamp() + 299)

    @pytest.mark.parametrize(
        ("secret", "header", "body", "later"),
        [
            (SECRET, None, b'{"id":"e"}', 0),
            ("another-secret-00", None, None, 0),
            (SECRET, None, None, 301),
            (SECRET, None, None, -301),
            (SECRET, "", None, 0),
            (SECRET, "v1=00", None, 0),
            (SECRET, "t=1767323045,v1=00", None, 0),
            (SECRET, "t=now,v1=00", None, 0),
        ],
    )
    def test_the_document_s_own_check_refuses_all_else(
        self, secret: str, header: str | None, body: bytes | None, later: float
    ) -> None:
        sent = headers_of(self.EVENT, SECRET, AT)["X-Elb-Signature"] if header is None else header
        assert not self.documented()(
            secret, sent, self.EVENT.body.encode() if body is None else body, now=AT.timestamp() + later
        )


class TestOutcome:
    @pytest.mark.parametrize(
        ("answer", "outcome"),
        [
            *((Answer(status), Outcome.DELIVERED) for status in (200, 201, 202, 204, 206, 299)),
            (Answer(410), Outcome.GIVE_UP),
            *((Answer(status), Outcome.RETRY) for status in OTHERS),
            *(
                (Answer(problem=problem), Outcome.RETRY)
                for problem in ("timeout", "unreachable", "dns_failed", "tls_failed", "broken_answer")
            ),
            (Answer(problem="address_refused"), Outcome.RETRY),
            (Answer(problem="url_refused"), Outcome.RETRY),
        ],
    )
    def test_every_answer(self, answer: Answer, outcome: Outcome) -> None:
        assert outcome_of(answer) is outcome

    @pytest.mark.parametrize(("answer", "brief"), [(Answer(503), "http_503"), (Answer(problem="timeout"), "timeout")])
    def test_in_a_word(self, answer: Answer, brief: str) -> None:
        assert answer.brief == brief


class TestNextTry:
    @pytest.mark.parametrize(
        ("tries", "seconds"),
        [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 960), (7, 1920), (8, 3600), (9, 3600), (500, 3600)],
    )
    def test_the_pauses_grow(self, tries: int, seconds: int) -> None:
        assert next_try(AT, tries, AT, DAY) == AT + timedelta(seconds=seconds)

    @pytest.mark.parametrize(
        ("asked", "seconds"),
        [(None, 30), (0, 30), (29, 30), (31, 31), (3600, 3600), (3601, 3600), (1e9, 3600), (-5, 30)],
    )
    def test_a_receiver_may_ask_for_longer_ones(self, asked: float | None, seconds: int) -> None:
        assert next_try(AT, 1, AT, DAY, asked) == AT + timedelta(seconds=seconds)

    @pytest.mark.proves("N17")
    def test_at_the_limit_and_just_beyond(self) -> None:
        instant = timedelta(milliseconds=1)
        assert next_try(AT, 30, AT + DAY - instant, DAY) == AT + DAY
        assert next_try(AT, 30, AT + DAY, DAY) is None
        assert next_try(AT, 30, AT + DAY + instant, DAY) is None

    @pytest.mark.proves("N17")
    def test_the_last_try_comes_when_the_time_is_over(self) -> None:
        at, tries = AT, 1
        while (following := next_try(AT, tries, at, DAY)) is not None:
            assert timedelta(0) < following - at <= timedelta(hours=1)
            at, tries = following, tries + 1
        assert at == AT + DAY
        assert tries == 31

    def test_no_time_is_one_try(self) -> None:
        assert next_try(AT, 1, AT, timedelta(0)) is None


class TestDelivery:
    EVENT = WebhookEvent("job-1", "anna", 2, "search.completed", AT, URL, "{}")

    def test_a_first_event_is_due_at_once(self) -> None:
        assert announced(self.EVENT, None) == Delivery("job-1", "anna", "hooks.example.org", AT, 2)

    def test_a_further_one_waits_with_the_one_before(self) -> None:
        known = Delivery("job-1", "anna", "h", AT + DAY, 1, head=1, tries=3, first_try_at=AT, etag="e")
        assert announced(self.EVENT, known) == replace(known, announced=2)

    def test_the_same_again_changes_nothing(self) -> None:
        known = Delivery("job-1", "anna", "h", AT, 3, etag="e")
        assert announced(self.EVENT, known) == known

    def test_a_claim_is_a_lease(self) -> None:
        first = claimed(Delivery("job-1", "anna", "h", AT, 1), 1, AT)
        assert (first.head, first.tries, first.first_try_at, first.next_at) == (1, 1, AT, AT + LEASE)
        second = claimed(first, 1, AT + DAY)
        assert (second.head, second.tries, second.first_try_at, second.next_at) == (1, 2, AT, AT + DAY + LEASE)

    def test_the_next_event_counts_its_own_tries(self) -> None:
        before = Delivery("job-1", "anna", "h", AT, 2, head=1, tries=7, first_try_at=AT - DAY)
        after = claimed(before, 2, AT)
        assert (after.head, after.tries, after.first_try_at) == (2, 1, AT)

    @pytest.mark.parametrize(
        ("head", "age", "over"),
        [
            (1, timedelta(0), True),
            (0, timedelta(0), False),
            (0, ANNOUNCED_AGE, False),
            (0, ANNOUNCED_AGE + timedelta(milliseconds=1), True),
        ],
    )
    def test_nothing_more_is_to_come(self, head: int, age: timedelta, over: bool) -> None:
        delivery = Delivery("job-1", "anna", "h", AT, 1, head=head, written_at=AT)
        assert delivery.is_over(AT + age) is over
