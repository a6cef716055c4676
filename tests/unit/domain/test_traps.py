"""Every known way to a wrong status: as one table, by clocks that differ, by pods that only wait their turn.

``test_observation.py`` has the rules one by one, ``test_made_up_clusters.py`` clusters in every mix of states.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.observation import Observation, Outcome, observe
from shared.domain.progress import Progress
from shared.domain.snapshot import read_snapshot
from shared.domain.stuck import IMAGE_PATIENCE, PLACE_PATIENCE
from tests.unit.domain.objects import COMPLETE, FAILED, NOW, OTHER_ID, Json, ago, condition, job, pod, search

SUCCESS_FIRST = [condition("SuccessCriteriaMet"), COMPLETE]
FAILURE_FIRST = [condition("FailureTarget"), FAILED]
UNSCHEDULABLE = condition("PodScheduled", "False", reason="Unschedulable", message="0/3 nodes: 3 Insufficient memory")
NOT_MADE_YET: Json = {"expected_jobs": None, "jobs_created_at": None}
COMMAND: Json = {"expected_jobs": None, "engine": "cli"}


def look(jobs: list[Json], pods: list[Json] | None = None, **row: Any) -> Observation:
    return observe(read_snapshot(jobs, pods or [], NOW), search(**row))


def done(name: str, **fields: Any) -> Json:
    return job(name, *SUCCESS_FIRST, succeeded=1, **fields)


@dataclass(frozen=True)
class Trap:
    """What is on the cluster, what the row says, and what may be concluded from it."""

    jobs: list[Json]
    outcome: Outcome
    progress: Progress
    pods: list[Json]
    row: Json


def trap(
    outcome: Outcome, counts: tuple[int, int, int, int], *jobs: Json, pods: list[Json] | None = None, **row: Any
) -> Trap:
    """``counts`` are pending, running, succeeded, failed."""
    return Trap(list(jobs), outcome, Progress(sum(counts), *counts), pods or [], row)


def helper(app: str, *conditions: Json) -> Json:
    return job(f"helper-{app}", *(conditions or SUCCESS_FIRST), app=app, succeeded=1)


HELPERS = [helper(app) for app in ("elb-submit", "submit", "setup", "finalizer", "elb-db-warmup", "db-warmup", "")]
TRAPS = {
    "a helper finished first, nothing made yet": trap(Outcome.CREATING, (0, 0, 0, 0), *HELPERS, **NOT_MADE_YET),
    "helpers finished, both Jobs still run": trap(
        Outcome.RUNNING, (0, 2, 0, 0), *HELPERS, job("a", active=1), job("b", active=1), pods=[pod("a"), pod("b")]
    ),
    "a helper failed, both Jobs succeeded": trap(
        Outcome.DONE, (0, 0, 2, 0), helper("elb-submit", *FAILURE_FIRST), done("a"), done("b")
    ),
    "helpers make up the number": trap(Outcome.MISSING_JOBS, (1, 0, 1, 0), *HELPERS, done("a")),
    "another search is done, this one runs": trap(
        Outcome.RUNNING,
        (1, 1, 0, 0),
        done("x", job_id=OTHER_ID),
        done("y", job_id=OTHER_ID),
        job("a", active=1),
        job("b", active=1),
        pods=[pod("a"), pod("b", "Pending")],
    ),
    "another search failed, this one is done": trap(
        Outcome.DONE, (0, 0, 2, 0), job("x", *FAILURE_FIRST, job_id=OTHER_ID), done("a"), done("b")
    ),
    "another search is done, nothing of this one yet": trap(
        Outcome.CREATING, (0, 0, 0, 0), done("x", job_id=OTHER_ID), done("y", job_id=OTHER_ID), **NOT_MADE_YET
    ),
    "Jobs without any id": trap(
        Outcome.CREATING, (0, 0, 0, 0), done("x", job_id=None), done("y", job_id=None), **NOT_MADE_YET
    ),
    "a pod was retried, the Job succeeded": trap(
        Outcome.DONE,
        (0, 0, 2, 0),
        job("a", *SUCCESS_FIRST, succeeded=1, failed=1),
        done("b"),
        pods=[pod("a", "Failed", ended=(3, "Error"), created=ago(minutes=9), name="first"), pod("a", "Succeeded")],
    ),
    "a pod failed, the next one runs": trap(
        Outcome.RUNNING,
        (0, 1, 1, 0),
        job("a", active=1, failed=1),
        done("b"),
        pods=[pod("a", "Failed", ended=(3, "Error"), created=ago(minutes=9), name="first"), pod("a")],
    ),
    "a pod failed, the next one is still to come": trap(
        Outcome.RUNNING, (1, 0, 1, 0), job("a", failed=1), done("b"), pods=[pod("a", "Failed", ended=(3, "Error"))]
    ),
    "success is announced, the pods have not ended": trap(
        Outcome.RUNNING,
        (0, 1, 1, 0),
        job("a", condition("SuccessCriteriaMet"), active=1),
        done("b"),
        pods=[pod("a")],
    ),
    "success is announced before the end is": trap(
        Outcome.RUNNING, (1, 0, 1, 0), job("a", condition("SuccessCriteriaMet"), succeeded=1), done("b")
    ),
    "failure is announced, the pods have not ended": trap(
        Outcome.RUNNING, (1, 0, 1, 0), job("a", condition("FailureTarget"), failed=4), done("b")
    ),
    "an end that is not true": trap(
        Outcome.RUNNING,
        (0, 2, 0, 0),
        job("a", condition("Complete", "False"), active=1),
        job("b", condition("Failed", "Unknown"), active=1),
        pods=[pod("a"), pod("b")],
    ),
    "no Jobs, none made yet": trap(Outcome.CREATING, (0, 0, 0, 0), **NOT_MADE_YET),
    "some made and done, the rest still to be made": trap(
        Outcome.CREATING, (0, 0, 1, 0), done("a"), **NOT_MADE_YET
    ),
    "no Jobs any more": trap(Outcome.MISSING_JOBS, (2, 0, 0, 0)),
    "the TTL took one of two": trap(Outcome.MISSING_JOBS, (1, 0, 1, 0), done("a")),
    "the TTL is just taking both": trap(
        Outcome.DONE, (0, 0, 2, 0), done("a", deleting=True), done("b", deleting=True)
    ),
    "one was deleted while the other runs": trap(Outcome.RUNNING, (1, 1, 0, 0), job("a", active=1), pods=[pod("a")]),
    "only an earlier attempt's Jobs": trap(
        Outcome.MISSING_JOBS,
        (2, 0, 0, 0),
        done("a", labels={"elb-attempt": "1"}),
        done("b", labels={"elb-attempt": "1"}),
        attempt=2,
    ),
    "the command has made no Job yet": trap(Outcome.CREATING, (0, 0, 0, 0), job("s", active=1, app="setup"), **COMMAND),
    "the command's Jobs so far succeeded": trap(Outcome.RUNNING, (0, 0, 2, 0), done("a"), done("b"), **COMMAND),
    "they succeeded twice, without a word of the command": trap(
        Outcome.RUNNING,
        (0, 0, 2, 0),
        done("a"),
        done("b"),
        all_succeeded_looks=9,
        progress=Progress(total=2, succeeded=2),
        **COMMAND,
    ),
}  # fmt: skip


@pytest.mark.proves("T1", "T2")
@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_is_not_fallen_into(name: str) -> None:
    found = TRAPS[name]
    seen = look(found.jobs, found.pods, **found.row)
    assert (seen.outcome, seen.progress, seen.failure) == (found.outcome, found.progress, None)


@pytest.mark.proves("T1", "T2")
@pytest.mark.parametrize("name", TRAPS)
def test_nor_in_any_order_of_the_lists(name: str) -> None:
    found = TRAPS[name]
    assert look(found.jobs[::-1], found.pods[::-1], **found.row) == look(found.jobs, found.pods, **found.row)


class TestClocks:
    """The app's clock and the API server's differ by five minutes: ages are told by the clock that wrote the times."""

    SECOND = timedelta(seconds=1)

    def look(self, skew: timedelta, waiting: Json) -> Observation:
        """As a host sees it whose clock is ahead of the API server's by ``skew``."""
        jobs = [job("a", active=1), done("b", completed=ago(hours=3))]
        return observe(read_snapshot(jobs, [waiting], NOW + skew, NOW), search())

    @pytest.mark.proves("T1")
    @pytest.mark.parametrize("minutes", [-5, 0, 5])
    def test_nobody_is_given_up_sooner_or_later_for_it(self, minutes: int) -> None:
        skew = timedelta(minutes=minutes)
        for patience, more in (
            (IMAGE_PATIENCE, {"waiting": ("ImagePullBackOff", "x")}),
            (PLACE_PATIENCE, {"conditions": [UNSCHEDULABLE]}),
        ):
            young = pod("a", "Pending", created=(NOW - patience).isoformat(), **more)
            old = pod("a", "Pending", created=(NOW - patience - self.SECOND).isoformat(), **more)
            assert self.look(skew, young).outcome is Outcome.RUNNING
            assert self.look(skew, old).outcome is Outcome.FAILED

    @pytest.mark.parametrize("minutes", [-5, 5])
    def test_jobs_made_in_the_future_or_the_past_count_all_the_same(self, minutes: int) -> None:
        made = (NOW + timedelta(minutes=minutes)).isoformat()
        jobs = [done("a", created=made, completed=made), done("b", created=made, completed=made)]
        assert look(jobs).outcome is Outcome.DONE
        running = [job("a", active=1, created=made), job("b", active=1, created=made)]
        assert look(running, [pod("a", created=made), pod("b", "Pending", created=made)]).outcome is Outcome.RUNNING


