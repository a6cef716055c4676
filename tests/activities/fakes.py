"""In-memory fakes of the client Protocols: rows with ETags, blobs, ARM and the Durable client.

They keep the promises that the Protocols make (conditional writes, conflicts, not found) and record what was written,
in order. ``World`` holds them all; ``shared.clients.provider.use`` puts it in.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import IO, Any
from urllib.parse import urlsplit

from shared.clients.blobs import BlobItem
from shared.clients.cluster_rows import Numbered, Slots
from shared.clients.preferences import UNSAVED, StoredPreference, check_names
from shared.clients.searches import Change, IdempotencyKey
from shared.config import Settings
from shared.domain.auto_warm import Attempt
from shared.domain.database_work import DatabaseWork
from shared.domain.errors import ConflictError, ElbError, NotFoundError, PreconditionFailedError
from shared.domain.history import Event
from shared.domain.preference import DEFAULT, PreferenceChange, read_preference
from shared.domain.published import has_expired
from shared.domain.rates import Allowance, Bucket, Rate, take
from shared.domain.roles import RoleAssignment
from shared.domain.schedule import ClusterRow
from shared.domain.search import ClusterRef, Search
from shared.domain.search_filter import EVERYTHING, SearchFilter
from shared.domain.stats import Entry, TimerRun, hour_of
from tests.activities.fake_durable import FakeDurable
from tests.activities.fake_kube import FakeKube
from tests.activities.fake_outbox import FakeOutbox, FakeReceivers


@dataclass
class FakeSearchStore:
    """Searches in a dict. ``failing`` is raised by every call; ``meanwhile`` runs once between a read and its write."""

    rows: dict[tuple[str, str], Search] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    failing: ElbError | None = None
    meanwhile: Callable[[], object] | None = None
    older: int = 1
    outbox: FakeOutbox | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def create(self, search: Search, idempotency: IdempotencyKey | None = None) -> tuple[Search, bool]:
        with self._lock:
            self._check()
            known = self.known(search.owner, idempotency) if idempotency else None
            if known is not None:
                return known, False
            if idempotency:
                self.keys[search.owner, idempotency.key] = search.job_id, idempotency.body
            if search.job_id in self.aliases:
                raise ConflictError("id_taken", f"{search.job_id} is another search's alias")
            present = [row for (_, job_id), row in self.rows.items() if job_id == search.job_id]
            return (present[0], False) if present else (self.put(search), True)

    def known(self, owner: str, idempotency: IdempotencyKey) -> Search | None:
        self._check()
        job_id, body = self.keys.get((owner, idempotency.key), ("", ""))
        if job_id and body != idempotency.body:
            raise ConflictError("idempotency_key_reused", "this key came with another request")
        return self.get(owner, job_id) if job_id else None

    def put(self, search: Search) -> Search:
        """Write a row whatever was there."""
        self.written.append(search.job_id)
        self.rows[search.owner, search.job_id] = replace(search, etag=str(len(self.written)))
        return self.rows[search.owner, search.job_id]

    def find(self, job_id: str, owner: str | None = None) -> Search:
        self._check()
        found = [search for (_, known), search in self.rows.items() if known == self.aliases.get(job_id, job_id)]
        if not found or owner not in (None, found[0].owner):
            raise NotFoundError("row_not_found", f"search {job_id} is not there")
        return found[0]

    def get(self, owner: str, job_id: str) -> Search:
        self._check()
        if (owner, job_id) not in self.rows:
            raise NotFoundError("row_not_found", f"search {job_id} is not there")
        return self.rows[owner, job_id]

    def update(self, owner: str, job_id: str, change: Change) -> Search:
        """Read, change, write if nobody else wrote meanwhile, else again, as the real store does."""
        while True:
            before = self.get(owner, job_id)
            after = change(before)
            if self.meanwhile is not None:
                interfere, self.meanwhile = self.meanwhile, None
                interfere()
            with self._lock:
                if self.get(owner, job_id).etag != before.etag:
                    continue
                if after == before:
                    return before
                if self.outbox is not None:
                    self.outbox.changed(before, after)
                return self.put(after)

    def page(
        self, owner: str, limit: int, after: str | None, where: SearchFilter = EVERYTHING
    ) -> tuple[list[Search], str | None]:
        self._check()
        found = [s for s in self.rows.values() if s.owner == owner and where.matches(s)]
        return sorted(found, key=lambda s: s.created_at, reverse=True)[:limit], None

    def page_of_all(
        self, limit: int, after: str | None, where: SearchFilter = EVERYTHING
    ) -> tuple[list[Search], str | None]:
        self._check()
        found = [s for s in self.rows.values() if where.matches(s)]
        return sorted(found, key=lambda s: s.created_at, reverse=True)[:limit], None

    def unfinished(self, cluster_key: str) -> list[Search]:
        self._check()
        found = [s for s in self.rows.values() if s.cluster.key == cluster_key and s.is_unfinished]
        return sorted(found, key=lambda s: s.created_at)

    def unfinished_rows(self, cluster_key: str) -> list[Search]:
        return self.unfinished(cluster_key)

    def expired(self, now: datetime, limit: int, after: str | None = None) -> tuple[list[Search], str | None]:
        self._check()
        found = [s for s in self.rows.values() if s.results_removed_at is None and has_expired(s, now)]
        found = sorted((s for s in found if s.job_id > (after or "")), key=lambda s: s.job_id)
        return found[:limit], found[limit - 1].job_id if len(found) > limit else None

    def index_older(self, limit: int) -> bool:
        """Nothing is older than this dict; ``older`` says how many pages it takes to find that out."""
        self._check()
        self.older -= 1
        return self.older > 0

    def mend_copy(self, owner: str, job_id: str) -> None:
        self.mended.append(job_id)

    def delete(self, search: Search) -> None:
        self._check()
        if self.outbox is not None:
            self.outbox.forget(search)
        self.rows.pop((search.owner, search.job_id), None)

    def add_alias(self, owner: str, job_id: str, alias: str) -> bool:
        self._check()
        return self.aliases.setdefault(alias, job_id) == job_id

    def _check(self) -> None:
        if self.failing is not None:
            raise self.failing


@dataclass
class FakeClusterRows:
    """Cluster rows with ETags. ``meanwhile`` runs once between the read of a row and the claim of a look."""

    rows: dict[str, ClusterRow] = field(default_factory=dict)
    refs: dict[str, ClusterRef] = field(default_factory=dict)
    held: dict[str, Slots] = field(default_factory=dict)
    numbers: dict[tuple[str, str], Numbered] = field(default_factory=dict)
    works: dict[tuple[str, str], DatabaseWork] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    writes: int = 0
    reads: int = 0
    meanwhile: Callable[[], object] | None = None

    def known(self) -> list[ClusterRef]:
        return list(self.refs.values())

    def remember(self, cluster: ClusterRef) -> None:
        self.refs[cluster.key] = cluster
        self._write(cluster, self.read(cluster))

    def read(self, cluster: ClusterRef) -> ClusterRow:
        self.reads += 1
        return self.rows.get(cluster.key, ClusterRow())

    def take_look(self, cluster: ClusterRef, row: ClusterRow, now: datetime) -> bool:
        if self.meanwhile is not None:
            interfere, self.meanwhile = self.meanwhile, None
            interfere()
        present = self.read(cluster)
        if present.etag != row.etag:
            return False
        self._write(cluster, replace(present, observed_at=now, previous_look_at=row.observed_at))
        return True

    def seen(self, cluster: ClusterRef, at: datetime) -> None:
        self._write(cluster, replace(self.read(cluster), seen_at=at, unreachable_since=None, unreachable_reason=""))

    def unreachable(self, cluster: ClusterRef, since: datetime, reason: str) -> None:
        self._write(cluster, replace(self.read(cluster), unreachable_since=since, unreachable_reason=reason))

    def request_wake(self, cluster: ClusterRef, now: datetime) -> None:
        self._write(cluster, replace(self.read(cluster), wake_requested_at=now))

    def slots(self, cluster: ClusterRef) -> Slots:
        return self.held.get(cluster.key, Slots({}))

    def write_slots(self, cluster: ClusterRef, slots: Slots) -> bool:
        if self.slots(cluster).etag != slots.etag:
            return False
        self.writes += 1
        self.held[cluster.key] = Slots(dict(slots.holders), str(self.writes))
        return True

    def operations(self, cluster: ClusterRef, kind: str) -> Numbered:
        return self.numbers.get((cluster.key, kind), Numbered(0))

    def claim_operation(self, cluster: ClusterRef, kind: str, before: Numbered) -> bool:
        with self._lock:
            if self.operations(cluster, kind).etag != before.etag:
                return False
            number = before.number + 1
            self.numbers[cluster.key, kind] = Numbered(number, str(number))
            return True

    def work(self, cluster: ClusterRef, database: str) -> DatabaseWork:
        return self.works.get((cluster.key, database), DatabaseWork())

    def write_work(self, cluster: ClusterRef, database: str, work: DatabaseWork) -> bool:
        if self.meanwhile is not None:
            interfere, self.meanwhile = self.meanwhile, None
            interfere()
        with self._lock:
            if self.work(cluster, database).etag != work.etag:
                return False
            self.works.pop((cluster.key, database), None)
            if not work.is_idle:
                self.writes += 1
                self.works[cluster.key, database] = replace(work, etag=str(self.writes))
            return True

    def set(self, cluster: ClusterRef, **times: datetime | None) -> None:
        """Change the row's times."""
        self._write(cluster, replace(self.read(cluster), **times))  # type: ignore[arg-type]  # times only

    def _write(self, cluster: ClusterRef, row: ClusterRow) -> None:
        self.writes += 1
        self.rows[cluster.key] = replace(row, etag=str(self.writes))


