"""Thousands of clusters made up at random, each with a search in some state, held against plain rules.

What is true of a made-up cluster is known because it was made so; the seed in a failing assertion makes it again.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from shared.domain.observation import Observation, Outcome, observe
from shared.domain.progress import Progress
from shared.domain.search import Search
from shared.domain.snapshot import read_snapshot
from tests.unit.domain.objects import COMPLETE, FAILED, JOB_ID, NOW, OTHER_ID, Json, ago, condition, job, pod, search

MADE_UP = 1500
SUCCESS_FIRST = [condition("SuccessCriteriaMet"), COMPLETE]
FAILURE_FIRST = [condition("FailureTarget"), FAILED]
NOT_MADE_YET: Json = {"expected_jobs": None, "jobs_created_at": None}
COMMAND: Json = {"expected_jobs": None, "engine": "cli"}
STATES = ("absent", "pending", "running", "between", "succeeded", "retried", "announced", "doomed", "stuck", "failed")
USUAL_STATES = ("succeeded", "succeeded", "retried", "running")


class MadeUp:
    """A search and its cluster, made up at random; what is true of them is known because it was made so.

    Attributes:
        complete: own Jobs of the present attempt with the condition ``Complete``.
        failed: own Jobs of the present attempt with the condition ``Failed``.
        given_up: whether some pod has waited in vain for longer than anybody would.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - no secret, and the same in every run
        self.attempt = self.chance.choice((1, 1, 2))
        self.expected = self.chance.randint(1, 6)
        self.jobs: list[Json] = []
        self.pods: list[Json] = []
        self.complete = self.failed = 0
        self.given_up = False
        for number in range(self.expected):
            self._put_job(f"own-{number}")
        self.row = self._row()

    def _row(self) -> Search:
        kind = self.chance.choice(("native", "native", "native", "creating", "cli", "external"))
        row: Json = {"attempt": self.attempt, "expected_jobs": self.expected}
        if kind == "creating":
            row |= NOT_MADE_YET
        elif kind in ("cli", "external"):
            looks = self.chance.choice((0, 1, 5))
            progress = Progress(self.chance.choice((len(self.jobs), self.chance.randint(0, 6))))
            row |= {**COMMAND, "engine": kind, "all_succeeded_looks": looks, "progress": progress}
        return search(**row)

    def _put_job(self, name: str) -> None:
        labels = {"elb-attempt": str(self.attempt), "shard": name[-1]}
        state = self.chance.choice(STATES if self.chance.random() < 0.5 else USUAL_STATES)
        if state == "absent":
            return
        conditions: list[Json] = []
        counters: Json = {}
        pods: list[Json] = []
        before = pod(name, "Failed", name=f"{name}-before", ended=(3, "Error"), created=ago(minutes=20))
        match state:
            case "pending":
                pods = self.chance.choice(([], [pod(name, "Pending", created=ago(minutes=4))]))
            case "running":
                counters, pods = {"active": 1}, [pod(name)]
            case "between":
                counters, pods = {"failed": 1}, [before]
            case "succeeded":
                conditions, counters, pods = SUCCESS_FIRST, {"succeeded": 1}, [pod(name, "Succeeded")]
            case "retried":
                conditions, counters = SUCCESS_FIRST, {"succeeded": 1, "failed": 1}
                pods = self.chance.choice(([before], [before, pod(name, "Succeeded")], []))
            case "announced":
                conditions, counters = [condition("SuccessCriteriaMet")], {"active": 1}
                pods = [pod(name, "Succeeded")]
            case "doomed":
                conditions, counters, pods = [condition("FailureTarget")], {"failed": 4}, [before]
            case "stuck":
                counters = {"active": 1}
                waiting = ("ImagePullBackOff", "no such tag")
                pods = [pod(name, "Pending", created=ago(minutes=self.chance.choice((1, 9, 11, 600))), waiting=waiting)]
                self.given_up |= pods[0]["metadata"]["creationTimestamp"] < ago(minutes=10)
            case "failed":
                conditions, counters = FAILURE_FIRST, {"failed": 4}
                pods = self.chance.choice(([], [pod(name, "Failed", ended=(self.chance.choice((1, 2, 3, 137)), "x"))]))
        self.complete += state in ("succeeded", "retried")
        self.failed += state == "failed"
        self.chance.shuffle(conditions := list(conditions))
        self.jobs.append(job(name, *conditions, labels=labels, **counters))
        self.pods += pods

    def noise(self) -> tuple[list[Json], list[Json]]:
        """Jobs and pods of helpers, of other searches and of this search's other attempts, in every state."""
        jobs, pods = [], []
        for number in range(self.chance.randint(1, 8)):
            name = f"noise-{number}"
            whose = self.chance.choice(("helper", "other", "nobody", "attempt"))
            fields: Json = {"job_id": {"other": OTHER_ID, "nobody": None}.get(whose, JOB_ID)}
            if whose == "helper":
                fields["app"] = self.chance.choice(("elb-submit", "elb-db-warmup", "db-warmup", "elsewhere", ""))
            if whose == "attempt":
                if self.row.engine != "native":
                    continue  # others do not label attempts
                fields["labels"] = {"elb-attempt": str(self.attempt + 1)}
            conditions = self.chance.choice(([], SUCCESS_FIRST, FAILURE_FIRST))
            jobs.append(job(name, *conditions, active=0 if conditions else self.chance.randint(0, 1), **fields))
            phase = self.chance.choice(("Running", "Pending", "Succeeded", "Failed"))
            env = {"other": OTHER_ID, "nobody": ""}.get(whose, JOB_ID)
            pods.append(pod(name, phase, env_id=env, app=fields.get("app", "blast"), created=ago(hours=5)))
        return jobs, pods

    def seen(self, *, marker: bool = False) -> Observation:
        return observe(read_snapshot(self.jobs, self.pods, NOW), self.row, success_marker=marker)


