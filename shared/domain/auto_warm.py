"""Which databases to warm by itself, and when: pure decisions over what storage, the cluster and the last tries say.

A database is warmed where the cluster's gate is open and it is ready to be warmed (downloaded and cut into shards), but
cold, stale, failed, cooled or half made. What nobody knows is never taken for cold. A database has one try at a time; a
failed one is followed by the next after 60 s, 120 s, 240 s and so on, at most an hour (ADR 0019).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.ids import content_key
from shared.domain.preference import AutoWarmPreference
from shared.domain.warmth import Warmth

FIRST_PAUSE = timedelta(seconds=60)
LONGEST_PAUSE = timedelta(hours=1)
HELD = timedelta(minutes=10)
"""How long a database must have been warm until the tries before are forgotten: two databases that push each other out
of memory succeed each time, and must not be touched for ever."""
APART = timedelta(seconds=30)
"""Between the beginnings of two tries on one cluster: the plan of the second one must see the Jobs of the first one, or
both would count on the same memory."""
_LONGEST_EXPONENT = 10


class StorageState(StrEnum):
    """What storage has of a database, as far as warming it goes."""

    NOT_DOWNLOADED = "not_downloaded"
    INCOMPLETE = "incomplete"
    DOWNLOADED = "downloaded"
    SHARDED = "sharded"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What is done about a database."""

    WARM = "warm"
    WAIT = "wait"
    SKIP = "skip"


class Fate(StrEnum):
    """What became of the orchestration of a try."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Stored:
    """A database in storage.

    Attributes:
        source_version: that storage has; empty where it is not known.
        why: in words, where it is not ready to be warmed.
    """

    state: StorageState
    source_version: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A database on the cluster.

    Attributes:
        moving: whether a Job of its warmup that has not ended can go on. A half-made set in which nothing moves, or one
            that waits for a node that is gone, is loaded by nobody.
        replaced: whether storage has another version than the nodes.
    """

    warmth: Warmth
    moving: bool = False
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """The tries of one database on one cluster: one small row, written only where nobody else wrote since it was read.

    Attributes:
        number: of all tries there ever were: makes each one's instance id one that was never used.
        tries: since the last reset; decides the pause after a failure.
        settled: whether the end of the last one is known.
        began_at: when the last one was taken.
        next_at: when the next one may begin.
        ready_since: when the database was first seen warm after the last try.
        source_version: that the last try was for.
        preference: the version of the preference by which it was made.
    """

    database: str
    number: int = 0
    tries: int = 0
    instance_id: str = ""
    settled: bool = True
    began_at: datetime | None = None
    next_at: datetime | None = None
    ready_since: datetime | None = None
    source_version: str = ""
    preference: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about one database, and why.

    Attributes:
        reason: a code.
        until: when it is looked at again; None: at the next turn.
        attempt: the row to be written first; None when nothing is to be written.
    """

    database: str
    action: Action
    reason: str
    message: str = ""
    until: datetime | None = None
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known of a cluster at a turn.

    Attributes:
        cluster_key: of the cluster.
        version: of the preference.
        gate: whether the cluster is warm-ready.
        gate_reason: why not.
        stored: database -> what storage has.
        seen: database -> how it stands on the cluster; one that is missing is unknown.
        attempts: database -> its tries.
        fates: instance id -> what became of it, for every try that is not settled.
        up_since: when the first of the nodes came up that are there now: what was tried before says nothing any more.
        busy: databases that somebody else's warmup or a release is at, or that searches use in another version than
            storage has.
    """

    cluster_key: str
    version: str
    gate: bool
    gate_reason: str
    stored: Mapping[str, Stored]
    seen: Mapping[str, Seen]
    attempts: Mapping[str, Attempt]
    fates: Mapping[str, Fate]
    up_since: datetime | None = None
    busy: Collection[str] = ()


def pause_after(tries: int) -> timedelta:
    """How long to wait after so many tries: 60 s, 120 s, 240 s and so on, at most an hour."""
    return min(FIRST_PAUSE * (1 << min(max(tries, 1) - 1, _LONGEST_EXPONENT)), LONGEST_PAUSE)


def auto_instance(cluster_key: str, database: str, source_version: str, number: int) -> str:
    """Instance id of a try: the same for everybody who would begin it."""
    return f"warmup-auto-{content_key(cluster_key, database, source_version, str(number))}"


def plan_auto_warm(preference: AutoWarmPreference, situation: Situation, now: datetime) -> list[Decision]:
    """What to do about each database of a preference, in its order; nothing at all when it is switched off.

    At most one try begins, and none within ``APART`` of another one of the same cluster.
    """
    if not preference.enabled:
        return []
    begun = [a.began_at for a in situation.attempts.values() if not a.settled and a.began_at is not None]
    first = not any(abs(now - at) < APART for at in begun)  # one far ahead was written by a clock that was wrong
    decisions = []
    for database in preference.databases:
        decision = _decide(database, situation, now)
        if decision.action is Action.WARM and not first:
            decision = Decision(database, Action.WAIT, "after_another", "another database is planned first")
        first = first and decision.action is not Action.WARM
        decisions.append(decision)
    return decisions


