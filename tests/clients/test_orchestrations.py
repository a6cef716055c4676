"""The Durable client that a binding makes, against the engine of the local host: start, wake, ask."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from azure.durable_functions.client import SyncDurableFunctionsClient

from shared.clients.orchestrations import DurableOrchestrations
from shared.domain.errors import TransientError
from tests.activities.fake_durable import RefusedError
from tests.clients.support import at_once
from tests.host.engine_driver import Driver, complete, fail, kinds


def adapter(address: str) -> SyncDurableFunctionsClient:
    return SyncDurableFunctionsClient(json.dumps({"taskHubName": "hub", "rpcBaseUrl": address}))


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """The engine, with orchestrators played by hand."""
    made = Driver(tmp_path / "state.db")
    yield made
    made.close()


@pytest.fixture
def durable(driver: Driver) -> Iterator[DurableOrchestrations]:
    client = adapter(driver.engine.start())
    yield DurableOrchestrations(client)
    client.close()


class TestStart:
    def test_twice_is_once(self, driver: Driver, durable: DurableOrchestrations) -> None:
        assert durable.start("orchestrator", "one", {"job_id": "x"})
        assert not durable.start("orchestrator", "one", {"job_id": "y"})
        request = driver.take()
        assert request is not None
        (started,) = [e.executionStarted for e in request.newEvents if e.HasField("executionStarted")]
        assert json.loads(started.input.value) == {"job_id": "x"}

    def test_one_that_has_ended_is_not_started_again(self, driver: Driver, durable: DurableOrchestrations) -> None:
        """On Azure Storage the id of an ended orchestration is free again; here it means "done before"."""
        assert durable.start("orchestrator", "one", None)
        driver.step(complete())
        assert not durable.start("orchestrator", "one", None)
        assert driver.take() is None

    def test_it_asks_before_it_starts(self) -> None:
        asked: list[str] = []

        class Client:
            def get_orchestration_state(self, instance_id: str) -> None:
                asked.append(f"ask {instance_id}")

            def schedule_new_orchestration(self, name: str, *, input: None, instance_id: str) -> None:
                asked.append(f"start {instance_id}")

        assert DurableOrchestrations(Client()).start("orchestrator", "one", None)
        assert asked == ["ask one", "start one"]

    def test_at_once_is_once(self, durable: DurableOrchestrations) -> None:
        assert at_once(8, lambda _: durable.start("orchestrator", "one", None)).count(True) == 1


class TestWake:
    def test_it_comes_as_an_event(self, driver: Driver, durable: DurableOrchestrations) -> None:
        durable.start("orchestrator", "one", None)
        driver.step()
        durable.wake("one", "wake")
        request = driver.take()
        assert kinds(request) == ["eventRaised"]

    def test_nobody_and_whoever_has_ended(self, driver: Driver, durable: DurableOrchestrations) -> None:
        durable.wake("nobody", "wake")
        durable.start("orchestrator", "one", None)
        driver.step(complete())
        durable.wake("one", "wake")
        view = durable.find("one")
        assert view is not None
        assert view.has_ended


class TestFind:
    def test_nobody(self, durable: DurableOrchestrations) -> None:
        assert durable.find("nobody") is None

    def test_from_beginning_to_end(self, driver: Driver, durable: DurableOrchestrations) -> None:
        durable.start("orchestrator", "one", None)
        view = durable.find("one")
        assert view is not None
        assert (view.instance_id, view.runtime_status, view.has_ended) == ("one", "pending", False)
        driver.step()
        view = durable.find("one")
        assert view is not None
        assert not view.has_ended
        durable.wake("one", "wake")
        driver.step(complete('{"a": [1]}'))
        view = durable.find("one")
        assert view is not None
        assert (view.runtime_status, view.has_ended, view.output, view.error) == ("completed", True, {"a": [1]}, "")

    def test_a_failure_has_its_reason(self, driver: Driver, durable: DurableOrchestrations) -> None:
        durable.start("orchestrator", "one", None)
        driver.step(fail("what was wrong"))
        view = durable.find("one")
        assert view is not None
        assert (view.runtime_status, view.has_ended, view.error) == ("failed", True, "what was wrong")

    def test_its_times(self, driver: Driver, durable: DurableOrchestrations) -> None:
        before = datetime.now(UTC)
        durable.start("orchestrator", "one", None)
        asked_for = durable.find("one")
        driver.step()
        view = durable.find("one")
        assert view is not None
        assert asked_for is not None
        assert before <= asked_for.updated_at < view.updated_at <= datetime.now(UTC)
        assert view.created_at == asked_for.created_at
        assert view.created_at.tzinfo is UTC


class Refusing:
    """A client whose instance runs when it is asked about, and is refused or gone when it is to be ended."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self.code = code

    def get_orchestration_state(self, instance_id: str) -> Any:
        now = datetime.now(UTC).replace(tzinfo=None)
        return SimpleNamespace(
            runtime_status=SimpleNamespace(name="RUNNING"),
            serialized_custom_status=None,
            serialized_input=None,
            serialized_output=None,
            failure_details=None,
            created_at=now,
            last_updated_at=now,
        )

    def terminate_orchestration(self, instance_id: str, *, recursive: bool) -> None:
        raise RefusedError(self.code)


