"""The state file: what goes in comes out, and a file of another kind is refused by name."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.testing.in_memory_backend import OrchestrationInstance

from local.host.recovery import outstanding_work
from local.host.store import DurableStore, ParentLink, StateFormatError, StoredInstance

MOMENT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DurableStore]:
    store = DurableStore(tmp_path / "deep" / "state.db")
    yield store
    store.close()


def stored(name: str = "o") -> StoredInstance:
    instance = OrchestrationInstance(
        instance_id=name,
        name="orchestrator",
        status=pb.ORCHESTRATION_STATUS_FAILED,
        version="3",
        input='{"ä": "\\u0000"}',
        output="1",
        custom_status='"waiting"',
        created_at=MOMENT,
        last_updated_at=MOMENT,
        completed_at=MOMENT,
        failure_details=pb.TaskFailureDetails(errorType="ValueError", errorMessage="no"),
        history=[helpers.new_orchestrator_started_event(MOMENT)],
        pending_events=[helpers.new_event_raised_event("go", "1")],
        tags={"a": "b"},
    )
    return StoredInstance(instance, 7, ParentLink("p", 3, 6))


def load(store: DurableStore) -> list[StoredInstance]:
    return list(store.load_instances())


def load_again(store: DurableStore) -> list[StoredInstance]:
    """What another process finds, without a trace in this one."""
    other = DurableStore(store.path)
    try:
        return load(other)
    finally:
        other.close()


class TestInstances:
    def test_every_field_comes_back(self, store: DurableStore) -> None:
        store.write([stored()])
        assert load(store) == [stored()]

    def test_all_of_a_call_is_written_or_nothing(self, store: DurableStore) -> None:
        store.write([stored()])
        broken = stored("broken")
        broken.instance.tags = {"a": object()}  # type: ignore[dict-item]
        changed = stored()
        changed.instance.output = "2"
        changed.instance.history.append(helpers.new_orchestrator_completed_event())
        with pytest.raises(TypeError):
            store.write([changed, broken])
        assert load_again(store) == [stored()]
        store.write([changed])
        assert load_again(store) == [changed]

    def test_a_removal_that_failed_is_forgotten(self, store: DurableStore) -> None:
        first, broken = stored(), stored("broken")
        store.write([first])
        broken.instance.tags = {"a": object()}  # type: ignore[dict-item]
        with pytest.raises(TypeError):
            store.write([first, broken], removed=["o"])
        store.write([], removed=["o"])
        store.write([first, stored("other")])
        first.instance.history.append(helpers.new_orchestrator_completed_event())
        store.write([first])
        assert load_again(store) == [first, stored("other")]

    def test_a_shorter_history_replaces_a_longer_one(self, store: DurableStore) -> None:
        first = stored()
        first.instance.history *= 5
        store.write([first])
        first.instance.history[:] = [helpers.new_orchestrator_started_event(MOMENT)]
        store.write([first])
        assert load(store)[0].instance.history == first.instance.history

    def test_what_is_removed_leaves_no_event_behind(self, store: DurableStore) -> None:
        store.write([stored()])
        store.write([], removed=["o"])
        assert load(store) == []
        store.write([stored()])
        assert load(store) == [stored()]


class TestTimers:
    def test_a_timer_that_never_was_scheduled_is_unknown(self, store: DurableStore) -> None:
        assert store.load_timer("tick") is None

    def test_times_come_back(self, store: DurableStore) -> None:
        store.save_timer("tick", None, MOMENT)
        assert store.load_timer("tick") == (None, MOMENT)
        store.save_timer("tick", MOMENT, MOMENT)
        assert store.load_timer("tick") == (MOMENT, MOMENT)


class TestFormat:
    def test_a_file_of_another_format_is_refused(self, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "state.db") as other:
            other.execute("PRAGMA user_version=99")
        other.close()
        with pytest.raises(StateFormatError, match="format 99"):
            DurableStore(tmp_path / "state.db")

    def test_a_file_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "state.db").write_text("not a database, but long enough to be looked at " * 100)
        with pytest.raises(StateFormatError, match=r"state\.db is not a state file"):
            DurableStore(tmp_path / "state.db")


class TestOutstandingWork:
    def test_answers_in_history_and_inbox_count(self) -> None:
        history = [helpers.new_task_scheduled_event(n, f"a{n}") for n in range(1, 5)]
        history += [helpers.new_timer_created_event(n, MOMENT) for n in (5, 6)]
        history.append(helpers.new_task_completed_event(1))
        history.append(helpers.new_task_failed_event(2, ValueError("no")))
        inbox = [helpers.new_task_completed_event(3), helpers.new_timer_fired_event(5, MOMENT)]
        found = outstanding_work(history, inbox)
        assert [event.eventId for event in found.activities] == [4]
        assert [event.eventId for event in found.timers] == [6]
