"""The control endpoint tells when Jobs and pods began and ended, finer than their status does."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx

from local.cluster.harness import RunningCluster
from tests.cluster.support import Raw, eventually, job


def _times(cluster: RunningCluster, selector: str) -> dict[str, dict[str, Any]]:
    answer = httpx.get(f"{cluster.control_url}/times", params={"label_selector": selector})
    times: dict[str, dict[str, Any]] = answer.raise_for_status().json()
    return times


def _ended(cluster: RunningCluster, name: str, selector: str) -> dict[str, Any]:
    def found() -> dict[str, Any]:
        entry: dict[str, Any] = _times(cluster, selector)["jobs"].get(name, {})
        return entry if "ended" in entry else {}

    return eventually(found, f"the end of {name}")


def test_a_job_and_its_pod_have_exact_times(raw: Raw, cluster: RunningCluster) -> None:
    raw.create(_labelled("timed", "sleep 0.3"))
    end = _ended(cluster, "timed", "app=blast,of=timed")
    (pod,) = _times(cluster, "of=timed")["pods"].values()
    created, started, ended = (datetime.fromisoformat(pod[name]) for name in ("created", "started", "ended"))
    assert pod["job"] == "timed"
    assert 0.2 < (ended - started).total_seconds() < 5  # "started" is written a moment after the process was
    assert datetime.fromisoformat(end["created"]) <= created <= started
    assert 0 <= (datetime.fromisoformat(end["ended"]) - ended).total_seconds() < 1
    assert len({moment.microsecond for moment in (created, started, ended)}) > 1


def test_a_failed_job_has_an_end_and_one_that_runs_has_none(raw: Raw, cluster: RunningCluster) -> None:
    raw.create(_labelled("fails", "exit 1"))
    raw.create(_labelled("runs", "sleep 60"))
    assert "ended" in _ended(cluster, "fails", "of=fails")
    eventually(lambda: any("started" in pod for pod in _times(cluster, "of=runs")["pods"].values()), "a running pod")
    times = _times(cluster, "of=runs")
    assert list(times["jobs"]) == ["runs"]
    assert all("ended" not in entry for entry in (*times["jobs"].values(), *times["pods"].values()))


def _labelled(name: str, script: str) -> dict[str, Any]:
    made = job(name, script, backoffLimit=0)
    labels = {"app": "blast", "of": name}
    made["metadata"]["labels"] = labels
    made["spec"]["template"]["metadata"]["labels"] = labels
    return made
