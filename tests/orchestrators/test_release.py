"""The release's orchestrator: objects, then nodes, then the end, whatever happened on the way."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrators.release import LOOKS, release_orchestrator
from shared.domain import functions as names
from tests.orchestrators.fake_context import ActivityFailedError, Play, in_turn, play
from tests.orchestrators.searches import BROKEN, CLUSTER

REQUEST: dict[str, Any] = {"database": "core_nt", "cluster": CLUSTER, "force": False}
BUSY = ActivityFailedError("w: Activity task #3 failed: kube_busy: 429")


def cleaning(node: str, **change: Any) -> dict[str, Any]:
    """The clean-up of a node that had 100 bytes."""
    return {"node": node, "done": True, "removed_bytes": 100, "error": ""} | change


CLEAN = {"cleanings": [cleaning("a"), cleaning("b")]}


def release(**others: Any) -> Play:
    """All goes well but for what is given."""
    removed = in_turn({"deleted": ["job/warm-core-nt-00"], "left": 2}, {"deleted": [], "left": 0})
    answers = {
        names.PLAN_RELEASE: {"nodes": ["a", "b"], "not_ready": []},
        names.REMOVE_WARMUP_OBJECTS: removed,
        names.ENSURE_SCRIPTS: {"written": False},
        names.CREATE_CLEAN_JOB: {"created": True},
        names.OBSERVE_CLEANING: CLEAN,
        names.END_RELEASE: {},
    }
    return play(release_orchestrator, REQUEST, answers | others)


@pytest.mark.proves("W6")
def test_objects_first_then_every_node_then_the_end() -> None:
    played = release()
    assert played.result == {
        "status": "released",
        "database": "core_nt",
        "deleted": ["job/warm-core-nt-00", "node/a/core_nt", "node/b/core_nt"],
        "errors": [],
    }
    assert played.context.names() == [
        names.PLAN_RELEASE,
        names.REMOVE_WARMUP_OBJECTS,
        names.REMOVE_WARMUP_OBJECTS,
        names.ENSURE_SCRIPTS,
        names.CREATE_CLEAN_JOB,
        names.CREATE_CLEAN_JOB,
        names.OBSERVE_CLEANING,
        names.END_RELEASE,
    ]
    assert [job["node"] for job in played.context.calls(names.CREATE_CLEAN_JOB)] == ["a", "b"]
    assert played.context.calls(names.END_RELEASE)[0]["nodes"] == ["a", "b"]


def test_nothing_there() -> None:
    empty = {"cleanings": [cleaning("a", removed_bytes=0), cleaning("b", removed_bytes=0)]}
    played = release(remove_warmup_objects={"deleted": [], "left": 0}, observe_cleaning=empty)
    assert (played.result["status"], played.result["deleted"]) == ("nothing", [])


@pytest.mark.parametrize("force", [False, True])
def test_who_looks_for_users_again_knows_whether_it_was_forced(force: bool) -> None:
    played = release(plan_release={"nodes": ["a"], "not_ready": [], "force": force})
    assert [call["force"] for call in played.context.calls(names.REMOVE_WARMUP_OBJECTS)] == [force] * 2


def test_in_use_nothing_is_removed() -> None:
    played = release(plan_release={"error": BROKEN})
    assert played.result == {"status": "failed", "database": "core_nt", "error": BROKEN}
    assert played.context.names() == [names.PLAN_RELEASE, names.END_RELEASE]


@pytest.mark.parametrize("failure", [{"error": BROKEN}, BUSY], ids=["permanent", "transient that stays"])
@pytest.mark.parametrize("name", [names.ENSURE_SCRIPTS, names.CREATE_CLEAN_JOB, names.OBSERVE_CLEANING])
def test_nodes_that_cannot_be_cleaned_make_it_partial(name: str, failure: Any) -> None:
    played = release(**{name: failure})
    assert (played.result["status"], played.result["deleted"]) == ("partial", ["job/warm-core-nt-00"])
    assert len(played.result["errors"]) == 1
    assert played.context.names()[-1] == names.END_RELEASE


def test_a_node_that_is_not_ready_makes_it_partial() -> None:
    played = release(plan_release={"nodes": ["a"], "not_ready": ["b"]}, observe_cleaning={"cleanings": [cleaning("a")]})
    assert played.result["status"] == "partial"
    assert played.result["errors"] == ["node b is not ready: what it has on its disk stays"]


def test_without_any_node_there_is_nothing_to_clean() -> None:
    played = release(plan_release={"nodes": [], "not_ready": []})
    assert played.result["status"] == "released"
    assert played.context.calls(names.CREATE_CLEAN_JOB) == []


def test_objects_that_do_not_go_are_told() -> None:
    played = release(remove_warmup_objects={"deleted": ["job/x"], "left": 1})
    assert len(played.context.calls(names.REMOVE_WARMUP_OBJECTS)) == LOOKS
    assert played.result["status"] == "partial"


def test_a_clean_up_that_does_not_end_is_told() -> None:
    waiting = {"cleanings": [cleaning("a"), cleaning("b", done=False, removed_bytes=0)]}
    played = release(observe_cleaning=waiting)
    assert played.result["status"] == "partial"
    assert played.result["errors"] == ["node b: its clean-up has not ended"]
    assert 250 < played.context.seconds < 400


def test_that_it_could_not_end_changes_nothing() -> None:
    assert release(end_release=BUSY).result["status"] == "released"


def test_others_are_let_in_though_the_clean_up_jobs_stay() -> None:
    played = release(end_release=lambda data: BUSY if data["nodes"] else {})
    assert [call["nodes"] for call in played.context.calls(names.END_RELEASE)][-1] == []
    assert played.result["status"] == "released"


@pytest.mark.parametrize("code", ["release_superseded", "database_in_use"])
def test_what_stops_it_on_its_way_is_its_failure(code: str) -> None:
    error = {"code": code, "message": "why", "hint": ""}
    played = release(remove_warmup_objects=in_turn({"deleted": ["job/x"], "left": 1}, {"error": error}))
    assert played.result == {"status": "failed", "database": "core_nt", "error": error}
    assert played.context.calls(names.CREATE_CLEAN_JOB) == []
    assert played.context.names()[-1] == names.END_RELEASE
