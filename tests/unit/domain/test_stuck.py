"""A pod that cannot begin is waited for, then named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain.snapshot import JobView, PodView, read_job, read_pod, read_snapshot
from shared.domain.stuck import IMAGE_PATIENCE, PLACE_PATIENCE, quiet_since
from shared.domain.stuck import stuck_failure as stuck_failure_since

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
JOB = read_job({"metadata": {"name": "j"}, "status": {"active": 1}})


def pod(
    age: timedelta,
    waiting: str = "",
    *,
    unschedulable: bool = False,
    phase: str = "Pending",
    message: str = "0/4 nodes",
) -> Any:
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]
    return read_pod(
        {
            "metadata": {"name": "p", "creationTimestamp": (NOW - age).isoformat()},
            "status": {
                "phase": phase,
                "conditions": conditions if unschedulable else [],
                "containerStatuses": [{"name": "blast", "state": {"waiting": {"reason": waiting}}}] if waiting else [],
            },
        }
    )


SECOND = timedelta(seconds=1)
LONG_AGO = NOW - timedelta(days=1)


def stuck_failure(job: JobView, pods: list[PodView], now: datetime, quiet: datetime | None = LONG_AGO) -> Any:
    """On a cluster where nothing has run for a day, unless told otherwise."""
    return stuck_failure_since(job, pods, now, quiet)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.", "node_lost"),
        (
            "0/4 nodes are available: 1 Insufficient memory, 3 node(s) didn't match Pod's node affinity/selector.",
            "cannot_be_scheduled",
        ),
        ("0/4 nodes are available: 4 Insufficient cpu.", "cannot_be_scheduled"),
    ],
)
def test_a_vanished_node_is_told_from_a_full_one(message: str, code: str) -> None:
    failure = stuck_failure(JOB, [pod(timedelta(hours=1), unschedulable=True, message=message)], NOW)
    assert failure.code == code
    assert message in failure.message


def test_a_pod_that_waits_for_its_turn_is_not_stuck() -> None:
    waiting = [pod(timedelta(hours=5), unschedulable=True)]
    assert stuck_failure(JOB, waiting, NOW, None) is None
    assert stuck_failure(JOB, waiting, NOW, NOW - PLACE_PATIENCE) is None
    assert stuck_failure(JOB, waiting, NOW, NOW - PLACE_PATIENCE - SECOND) is not None


def test_a_cluster_is_quiet_since_the_last_end_and_not_while_anything_runs() -> None:
    ended = {
        "metadata": {"name": "e"},
        "status": {
            "completionTime": (NOW - SECOND).isoformat(),
            "conditions": [{"type": "Complete", "status": "True"}],
        },
    }
    running = {"metadata": {"name": "r"}, "status": {"phase": "Running"}}
    assert quiet_since(read_snapshot([ended], [], NOW)) == NOW - SECOND
    assert quiet_since(read_snapshot([ended], [running], NOW)) is None
    assert quiet_since(read_snapshot([], [], NOW)) is not None


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "ErrImagePull", "InvalidImageName"])
def test_an_image_is_waited_for_ten_minutes(reason: str) -> None:
    assert stuck_failure(JOB, [pod(IMAGE_PATIENCE, reason)], NOW) is None
    failure = stuck_failure(JOB, [pod(IMAGE_PATIENCE + SECOND, reason)], NOW)
    assert failure is not None
    assert (failure.code, failure.job, failure.pod) == ("image_pull_failed", "j", "p")
    assert reason in failure.message


def test_a_place_is_waited_for_half_an_hour() -> None:
    assert stuck_failure(JOB, [pod(PLACE_PATIENCE, unschedulable=True)], NOW) is None
    failure = stuck_failure(JOB, [pod(PLACE_PATIENCE + SECOND, unschedulable=True)], NOW)
    assert failure is not None
    assert failure.code == "cannot_be_scheduled"
    assert "0/4 nodes" in failure.message


def test_a_pod_that_runs_or_only_starts_slowly_is_left_alone() -> None:
    long = timedelta(hours=5)
    assert stuck_failure(JOB, [pod(long, phase="Running")], NOW) is None
    assert stuck_failure(JOB, [pod(long, "ContainerCreating")], NOW) is None
    assert stuck_failure(JOB, [], NOW) is None


def test_a_job_that_has_ended_is_not_stuck() -> None:
    done = read_job({"metadata": {"name": "j"}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}})
    assert stuck_failure(done, [pod(timedelta(hours=5), "ImagePullBackOff")], NOW) is None
