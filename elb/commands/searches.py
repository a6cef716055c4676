"""``jobs``, ``show``, ``events``, ``watch``, ``logs``, ``cancel``, ``retry``, ``delete``: searches that are there."""

from __future__ import annotations

import argparse
import json
from typing import Any

from elb.addresses import part
from elb.api import Json
from elb.errors import ClientError, Exit, RefusedError
from elb.paging import read_items
from elb.session import Session, end_of, need_completed
from elb.text import clean, spell_progress, spell_seconds, spell_time
from elb.view import headline
from elb.watch import wait_until_deleted


def jobs(session: Session, args: argparse.Namespace) -> Exit:
    """List searches, newest first."""
    params = {name: getattr(args, name) for name in ("status", "program", "owner", "cursor")}
    params |= {"db": args.database, "q": args.title}
    items, after = read_items(session.api, "blast/jobs", params, None if args.all else args.limit)
    session.out.document({"items": items, "next_cursor": after})
    rows = [
        [
            item.get("job_id"),
            f"{clean(item.get('status'))}{' (stale)' if item.get('stale') else ''}",
            spell_progress(item.get("progress")).split(",")[0],
            spell_time(item.get("created_at")),
            item.get("program"),
            item.get("database"),
            item.get("title"),
        ]
        for item in items
    ]
    session.out.table(("job", "status", "progress", "created (UTC)", "program", "database", "title"), rows)
    if after:
        session.out.note(f"there is more: --all, or --cursor {after}")
    return Exit.OK


def show(session: Session, args: argparse.Namespace) -> Exit:
    """Show a search as it is now."""
    detail = session.api.get(f"blast/jobs/{part(args.job)}")
    session.out.document(detail)
    session.out.say(f"{clean(detail.get('job_id'))}  {headline(detail)}")
    for name in ("title", "program", "database", "owner", "created_at", "started_at", "completed_at", "attempt"):
        if detail.get(name):
            session.out.say(f"  {name + ':':<19}{clean(detail[name])}")
    options = {name: value for name, value in (detail.get("options") or {}).items() if value is not None}
    session.out.say(f"  {'options:':<19}{clean(json.dumps(options, ensure_ascii=False))}")
    steps = [
        [step.get("name"), step.get("status"), spell_seconds(step.get("seconds")), step.get("detail")]
        for step in detail.get("steps") or []
    ]
    session.out.table(("step", "status", "time", ""), steps, right=("time",))
    troubled = [job for job in (detail.get("kubernetes") or {}).get("jobs") or [] if job.get("reason")]
    if troubled:
        rows = [[job.get(name) for name in ("name", "state", "reason", "exit_code")] for job in troubled]
        session.out.table(("Kubernetes Job", "state", "reason", "exit code"), rows)
    log_tail = (detail.get("error") or {}).get("log_tail")
    if log_tail:
        session.out.say(clean(log_tail, lines=True))
    return Exit.OK


def events(session: Session, args: argparse.Namespace) -> Exit:
    """Show what happened to a search, newest first."""
    path = f"blast/jobs/{part(args.job)}/events"
    items, after = read_items(session.api, path, {"cursor": args.cursor}, None if args.all else args.limit)
    session.out.document({"items": items, "next_cursor": after})
    names = ("at", "kind", "who", "why", "attempt")
    session.out.table(names, [[item.get(name) for name in names] for item in items])
    return Exit.OK


def watch(session: Session, args: argparse.Namespace) -> Exit:
    """Show a search until it has ended; the exit code is its end."""
    return end_of(session.watch(args.job, args.timeout))


def logs(session: Session, args: argparse.Namespace) -> Exit:
    """Show the last lines that the Jobs of a search wrote."""
    found = session.api.get(f"blast/jobs/{part(args.job)}/logs", {"job": args.job_name, "tail": args.tail})
    session.out.document(found)
    for item in found.get("items") or []:
        about = [clean(item.get(name)) for name in ("state", "container", "pod", "reason") if item.get(name)]
        session.out.say(f"== {clean(item.get('job'))} ({', '.join(about)})")
        if item.get("truncated"):
            session.out.say("[the beginning is left out]")
        text = clean(item.get("text"), lines=True)
        session.out.say(text.rstrip("\n") if text else "[no log]")
    if found.get("truncated"):
        session.out.note(f"not all {clean(found.get('jobs_total'))} Jobs are shown: name one with --job")
    if found.get("stale"):
        session.out.note(f"stale: {clean(found.get('stale_reason'))}")
    return Exit.OK


def cancel(session: Session, args: argparse.Namespace) -> Exit:
    """Ask for the end of a search. With ``--wait`` it is said only when nothing of it is left."""
    body = {"reason": args.reason} if args.reason else {}
    answer = session.api.post(f"blast/jobs/{part(args.job)}/cancel", body)
    if not args.wait:
        return _accepted(session, answer)
    detail = session.wait(args.job, args.timeout)
    session.out.document(detail)
    if detail.get("status") != "cancelled":
        what = f"{args.job} is {detail.get('status')}: it ended before it could be cancelled"
        raise ClientError("not_cancelled", what, exit_code=Exit.REFUSED, about={"job_id": args.job})
    return Exit.OK


def retry(session: Session, args: argparse.Namespace) -> Exit:
    """Run what is missing of a failed or cancelled search."""
    answer = session.api.post(f"blast/jobs/{part(args.job)}/retry", {}, repeatable=False)
    if not args.wait:
        return _accepted(session, answer)
    detail = session.wait(args.job, args.timeout)
    session.out.document(detail)
    need_completed(detail)
    return Exit.OK


def delete(session: Session, args: argparse.Namespace) -> Exit:
    """Delete a search with all that it left. With ``--wait`` it is said only when it is gone."""
    path = f"blast/jobs/{part(args.job)}"
    try:
        answer = session.api.json(session.api.send("DELETE", path))
    except RefusedError as error:
        if not (session.api.repeated and error.exit_code is Exit.NOT_FOUND):
            raise
        answer = {"job_id": args.job, "status": "deleted"}  # the first request, whose answer was lost, did it
    if not args.wait or answer.get("status") == "deleted":
        return _accepted(session, answer)
    with session.going_on(f"the deletion of {args.job}", session.command("delete", args.job, "--wait")):
        wait_until_deleted(session.api, args.job, lambda _: None, args.timeout)
    return _accepted(session, {"job_id": args.job, "status": "deleted"})


def _accepted(session: Session, answer: Json) -> Exit:
    session.out.document(answer)
    words: list[Any] = [answer.get("job_id"), answer.get("status")]
    session.out.say("  ".join(clean(word) for word in words if word))
    return Exit.OK