@pytest.mark.proves("T1", "T2", "T3")
def test_done_and_failed_are_never_said_without_their_reason() -> None:
    said = dict.fromkeys(Outcome, 0)
    for seed in range(MADE_UP):
        made = MadeUp(seed)
        marker = made.chance.random() < 0.5
        seen = made.seen(marker=marker)
        said[seen.outcome] += 1
        context = (seed, seen)
        if seen.outcome is Outcome.DONE:
            assert (made.complete, made.failed) == (len(made.jobs), 0), context
            if made.row.expected_jobs is not None:
                assert made.complete == made.row.expected_jobs, context
            else:
                assert marker, context
                assert made.row.progress.total == made.complete, context
        if seen.outcome is Outcome.FAILED:
            assert made.failed or made.given_up, context
            assert seen.failure is not None, context
            assert seen.failure.code and seen.failure.message and seen.failure.hint, context  # noqa: PT018
        else:
            assert not made.failed, context
            assert seen.failure is None, context
        if made.row.jobs_created_at is None and not made.failed and not made.given_up:
            assert seen.outcome is Outcome.CREATING, context
        progress = seen.progress
        parts = (progress.pending, progress.running, progress.succeeded, progress.failed)
        assert (min(parts) >= 0, sum(parts)) == (True, progress.total), context
        assert (progress.succeeded, progress.failed) == (made.complete, made.failed), context
    assert all(count > MADE_UP / 100 for count in said.values()), said


@pytest.mark.proves("T1")
def test_what_is_not_the_search_s_own_changes_nothing() -> None:
    for seed in range(MADE_UP):
        made = MadeUp(seed)
        jobs, pods = made.noise()
        all_jobs, all_pods = made.jobs + jobs, made.pods + pods
        made.chance.shuffle(all_jobs)
        made.chance.shuffle(all_pods)
        alone = made.seen(marker=True)
        crowded = observe(read_snapshot(all_jobs, all_pods, NOW), made.row, success_marker=True)
        # Of several that failed or are stuck at once, which one is told may depend on the order of the list.
        assert replace(crowded, failure=None, waiting_reason=None) == replace(
            alone, failure=None, waiting_reason=None
        ), seed
        assert (crowded.failure is None) == (alone.failure is None), seed


@pytest.mark.proves("T1", "T2", "T3")
def test_a_whole_life_ends_once_and_only_when_all_is_over() -> None:
    """Jobs advance at random from look to look; what was said before is in the row, as the store keeps it."""
    steps = ("absent", "pending", "running", "retrying", "announced", "succeeded")
    for seed in range(200):
        chance = random.Random(seed)  # noqa: S311
        expected = chance.randint(1, 5)
        command = chance.random() < 0.4
        row = search(**(COMMAND if command else {"expected_jobs": expected}))
        at = [chance.choice((0, 1, 1)) if command else 1 for _ in range(expected)]
        said: list[Outcome] = []
        while not said or said[-1] is not Outcome.DONE:
            finished = all(state == len(steps) - 1 for state in at)
            jobs, pods = _living([steps[state] for state in at])
            seen = observe(read_snapshot(jobs, pods, NOW), row, success_marker=finished)
            said.append(seen.outcome)
            assert seen.outcome is not Outcome.FAILED, (seed, at)
            if seen.outcome is Outcome.DONE:
                assert finished, (seed, at)
            row = replace(row, progress=seen.progress, all_succeeded_looks=seen.all_succeeded_looks)
            at = [min(state + chance.choice((0, 0, 1, 2)), len(steps) - 1) for state in at]
            assert len(said) < 200, (seed, at)
        assert said.count(Outcome.DONE) == 1


def _living(states: list[str]) -> tuple[list[Json], list[Json]]:
    jobs, pods = [], []
    for number, state in enumerate(states):
        name = f"own-{number}"
        match state:
            case "pending":
                jobs.append(job(name, active=1))
                pods.append(pod(name, "Pending"))
            case "running":
                jobs.append(job(name, active=1))
                pods.append(pod(name))
            case "retrying":
                jobs.append(job(name, failed=1))
                pods.append(pod(name, "Failed", ended=(3, "Error")))
            case "announced":
                jobs.append(job(name, condition("SuccessCriteriaMet"), succeeded=1, failed=1))
                pods.append(pod(name, "Succeeded", ended=(0, "Completed")))
            case "succeeded":
                jobs.append(job(name, *SUCCESS_FIRST, succeeded=1, failed=1))
    return jobs, pods
