"""The ways to fail that the cluster's and Azure's answers decide, each played to the end that the search's row gets.

``tests/unit/domain/test_failure_sources.py`` has those that pods and logs tell; together they are all that
docs/behaviour.md names (T6).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrators.monitor import monitor_orchestrator
from orchestrators.search import search_orchestrator
from shared.domain import functions as names
from shared.domain.errors import NotFoundError, PermanentError, TransientError
from shared.domain.results import RESULTS_CONTAINER
from shared.domain.states import Phase
from tests.activities.fakes import World
from tests.activities.test_traps import DAMAGED, PIECE, Life, put_eight_jobs
from tests.activities.worlds import Json, ago, put_job, put_pod, put_raw_piece, put_search, put_warm_cluster
from tests.orchestrators.fake_context import play
from tests.orchestrators.searches import SEARCH, answers
from tests.unit.domain.test_failure_sources import SOURCES as POD_SOURCES

BEHAVIOUR = Path(__file__).parents[2] / "docs" / "behaviour.md"
SILENT = TransientError("kube_unreachable", "the cluster did not answer")


def quota_refused(world: World) -> Json:
    put_warm_cluster(world)
    search = put_search(world)
    world.cluster.fail("create", "jobs", PermanentError("quota_refused", "exceeded quota: jobs", "raise the quota"))
    return Life(world, search, check_admission={"decision": "admit", "warm": True}).error


def results_missing(world: World) -> Json:
    search = put_eight_jobs(world)
    del world.store.blobs[RESULTS_CONTAINER, PIECE]
    return Life(world, search).error


def results_invalid(world: World) -> Json:
    search = put_eight_jobs(world)
    put_raw_piece(world, search, 0, 2, DAMAGED["truncated"])
    return Life(world, search).error


def cluster_stopped(world: World) -> Json:
    search = put_eight_jobs(world)
    world.cluster.fail("list", "jobs", SILENT)
    world.arm.power = "Stopped"
    return Life(world, search).error


def cluster_deleted(world: World) -> Json:
    search = put_eight_jobs(world)
    world.cluster.fail("list", "jobs", SILENT)
    world.arm.failing = NotFoundError("cluster_not_found", "there is no cluster")
    return Life(world, search).error


def stopped_in_the_middle_of_a_submit(world: World, provisioning: str = "Succeeded", power: str = "Stopped") -> Json:
    """Before there are Jobs, it is a step that finds the cluster silent."""
    put_warm_cluster(world)
    world.cluster.fail("create", "jobs", SILENT)
    world.arm.provisioning, world.arm.power = provisioning, power
    return Life(world, put_search(world), check_admission={"decision": "admit", "warm": True}).error


def a_job_failed(world: World) -> Json:
    search = put_eight_jobs(world)
    pod = put_pod(world, put_job(world, search, 3, "failed"), "Failed", exit_code=2)
    world.cluster.logs[pod["metadata"]["name"]] = "BLAST Database error: No alias or index file found"
    return Life(world, search).error


def waited_too_long(world: World) -> Json:
    waiting = {"decision": "wait", "phase": "waiting_for_cluster", "reason": "cluster c is stopped", "seconds": 60}
    return Life(world, put_search(world), check_admission=waiting).error


def ran_too_long(world: World) -> Json:
    request = {**SEARCH, "created_at": ago(0).isoformat(), "deadline_seconds": 60}
    played = play(monitor_orchestrator, request, {names.OBSERVE_CLUSTER: {"state": "active"}}, now=ago(-61))
    search = put_eight_jobs(world)
    return Life(world, search, monitor_orchestrator=played.result).error


def lost(world: World) -> Json:
    return Life(world, put_eight_jobs(world), monitor_orchestrator={"state": "missing"}).error


SOURCES: dict[str, tuple[str, Callable[[World], Json]]] = {
    "results missing": ("results_lost", results_missing),
    "results invalid": ("results_invalid", results_invalid),
    "quota refused": ("quota_refused", quota_refused),
    "wait timeout": ("wait_timeout", waited_too_long),
    "search timeout": ("search_timeout", ran_too_long),
    "cluster stopped meanwhile": ("cluster_stopped", cluster_stopped),
    "cluster stopped meanwhile, during the submit": ("cluster_stopped", stopped_in_the_middle_of_a_submit),
    "cluster deleted meanwhile": ("cluster_deleted", cluster_deleted),
    "lost": ("lost", lost),
    "a Job failed": ("bad_database", a_job_failed),
}


@pytest.mark.proves("T6")
@pytest.mark.parametrize("source", SOURCES)
def test_the_row_has_the_code_what_happened_and_what_to_do(world: World, source: str) -> None:
    code, end = SOURCES[source]
    error = end(world)
    assert error["code"] == code
    assert error["message"]
    assert error["hint"]
    (row,) = world.searches.rows.values()
    assert row.phase is Phase.FAILED
    assert row.completed_at is not None


@pytest.mark.proves("T6")
def test_a_failed_job_comes_with_its_exit_code_and_its_last_lines(world: World) -> None:
    error = a_job_failed(world)
    assert error["job"] in world.cluster.names("jobs")
    assert (error["exit_code"], error["log_tail"]) == (2, "BLAST Database error: No alias or index file found")


@pytest.mark.proves("T6")
def test_no_source_that_is_promised_has_been_forgotten() -> None:
    """The row of docs/behaviour.md is the list; each of its sources begins the name of a case in one of the tables."""
    text = BEHAVIOUR.read_text()
    (row,) = re.findall(r"^\| T6 \|.*Sources, each with a code of its own: (.*)\. \|$", text, re.MULTILINE)
    promised = [re.sub(r" \(.*\)", "", source) for source in re.split(r", (?![^(]*\))", row)]
    promised = [each for source in promised for each in _each(source)]
    assert len(promised) > 20
    tested = [*POD_SOURCES, *SOURCES]
    assert [source for source in promised if not any(case.startswith(source) for case in tested)] == []


def _each(source: str) -> list[str]:
    """``submit/wait/search timeout`` are three."""
    first, _, rest = source.partition(" ")
    return [f"{word} {rest}".rstrip() for word in first.split("/")]


@pytest.mark.parametrize(
    ("provisioning", "power", "code"),
    [
        ("Stopping", "Running", "cluster_stopped"),
        ("Succeeded", "Running", "kube_unreachable"),
        ("Updating", "Running", "kube_unreachable"),
    ],
)
def test_a_cluster_that_is_only_silent_was_not_stopped(world: World, provisioning: str, power: str, code: str) -> None:
    assert stopped_in_the_middle_of_a_submit(world, provisioning, power)["code"] == code


def test_what_the_monitor_did_not_say_is_no_success() -> None:
    """Whatever a monitor ends with, only "done" and "missing_jobs" go on to the results."""
    for state in ("ended", "missing", "running", ""):
        played = play(search_orchestrator, SEARCH, answers(monitor_orchestrator={"state": state}))
        assert played.result == {"phase": "failed"}
        assert names.CHECK_RESULTS not in played.context.names()
