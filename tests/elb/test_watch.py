"""Following a search: how often it is asked for, what is printed, outages, and what others wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest

from elb.text import clean, parse_duration, spell_bytes, spell_seconds
from elb.watch import pause
from tests.elb.conftest import JOB, Run, detail
from tests.elb.fake_api import Answer, FakeApi, refusal


def step(name: str, status: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "status": status, "seconds": None, "detail": "", **more}


@pytest.mark.parametrize(
    ("watched", "seconds"), [(0, 1), (59.9, 1), (60, 2), (599, 2), (600, 5), (3599, 5), (3600, 15), (1e6, 15)]
)
def test_the_longer_it_lasts_the_less_is_asked(watched: float, seconds: float) -> None:
    assert pause(watched) == seconds


def test_a_line_for_each_change_and_none_without(api: FakeApi, run: Run) -> None:
    waiting = detail("pending", "waiting_for_capacity", progress={"total": 0}, waiting_reason="10 searches are active")
    one = [step("preparing", "completed", seconds=0.4), step("running", "running")]
    two = [step("preparing", "completed", seconds=0.4), step("running", "completed", seconds=65.0, detail="8 Jobs")]
    half = {"total": 8, "succeeded": 4, "running": 4}
    states = [
        waiting,
        waiting,
        detail("running", steps=one, progress=half),
        detail("running", steps=one, progress=half),
        detail("running", steps=one, progress=half, stale=True, stale_reason="the cluster does not answer"),
        detail("completed", steps=two, progress={"total": 8, "succeeded": 8}),
    ]
    api.on("GET /api/blast/jobs/{id}", *(Answer(body=state) for state in states))
    ran = run("watch", JOB)
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert lines == [
        "pending (waiting_for_capacity): 10 searches are active",
        "preparing completed 0.4 s",
        "running: 4 of 8 Jobs, 4 running",
        "running: 4 of 8 Jobs, 4 running; stale: the cluster does not answer",
        "running completed 1 min 05 s 8 Jobs",
        "completed: 8 of 8 Jobs",
    ]


def test_as_json_a_line_for_each_change(api: FakeApi, run: Run) -> None:
    states = [detail("queued", "preparing"), detail("running"), detail("running"), detail("completed")]
    for number, state in enumerate(states):
        state["observed_at"] = f"2026-01-02T00:00:0{number}.000Z"  # another look alone is no change
    api.on("GET /api/blast/jobs/{id}", *(Answer(body=state) for state in states))
    ran = run("watch", JOB, "--json")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [line["status"] for line in lines] == ["queued", "running", "completed"]
    assert set(lines[0]) >= {"at", "job_id", "phase", "waiting_reason", "progress", "steps", "stale", "error"}


def test_an_outage_is_shown_and_outlived(api: FakeApi, run: Run) -> None:
    gone = Answer(lost=True)
    api.on(
        "GET /api/blast/jobs/{id}",
        Answer(body=detail()),
        gone,
        gone,
        refusal(503, "x"),
        Answer(body=detail("completed")),
    )
    ran = run("watch", JOB, "--json")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 0
    assert [line["stale"] for line in lines] == [False, True, True, False]
    assert "no answer" in lines[1]["stale_reason"]


def test_an_outage_that_does_not_end_ends_the_watching(api: FakeApi, run: Run) -> None:
    api.on("GET /api/blast/jobs/{id}", Answer(body=detail()), Answer(lost=True))
    ran = run("watch", JOB)
    assert ran.code == 6
    assert 600 < sum(run.clock.slept) < 620


def test_what_the_api_refuses_ends_the_watching(api: FakeApi, run: Run) -> None:
    api.on("GET /api/blast/jobs/{id}", Answer(body=detail()), refusal(401, "token_expired"))
    assert run("watch", JOB).code == 5


def test_a_search_that_is_deleted_meanwhile_is_not_found(api: FakeApi, run: Run) -> None:
    api.on("GET /api/blast/jobs/{id}", Answer(body=detail("deleting")), refusal(404, "job_not_found"))
    assert run("watch", JOB).code == 4


def test_a_status_of_a_later_version_is_no_end(api: FakeApi, run: Run) -> None:
    api.on("GET /api/blast/jobs/{id}", Answer(body={"status": "resting"}), Answer(body={"status": "completed"}))
    assert run("watch", JOB).code == 0


def test_a_failure_is_told_with_its_hint(api: FakeApi, run: Run) -> None:
    error = {"code": "out_of_memory", "message": "Job b000-s01 had too little memory", "hint": "more shards"}
    api.on("GET /api/blast/jobs/{id}", Answer(body=detail("failed", error=error)))
    ran = run("watch", JOB)
    assert all(text in ran.out for text in error.values())


def test_what_others_wrote_cannot_move_the_cursor(api: FakeApi, run: Run) -> None:
    nasty = "\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202e[red]"
    error = {"code": nasty, "message": nasty, "hint": nasty, "log_tail": [nasty]}
    whole = detail(
        "failed", error=error, title=nasty, waiting_reason=nasty, steps=[step("running", nasty, detail=nasty)]
    )
    api.on("GET /api/blast/jobs/{id}", Answer(body=whole))
    api.on("GET /api/blast/jobs", Answer(body={"items": [whole], "next_cursor": None}))
    api.on("GET /api/blast/jobs/{id}/logs", Answer(body={"items": [{"job": nasty, "text": nasty}], "jobs_total": 1}))
    api.on("GET /api/blast/jobs/{id}/hits", refusal(409, nasty))
    for words in (["watch", JOB], ["show", JOB], ["jobs"], ["logs", JOB], ["hits", JOB]):
        ran = run(*words)
        assert not set("\x1b\x07\r\x9b\u202e") & set(ran.out + ran.err), words
        assert "[red]" in ran.out + ran.err, words


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (5, "5"), ("a\tb\n", "a\ufffdb\ufffd"), ("\x7f\x85\ud800", "\ufffd" * 3), ("é", "é")],
)
def test_clean(value: object, text: str) -> None:
    assert clean(value) == text


def test_lines_are_kept_where_they_are_wanted() -> None:
    assert clean("a\tb\nc\r", lines=True) == "a\tb\nc\ufffd"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (7380, "2 h 03 min")],
)
def test_spans(seconds: float | None, text: str) -> None:
    assert spell_seconds(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(None, ""), (999, "999 B"), (1000, "1.0 kB"), (8_000_000, "8.0 MB"), (10**16, "10000.0 TB")]
)
def test_sizes(size: object, text: str) -> None:
    assert spell_bytes(size) == text


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "1.5", "1d", "\u0661", "1e3", "9" * 10, "1 h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # its text is the value itself
        parse_duration(text)
    assert refused.value.args == (text,)