@dataclass
class FakePreferences:
    """Preferences and tries with versions; ``texts`` has what the rows hold, which may be anything."""

    texts: dict[str, str] = field(default_factory=dict)
    refs: dict[str, ClusterRef] = field(default_factory=dict)
    tries: dict[tuple[str, str], Attempt] = field(default_factory=dict)
    writes: int = 0
    failing: ElbError | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, cluster: ClusterRef) -> StoredPreference:
        self._check()
        text = self.texts.get(cluster.key)
        preference = DEFAULT if text is None else read_preference(text, cluster.cluster_name)
        return StoredPreference(preference, self.version(cluster))

    def version(self, cluster: ClusterRef) -> str:
        """Of what is stored."""
        text = self.texts.get(cluster.key)
        return UNSAVED if text is None else text.encode().hex()

    def save(
        self, cluster: ClusterRef, change: PreferenceChange, expected: Collection[str] | None = None
    ) -> StoredPreference:
        check_names(change)
        with self._lock:
            before = DEFAULT if change.replaces else self.read(cluster).preference
            if expected is not None and self.version(cluster) not in expected:
                raise PreconditionFailedError("preference_changed", "it is another one now")
            self.texts[cluster.key] = change.applied_to(before).to_text()
            self.refs[cluster.key] = cluster
            return self.read(cluster)

    def clusters(self) -> list[ClusterRef]:
        self._check()
        return list(self.refs.values())

    def attempts(self, cluster: ClusterRef) -> dict[str, Attempt]:
        self._check()
        return {database: attempt for (key, database), attempt in self.tries.items() if key == cluster.key}

    def write_attempt(self, cluster: ClusterRef, attempt: Attempt) -> bool:
        with self._lock:
            self._check()
            key = cluster.key, attempt.database
            if self.tries.get(key, Attempt(attempt.database)).etag != attempt.etag:
                return False
            self.writes += 1
            self.tries[key] = replace(attempt, etag=str(self.writes))
            return True

    def _check(self) -> None:
        if self.failing is not None:
            raise self.failing


