"""``databases``, ``warm``, ``release``, ``clusters``, ``cluster``, ``me``: what searches run on, and who is asking."""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Callable
from typing import Any

from elb.api import Json
from elb.errors import ClientError, Exit, SearchEndedError, WaitedTooLongError
from elb.session import Session
from elb.text import clean, spell_bytes, spell_number, spell_seconds
from elb.watch import pause

_CLUSTER = ("subscription_id", "resource_group", "cluster_name", "storage_account")
_ENDED = ("completed", "failed", "terminated", "canceled")


def databases(session: Session, args: argparse.Namespace) -> Exit:
    """List the databases: what storage and the cluster have of each."""
    found = session.api.get("blast/databases", _cluster(args))
    session.out.document(found)
    rows = []
    for item in found.get("items") or []:
        warmth = item.get("warmth") or {}
        loading = warmth.get("state") == "loading" and warmth.get("progress_pct") is not None
        state = f"{warmth.get('state')} {warmth['progress_pct']:.0f} %" if loading else warmth.get("state")
        size = [spell_number(item.get("sequences")), spell_number(item.get("letters")), spell_bytes(item.get("bytes"))]
        shards = ", ".join(str(count) for count in item.get("shards") or [])
        rows.append(
            [
                item.get("name"),
                item.get("type"),
                *size,
                item.get("storage_state"),
                shards,
                state,
                (item.get("fit") or {}).get("verdict"),
            ]
        )
    headings = ("database", "type", "sequences", "letters", "size", "storage", "shards", "warmth", "fit")
    session.out.table(headings, rows, right=("sequences", "letters", "size"))
    _note_stale(session, found)
    return Exit.OK


def warm(session: Session, args: argparse.Namespace) -> Exit:
    """Bring a database into the nodes' memory."""
    body = {"database": args.database, "force": args.force, **_cluster(args)}
    work = session.api.post("warmup/start", body, key=args.key or str(uuid.uuid4()))
    progress = _WarmProgress(session, args.database, _cluster(args))
    return _finish(session, args, work, f"the warmup of {args.database}", progress.look)


def release(session: Session, args: argparse.Namespace) -> Exit:
    """Take a database out of the nodes' memory and off their disks."""
    answer = session.api.post("warmup/release", {"database": args.database, "force": args.force, **_cluster(args)})
    if "status" not in answer:
        return _finish(session, args, answer, f"the release of {args.database}", lambda _: None)
    session.out.document(answer)
    session.out.say(clean(answer["status"]))
    for problem in answer.get("errors") or []:
        session.out.say(f"  {clean(problem.get('message') if isinstance(problem, dict) else problem)}")
    return Exit.FAILED if answer["status"] == "partial" else Exit.OK


def clusters(session: Session, args: argparse.Namespace) -> Exit:  # noqa: ARG001  # one signature for all commands
    """List the clusters and how each stands."""
    found = session.api.get("monitor/aks")
    session.out.document(found)
    rows = []
    for item in found.get("items") or []:
        pools = (item.get("summary") or {}).get("pools") or []
        nodes = ", ".join(f"{pool.get('name')} {_count(pool)}" for pool in pools)
        ready = [_yes(item.get(gate)) for gate in ("workload_ready", "warm_ready")]
        rows.append(
            [
                item.get("cluster_name"),
                item.get("lifecycle_state"),
                *ready,
                nodes,
                item.get("reason") or item.get("stale_reason"),
            ]
        )
    session.out.table(("cluster", "state", "searches", "warmups", "nodes", ""), rows)
    return Exit.OK


def cluster_power(session: Session, args: argparse.Namespace) -> Exit:
    """Start or stop a cluster."""
    force = {"force": True} if getattr(args, "force", False) else {}
    work = session.api.post(f"aks/{args.action}", {**_cluster(args), **force})
    told: list[str] = []

    def look(status: Json) -> None:
        custom = status.get("custom_status") or {}
        words = ": ".join(clean(custom[name]) for name in ("phase", "reason") if custom.get(name))
        if words and words not in told[-1:]:
            told.append(words)
            session.out.say(f"  {words}")

    return _finish(session, args, work, f"the {args.action} of the cluster", look)


