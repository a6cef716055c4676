"""The parts of the demo that use the API: prepare the shards, warm the database, search, fetch the results."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.spinner import Spinner

from local.demo.api import POLL_SECONDS, Api, DemoError, Json
from local.demo.screen import Moving, Screen, shard_bars
from local.sample.build import DATABASE
from local.sample.make_queries import QUERIES

SHARDS = 4
# 40 queries with 24,957 letters make two batches of this length: 2 batches x 4 shards = 8 Jobs.
BATCH_LETTERS = 13_000
OPTIONS: Mapping[str, Any] = {"task": "megablast", "evalue": 0.01, "max_target_seqs": 20, "outfmt": "6 std"}
_ENDED = ("completed", "failed", "cancelled")


def prepare_shards(api: Api, screen: Screen) -> None:
    """Lay the database out in shards: manifests and alias files, no copies."""
    began = time.monotonic()
    work = api.post(f"blast/databases/{DATABASE}/shards", {"shards": SHARDS})
    api.wait_for_work(work, "preparing the shards")
    screen.done(f"laid out in {SHARDS} shards", time.monotonic() - began, "each knows the size of the whole database")


def warm(api: Api, screen: Screen) -> None:
    """Bring every shard into the memory of its node, and show how far each is."""
    began = time.monotonic()
    work = api.post("warmup/start", {"database": DATABASE})
    progress = WarmProgress(api, screen)
    with screen.moving() as place:
        # Its own path, as the API's list of routes gives it.
        status = {"status_url": f"warmup/{work['instance_id']}/status"}
        api.wait_for_work(status, "the warmup", lambda: progress.look(place))
    progress.look(Moving(None))
    screen.done("every shard is warm on its node", time.monotonic() - began)


class WarmProgress:
    """What the warmup has shown so far.

    Args:
        api: where it is read.
        screen: where changes are printed.
    """

    def __init__(self, api: Api, screen: Screen) -> None:
        self._api = api
        self._screen = screen
        self._phases: dict[int, str] = {}

    def look(self, place: Moving) -> None:
        """Read the status once and print the shards whose phase is another one than before."""
        row = _row_of(self._api.get("monitor/aks/warmup-status"))
        if row is None:
            return
        for pod in row["pod_statuses"]:
            if self._phases.get(pod["shard"]) != pod["phase"]:
                self._phases[pod["shard"]] = pod["phase"]
                where = f"{pod['progress_pct']:5.1f} %  {pod['node'] or 'no node yet'}"
                self._screen.note(f"shard {pod['shard']}  {pod['phase_label']:<30} {where}")
        place.show(shard_bars(row["pod_statuses"], float(row["progress_pct"])))


def submit(api: Api) -> Json:
    """Submit the search of the sample queries; the body of the 202."""
    body = {
        "program": "blastn",
        "database": DATABASE,
        "query_fasta": QUERIES.read_text(),
        "title": "demo: 40 sequences against the resistance genes",
        "options": dict(OPTIONS),
        "batch_len": BATCH_LETTERS,
    }
    return api.post("blast/jobs", body)


def follow(api: Api, screen: Screen, job_id: str) -> Json:
    """Print each step of a search as it ends, until the search has ended.

    Returns:
        The search's detail.

    Raises:
        DemoError: it did not complete; with the search's own error object.
    """
    printed: set[str] = set()
    with screen.moving() as place:
        while True:
            detail = api.get(f"blast/jobs/{job_id}")
            for step in detail["steps"]:
                if step["status"] not in ("pending", "running") and step["name"] not in printed:
                    printed.add(step["name"])
                    screen.done(f"{step['name']} ({step['status']})", step.get("seconds"), step.get("detail") or "")
            if detail["status"] in _ENDED:
                break
            place.show(Spinner("dots", text=_now(detail)))
            time.sleep(POLL_SECONDS)
    if detail["status"] != "completed":
        raise DemoError(f"the search {job_id} ended {detail['status']}", detail.get("error"))
    return detail


def fetch(api: Api, job_id: str, folder: Path) -> tuple[Json, Path]:
    """Download every file of the results.

    Args:
        api: where they are.
        job_id: of a completed search.
        folder: made when it is not there.

    Returns:
        What the API says of the results, and the file with the hits.
    """
    results = api.get(f"blast/jobs/{job_id}/results")
    folder.mkdir(parents=True, exist_ok=True)
    for file in results["manifest"]:
        # The last part only: a name from outside never chooses another folder.
        (folder / Path(file["name"]).name).write_bytes(api.download(file["url"]))
    if not results["manifest"]:
        raise DemoError("the results have no file")
    return results, folder / Path(results["manifest"][0]["name"]).name


def _row_of(status: Json) -> Json | None:
    return next((row for row in status["items"] if row["database"] == DATABASE), None)


def _now(detail: Json) -> str:
    progress = detail.get("progress") or {}
    why = f", {detail['waiting_reason']}" if detail.get("waiting_reason") else ""
    jobs = f", {progress['succeeded']} of {progress['total']} Jobs" if progress.get("total") else ""
    return f"{detail['phase']}{why}{jobs}"