@dataclass
class FakeBlobs:
    """Blobs in a dict; ``written`` has the names in order."""

    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    metadata: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    times: dict[tuple[str, str], datetime] = field(default_factory=dict)
    copied: list[str] = field(default_factory=list)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    failing: ElbError | None = None

    def put(self, container: str, name: str, data: bytes | IO[bytes], content_type: str) -> None:
        if self.failing is not None:
            raise self.failing
        self.blobs[container, name] = data if isinstance(data, bytes) else data.read()
        self.times[container, name] = self.clock()
        self.written.append(name)

    def read(self, container: str, name: str) -> bytes:
        if (container, name) not in self.blobs:
            raise NotFoundError("blob_not_found", f"blob {container}/{name} is not there")
        return self.blobs[container, name]

    def put_blocks(
        self, container: str, name: str, source: Callable[[], Iterable[bytes]], content_type: str, *, new: bool = False
    ) -> None:
        content = b"".join(source())
        if new and (container, name) in self.blobs:
            raise ConflictError("blob_exists", f"blob {container}/{name} is there already")
        self.put(container, name, content, content_type)

    def copy(
        self, container: str, name: str, source: str, content_type: str, *, etag: str = "", new: bool = False
    ) -> None:
        path = urlsplit(source).path.removeprefix("/")
        where, _, what = path.partition("/")
        content = self.read(where, what)
        if etag and self.stat(where, what).etag != etag:
            raise ConflictError("blob_changed", f"blob {where}/{what} was changed meanwhile")
        self.copied.append(name)
        self.put_blocks(container, name, lambda: [content], content_type, new=new)

    def touch(self, container: str, name: str) -> None:
        self.put(container, name, self.read(container, name), "")
        self.written.pop()

    def stat(self, container: str, name: str) -> BlobItem:
        return self._item(container, name, self.read(container, name))

    def stream(
        self, container: str, name: str, offset: int = 0, length: int | None = None, *, etag: str = ""
    ) -> Iterator[bytes]:
        whole = self.read(container, name)
        if 0 < offset >= len(whole):
            raise ConflictError("blob_changed", f"blob {container}/{name} is shorter than it was")
        data = whole[offset:][:length]
        for start in range(0, len(data), 50):
            if etag and self.stat(container, name).etag != etag:
                raise ConflictError("blob_changed", f"blob {container}/{name} was changed meanwhile")
            yield data[start : start + 50]

    def listing(self, container: str, prefix: str) -> list[BlobItem]:
        return [
            self._item(where, name, data)
            for (where, name), data in sorted(self.blobs.items())
            if where == container and name.startswith(prefix)
        ]

    def delete(self, container: str, names: Iterable[str]) -> None:
        for name in names:
            self.blobs.pop((container, name), None)

    def delete_unchanged(self, container: str, item: BlobItem) -> bool:
        if (container, item.name) in self.blobs and self.stat(container, item.name).etag != item.etag:
            return False
        self.delete(container, [item.name])
        return True

    def _item(self, container: str, name: str, data: bytes) -> BlobItem:
        written = self.times.get((container, name))
        etag = f"{len(data)}" if written is None else f"{len(data)}-{written.timestamp()}-{zlib.crc32(data)}"
        return BlobItem(name, len(data), etag, self.metadata.get((container, name), {}), written)

    def url(self, container: str, name: str = "", *, permissions: str, life: timedelta) -> str:
        return f"https://store/{container}/{name}?sp={permissions}&seconds={life.total_seconds():.0f}"


