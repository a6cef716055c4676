"""The client as a function: a command line in, an exit code and two texts out. Its time is its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from elb.__main__ import main
from elb.clock import Clock
from tests.elb.fake_api import Answer, FakeApi

JOB = "job-01a2014f09047f7f95f425c401da66b9"


@dataclass
class OwnClock(Clock):
    """Time that passes only while somebody sleeps."""

    at: float = 0.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.at

    def now(self) -> datetime:
        return datetime(2026, 1, 2, tzinfo=UTC) + timedelta(seconds=self.at)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@dataclass(frozen=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, which has to be one JSON document."""
        return json.loads(self.out)

    def error(self) -> Any:
        """Standard error, which has to be one line of JSON."""
        (line,) = self.err.splitlines()
        return json.loads(line)


class Run(Protocol):
    """Runs a command against the test's API."""

    clock: OwnClock

    def __call__(self, *words: str, patience: str = "60s") -> Ran: ...


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's environment decides here."""
    for name in ("ELB_API", "ELB_TOKEN", "NO_COLOR", "FORCE_COLOR", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """An API without routes."""
    with FakeApi() as server:
        yield server


@pytest.fixture
def run(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> Run:
    """The client, in this process."""

    class Runner:
        clock = OwnClock()

        def __call__(self, *words: str, patience: str = "60s") -> Ran:
            capsys.readouterr()
            code = main([*words, "--api", api.address, "--patience", patience], self.clock)
            out, err = capsys.readouterr()
            return Ran(code, out, err)

    return Runner()


def detail(status: str = "running", phase: str = "", **more: Any) -> dict[str, Any]:
    """A search as the API shows it."""
    names = ("preparing", "warming_up", "configuring", "staging_db", "submitting", "running", "exporting")
    step = {"status": "pending", "started_at": None, "completed_at": None, "seconds": None, "detail": ""}
    return {
        "job_id": JOB,
        "status": status,
        "phase": phase or status,
        "waiting_reason": None,
        "title": "run 7",
        "program": "blastn",
        "database": "resfinder",
        "created_at": "2026-01-02T00:00:00.000Z",
        "observed_at": "2026-01-02T00:00:00.000Z",
        "stale": False,
        "stale_reason": None,
        "progress": {"total": 8, "pending": 4, "running": 3, "succeeded": 1, "failed": 0, "pct": 12.5},
        "steps": [{**step, "name": name} for name in names],
        "kubernetes": {"jobs": []},
        "options": {"task": "megablast", "outfmt": "6 std", "evalue": 10, "extra": ""},
        "error": None,
        "attempt": 1,
        **more,
    }


def accepted(job_id: str = JOB) -> Answer:
    """The answer to a submit."""
    return Answer(202, {"job_id": job_id, "status_url": f"/api/blast/jobs/{job_id}"})
