"""Starting and stopping a cluster: asked once, looked at until it is there, given up when it will not be."""

from __future__ import annotations

from typing import Any

import pytest

from activities.cluster_power import request_power
from activities.registry import errors_as_data
from orchestrators.cluster_power import DEADLINE_SECONDS, LOOKS_PER_GENERATION, cluster_power_orchestrator
from shared.clients.provider import use
from shared.domain import functions as names
from shared.domain.errors import TransientError
from tests.activities.worlds import new_world
from tests.orchestrators.fake_context import START, ActivityFailedError, Play, in_turn, play
from tests.orchestrators.searches import BROKEN, CLUSTER

REQUEST: dict[str, Any] = {"version": 1, "cluster": CLUSTER, "target": "start", "force": False}
STOP = REQUEST | {"target": "stop"}
REQUESTED = {"state": "requested"}
BUSY = {"state": "busy", "reason": "a stop is under way"}
WAITING = {"verdict": "waiting", "lifecycle": "starting", "reason": "it starts"}
REACHED = {"verdict": "reached", "lifecycle": "running", "reason": "ready"}
UNCHANGED = {"verdict": "unchanged", "lifecycle": "stopped", "reason": "it is stopped"}
FAILED = {"verdict": "failed", "lifecycle": "failed", "reason": "Azure failed"}
OPPOSITE = {"verdict": "opposite", "lifecycle": "stopping", "reason": "it stops"}
DOWN = ActivityFailedError("start-1: Activity task #3 failed: arm_unavailable: 503")


def power(*looks: Any, request: dict[str, Any] = REQUEST, asked: Any = REQUESTED, warmed: Any = None) -> Play:
    """Play all generations; the last look stays."""
    answers = {
        names.REQUEST_POWER: asked,
        names.OBSERVE_CLUSTER_POWER: in_turn(*looks),
        names.WARM_CONFIGURED: {"started": 1} if warmed is None else warmed,
    }
    played = play(cluster_power_orchestrator, request, answers)
    while played.continued is not None:
        played = play(cluster_power_orchestrator, played.continued, answers, now=played.context.now)
    return played


class TestStart:
    @pytest.mark.proves("C2")
    def test_asked_once_then_looked_at_then_warmed_at_once(self) -> None:
        played = power(WAITING, WAITING, REACHED)
        assert played.context.names() == [
            names.REQUEST_POWER,
            *[names.OBSERVE_CLUSTER_POWER] * 3,
            names.WARM_CONFIGURED,
        ]
        assert played.result == {
            "status": "succeeded",
            "seconds": 6.0,
            "already": False,
            "warmed": {"started": 1},
        }

    @pytest.mark.proves("C2")
    def test_one_that_is_there_ends_at_once(self) -> None:
        played = power(WAITING, asked={"state": "already"})
        assert (played.result["status"], played.result["already"]) == ("succeeded", True)
        assert played.context.names() == [names.REQUEST_POWER, names.WARM_CONFIGURED]
        assert played.context.waits() == []

    @pytest.mark.proves("C2")
    def test_what_is_in_the_way_is_waited_for_and_it_asks_again(self) -> None:
        played = power(REACHED, asked=in_turn(BUSY, BUSY, REQUESTED))
        assert played.context.names().count(names.REQUEST_POWER) == 3
        assert played.result["status"] == "succeeded"
        phases = [(status["phase"], status.get("reason")) for status in played.context.statuses]
        assert phases[0] == ("waiting_for_operation", BUSY["reason"])

    @pytest.mark.parametrize("failure", [{"error": BROKEN}, DOWN], ids=["permanent", "transient that stays"])
    def test_a_warmup_that_cannot_begin_fails_no_start(self, failure: Any) -> None:
        played = power(REACHED, warmed=failure)
        assert played.result["status"] == "succeeded"
        assert played.result["warmed"]["error"]["code"] in ("broken", "arm_unavailable")

    def test_looks_that_cannot_be_taken_change_nothing(self) -> None:
        assert power(DOWN, DOWN, REACHED).result["status"] == "succeeded"

    def test_the_status_shows_the_phase(self) -> None:
        played = power(WAITING, REACHED)
        assert [status["phase"] for status in played.context.statuses] == [
            "requested",
            "starting",
            "warming",
            "completed",
        ]