class TestWaitingItsTurn:
    """A pod that queues is not given up for what ended a moment ago."""

    QUEUED = pod("a", "Pending", created=ago(hours=2), conditions=[UNSCHEDULABLE])

    def outcome(self, others: list[Json], pods: list[Json] | None = None) -> Outcome:
        return look([job("a", active=1), done("b"), *others], [self.QUEUED, *(pods or [])]).outcome

    def test_behind_a_search_that_failed_a_minute_ago(self) -> None:
        """A Job that failed has no completionTime; its place came free when it got its condition all the same."""
        just = {**FAILED, "lastTransitionTime": ago(minutes=1)}
        long_ago = {**FAILED, "lastTransitionTime": ago(minutes=31)}
        assert self.outcome([job("x", just, job_id=OTHER_ID)]) is Outcome.RUNNING
        assert self.outcome([job("x", long_ago, job_id=OTHER_ID)]) is Outcome.FAILED

    def test_behind_a_pod_that_is_being_removed(self) -> None:
        assert self.outcome([], [pod("x", "Running", deleting=True)]) is Outcome.RUNNING

    def test_not_for_ever_behind_its_own_finalizer(self) -> None:
        """The command line's finalizer runs until the Jobs that it waits for have ended."""
        finalizer = job("f", app="finalizer", active=1)
        assert self.outcome([finalizer], [pod("f", app="finalizer")]) is Outcome.FAILED
        setup = job("s", app="setup", active=1)
        assert self.outcome([setup], [pod("s", app="setup")]) is Outcome.RUNNING

    def test_not_for_ever_behind_one_whose_node_is_dead(self) -> None:
        dead = pod("x", "Running", deleting=True)
        dead["metadata"]["deletionTimestamp"] = ago(minutes=31)
        assert self.outcome([], [dead]) is Outcome.FAILED

    def test_an_image_is_waited_for_from_when_the_pod_got_its_node(self) -> None:
        waiting = ("ErrImagePull", "registry busy")
        placed = {**condition("PodScheduled"), "lastTransitionTime": ago(minutes=9)}
        late = pod("a", "Pending", created=ago(minutes=40), conditions=[placed], waiting=waiting)
        assert look([job("a", active=1), done("b")], [late]).outcome is Outcome.RUNNING
        placed["lastTransitionTime"] = ago(minutes=11)
        assert look([job("a", active=1), done("b")], [late]).outcome is Outcome.FAILED