def me(session: Session, args: argparse.Namespace) -> Exit:  # noqa: ARG001  # one signature for all commands
    """Say who the API takes the caller for."""
    found = session.api.get("me")
    session.out.document(found)
    session.out.say(f"{clean(found.get('owner'))}  {clean(', '.join(found.get('roles') or []))}")
    return Exit.OK


class _WarmProgress:
    """What a warmup has shown so far: a line for each change of its phase."""

    def __init__(self, session: Session, database: str, cluster: Json) -> None:
        self._session, self._query = session, {"database": database, **cluster}
        self._told = ""

    def look(self, status: Json) -> None:  # noqa: ARG002  # the cluster's own reading says more
        if self._session.out.as_json:
            return
        try:
            found = self._session.api.get("monitor/aks/warmup-status", self._query, patience=0)
        except ClientError:  # it is only shown; how the work stands is asked for by itself
            return
        for row in found.get("items") or []:
            phase = row.get("active_phase_label") or row.get("status")
            if phase != self._told:
                self._told = phase
                left = row.get("estimated_remaining_seconds")
                about = f", about {spell_seconds(left)} left" if isinstance(left, int | float) and left else ""
                percent = row.get("progress_pct")
                done = f"{percent:5.1f} %  " if isinstance(percent, int | float) else ""
                self._session.out.say(f"  {done}{clean(phase)}{about}")


def _finish(session: Session, args: argparse.Namespace, work: Json, what: str, look: Callable[[Json], None]) -> Exit:
    """The end of work that was answered with 202; without ``--wait`` only that it was accepted."""
    if not args.wait:
        session.out.document(work)
        session.out.say(str(work.get("instance_id")))
        return Exit.OK
    words = [word for word in (args.command, getattr(args, "action", None), getattr(args, "database", None)) if word]
    with session.going_on(what, session.command(*words, "--wait")):
        output = _output(session, work, what, look, args.timeout)
    session.out.document({**work, "output": output})
    session.out.say(f"{what}: {clean(output.get('status') or 'succeeded')}")
    return Exit.OK


def _output(session: Session, work: Json, what: str, look: Callable[[Json], None], timeout: float | None) -> Json:
    """Ask until the work has ended.

    Raises:
        SearchEndedError: it failed, with its own error.
        WaitedTooLongError: it goes on.
    """
    clock = session.api.clock
    began = clock.monotonic()
    about = {"instance_id": work.get("instance_id")}
    while True:
        status = session.api.get(str(work["status_url"]))
        look(status)
        runtime = str(status.get("runtime_status")).lower()
        output: dict[str, Any] = status.get("output") or {}
        if runtime in _ENDED:
            break
        waited = clock.monotonic() - began
        if timeout is not None and waited >= timeout:
            raise WaitedTooLongError("timeout", f"{what} goes on after {timeout:g} s", about=about)
        clock.sleep(pause(waited) if timeout is None else min(pause(waited), timeout - waited))
    if runtime != "completed" or output.get("status") == "failed":
        error: dict[str, Any] = output.get("error") or {}
        code, message = str(error.get("code") or runtime), str(error.get("message") or runtime)
        raise SearchEndedError(code, f"{what} failed: {message}", str(error.get("hint") or ""), about=about)
    return output


def _cluster(args: argparse.Namespace) -> Json:
    return {name: getattr(args, name) for name in _CLUSTER if getattr(args, name, None)}


def _count(pool: Json) -> str:
    return "" if pool.get("count") is None else f"{pool.get('ready')}/{pool['count']}"


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _note_stale(session: Session, found: Json) -> None:
    if found.get("stale"):
        session.out.note(f"stale: {clean(found.get('stale_reason'))}")