class TestAzureAway:
    """The request is made by the real activity; what Azure says is not."""

    def start(self, *turns: TransientError | None) -> tuple[Play, list[str]]:
        """Start a stopped cluster; what each request meets, and what Azure was asked."""
        world = new_world()
        world.arm.power = "Stopped"
        meets = list(turns)

        def ask(data: Any) -> Any:
            world.arm.refusing = meets.pop(0) if meets else None
            with use(world):
                return errors_as_data(request_power)(data)

        return power(REACHED, asked=ask), world.arm.asked

    @pytest.mark.proves("C2")
    @pytest.mark.parametrize(("after", "waited"), [(None, 2), (1, 2), (17, 17), (60, 60), (3600, 60)])
    def test_throttled_it_comes_again_when_azure_wishes(self, after: float | None, waited: float) -> None:
        throttled = TransientError("arm_unavailable", "Azure answered 429 about cluster", retry_after=after)
        played, asked = self.start(throttled, throttled, throttled, None)
        assert (played.result["status"], asked) == ("succeeded", ["start"] * 4)
        assert played.context.waits() == [waited, waited, waited, 2]
        assert [status["reason"] for status in played.context.statuses[:3]] == [throttled.message] * 3

    @pytest.mark.proves("C2")
    def test_away_for_five_minutes(self) -> None:
        away = TransientError("arm_unavailable", "Azure did not answer about cluster: refused")
        played, asked = self.start(*[away] * 70)
        assert played.result["status"] == "succeeded"
        assert asked == ["start"] * 71
        assert played.result["seconds"] > 300

    def test_away_until_the_deadline(self) -> None:
        away = TransientError("arm_unavailable", "Azure did not answer about cluster: refused")
        error = self.start(*[away] * 1000)[0].result["error"]
        assert (error["code"], away.message in error["message"]) == ("wait_timeout", True)


class TestStop:
    def test_nothing_is_warmed(self) -> None:
        played = power(REACHED, request=STOP)
        assert played.result == {"status": "succeeded", "seconds": 2.0, "already": False}
        assert names.WARM_CONFIGURED not in played.context.names()

    def test_refused(self) -> None:
        played = power(REACHED, request=STOP, asked={"error": BROKEN})
        assert played.result == {"status": "failed", "error": BROKEN}
        assert played.context.statuses[-1]["phase"] == "failed"


class TestEnds:
    @pytest.mark.parametrize("early", [UNCHANGED, FAILED], ids=["unchanged", "failed"])
    def test_right_after_the_request_arm_may_show_what_was_before(self, early: Any) -> None:
        assert power(*[early] * 20, REACHED).result["status"] == "succeeded"

    @pytest.mark.parametrize(
        ("look", "code"),
        [(UNCHANGED, "cluster_power_failed"), (FAILED, "cluster_power_failed")],
        ids=["stays", "fails"],
    )
    def test_later_it_is_the_end(self, look: Any, code: str) -> None:
        played = power(*[WAITING] * 25, look)
        assert played.result["error"]["code"] == code
        assert look["reason"] in played.result["error"]["message"]
        assert played.context.names().count(names.REQUEST_POWER) <= 1, "what somebody undid is not asked for again"

    def test_somebody_asked_for_the_opposite(self) -> None:
        assert power(WAITING, OPPOSITE).result["error"]["code"] == "superseded"

    def test_it_does_not_wait_for_ever(self) -> None:
        played = power(WAITING)
        error = played.result["error"]
        assert (error["code"], "it starts" in error["message"]) == ("wait_timeout", True)
        assert DEADLINE_SECONDS <= (played.context.now - START).total_seconds() < DEADLINE_SECONDS + 30

    @pytest.mark.parametrize("seconds", [10, 30])
    def test_the_deadline_can_be_another(self, seconds: int) -> None:
        played = power(WAITING, request=REQUEST | {"deadline_seconds": seconds, "poll_seconds": 1})
        assert (played.context.now - START).total_seconds() == seconds

    def test_nor_for_what_is_in_the_way(self) -> None:
        error = power(REACHED, asked=BUSY).result["error"]
        assert (error["code"], BUSY["reason"] in error["message"]) == ("wait_timeout", True)


def test_a_generation_is_short_and_the_next_one_asks_for_nothing_again() -> None:
    answers = {names.REQUEST_POWER: REQUESTED, names.OBSERVE_CLUSTER_POWER: WAITING}
    first = play(cluster_power_orchestrator, REQUEST, answers)
    assert len(first.context.waits()) == LOOKS_PER_GENERATION
    second = play(cluster_power_orchestrator, first.continued, answers, now=first.context.now)
    assert names.REQUEST_POWER not in second.context.names()
    assert second.continued["began"] == first.continued["began"]
