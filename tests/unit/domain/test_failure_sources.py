"""Each way to fail that docs/behaviour.md names (T6) has a code of its own, a hint, and the failing Job with its exit.

Those that are decided by pure functions of what the cluster and the logs say; ``tests/activities/test_traps.py`` has
the others.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.domain.cli_engine import look_at_helper, submit_timeout
from shared.domain.failures import Failure, failure_of_job, told_by_log
from shared.domain.observation import observe
from tests.unit.domain.objects import FAILED, JOB_ID, Json, ago, condition, job, pod, search, snapshot

POLICY = "Container blast for pod default/a-pod failed with exit code 2 matching FailJob rule at index 1"
DEADLINE = condition("Failed", reason="DeadlineExceeded", message="Job was active longer than specified deadline")
PINNED = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
FULL = "0/3 nodes are available: 3 Insufficient memory."
TRANSFER = "2026-01-01T00:00:00.000Z transfer failed: HTTP 403 {} curl: (22) The requested URL returned error: 403"


def ended(exit_code: int, reason: str = "Error", log: str = "") -> Json:
    """How the search's one failed Job is told, from its pod's exit and the end of its log."""
    return told([job("a", FAILED, failed=4)], [pod("a", "Failed", ended=(exit_code, reason))], log)


def waiting(minutes: int, *conditions: Json, reason: tuple[str, str] | None = None) -> Json:
    """The same of a Job whose pod does not begin."""
    stays = pod("a", "Pending", created=ago(minutes=minutes), conditions=list(conditions), waiting=reason)
    return told([job("a", active=1)], [stays])


def unschedulable(message: str) -> Json:
    return condition("PodScheduled", "False", reason="Unschedulable", message=message)


def told(jobs: list[Json], pods: list[Json], log: str = "") -> Json:
    """The error as the search gets it."""
    failure = observe(snapshot(jobs, pods), search(expected_jobs=len(jobs))).failure
    assert failure is not None
    return told_by_log(failure, log).to_error(log)


def disrupted(reason: str, phase: str = "Failed") -> Json:
    """A Job of others, whose pod was taken away in this way and which had no try left."""
    taken = pod("a", phase, ended=(137, "Error"), conditions=[condition("DisruptionTarget", reason=reason)])
    return told([job("a", FAILED, failed=1)], [taken])


def helper(exit_code: int) -> Json:
    seen = snapshot([job("h", FAILED, app="elb-submit")], [pod("h", "Failed", app="elb-submit")])
    error = look_at_helper(seen.jobs[0], seen.pods_of(seen.jobs[0]), f"EXIT_CODE={exit_code}", JOB_ID).error
    assert error is not None
    return dict(error)


SOURCES: dict[str, tuple[str, Callable[[], Json]]] = {
    "bad query": ("bad_query", lambda: ended(1, log="BLAST query/options error: Query is Empty!")),
    "bad options": ("bad_options", lambda: ended(1, log="BLAST query/options error: Unknown argument: x")),
    "bad database": ("bad_database", lambda: ended(2, log="BLAST Database error: No alias or index file found")),
    "out of memory, by the kernel": ("out_of_memory", lambda: ended(137, "OOMKilled")),
    "out of memory, by BLAST": ("out_of_memory", lambda: ended(4)),
    "BLAST engine error": ("blast_engine_error", lambda: ended(3)),
    "image cannot be pulled": ("image_pull_failed", lambda: waiting(11, reason=("ImagePullBackOff", "no such tag"))),
    "container cannot be started": (
        "container_not_started",
        lambda: waiting(11, reason=("CreateContainerConfigError", 'configmap "x" not found')),
    ),
    "cannot be scheduled": ("cannot_be_scheduled", lambda: waiting(31, unschedulable(FULL))),
    "node lost, nowhere to go": ("node_lost", lambda: waiting(31, unschedulable(PINNED))),
    "node lost, pod collected": ("node_lost", lambda: disrupted("DeletionByPodGC")),
    "node lost, pod evicted": ("node_lost", lambda: disrupted("DeletionByTaintManager")),
    "storage denied, by role": (
        "storage_role_missing",
        lambda: ended(65, log=TRANSFER.format("AuthorizationPermissionMismatch")),
    ),
    "storage denied, by firewall": ("storage_firewall", lambda: ended(65, log=TRANSFER.format("AuthorizationFailure"))),
    "storage denied, untold": ("storage_denied", lambda: ended(65, log=TRANSFER.format(""))),
    "download failed": ("download_failed", lambda: ended(64)),
    "upload failed": ("upload_failed", lambda: ended(74)),
    "search timeout, by the Job's deadline": (
        "search_timeout",
        lambda: told([job("a", DEADLINE)], [pod("a", "Failed", ended=(143, "Error"))]),
    ),
    "submit timeout": ("submit_timeout", lambda: submit_timeout(600, None, removed=True)),
    "command line failed": ("command_line_failed", lambda: helper(7)),
    "evicted": ("pod_evicted", lambda: disrupted("EvictionByEvictionAPI")),
}


@pytest.mark.proves("T6")
@pytest.mark.parametrize("source", SOURCES)
def test_a_source_has_its_code_and_says_what_to_do(source: str) -> None:
    code, found = SOURCES[source]
    error = found()
    assert error["code"] == code
    assert error["message"]
    assert error["hint"]


@pytest.mark.proves("T6")
def test_no_two_sources_share_a_code() -> None:
    codes: dict[str, set[str]] = {}
    for name, (code, _) in SOURCES.items():
        codes.setdefault(code, set()).add(name.partition(",")[0])
    assert {code: sources for code, sources in codes.items() if len(sources) > 1} == {}


@pytest.mark.proves("T6")
@pytest.mark.parametrize("exit_code", [1, 2, 3, 4, 64, 65, 74, 137])
def test_the_job_its_exit_code_and_its_last_lines_come_along(exit_code: int) -> None:
    error = ended(exit_code, log="the last line")
    assert (error["job"], error["exit_code"], error["log_tail"]) == ("a", exit_code, "the last line")
    assert f"Job a (exit code {exit_code})" in error["message"]


def failure(found: Json, *pods: Json) -> Failure:
    seen = snapshot([found], list(pods))
    return failure_of_job(seen.jobs[0], seen.all_pods_of(seen.jobs[0]))


def of_elastic_blast(*states: tuple[str, int | None], init: int = 0) -> Json:
    """A pod as elastic-blast makes it: an init container fetches the batch, a container beside BLAST uploads."""
    found = pod("a", "Failed")
    found["spec"]["initContainers"] = [{"name": "import-query-batches"}]
    found["spec"]["containers"] = [{"name": name} for name, _ in states]

    def state(exit_code: int | None) -> Json:
        return {} if exit_code is None else {"terminated": {"exitCode": exit_code, "reason": "Error"}}

    found["status"]["initContainerStatuses"] = [{"name": "import-query-batches", "state": state(init)}]
    found["status"]["containerStatuses"] = [{"name": name, "state": state(code)} for name, code in states]
    return found


class TestPodsOfSeveralContainers:
    """BLAST's exit codes are BLAST's only in the container that runs BLAST."""

    @pytest.mark.proves("T6")
    @pytest.mark.parametrize(
        ("states", "init", "code", "container"),
        [
            ([("blast", 2), ("results-export", 2)], 0, "bad_database", "blast"),
            ([("results-export", 1), ("blast", 3)], 0, "blast_engine_error", "blast"),
            ([("blast", 0), ("results-export", 1)], 0, "upload_failed", "results-export"),
            ([("blast", None), ("results-export", 2)], 0, "upload_failed", "results-export"),
            ([("blast", None), ("results-export", None)], 1, "download_failed", "import-query-batches"),
        ],
    )
    def test_which_one_failed(self, states: list[tuple[str, int | None]], init: int, code: str, container: str) -> None:
        found = failure(job("a", FAILED), of_elastic_blast(*states, init=init))
        assert (found.code, found.container) == (code, container)

    def test_the_row_shows_the_exit_of_the_one_that_failed(self) -> None:
        jobs, pods = [job("a", FAILED)], [of_elastic_blast(("blast", 3), ("results-export", 3))]
        (row,) = observe(snapshot(jobs, pods), search(expected_jobs=1)).jobs
        assert row["exit_code"] == 3
        (row,) = observe(snapshot(jobs, [of_elastic_blast(("blast", None))]), search(expected_jobs=1)).jobs
        assert row["exit_code"] is None, "that the batch was fetched is no end"

    def test_one_that_has_no_failed_container_is_read_where_blast_ran(self) -> None:
        found = failure(job("a", DEADLINE), of_elastic_blast(("results-export", None), ("blast", None)))
        assert (found.code, found.container) == ("search_timeout", "blast")

    def test_a_container_that_waits_to_be_started_again_tells_how_it_ended(self) -> None:
        crashes = pod("a", "Running", waiting=("CrashLoopBackOff", "back-off 10s"))
        last = {"terminated": {"exitCode": 2, "reason": "Error"}}
        crashes["status"]["containerStatuses"][0]["lastState"] = last
        assert failure(job("a", FAILED), crashes).code == "bad_database"


class TestPodsThatAreGone:
    @pytest.mark.proves("T6")
    def test_the_jobs_own_message_has_the_exit_code(self) -> None:
        found = failure(job("a", condition("Failed", reason="PodFailurePolicy", message=POLICY)))
        assert (found.code, found.exit_code, found.container, found.pod) == ("bad_database", 2, "blast", "")

    @pytest.mark.proves("T6")
    def test_one_that_is_being_removed_still_tells(self) -> None:
        found = failure(job("a", FAILED), pod("a", "Failed", ended=(3, "Error"), deleting=True))
        assert (found.code, found.exit_code, found.pod) == ("blast_engine_error", 3, "a-pod")

    def test_one_that_is_not_tells_better(self) -> None:
        going = pod("a", "Failed", name="going", ended=(3, "Error"), deleting=True, created=ago(minutes=0))
        found = failure(job("a", FAILED), going, pod("a", "Failed", name="stays", ended=(2, "Error")))
        assert (found.code, found.pod) == ("bad_database", "stays")


class TestTakenAway:
    @pytest.mark.parametrize("reason", ["PreemptionByScheduler", "EvictionByEvictionAPI", "TerminationByKubelet"])
    def test_a_pod_that_was_evicted_did_not_run_out_of_memory(self, reason: str) -> None:
        assert disrupted(reason)["code"] == "pod_evicted"

    def test_one_that_did_run_out_of_memory_says_so(self) -> None:
        killed = pod("a", "Failed", ended=(137, "OOMKilled"), conditions=[condition("DisruptionTarget", reason="x")])
        assert failure(job("a", FAILED), killed).code == "out_of_memory"

    def test_what_the_node_said_is_passed_on(self) -> None:
        evicted = pod("a", "Failed")
        evicted["status"] |= {"reason": "Evicted", "message": "The node was low on resource: memory."}
        found = failure(job("a", FAILED), evicted)
        assert (found.code, "low on resource: memory" in found.message) == ("pod_evicted", True)

    def test_a_disruption_that_did_not_come_is_none(self) -> None:
        stays = pod("a", "Failed", ended=(3, "Error"), conditions=[condition("DisruptionTarget", "False", reason="x")])
        assert failure(job("a", FAILED), stays).code == "blast_engine_error"