class TestTerminate:
    def test_one_that_runs(self, driver: Driver, durable: DurableOrchestrations) -> None:
        durable.start("orchestrator", "one", None)
        driver.step()
        durable.terminate("one")
        request = driver.take()
        assert kinds(request) == ["executionTerminated"]

    def test_nobody_and_whoever_has_ended(self, driver: Driver, durable: DurableOrchestrations) -> None:
        durable.terminate("nobody")
        durable.start("orchestrator", "one", None)
        driver.step(complete())
        durable.terminate("one")
        view = durable.find("one")
        assert view is not None
        assert view.runtime_status == "completed"

    @pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION])
    def test_one_that_ends_meanwhile(self, code: grpc.StatusCode) -> None:
        DurableOrchestrations(Refusing(code)).terminate("one")

    def test_one_that_cannot_be_ended(self) -> None:
        with pytest.raises(TransientError) as caught:
            DurableOrchestrations(Refusing(grpc.StatusCode.UNKNOWN)).terminate("one")
        assert caught.value.code == "durable_unavailable"


class TestPurge:
    def test_what_has_ended_and_is_old_enough_goes_from_the_file_too(
        self, driver: Driver, durable: DurableOrchestrations
    ) -> None:
        durable.start("orchestrator", "ended", {"job_id": "x"})
        driver.step(complete())
        durable.start("orchestrator", "failed", None)
        driver.step(fail("broken"))
        durable.start("orchestrator", "running", None)
        driver.step()
        between = datetime.now(UTC)
        durable.start("orchestrator", "younger", None)
        driver.step(complete())
        assert durable.purge(between) == 2
        assert [durable.find(name) is None for name in ("ended", "failed", "running", "younger")] == [
            True,
            True,
            False,
            False,
        ]
        assert ids_in(driver.path) == {"instances": {"running", "younger"}, "events": {"running", "younger"}}
        heir = driver.restarted()
        assert set(heir.engine._instances) == {"running", "younger"}
        assert durable.purge(between) == 0

    def test_hundreds_at_once(self, driver: Driver, durable: DurableOrchestrations) -> None:
        for number in range(300):
            driver.start(f"o{number}")
            driver.step(complete())
        assert durable.purge(datetime.now(UTC) + timedelta(seconds=1)) == 300
        assert ids_in(driver.path) == {"instances": set(), "events": set()}


def ids_in(path: Path) -> dict[str, set[str]]:
    """Whose rows the engine's file has."""
    with sqlite3.connect(path) as file:
        found = {t: {row[0] for row in file.execute(f"SELECT id FROM {t}")} for t in ("instances", "events")}  # noqa: S608
    file.close()
    return found


def test_no_engine_is_transient() -> None:
    with socket.socket() as held:  # bound and not listening: nothing else can take the port
        held.bind(("127.0.0.1", 0))
        client = adapter(f"127.0.0.1:{held.getsockname()[1]}")
        durable = DurableOrchestrations(client)
        for call in (
            lambda: durable.start("orchestrator", "one", None),
            lambda: durable.wake("one", "wake"),
            lambda: durable.find("one"),
            lambda: durable.terminate("one"),
            lambda: durable.purge(datetime.now(UTC)),
        ):
            with pytest.raises(TransientError) as caught:
                call()
            assert caught.value.code == "durable_unavailable"
        client.close()