class TestNoPods:
    """A Job whose pods are refused, by a quota on pods say, has no pod, and nothing in its status tells why."""

    def outcome(self, *others: Json, suspend: bool = False, **fields: Any) -> Observation:
        made = job("a", **{"created": ago(minutes=31), **fields})
        made["spec"]["suspend"] = suspend
        return look([made, done("b", completed=ago(minutes=40)), *others])

    @pytest.mark.proves("T6")
    def test_they_are_waited_for_and_then_given_up(self) -> None:
        assert self.outcome(created=ago(minutes=30)).outcome is Outcome.RUNNING
        failure = self.outcome().failure
        assert failure is not None
        assert (failure.code, failure.job, failure.pod) == ("pods_refused", "a", "")
        assert "quota" in failure.message

    def test_not_while_others_only_just_ended(self) -> None:
        assert self.outcome(done("x", job_id=OTHER_ID, completed=ago(minutes=2))).outcome is Outcome.RUNNING

    def test_not_where_somebody_has_suspended_it(self) -> None:
        assert self.outcome(suspend=True).outcome is Outcome.RUNNING

    def test_not_where_its_pods_are_only_not_seen(self) -> None:
        assert self.outcome(active=1).outcome is Outcome.RUNNING


class TestLostNode:
    """A node that does not answer: its pod stays "Running" and is never removed, and no other pod is made."""

    def look(self, overdue: timedelta) -> Observation:
        left = pod("a", "Running", deleting=True, node="node-3", created=ago(hours=2))
        left["metadata"]["deletionTimestamp"] = (NOW - overdue).isoformat()
        return look([job("a", terminating=1), done("b")], [left])

    @pytest.mark.proves("T6")
    def test_it_is_waited_for_and_then_named(self) -> None:
        assert self.look(PLACE_PATIENCE).outcome is Outcome.RUNNING
        failure = self.look(PLACE_PATIENCE + timedelta(seconds=1)).failure
        assert failure is not None
        assert (failure.code, failure.job, failure.pod) == ("node_lost", "a", "a-pod")
        assert "node-3" in failure.message
        assert failure.hint

    def test_a_pod_beside_it_that_was_made_anew_decides(self) -> None:
        left = pod("a", "Running", deleting=True, name="old", created=ago(hours=2))
        left["metadata"]["deletionTimestamp"] = ago(hours=1)
        new = pod("a", "Running", name="new", created=ago(minutes=5))
        assert look([job("a", active=1), done("b")], [left, new]).outcome is Outcome.RUNNING
