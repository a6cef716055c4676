"""How warm a database is: phases, percent, remaining time and state, from Jobs, pods and logs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.domain.warmth import LABELS, ShardPhase, Warmth, WarmupStatus, parse_log, warmup_status
from tests.unit.domain.objects import COMPLETE, FAILED, Json, ago, condition, job, pod, snapshot

NODES = frozenset({"n0", "n1", "n2"})


def line(phase: str, done: object = 0, total: object = 0, **fields: object) -> str:
    return "ELB_PHASE " + json.dumps({"phase": phase, "done": done, "total": total, **fields}) + "\n"


def shard(index: int, *conditions: Json, layout: int = 2, version: str = "v1", **fields: Any) -> Json:
    return job(
        f"warm-db-{index:02d}",
        *conditions,
        app="elb-db-warmup",
        job_id=None,
        labels={"db": "db", "shard": f"{index:02d}"},
        annotations={"elb-control/source-version": version, "elb-control/layout": str(layout)},
        **{"node": f"n{index % 3}", "started": ago(seconds=100), **fields},
    )


def running(index: int, **fields: Any) -> Json:
    return shard(index, active=1, **fields)


def warm(index: int, **fields: Any) -> Json:
    return shard(index, COMPLETE, succeeded=1, **{"completed": ago(seconds=10), **fields})


def pod_of(index: int, phase: str = "Running", **fields: Any) -> Json:
    return pod(f"warm-db-{index:02d}", phase, **{"node": f"n{index % 3}", "app": "elb-db-warmup", **fields})


def status(
    jobs: list[Json],
    pods: list[Json] | None = None,
    logs: dict[int, str] | None = None,
    nodes: frozenset[str] = NODES,
    version: str | None = None,
) -> WarmupStatus:
    named = {f"warm-db-{index:02d}-pod": text for index, text in (logs or {}).items()}
    return warmup_status("db", snapshot(jobs, pods), named, nodes, version)


def one(log: str, phase: str = "Running", **fields: Any) -> WarmupStatus:
    return status([running(0, layout=1, **fields)], [pod_of(0, phase)], {0: log})


class TestPhases:
    @pytest.mark.parametrize(
        ("log", "phase", "percent", "label"),
        [
            ("", "starting", 0, "Starting warmup"),
            ("bash: something\n", "starting", 0, "Starting warmup"),
            (line("starting", 0, 100), "starting", 0, "Starting warmup"),
            (line("copying_files", 0, 100), "copying_files", 0, "Copying files to node disk"),
            (line("copying_files", 50, 100), "copying_files", 35, "Copying files to node disk"),
            (line("copying_files", 100, 100), "copying_files", 70, "Copying files to node disk"),
            (line("copying_files", 120, 100), "copying_files", 70, "Copying files to node disk"),
            (line("verifying_db"), "verifying_db", 75, "Verifying local BLAST DB"),
            (line("touching_memory", 0, 100), "touching_memory", 80, "Touching files into RAM"),
            (line("touching_memory", 50, 100), "touching_memory", 90, "Touching files into RAM"),
            (line("touching_memory", 100, 100), "touching_memory", 100, "Touching files into RAM"),
        ],
    )
    def test_of_a_running_pod(self, log: str, phase: str, percent: float, label: str) -> None:
        found = one(log)
        assert (found.state, found.active_phase, found.progress_pct) == (Warmth.LOADING, phase, percent)
        assert LABELS[found.active_phase] == label

    def test_a_pod_that_waits(self) -> None:
        found = one(line("copying_files", 50, 100), "Pending")
        assert (found.active_phase, found.progress_pct) == (ShardPhase.WAITING, 0)
        assert LABELS[ShardPhase.WAITING] == "Waiting for container"

    def test_a_job_without_a_pod_waits(self) -> None:
        assert status([running(0, layout=1)]).active_phase is ShardPhase.WAITING

    def test_a_job_that_succeeded(self) -> None:
        found = status([warm(0, layout=1)])
        assert (found.state, found.active_phase, found.progress_pct) == (Warmth.READY, ShardPhase.COMPLETED, 100)
        assert LABELS[ShardPhase.COMPLETED] == "Warm on node"

    def test_what_the_pod_says_of_its_end_counts_when_the_job_says_it(self) -> None:
        found = one(line("completed", 100, 100))
        assert found.state is Warmth.LOADING
        assert found.progress_pct < 100

    @pytest.mark.parametrize(
        ("log", "percent"),
        [
            (line("copying_files", 50, 100), 35),
            (line("failed", 50, 100, during="copying_files", message="download_failed: x"), 35),
            (line("failed", 0, 0, during="verifying_db"), 75),
            (line("failed", 50, 100, during="touching_memory"), 90),
            (line("failed", 0, 100, during="starting"), 0),
            (line("failed", 0, 0), 0),
            (line("failed", 1, 2, during="failed"), 0),
            (line("failed", 1, 2, during=["copying_files"]), 0),
            ("", 0),
        ],
    )
    def test_a_failed_shard_has_what_it_had(self, log: str, percent: float) -> None:
        found = status([shard(0, FAILED, layout=1, failed=2)], [pod_of(0, "Failed")], {0: log})
        assert (found.state, found.active_phase, found.progress_pct) == (Warmth.FAILED, ShardPhase.FAILED, percent)
        assert LABELS[ShardPhase.FAILED] == "Failed"

    @pytest.mark.parametrize("phases", [("copying_files", "verifying_db"), ("copying_files", "touching_memory")])
    def test_a_later_phase_is_never_below_an_earlier_one(self, phases: tuple[str, str]) -> None:
        before, after = (one(line(phase, done, 10)).progress_pct for phase, done in zip(phases, (10, 0), strict=True))
        assert after > before


class TestLog:
    def test_the_last_marker_wins(self) -> None:
        log = (
            line("copying_files", 0, 10, message="try 1")
            + line("failed", 0, 10, message="storage_denied: the role is missing")
            + line("copying_files", 5, 10)
        )
        found = one(log)
        assert (found.state, found.active_phase, found.progress_pct) == (Warmth.LOADING, ShardPhase.COPYING_FILES, 35)

    def test_an_authorization_error_and_then_a_success_is_a_success(self) -> None:
        log = line("failed", message="storage_denied") + line("completed", 10, 10)
        found = status([warm(0, layout=1, failed=1)], [pod_of(0, "Succeeded")], {0: log})
        assert (found.state, found.progress_pct) == (Warmth.READY, 100)

    @pytest.mark.parametrize(
        "broken",
        [
            'ELB_PHASE {"phase":"verify',
            "ELB_PHASE ",
            "ELB_PHASE []",
            "ELB_PHASE null",
            'ELB_PHASE {"done":1}',
            'ELB_PHASE {"phase":["copying_files"]}',
            'HASE {"phase":"verifying_db"}',
            ' ELB_PHASE {"phase":"verifying_db"}',
        ],
    )
    def test_a_marker_that_is_cut_is_none(self, broken: str) -> None:
        assert one(line("copying_files", 5, 10) + broken).progress_pct == 35

    @pytest.mark.parametrize(
        ("done", "total"), [("x", 10), (None, 10), (5, "y"), (5, 0), (5, -1), (-5, 10), (float("nan"), 10), ([], {})]
    )
    def test_counts_that_are_none(self, done: object, total: object) -> None:
        assert one(line("copying_files", done, total)).progress_pct == 0

    def test_a_phase_of_another_version_is_no_phase(self) -> None:
        assert one(line("dreaming", 1, 2)).active_phase is ShardPhase.STARTING

    def test_the_last_line_for_people(self) -> None:
        assert parse_log("one\n\n  two  \n" + line("verifying_db"))[1] == "two"
        assert parse_log("x" * 10_000)[1] == "x" * 500
        assert parse_log("") == (None, "")


class TestProgress:
    def test_one_of_two_done_is_half(self) -> None:
        found = status([warm(0), running(1)], [pod_of(1, "Pending")])
        assert (found.progress_pct, found.state) == (50, Warmth.LOADING)

    def test_jobs_that_are_not_made_yet_count(self) -> None:
        found = status([warm(0, layout=10)])
        assert (found.progress_pct, found.total_jobs, found.active_phase) == (10, 10, ShardPhase.WAITING)
        assert found.state is Warmth.LOADING

    def test_the_first_active_phase_of_the_table(self) -> None:
        logs = {0: line("touching_memory", 1, 10), 1: line("verifying_db"), 2: line("copying_files", 1, 10)}
        jobs = [running(index, layout=3) for index in range(3)]
        pods = [pod_of(index) for index in range(3)]
        assert status(jobs, pods, logs).active_phase is ShardPhase.TOUCHING_MEMORY
        assert status(jobs, pods, {**logs, 0: ""}).active_phase is ShardPhase.VERIFYING_DB
        assert status(jobs, pods, {2: logs[2]}).active_phase is ShardPhase.COPYING_FILES
        assert status(jobs, pods[:1], {}).active_phase is ShardPhase.STARTING
        assert status([*jobs[:2], shard(2, FAILED, layout=3)], pods, logs).active_phase is ShardPhase.FAILED

    def test_pods_being_deleted_and_older_ones_are_ignored(self) -> None:
        pods = [
            pod_of(0, "Failed", name="old", created=ago(minutes=9)),
            pod_of(0, name="warm-db-00-pod", created=ago(minutes=2)),
            pod_of(0, name="going", created=ago(minutes=1), deleting=True),
        ]
        logs = {"old": line("failed"), "warm-db-00-pod": line("copying_files", 1, 2), "going": line("completed")}
        found = warmup_status("db", snapshot([running(0, layout=1)], pods), logs, NODES)
        assert (found.progress_pct, found.shards[0].pod) == (35, "warm-db-00-pod")

    def test_jobs_being_deleted_are_ignored(self) -> None:
        assert status([warm(0, layout=1, deleting=True)]).state is Warmth.COLD


class TestRemainingTime:
    def test_agrees_with_the_percent(self) -> None:
        jobs = [warm(0, layout=10), *(running(index, layout=10) for index in range(1, 10))]
        found = status(jobs, [pod_of(index, "Pending") for index in range(1, 10)])
        assert found.progress_pct == 10
        assert found.elapsed_seconds == 100
        assert found.estimated_remaining_seconds == 900

    def test_half_way_it_takes_as_long_again(self) -> None:
        found = status([warm(0), running(1)], [pod_of(1, "Pending")])
        assert found.estimated_remaining_seconds == found.elapsed_seconds == 100

    @pytest.mark.parametrize(
        "found",
        [
            one(""),
            one(line("copying_files", 0, 10)),
            one(line("copying_files", 5, 10), started=None),
            status([warm(0, layout=1)]),
            status([shard(0, FAILED), warm(1)]),
            status([]),
        ],
    )
    def test_absent_without_a_rate_and_after_the_end(self, found: WarmupStatus) -> None:
        assert found.estimated_remaining_seconds is None

    def test_elapsed_is_from_the_first_start_to_the_last_end(self) -> None:
        jobs = [
            warm(0, started=ago(seconds=300), completed=ago(seconds=200)),
            warm(1, started=ago(seconds=250), completed=ago(seconds=50)),
        ]
        assert status(jobs).elapsed_seconds == 250


class TestState:
    def test_cold(self) -> None:
        found = status([])
        assert (found.state, found.progress_pct, found.elapsed_seconds) == (Warmth.COLD, 0, None)

    def test_ready(self) -> None:
        assert status([warm(0), warm(1)], version="v1").state is Warmth.READY
        assert status([warm(0, failed=1), warm(1)]).state is Warmth.READY

    def test_a_retried_pod_is_still_loading(self) -> None:
        found = status([running(0, layout=1, failed=1)], [pod_of(0, "Failed")], {0: line("failed", 1, 2)})
        assert found.state is Warmth.LOADING
        assert status([shard(0, layout=1, failed=1)], [pod_of(0, "Failed")]).state is Warmth.LOADING

    @pytest.mark.parametrize("kind", ["FailureTarget", "SuccessCriteriaMet"])
    def test_an_announced_end_is_none(self, kind: str) -> None:
        assert status([shard(0, condition(kind), layout=1)]).state is Warmth.LOADING

    def test_one_failed_job_fails_the_warmup(self) -> None:
        assert status([warm(0), shard(1, FAILED)]).state is Warmth.FAILED

    @pytest.mark.proves("W9")
    @pytest.mark.parametrize(
        ("jobs", "nodes", "version", "reason"),
        [
            ([warm(0), warm(1, version="v2")], NODES, None, "shards of 2 source versions: v1, v2"),
            ([warm(0), running(1, version="v2")], NODES, "v2", "shards of 2 source versions: v1, v2"),
            ([warm(0), warm(1)], NODES, "v2", "warm for source version v1, storage has v2"),
            ([warm(0), warm(1)], frozenset({"n0"}), "v1", "node n1 is gone or not ready"),
            ([warm(0), warm(1)], frozenset(), None, "node n0, n1 is gone or not ready"),
            ([warm(0), running(1)], frozenset({"n0"}), "v1", "node n1 is gone or not ready"),
        ],
    )
    def test_stale(self, jobs: list[Json], nodes: frozenset[str], version: str | None, reason: str) -> None:
        found = status(jobs, nodes=nodes, version=version)
        assert (found.state, found.stale_reason) == (Warmth.STALE, reason)

    def test_shards_of_a_layout_that_was_replaced_do_not_count(self) -> None:
        old = [warm(index, layout=4, created=ago(hours=9)) for index in range(4)]
        new = [warm(index, layout=2, created=ago(minutes=2)) for index in range(2)]
        found = status([*new, *old[2:]])
        assert (found.state, found.layout, found.total_jobs, len(found.shards)) == (Warmth.READY, 2, 2, 2)

    def test_a_larger_layout_on_its_way_is_loading(self) -> None:
        old = [warm(index, layout=2, created=ago(hours=9)) for index in range(2)]
        found = status([running(0, layout=4, created=ago(minutes=1)), old[1]])
        assert (found.state, found.layout, found.total_jobs) == (Warmth.LOADING, 4, 4)


def test_as_the_api_shows_it() -> None:
    jobs = [warm(0, layout=3), running(1, layout=3), shard(2, FAILED, layout=3)]
    pods = [pod_of(0, "Succeeded"), pod_of(1), pod_of(2, "Failed")]
    logs = {
        1: "hello\n" + line("copying_files", 5, 10),
        2: line("failed", message="bad_database: x", during="verifying_db"),
    }
    shown = status(jobs, pods, {**logs, 2: logs[2] + "last words\n"}).to_dict()
    assert {key: shown[key] for key in shown if key != "pod_statuses"} == {
        "database": "db",
        "status": "failed",
        "progress_pct": 70.0,
        "started_at": ago(seconds=100),
        "elapsed_seconds": 100.0,
        "estimated_remaining_seconds": None,
        "active_phase": "failed",
        "active_phase_label": "Failed",
        "active_message": "bad_database: x",
        "active_last_log": "last words",
        "phase_counts": {
            "failed": 1, "touching_memory": 0, "verifying_db": 0, "copying_files": 1, "starting": 0, "waiting": 0,
            "completed": 1,
        },
        "nodes_ready": 1,
        "nodes_active": 1,
        "nodes_failed": 1,
        "total_jobs": 3,
        "shards": 3,
        "source_version": "v1",
        "stale_reason": None,
        "observed_at": "2026-03-04T12:00:00.000Z",
        "stale": False,
    }  # fmt: skip
    assert shown["pod_statuses"][1] == {
        "shard": 1,
        "phase": "copying_files",
        "phase_label": "Copying files to node disk",
        "progress_pct": 35.0,
        "node": "n1",
        "pod": "warm-db-01-pod",
        "message": "",
        "last_log": "hello",
    }
    json.dumps(shown)


def test_why_a_shard_waits() -> None:
    waiting = pod_of(0, "Pending", waiting=("ImagePullBackOff", "no such tag"))
    shown = status([running(0, layout=1)], [waiting]).to_dict()
    assert shown["active_message"] == "ImagePullBackOff: no such tag"
