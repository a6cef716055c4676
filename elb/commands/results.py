"""``results`` and ``hits``: what a completed search has found."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from elb.addresses import part
from elb.api import Json
from elb.download import Wanted, fetch
from elb.errors import ClientError, DownloadError, Exit
from elb.paging import read_items
from elb.session import Session
from elb.text import clean, spell_bytes, spell_number

_HIT_COLUMNS = ("query", "subject", "identity", "length", "evalue", "bit_score")
_NUMBERS = _HIT_COLUMNS[2:]
_PROVENANCE = ("program_version", "command_line", "database_version", "shards", "batches", "exact", "published_at")


def results(session: Session, args: argparse.Namespace) -> Exit:
    """Show what was published; with ``--out`` bring it here."""
    if args.out:
        only = tuple(args.file or ())
        answer = download_all(session, args.job, Path(args.out), force=args.force, only=only)
        session.out.document(answer)
        return Exit.OK
    found = session.api.get(f"blast/jobs/{part(args.job)}/results")
    session.out.document(found)
    _show(session, found)
    return Exit.OK


def download_all(
    session: Session, job_id: str, folder: Path, *, force: bool = False, only: tuple[str, ...] = ()
) -> Json:
    """Bring the files of a completed search into a folder.

    Args:
        session: this run.
        job_id: the search.
        folder: made when it is not there.
        force: replace files that are in the way.
        only: names of the manifest; all without one.

    Returns:
        ``files``, each with where it is; ``summary`` and ``provenance`` as the API has them.

    Raises:
        ClientError: the API refused, or a file did not arrive whole.
    """
    found = session.api.get(f"blast/jobs/{part(job_id)}/results")
    rows = [row for row in found.get("manifest") or [] if not only or row.get("name") in only]
    missing = sorted(set(only) - {str(row.get("name")) for row in rows})
    if missing:
        names = ", ".join(str(row.get("name")) for row in found.get("manifest") or [])
        what = f"{job_id} has no result {', '.join(missing)}"
        raise ClientError("result_not_found", what, f"it has: {names}", exit_code=Exit.NOT_FOUND)
    wanted = [Wanted.of(row) for row in rows]
    if len({file.name for file in wanted}) < len(wanted):
        raise DownloadError("manifest_invalid", f"two results of {job_id} have one name")
    files = []
    options = [*(["--force"] if force else []), *(word for name in only for word in ("--file", name))]
    resume = session.command("results", job_id, "--out", str(folder), *options)
    with session.going_on("what has arrived is kept; the download", resume):
        for file in wanted:
            with session.transfer(file.name, file.size) as seen:
                state = fetch(session.api, file, folder, seen, force=force)
            path = folder / file.name
            files.append(
                {"name": file.name, "path": str(path), "size": file.size, "sha256": file.sha256, "state": state}
            )
            session.out.say(f"{path}  {spell_bytes(file.size)}  {state}, SHA-256 checked")
    return {"files": files, "summary": found.get("summary"), "provenance": found.get("provenance")}


def hits(session: Session, args: argparse.Namespace) -> Exit:
    """Show hits as rows, by the API's filters."""
    params = {name: getattr(args, name) for name in ("query", "sort", "min_identity", "max_evalue", "cursor")}
    path = f"blast/jobs/{part(args.job)}/hits"
    items, after = read_items(session.api, path, params, None if args.all else args.limit)
    session.out.document({"items": items, "next_cursor": after})
    rows = [
        [spell_number(item.get(name)) if name == "length" else _plain(item.get(name)) for name in _HIT_COLUMNS]
        for item in items
    ]
    session.out.table(_HIT_COLUMNS, rows, right=_NUMBERS)
    if after:
        session.out.note(f"there is more: --all, or --cursor {after}")
    return Exit.OK


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else clean(value)


def _show(session: Session, found: Json) -> None:
    summary: dict[str, Any] = found.get("summary") or {}
    if summary:
        session.out.say(
            f"{summary.get('queries_with_hits')} of {summary.get('queries')} queries have {summary.get('hits')} hits"
        )
    provenance: dict[str, Any] = found.get("provenance") or {}
    for name in _PROVENANCE:
        value = provenance.get(name)
        if value is not None:
            shown = shlex.join(map(str, value)) if isinstance(value, list) else value
            session.out.say(f"{name + ':':<18}{clean(shown)}")
    rows = [
        [row.get("name"), spell_number(row.get("size")), row.get("sha256"), row.get("content_type")]
        for row in found.get("manifest") or []
    ]
    session.out.table(("name", "bytes", "sha256", "type"), rows, right=("bytes",))