@dataclass
class FakeEventLog:
    """Histories: job id -> events in the order of their first writing; the same event is kept once."""

    events: dict[str, list[Event]] = field(default_factory=dict)

    def add(self, job_id: str, event: Event) -> None:
        known = self.events.setdefault(job_id, [])
        if event not in known:
            known.append(event)

    def page(self, job_id: str, limit: int, after: str | None) -> tuple[list[Event], str | None]:
        return self.events.get(job_id, [])[::-1][:limit], None

    def clear(self, job_id: str) -> None:
        self.events.pop(job_id, None)


@dataclass
class FakeStats:
    """Statistics: (hour, key) -> entry, and what each timer did. ``failing`` is raised by every write."""

    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    runs: dict[str, TimerRun] = field(default_factory=dict)
    failing: ElbError | None = None

    def add(self, entry: Entry) -> None:
        if self.failing is not None:
            raise self.failing
        self.entries[entry.bucket, entry.key] = entry

    def since(self, at: datetime) -> list[Entry]:
        return [entry for (hour, _), entry in self.entries.items() if hour >= hour_of(at)]

    def timer_ran(
        self, name: str, at: datetime, seconds: float, result: Mapping[str, Any], *, failed: bool = False
    ) -> None:
        if self.failing is not None:
            raise self.failing
        self.runs[name] = TimerRun(at, seconds, dict(result), failed)

    def timers(self) -> dict[str, TimerRun]:
        return dict(self.runs)

    def purge(self, before: datetime) -> int:
        old = [key for key in self.entries if key[0] < hour_of(before)]
        for key in old:
            del self.entries[key]
        return len(old)


