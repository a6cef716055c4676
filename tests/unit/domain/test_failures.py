"""What each way to fail is called."""

from __future__ import annotations

import pytest

from shared.domain.failures import Failure, failure_of_job
from tests.unit.domain.objects import FAILED, Json, ago, condition, job, pod, snapshot


def failure(found: Json, *pods: Json) -> Failure:
    seen = snapshot([found], list(pods))
    return failure_of_job(seen.jobs[0], seen.pods_of(seen.jobs[0]))


@pytest.mark.parametrize(
    ("exit_code", "code"),
    [
        (1, "bad_query_or_options"),
        (2, "bad_database"),
        (3, "blast_engine_error"),
        (4, "out_of_memory"),
        (5, "blast_network_error"),
        (6, "blast_output_error"),
        (64, "download_failed"),
        (65, "storage_denied"),
        (70, "job_failed"),
        (71, "database_changed"),
        (74, "upload_failed"),
        (137, "out_of_memory"),
        (99, "job_failed"),
        (255, "job_failed"),
    ],
)
def test_by_exit_code(exit_code: int, code: str) -> None:
    found = failure(job("a", FAILED), pod("a", "Failed", name="p", ended=(exit_code, "Error")))
    assert (found.code, found.exit_code, found.job, found.pod) == (code, exit_code, "a", "p")
    assert f"in Job a (exit code {exit_code})" in found.message
    assert found.hint


def test_the_script_s_unknown_end_is_told_as_such() -> None:
    assert "unknown way" in failure(job("a", FAILED), pod("a", "Failed", ended=(70, "Error"))).message


@pytest.mark.parametrize("exit_code", [137, 1])
def test_killed_for_its_memory_whatever_the_exit_code(exit_code: int) -> None:
    found = failure(job("a", FAILED), pod("a", "Failed", ended=(exit_code, "OOMKilled")))
    assert found.code == "out_of_memory"


def test_the_job_s_deadline_beats_what_its_pods_say() -> None:
    deadline = condition("Failed", reason="DeadlineExceeded", message="Job was active longer than specified deadline")
    assert failure(job("a", deadline)).code == "search_timeout"
    assert failure(job("a", deadline), pod("a", "Failed", ended=(143, "Error"))).code == "search_timeout"


def test_without_pods_the_job_s_own_message_remains() -> None:
    found = failure(job("a", FAILED))
    assert (found.code, found.exit_code, found.pod) == ("job_failed", None, "")
    assert found.message == "Job has reached the specified backoff limit in Job a"
    assert failure(job("a", condition("Failed"))).message == "the Job failed in Job a"


def test_the_newest_pod_that_failed_counts() -> None:
    pods = [
        pod("a", "Failed", name="first", ended=(64, "Error"), created=ago(minutes=9)),
        pod("a", "Failed", name="last", ended=(2, "Error"), created=ago(minutes=2)),
        pod("a", "Pending", name="new", created=ago(minutes=1)),
        pod("a", "Failed", name="going", ended=(3, "Error"), created=ago(minutes=0), deleting=True),
    ]
    found = failure(job("a", FAILED), *pods)
    assert (found.code, found.pod) == ("bad_database", "last")


def test_a_pod_that_ended_well_explains_nothing() -> None:
    found = failure(job("a", FAILED), pod("a", "Succeeded", name="p", ended=(0, "Completed")))
    assert (found.code, found.exit_code, found.pod) == ("job_failed", None, "p")


def test_as_the_error_of_the_search() -> None:
    found = failure(job("a", FAILED), pod("a", "Failed", ended=(2, "Error")))
    assert set(found.to_error("last line")) == {"code", "message", "hint", "job", "exit_code", "log_tail"}
    assert found.to_error("last line")["log_tail"] == "last line"


def test_there_and_back() -> None:
    found = failure(job("a", FAILED), pod("a", "Failed", ended=(2, "Error")))
    assert Failure.from_dict({**found.to_dict(), "later": 1}) == found
    assert Failure.from_dict({}).code == "job_failed"
