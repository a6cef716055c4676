"""How warm a database is: phases, percent, remaining time and state, from Jobs, pods and logs."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.residency import DatabaseResidency, NodeResidency, Residency, ShardResidency
from shared.domain.shard_phases import LABELS, ShardPhase, parse_log
from shared.domain.warmth import Warmth, WarmupStatus, warmup_status
from tests.unit.domain.objects import COMPLETE, FAILED, NOW, Json, ago, condition, job, pod, snapshot

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
    residency: Residency | None = None,
) -> WarmupStatus:
    named = {f"warm-db-{index:02d}-pod": text for index, text in (logs or {}).items()}
    return warmup_status("db", snapshot(jobs, pods), named, nodes, version, residency)


def one(log: str, phase: str = "Running", **fields: Any) -> WarmupStatus:
    return status([running(0, layout=1, **fields)], [pod_of(0, phase)], {0: log})


@pytest.mark.proves("W3")
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


@pytest.mark.proves("W3")
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


@pytest.mark.proves("W3")
class TestProgress:
    def test_one_of_two_done_is_half(self) -> None:
        found = status([warm(0), running(1)], [pod_of(1, "Pending")])
        assert (found.progress_pct, found.state) == (50, Warmth.LOADING)

    def test_jobs_that_are_not_made_yet_count(self) -> None:
        found = status([warm(0, layout=10), running(1, layout=10)])
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


@pytest.mark.proves("W3")
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
            ([warm(1)], NODES, "v1", "Jobs of shards 0 are missing"),
            ([warm(1, layout=4), warm(2, layout=4)], NODES, None, "Jobs of shards 0, 3 are missing"),
        ],
    )
    def test_stale(self, jobs: list[Json], nodes: frozenset[str], version: str | None, reason: str) -> None:
        found = status(jobs, nodes=nodes, version=version)
        assert (found.state, found.stale_reason) == (Warmth.STALE, reason)

    def test_with_a_job_missing_it_loads_as_long_as_another_one_is_at_work(self) -> None:
        assert status([warm(0, layout=3), running(1, layout=3)]).state is Warmth.LOADING
        assert status([warm(0, layout=3), shard(1, FAILED, layout=3)]).state is Warmth.FAILED

    def test_shards_of_a_layout_that_was_replaced_do_not_count(self) -> None:
        old = [warm(index, layout=4, created=ago(hours=9)) for index in range(4)]
        new = [warm(index, layout=2, created=ago(minutes=2)) for index in range(2)]
        found = status([*new, *old[2:]])
        assert (found.state, found.layout, found.total_jobs, len(found.shards)) == (Warmth.READY, 2, 2, 2)

    def test_a_larger_layout_on_its_way_is_loading(self) -> None:
        old = [warm(index, layout=2, created=ago(hours=9)) for index in range(2)]
        found = status([running(0, layout=4, created=ago(minutes=1)), old[1]])
        assert (found.state, found.layout, found.total_jobs) == (Warmth.LOADING, 4, 4)


@pytest.mark.proves("W3")
class TestCases:
    """What was once shown wrongly, case by case."""

    def test_ten_shards_one_done_and_the_rest_nearly(self) -> None:
        """The remaining time comes from the percent, not from the count of finished shards: that would say 900 s."""
        nearly = line("touching_memory", 75, 100)
        jobs = [warm(0, layout=10), *(running(index, layout=10) for index in range(1, 10))]
        pods = [pod_of(index) for index in range(1, 10)]
        found = status(jobs, pods, dict.fromkeys(range(1, 10), nearly))
        assert (found.progress_pct, found.elapsed_seconds) == (95.5, 100)
        assert found.estimated_remaining_seconds == pytest.approx(100 * 4.5 / 95.5, abs=0.1)

    @pytest.mark.parametrize("version", [None, "v1", "v2"])
    @pytest.mark.parametrize("phase", ["Pending", "Running", "Succeeded", "Failed"])
    def test_two_source_versions_stay_stale_with_pods(self, phase: str, version: str | None) -> None:
        jobs = [warm(0), warm(1, version="v2")]
        pods = [pod_of(0, phase), pod_of(1, phase)]
        assert status(jobs, pods, {0: line("completed", 1, 1)}, version=version).state is Warmth.STALE

    def test_pods_gone_and_jobs_failed_is_failed(self) -> None:
        found = status([shard(0, FAILED, failed=2), shard(1, FAILED, failed=2)])
        assert (found.state, found.active_phase) == (Warmth.FAILED, ShardPhase.FAILED)
        assert found.to_dict()["active_message"] == "Job has reached the specified backoff limit"

    def test_pods_gone_and_jobs_succeeded_is_ready(self) -> None:
        assert status([warm(0), warm(1)], []).state is Warmth.READY

    def test_only_a_pod_that_is_being_deleted(self) -> None:
        leaving = pod_of(0, deleting=True)
        found = status([running(0, layout=1)], [leaving], {0: line("touching_memory", 5, 10)})
        assert (found.active_phase, found.progress_pct) == (ShardPhase.WAITING, 0)

    def test_twenty_shards_all_of_them_read(self) -> None:
        jobs = [running(index, layout=20) for index in range(20)]
        pods = [pod_of(index) for index in range(20)]
        logs = dict.fromkeys(range(19), line("touching_memory", 50, 100)) | {19: line("copying_files", 0, 100)}
        found = status(jobs, pods, logs)
        assert found.progress_pct == round(19 * 90 / 20, 1)
        assert found.to_dict()["phase_counts"]["copying_files"] == 1

    def test_verifying_and_touching_are_never_below_copying(self) -> None:
        """Whatever their markers count: the last look at one phase, the first at the next."""
        steps = [("starting", 0), ("copying_files", 0), ("copying_files", 10), ("verifying_db", 0)]
        steps += [("touching_memory", 0), ("touching_memory", 10)]
        seen = [one(line(phase, done, 10 if phase != "verifying_db" else 0)).progress_pct for phase, done in steps]
        assert seen == sorted(seen) == [0, 0, 70, 75, 80, 100]

    def test_elapsed_stops_with_the_last_job_also_when_it_failed(self) -> None:
        jobs = [shard(0, FAILED, completed=ago(seconds=60)), warm(1, completed=ago(seconds=40))]
        assert status(jobs).elapsed_seconds == 60
        assert status([*jobs, running(2, layout=3)]).elapsed_seconds == 100


def measured(*resident: int | None, seconds_ago: float = 1, missing: int = 0, version: str = "v1") -> Residency:
    """Shards of 1000 bytes, number n on node n, of which so many bytes are in memory."""
    at = NOW - timedelta(seconds=seconds_ago)
    return Residency(
        {
            f"n{index}": NodeResidency(
                at,
                {"db": DatabaseResidency(1000, n, {(2, index): ShardResidency(1000, n, missing, version, at)})},
            )
            for index, n in enumerate(resident)
        }
    )


class TestResidency:
    """Warm is what is in memory, where that is known."""

    @pytest.mark.parametrize(
        ("residency", "state", "reason"),
        [
            (measured(1000, 1000), Warmth.READY, ""),
            (measured(900, 1000), Warmth.READY, ""),
            (measured(899, 1000), Warmth.COOLED, "899 of 1000 bytes of shard 0 are in memory of n0"),
            (
                measured(0, 5),
                Warmth.COOLED,
                "0 of 1000 bytes of shard 0 are in memory of n0; 5 of 1000 bytes of shard 1 are in memory of n1",
            ),
            (measured(1000, 1000, missing=1), Warmth.COOLED, "files of shard 0 are gone from the disk of node n0"),
            (
                Residency({"n0": NodeResidency(NOW)}),
                Warmth.COOLED,
                "files of shard 0 are gone from the disk of node n0",
            ),
        ],
    )
    def test_what_was_measured(self, residency: Residency, state: Warmth, reason: str) -> None:
        found = status([warm(0), warm(1)], version="v1", residency=residency)
        assert found.state is state
        assert found.stale_reason.startswith(reason)
        assert bool(found.stale_reason) == bool(reason)

    @pytest.mark.parametrize(
        ("residency", "why"),
        [
            (None, ""),
            (Residency(), "no probe runs on node n0"),
            (
                Residency(reason="the probes could not be listed: no answer"),
                "the probes could not be listed: no answer",
            ),
            (Residency(unknown={"n0": "the probe's last line is 200 s old"}), "the probe's last line is 200 s old"),
            (measured(0, 0, seconds_ago=10), "node n0 was not measured since the shard was warmed"),
            (measured(0, 0, seconds_ago=60), "node n0 was not measured since the shard was warmed"),
            (measured(None, None), "node n0 could not be measured in time"),
            (measured(0, 0, version="v0"), "node n0 has no list of this shard's files"),
        ],
    )
    def test_what_was_not_measured_is_warm_by_its_jobs(self, residency: Residency | None, why: str) -> None:
        found = status([warm(0), warm(1)], version="v1", residency=residency)
        shown = found.to_dict()
        assert (found.state, shown["residency"], shown["residency_reason"]) == (Warmth.READY, None, why or None)

    def test_one_shard_that_is_known_to_have_cooled_is_enough(self) -> None:
        one_node = Residency({"n1": measured(0, 0).nodes["n1"]}, {"n0": "the probe is being started"})
        found = status([warm(0), warm(1)], residency=one_node)
        assert found.state is Warmth.COOLED
        assert found.unmeasured == "the probe is being started"

    def test_bytes_are_shown_per_database_and_shard(self) -> None:
        shown = status([warm(0), warm(1)], residency=measured(1000, 950)).to_dict()
        assert shown["residency"] == {
            "bytes": 2000,
            "resident_bytes": 1950,
            "shards_measured": 2,
            "measured_at": "2026-03-04T11:59:59.000Z",
        }
        assert [(p["bytes"], p["resident_bytes"]) for p in shown["pod_statuses"]] == [(1000, 1000), (1000, 950)]

    @pytest.mark.parametrize(
        ("jobs", "nodes", "state"),
        [
            ([warm(0), running(1)], NODES, Warmth.LOADING),
            ([warm(0), shard(1, FAILED)], NODES, Warmth.FAILED),
            ([warm(0), warm(1, version="v2")], NODES, Warmth.STALE),
            ([warm(0), warm(1)], frozenset({"n0"}), Warmth.STALE),
            ([], NODES, Warmth.COLD),
        ],
    )
    def test_says_nothing_of_what_is_not_warm(self, jobs: list[Json], nodes: frozenset[str], state: Warmth) -> None:
        assert status(jobs, nodes=nodes, residency=measured(0, 0)).state is state


@pytest.mark.proves("W3")
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
        "residency": None,
        "residency_reason": None,
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
        "bytes": None,
        "resident_bytes": None,
    }
    json.dumps(shown)


def test_why_a_shard_waits() -> None:
    waiting = pod_of(0, "Pending", waiting=("ImagePullBackOff", "no such tag"))
    shown = status([running(0, layout=1)], [waiting]).to_dict()
    assert shown["active_message"] == "ImagePullBackOff: no such tag"
