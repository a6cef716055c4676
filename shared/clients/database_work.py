"""Warmups and releases of one database on one cluster keep out of each other's way, over all instances of the app.

Called by the warmup's and the release's activities and by ``triggers/warmup_changes.py``; the rules are in
``shared/domain/database_work.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from shared.clients.orchestrations import Orchestrations, OrchestrationView
from shared.clients.provider import clients
from shared.domain import database_work as rules
from shared.domain import functions as names
from shared.domain.database_work import DatabaseWork
from shared.domain.errors import ConflictError, TransientError
from shared.domain.search import ClusterRef

_TRIES = 20
_STARTING = timedelta(seconds=60)
"""How long an instance that is not there yet counts as being started."""


def join_warmup(cluster: ClusterRef, database: str, instance: str) -> None:
    """Say that a warmup is at the database, before it looks at anything. Twice is once.

    Raises:
        ConflictError: ``operation_in_progress``, a release is at it.
        TransientError: ``work_contended``, or the state store does not answer.
    """
    now = clients().now()
    _change(cluster, database, lambda work: rules.join_warmup(work, instance, database, now))


def begin_warmup(
    cluster: ClusterRef,
    database: str,
    instance: str,
    data: dict[str, Any],
    orchestrations: Orchestrations,
    *,
    keyed: bool = False,
) -> str:
    """Begin a warmup that somebody asked for, or join the one that is under way.

    Args:
        instance: id of the warmup, if it is this one that begins; one that was begun before is begun no second time.
        data: input of the orchestration; ``force`` in it joins nobody.
        keyed: whether the id stands for an Idempotency-Key. Such a warmup joins nobody either, so that the key leads to
            the same id for ever; it meets the others in the same Jobs.

    Returns:
        Instance id of the warmup that is at work.

    Raises:
        ConflictError: ``operation_in_progress``: a release, or of one that is forced a warmup;
            ``idempotency_key_reused``, this instance was begun with another request.
        TransientError: ``work_contended``, or the state store or Durable does not answer.
    """
    before = orchestrations.find(instance)
    if before is not None:
        _check_same(before.input, data)
        return instance
    now, joined = clients().now(), ""

    def begin(work: DatabaseWork) -> DatabaseWork:
        nonlocal joined
        releasing = work.releasing(now)
        if releasing and not _is_alive(orchestrations.find(releasing), now - (work.release_since or now)):
            work = rules.leave(work, releasing)  # it has ended without a word
        others = {name: since for name, since in work.warmups.items() if name != instance}
        alive = [name for name, since in others.items() if _is_alive(orchestrations.find(name), now - since)]
        if alive and data["force"]:
            raise rules.in_progress(database, "a warmup", alive[0])
        joined = alive[0] if alive and not keyed else ""
        return work if joined else rules.join_warmup(work, instance, database, now)

    _change(cluster, database, begin)
    # Also one that it joins: that may have died before it started what it claimed.
    orchestrations.start(names.WARMUP_ORCHESTRATOR, joined or instance, data)
    return joined or instance


def _check_same(known: object, asked: Mapping[str, Any]) -> None:
    """See that what was begun under an id is what is asked for now; later generations know more than was asked."""
    if isinstance(known, Mapping) and any(known.get(key) != value for key, value in asked.items()):
        raise ConflictError("idempotency_key_reused", "this Idempotency-Key came with another request", "use a new key")


def check_at_work(cluster: ClusterRef, database: str, instance: str) -> None:
    """See that a warmup was not thrown out by a release, before it makes anything.

    Raises:
        ConflictError: ``warmup_removed``.
    """
    if instance not in clients().clusters.work(cluster, database).warmups:
        message = f"database {database} was released while it was being warmed"
        raise ConflictError("warmup_removed", message, "start the warmup again if the database is still wanted")


def check_releasing(cluster: ClusterRef, database: str, instance: str) -> None:
    """See that a release has the database still, before it removes what it has found there.

    One that was held up for long may have lost it to a warmup, or to another release. Nothing of those is among what
    was found before this look.

    Raises:
        ConflictError: ``release_superseded``.
    """
    if clients().clusters.work(cluster, database).release != instance:
        message = f"the release of database {database} took too long, and others are or were at the database since"
        raise ConflictError("release_superseded", message, "release it again if it is still to go")


def leave_work(cluster: ClusterRef, database: str, instance: str) -> None:
    """Say that a warmup or a release is over. Twice is once.

    Raises:
        TransientError: ``work_contended``, or the state store does not answer.
    """
    _change(cluster, database, lambda work: rules.leave(work, instance))


def begin_release(
    cluster: ClusterRef, database: str, instance: str, data: dict[str, Any], orchestrations: Orchestrations
) -> str:
    """Begin a release, or join the one that is under way.

    Args:
        instance: id of the release, if it is this one that begins.
        data: input of the orchestration; ``force`` in it throws warmups out.

    Returns:
        Instance id of the release that is at work.

    Raises:
        ConflictError: ``operation_in_progress``, a warmup is at the database.
        TransientError: ``work_contended``, or the state store or Durable does not answer.
    """
    now, joined = clients().now(), ""

    def begin(work: DatabaseWork) -> DatabaseWork:
        nonlocal joined
        joined = work.releasing(now)
        if joined and _is_alive(orchestrations.find(joined), now - (work.release_since or now)):
            return work
        joined = ""
        gone = [name for name, since in work.warmups.items() if not _is_alive(orchestrations.find(name), now - since)]
        return rules.begin_release(work, instance, database, now, gone, force=bool(data.get("force")))

    _change(cluster, database, begin)
    # Also one that it joins: that may have died before it started what it claimed.
    orchestrations.start(names.RELEASE_ORCHESTRATOR, joined or instance, data)
    return joined or instance


def _is_alive(view: OrchestrationView | None, age: timedelta) -> bool:
    return age < _STARTING if view is None else not view.has_ended


def _change(cluster: ClusterRef, database: str, change: Callable[[DatabaseWork], DatabaseWork]) -> None:
    for _ in range(_TRIES):
        before = clients().clusters.work(cluster, database)
        after = change(before)
        if after == before or clients().clusters.write_work(cluster, database, after):
            return
    raise TransientError("work_contended", f"many want to change database {database}", "try again")
