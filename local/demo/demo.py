"""The demo itself: on the stack that is up, or on one of its own that ends with it. Called by ``__main__``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.demo import compare, sample, search
from local.demo.api import Api, DemoError
from local.demo.screen import Screen
from local.sample.build import DATABASE
from local.stack import commands
from local.stack.component import StartError
from local.stack.home import Home
from local.stack.lock import AlreadyUpError
from local.stack.stack import Stack


def main(*, usual_ports: bool) -> int:
    """Run it and turn every failure into an exit code; 0 when the results are the same as plain BLAST's."""
    home, screen = Home.default(), Screen()
    try:
        return run(home, screen, usual_ports=usual_ports)
    except DemoError as failed:
        screen.failure(str(failed), failed.error, str(home.logs))
    except StartError as failed:
        screen.failure(
            f"the stack did not start: {failed}", {"hint": "make doctor says what is missing"}, str(home.logs)
        )
    except AlreadyUpError as failed:
        screen.failure(str(failed), {"hint": "wait until it is up, or end it with make down"}, str(home.logs))
    return 1


def run(home: Home, screen: Screen, *, usual_ports: bool) -> int:
    """The whole demo; 0 when the results are the same as plain BLAST's."""
    screen.part(1, "The stack: storage, a Kubernetes cluster of four nodes, Azure Resource Manager, the function app")
    with a_stack(home, screen, usual_ports=usual_ports) as stack:
        api = Api(str(stack["api"]))
        try:
            return show(home, screen, api, stack)
        finally:
            api.close()


@contextmanager
def a_stack(home: Home, screen: Screen, *, usual_ports: bool) -> Iterator[dict[str, Any]]:
    """The stack that is up, else one that ends with the block; yields what ``stack.json`` says."""
    running = commands.running(home)
    if running is not None:
        screen.done("a stack is up already, and stays up", detail=commands.front(running))
        yield running
        return
    began = time.monotonic()
    with Stack(home.root, usual_ports=usual_ports, say=screen.note) as own:
        screen.done("the stack is up", time.monotonic() - began, commands.front(own.stack_json))
        yield own.stack_json


def show(home: Home, screen: Screen, api: Api, stack: dict[str, Any]) -> int:
    """Everything after the stack is up."""
    screen.part(2, "The database: 3,144 genes of acquired antibiotic resistance (ResFinder), in storage, in shards")
    database = home.root / "demo/database"
    _database(screen, database, stack)
    search.prepare_shards(api, screen)

    screen.part(3, "Warm up: every shard to its node, checked, and into memory")
    search.warm(api, screen)

    screen.part(4, "Search: 40 sequences, 2 batches x 4 shards = 8 Kubernetes Jobs running blastn")
    job_id = str(search.submit(api)["job_id"])
    began = time.monotonic()
    screen.note(f"accepted as {job_id}")
    detail = search.follow(api, screen, job_id)
    total = time.monotonic() - began

    screen.part(5, "Results")
    folder = home.root / "demo" / job_id
    results, file = search.fetch(api, job_id, folder)
    content = file.read_bytes()
    screen.done(f"saved in {folder}", detail=f"{file.name}, {len(content):,} bytes")
    screen.hits(compare.best_hits(content), int(results["summary"]["hits"]))
    screen.timeline(detail["steps"], total)

    screen.part(6, "The proof: the same search by plain blastn on the whole database")
    code = _proof(screen, database, content, results["summary"])
    client = f".venv/bin/python -m elb submit <FASTA> --program blastn --db {DATABASE} --out results"
    screen.note(f"Your own search: make up, then {client}")
    return code


def _database(screen: Screen, database: Path, stack: dict[str, Any]) -> None:
    began = time.monotonic()
    new = sample.built(database)
    screen.done("built with makeblastdb" if new else "built already", time.monotonic() - began, str(database))
    began = time.monotonic()
    sent = sample.upload(database, stack)
    screen.done("uploaded" if sent else "in storage already", time.monotonic() - began, f"{sent:,} bytes")


def _proof(screen: Screen, database: Path, content: bytes, summary: dict[str, Any]) -> int:
    began = time.monotonic()
    difference = compare.first_difference(content, compare.run_unsharded(database))
    if difference is not None:
        raise DemoError(f"the sharded search and plain blastn differ: {difference}")
    screen.done("byte for byte the same", time.monotonic() - began, "rows, order, E-values, bit scores")
    found = f"{summary['queries_with_hits']} of {summary['queries']} queries have {summary['hits']} hits"
    screen.success(f"{found}, the same as from one unsharded blastn. The demo took {screen.elapsed():.1f} s.")
    return 0
