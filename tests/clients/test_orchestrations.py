"""The Durable client that a binding makes, against the engine of the local host: start, wake, ask."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.durable_functions.client import SyncDurableFunctionsClient

from shared.clients.orchestrations import DurableOrchestrations
from shared.domain.errors import TransientError
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


def test_no_engine_is_transient() -> None:
    with socket.socket() as held:  # bound and not listening: nothing else can take the port
        held.bind(("127.0.0.1", 0))
        client = adapter(f"127.0.0.1:{held.getsockname()[1]}")
        durable = DurableOrchestrations(client)
        for call in (
            lambda: durable.start("orchestrator", "one", None),
            lambda: durable.wake("one", "wake"),
            lambda: durable.find("one"),
        ):
            with pytest.raises(TransientError) as caught:
                call()
            assert caught.value.code == "durable_unavailable"
        client.close()
