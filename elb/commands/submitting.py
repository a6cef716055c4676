"""``submit``, ``validate``, ``clone``: what begins a search, or says what would come of it."""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elb.addresses import part
from elb.api import Json
from elb.commands.results import download_all
from elb.errors import ClientError, Exit, UsageError
from elb.queries import open_query, send_query
from elb.session import Session, end_of, need_completed
from elb.text import clean

_OPTIONS = ("task", "evalue", "max_target_seqs", "word_size", "outfmt", "extra")
_CLUSTER = ("subscription_id", "resource_group", "cluster_name", "storage_account")


def submit(session: Session, args: argparse.Namespace) -> Exit:
    """Begin a search; with ``--wait`` until its end, with ``--out`` its results too."""
    _check_folder(args)
    key = args.key or str(uuid.uuid4())
    with _known_by(args, key):
        accepted = session.api.post("blast/jobs", _body(session, args), key=key)
    return _after(session, args, accepted)


def clone(session: Session, args: argparse.Namespace) -> Exit:
    """Begin a search like another one, with the edits that are given."""
    _check_folder(args)
    key = args.key or str(uuid.uuid4())
    with _known_by(args, key):
        body = _body(session, args)
        if "options" in body:  # the API replaces them as a whole; here only those that are given change
            before = session.api.get(f"blast/jobs/{part(args.job)}").get("options") or {}
            kept = {name: before[name] for name in _OPTIONS if before.get(name) is not None}
            body["options"] = kept | body["options"]
        accepted = session.api.post(f"blast/jobs/{part(args.job)}/clone", body, key=key)
    return _after(session, args, accepted)


def validate(session: Session, args: argparse.Namespace) -> Exit:
    """Say whether a submit would be accepted, and what would be run. Nothing is started."""
    found = session.api.post("blast/jobs/validate", _body(session, args))
    session.out.document(found)
    for check in found.get("checks") or []:
        words = " ".join(clean(check.get(name)) for name in ("message", "hint") if check.get(name))
        session.out.say(f"{clean(check.get('status')):<8} {clean(check.get('id')):<14} {words}".rstrip())
    plan = found.get("plan")
    if isinstance(plan, dict):
        known = [f"{plan[name]} {name}" for name in ("batches", "shards", "jobs") if plan.get(name) is not None]
        session.out.say("plan: " + ", ".join(known))
    return Exit.OK if found.get("ok") else Exit.REFUSED


def _body(session: Session, args: argparse.Namespace) -> Json:
    """The submit that the arguments mean; what is not given is not in it."""
    body: Json = {"program": args.program, "database": args.database, "title": args.title, "engine": args.engine}
    body |= {"batch_len": args.batch_len, "webhook_url": args.webhook_url, "labels": dict(args.label) or None}
    body["options"] = {name: getattr(args, name) for name in _OPTIONS if getattr(args, name) is not None} or None
    body["cluster"] = {name: getattr(args, name) for name in _CLUSTER if getattr(args, name)} or None
    body = {name: value for name, value in body.items() if value is not None}
    if args.query is not None:
        body |= _query(session, args)
    return body


def _query(session: Session, args: argparse.Namespace) -> Json:
    where = {"program": args.program, "storage_account": args.storage_account}
    with open_query(args.query) as query, session.transfer(query.name, query.size) as seen:
        return send_query(session.api, query, where, seen)


@contextmanager
def _known_by(args: argparse.Namespace, key: str) -> Iterator[None]:
    """Where the answer may be lost, say how to find out without a second search.

    Raises:
        ClientError: the one that came, with the key in its hint.
    """
    hint = f"whether the search was begun is not known: the same command with --key {key} begins it once at most"
    about = {"idempotency_key": key}
    try:
        yield
    except ClientError as error:
        if error.exit_code is not Exit.UNREACHABLE:  # refused: nothing was begun
            raise
        error.hint = f"{error.hint}\n  {hint}" if error.hint else hint
        error.about |= about
        raise
    except KeyboardInterrupt:
        raise ClientError(
            "interrupted", f"{args.command} was interrupted", hint, exit_code=Exit.INTERRUPTED, about=about
        ) from None


def _after(session: Session, args: argparse.Namespace, accepted: Json) -> Exit:
    """What follows the 202: the id, and what was asked for besides."""
    job_id = str(accepted["job_id"])
    if not (args.wait or args.out):
        session.out.document(accepted)
        session.out.say(job_id)
        session.out.note(f"follow it with: {session.command('watch', job_id)}")
        return Exit.OK
    session.out.note(f"accepted as {job_id}")
    detail = session.wait(job_id, args.timeout)
    answer: dict[str, Any] = {**accepted, "search": detail}
    if args.out and end_of(detail) is Exit.OK:
        answer |= download_all(session, job_id, Path(args.out), force=args.force)
    session.out.document(answer)
    need_completed(detail)
    return Exit.OK


def _check_folder(args: argparse.Namespace) -> None:
    """Before anything is begun: a search of hours must not end at a file that is in its way.

    Raises:
        UsageError: ``folder_not_empty``.
    """
    if not args.out or args.force:
        return
    folder = Path(args.out)
    if folder.exists() and (not folder.is_dir() or any(not item.name.startswith(".") for item in folder.iterdir())):
        raise UsageError(
            "folder_not_empty", f"{folder} is not an empty folder", "choose another one for --out, or add --force"
        )
