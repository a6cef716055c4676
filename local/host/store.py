"""Where the durable engine keeps its instances: one SQLite file, written through before a call answers.

The engine (engine.py) hands over the instances that one call has touched, and they are written in one transaction.
Events are protobuf bytes in rows of their own, because a history only grows: a step of an orchestration with a long
history appends its few new events and rewrites nothing. The scalars of an instance are one JSON row.

The file is in WAL mode with `synchronous=NORMAL`: it survives the death of the process at any time (the promise made
here); a power cut may lose the last transactions but does not damage the file.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.testing.in_memory_backend import EntityState, OrchestrationInstance

_FORMAT: Final = 1
_HISTORY: Final = 0  # events that the orchestrator has processed
_INBOX: Final = 1  # events that it has not: a dispatch that did not complete is dispatched again

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY, record TEXT NOT NULL, failure BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entities (id TEXT PRIMARY KEY, state TEXT, modified TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    id TEXT NOT NULL, place INTEGER NOT NULL, number INTEGER NOT NULL, event BLOB NOT NULL,
    PRIMARY KEY (id, place, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timers (name TEXT PRIMARY KEY, last TEXT, next TEXT NOT NULL) WITHOUT ROWID;
"""

_TEXT_FIELDS: Final = ("instance_id", "name", "version", "input", "output", "custom_status", "tags")
_TIME_FIELDS: Final = ("created_at", "last_updated_at", "completed_at")


class StateFormatError(Exception):
    """The state file was written by another version of the host, or is not a state file."""