@dataclass
class FakeRates:
    """Buckets in a dict. ``failing`` is raised by every call."""

    buckets: dict[tuple[str, Rate], Bucket] = field(default_factory=dict)
    failing: ElbError | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, owner: str, rate: Rate, allowance: Allowance, now: datetime) -> float:
        if self.failing is not None:
            raise self.failing
        with self._lock:
            decision = take(self.buckets.get((owner, rate)), allowance, now)
            if decision.bucket is not None:
                self.buckets[owner, rate] = decision.bucket
            return decision.wait_seconds


@dataclass
class FakeArm:
    """What ARM says of every cluster, or the error that it answers with; ``refusing`` refuses changes only.

    A start or a stop is noted in ``asked`` and begins at once; it ends when the test sets ``provisioning`` back.
    """

    provisioning: str = "Succeeded"
    power: str = "Running"
    failing: ElbError | None = None
    refusing: ElbError | None = None
    pools: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    roles: dict[str, RoleAssignment] = field(default_factory=dict)
    reads: int = 0

    def cluster(self, cluster: ClusterRef, *, patient: bool = True) -> dict[str, Any]:
        self.reads += 1
        if self.failing is not None:
            raise self.failing
        properties = {
            "provisioningState": self.provisioning,
            "powerState": {"code": self.power},
            "currentKubernetesVersion": "1.32.4",
            "agentPoolProfiles": self.pools,
            "identityProfile": {"kubeletidentity": {"objectId": "kubelet"}},
        }
        return {"name": cluster.cluster_name, "location": "westeurope", "properties": properties}

    def start(self, cluster: ClusterRef) -> None:
        self._change("start", "Starting")

    def stop(self, cluster: ClusterRef) -> None:
        self._change("stop", "Stopping")

    def assign_role(self, assignment: RoleAssignment) -> bool:
        self._change("role", self.provisioning)
        new = assignment.name not in self.roles
        self.roles[assignment.name] = assignment
        return new

    def _change(self, what: str, provisioning: str) -> None:
        self.asked.append(what)
        if self.failing or self.refusing:
            raise self.failing or self.refusing  # type: ignore[misc]  # one of them is there
        self.provisioning = provisioning

    def kubeconfig(self, cluster: ClusterRef) -> bytes:
        raise NotImplementedError


@dataclass
class World:
    """All clients of a process: one storage account, one cluster."""

    settings: Settings
    searches: FakeSearchStore = field(default_factory=FakeSearchStore)
    clusters: FakeClusterRows = field(default_factory=FakeClusterRows)
    preferences: FakePreferences = field(default_factory=FakePreferences)
    events: FakeEventLog = field(default_factory=FakeEventLog)
    stats: FakeStats = field(default_factory=FakeStats)
    rates: FakeRates = field(default_factory=FakeRates)
    arm: FakeArm = field(default_factory=FakeArm)
    store: FakeBlobs = field(default_factory=FakeBlobs)
    cluster: FakeKube = field(default_factory=FakeKube)
    durable: FakeDurable = field(default_factory=FakeDurable)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    outbox: FakeOutbox = field(init=False)
    webhooks: FakeReceivers = field(default_factory=FakeReceivers)

    def __post_init__(self) -> None:
        self.outbox = self.searches.outbox = FakeOutbox(self.now)
        self.store.clock = self.now

    def blobs(self, account: str) -> FakeBlobs:
        return self.store

    def kube(self, cluster: ClusterRef, *, patient: bool = True) -> FakeKube:
        return self.cluster

    def now(self) -> datetime:
        return self.clock()