_NOT_SHARDED: Mapping[StorageState, str] = {
    StorageState.NOT_DOWNLOADED: "it is not in storage; download it, and it is warmed at the next turn",
    StorageState.INCOMPLETE: "it is incomplete in storage",
    StorageState.DOWNLOADED: "it has no shard layout; prepare one with POST /api/blast/databases/{}/shards",
    StorageState.UNKNOWN: "storage did not say what it has of it",
}


def why_not_sharded(database: str, stored: Stored) -> str:
    """Why a database is skipped that storage does not have ready to be warmed."""
    return stored.why or _NOT_SHARDED.get(stored.state, "").format(database)


def _decide(database: str, situation: Situation, now: datetime) -> Decision:
    if not situation.gate:
        return Decision(database, Action.WAIT, "not_ready", situation.gate_reason)
    stored = situation.stored.get(database, Stored(StorageState.UNKNOWN))
    if stored.state is not StorageState.SHARDED:
        reason = "storage_unknown" if stored.state is StorageState.UNKNOWN else f"database_{stored.state}"
        return Decision(database, Action.SKIP, reason, why_not_sharded(database, stored))
    attempt = situation.attempts.get(database, Attempt(database))
    fate = Fate.SUCCEEDED if attempt.settled else situation.fates.get(attempt.instance_id, Fate.RUNNING)
    seen = situation.seen.get(database, Seen(Warmth.UNKNOWN))
    if fate is Fate.RUNNING:
        return Decision(database, Action.WAIT, "under_way", f"{attempt.instance_id} is under way")
    if fate is Fate.FAILED:
        return _failed(attempt, now)
    match seen.warmth:
        case Warmth.READY:
            return _warm(attempt, now)
        case Warmth.UNKNOWN:
            return Decision(database, Action.SKIP, "unknown", "the cluster did not say how it stands")
        case Warmth.LOADING | Warmth.STALE if seen.moving:
            return Decision(database, Action.WAIT, "loading", "a warmup of it is under way")
    if database in situation.busy:
        return Decision(database, Action.WAIT, "busy", "a warmup, a release or a search is at it")
    return _begin(attempt, stored, seen, fate, situation, now)


def _failed(attempt: Attempt, now: datetime) -> Decision:
    """The end of a try is seen for the first time: the pause counts from here."""
    until = now + pause_after(attempt.tries)
    after = replace(attempt, settled=True, next_at=until)
    message = f"{attempt.instance_id} failed; that was try {attempt.tries}"
    return Decision(attempt.database, Action.WAIT, "failed", message, until, after)


def _warm(attempt: Attempt, now: datetime) -> Decision:
    """It is warm. What led to it is forgotten once that has held for a while."""
    after = replace(attempt, settled=True)
    if attempt.tries and attempt.ready_since is None:
        # What the first try brought and a node's loss takes away is brought back without a pause.
        after = replace(after, ready_since=now, next_at=None if attempt.tries == 1 else attempt.next_at)
    elif attempt.tries and attempt.ready_since is not None and now - attempt.ready_since >= HELD:
        after = replace(after, tries=0, next_at=None, ready_since=None)
    return Decision(attempt.database, Action.SKIP, "warm", attempt=after if after != attempt else None)


def _begin(attempt: Attempt, stored: Stored, seen: Seen, fate: Fate, situation: Situation, now: datetime) -> Decision:
    """Take the next try, or wait for its time."""
    anew = _is_anew(attempt, stored, situation)
    tries = 0 if anew else attempt.tries
    # No pause is longer than this: a time beyond it was written by a clock that was wrong.
    if attempt.next_at is not None and now < attempt.next_at <= now + LONGEST_PAUSE and not anew:
        message = f"tries since the last success: {tries}; the next one comes at its time"
        return Decision(attempt.database, Action.WAIT, "backoff", message, attempt.next_at)
    # One that was taken and never begun is begun under its own id, by however many find it so.
    number = attempt.number if fate is Fate.ABSENT and not anew else attempt.number + 1
    taken = Attempt(
        database=attempt.database,
        number=number,
        tries=tries + 1,
        instance_id=auto_instance(situation.cluster_key, attempt.database, stored.source_version, number),
        settled=False,
        began_at=now,
        next_at=now + pause_after(tries + 1),
        source_version=stored.source_version,
        preference=situation.version,
        etag=attempt.etag,
    )
    return Decision(attempt.database, Action.WARM, seen.warmth.value, f"it is {seen.warmth}", attempt=taken)


def _is_anew(attempt: Attempt, stored: Stored, situation: Situation) -> bool:
    """Whether what was tried is another thing: another preference, another version, or before the cluster came up."""
    if (attempt.preference, attempt.source_version) != (situation.version, stored.source_version):
        return True
    return attempt.began_at is not None and situation.up_since is not None and attempt.began_at < situation.up_since