@dataclass(frozen=True, slots=True)
class ParentLink:
    """Who waits for a child orchestration: the task of the parent, and the parent's generation that asked."""

    instance_id: str
    task_id: int
    generation: int


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance with what the in-memory backend does not know about it."""

    instance: OrchestrationInstance
    generation: int
    parent: ParentLink | None


class DurableStore:
    """The SQLite file of one host. Not safe for several threads: the engine calls it under its lock.

    Args:
        path: the file; made when it is missing, with its folder.

    Raises:
        StateFormatError: when the file has another format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # (count, last event) of what is stored per id and place: tells an appended list from a replaced one.
        self._stored: dict[tuple[str, int], tuple[int, pb.HistoryEvent]] = {}
        # What `_stored` said, before the present transaction, of the keys that this has changed.
        self._before: dict[tuple[str, int], tuple[int, pb.HistoryEvent] | None] = {}
        self.rows_written = 0
        try:
            self._open(path)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise StateFormatError(f"{path} is not a state file of this host: {error}") from error
        except StateFormatError:
            self._db.close()
            raise

    def _open(self, path: Path) -> None:
        found = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if found not in (0, _FORMAT):
            raise StateFormatError(f"{path} has state format {found}, this host writes format {_FORMAT}")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version={_FORMAT}")

    def close(self) -> None:
        """Close the file. Everything written is already in it."""
        self._db.close()

    def write(
        self,
        instances: Iterable[StoredInstance],
        removed: Iterable[str] = (),
        entities: Iterable[EntityState] = (),
    ) -> None:
        """Write all of it in one transaction.

        Args:
            instances: instances that were made or changed.
            removed: ids of instances and entities that are gone.
            entities: entities that were made or changed.
        """
        self._before.clear()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for stored in instances:
                self._write_instance(stored)
            for entity in entities:
                self._write_entity(entity)
            for key in removed:
                self._remove(key)
            self._db.execute("COMMIT")
        except BaseException:
            for place, known in self._before.items():
                self._note(place, known)
            self._db.execute("ROLLBACK")
            raise

    def _write_instance(self, stored: StoredInstance) -> None:
        instance = stored.instance
        record: dict[str, Any] = {name: getattr(instance, name) for name in _TEXT_FIELDS}
        for name in _TIME_FIELDS:
            moment: datetime | None = getattr(instance, name)
            record[name] = moment.isoformat() if moment else None
        record["status"] = int(instance.status)
        record["generation"] = stored.generation
        if stored.parent:
            record["parent"] = [stored.parent.instance_id, stored.parent.task_id, stored.parent.generation]
        failure = instance.failure_details.SerializeToString() if instance.failure_details else None
        self._db.execute(
            "INSERT OR REPLACE INTO instances VALUES (?, ?, ?)", (instance.instance_id, json.dumps(record), failure)
        )
        self._write_events(instance.instance_id, _HISTORY, instance.history)
        self._write_events(instance.instance_id, _INBOX, inbox_of(instance))

    def _write_entity(self, entity: EntityState) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO entities VALUES (?, ?, ?)",
            (entity.instance_id, entity.serialized_state, entity.last_modified_at.isoformat()),
        )
        self._write_events(entity.instance_id, _INBOX, [*entity.dispatched_operations, *entity.pending_operations])

    def _write_events(self, key: str, place: int, events: Sequence[pb.HistoryEvent]) -> None:
        count, last = self._stored.get((key, place), (0, None))
        if count and not (count <= len(events) and events[count - 1] is last):
            self._db.execute("DELETE FROM events WHERE id = ? AND place = ?", (key, place))
            count = 0
        rows = [(key, place, n, events[n].SerializeToString()) for n in range(count, len(events))]
        self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
        self.rows_written += len(rows)
        self._remember(key, place, events)

    def _remember(self, key: str, place: int, events: Sequence[pb.HistoryEvent]) -> None:
        self._before.setdefault((key, place), self._stored.get((key, place)))
        self._note((key, place), (len(events), events[-1]) if events else None)

    def _note(self, place: tuple[str, int], known: tuple[int, pb.HistoryEvent] | None) -> None:
        if known:
            self._stored[place] = known
        else:
            self._stored.pop(place, None)

    def _remove(self, key: str) -> None:
        for table in ("instances", "entities", "events"):
            self._db.execute(f"DELETE FROM {table} WHERE id = ?", (key,))  # noqa: S608 - the names are above
        self._remember(key, _HISTORY, ())
        self._remember(key, _INBOX, ())

    def load_instances(self) -> Iterator[StoredInstance]:
        """Every instance; what it had not processed is in `pending_events`."""
        for record, failure in self._db.execute("SELECT record, failure FROM instances ORDER BY id").fetchall():
            fields = json.loads(record)
            scalars: dict[str, Any] = {name: fields[name] for name in _TEXT_FIELDS}
            scalars |= {name: _moment(fields[name]) for name in _TIME_FIELDS}
            instance = OrchestrationInstance(
                **scalars,
                status=fields["status"],
                failure_details=pb.TaskFailureDetails.FromString(failure) if failure else None,
                history=self._load_events(fields["instance_id"], _HISTORY),
                pending_events=self._load_events(fields["instance_id"], _INBOX),
            )
            parent = ParentLink(*fields["parent"]) if "parent" in fields else None
            yield StoredInstance(instance, fields["generation"], parent)

    def load_entities(self) -> Iterator[EntityState]:
        """Every entity; the operations that it had not processed are pending."""
        for key, state, modified in self._db.execute("SELECT id, state, modified FROM entities").fetchall():
            yield EntityState(
                instance_id=key,
                serialized_state=state,
                last_modified_at=datetime.fromisoformat(modified),
                pending_operations=self._load_events(key, _INBOX),
            )

    def _load_events(self, key: str, place: int) -> list[pb.HistoryEvent]:
        rows = self._db.execute("SELECT event FROM events WHERE id = ? AND place = ? ORDER BY number", (key, place))
        events = [pb.HistoryEvent.FromString(row[0]) for row in rows]
        self._remember(key, place, events)
        return events

    def load_timer(self, name: str) -> tuple[datetime | None, datetime] | None:
        """When a timer function last ran and when it was due next, in UTC; None when it never was scheduled."""
        row = self._db.execute("SELECT last, next FROM timers WHERE name = ?", (name,)).fetchone()
        return (_moment(row[0]), datetime.fromisoformat(row[1])) if row else None

    def save_timer(self, name: str, last: datetime | None, following: datetime) -> None:
        """Note when a timer function last ran and when it is due next, in UTC."""
        values = (name, last.isoformat() if last else None, following.isoformat())
        self._db.execute("INSERT OR REPLACE INTO timers VALUES (?, ?, ?)", values)


def inbox_of(instance: OrchestrationInstance) -> list[pb.HistoryEvent]:
    """The events that an orchestrator has not processed, dispatched ones first.

    The `orchestratorStarted` that a dispatch puts in front of a replay is left out: the next dispatch makes a new one,
    with the time of that dispatch.
    """
    dispatched = instance.dispatched_events
    if instance.history and len(dispatched) > 1 and dispatched[0].HasField("orchestratorStarted"):
        dispatched = dispatched[1:]
    return [*dispatched, *instance.pending_events]


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
