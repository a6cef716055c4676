"""A receiver on loopback is told of every end, though the host dies right after it has written it, or it was down."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from local.tripwire.wires import Moment, Tripwire
from tests.e2e.crashes.guarded import SMALL, Guarded, wait_killed
from tests.e2e.product import wait_for

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"
END: dict[str, Any] = {"service": "table", "method": "POST", "path": r"/\$batch", "body": r'"phase":\s*"completed"'}
"""The one transaction of row and event."""
NEXT_TURN = 90
"""Seconds: the longest pause that a test waits for, a turn, and a host that is being started."""


class Receiver:
    """A receiver on a port of its own, which listens while it is ``up``."""

    def __init__(self, secret: str) -> None:
        self.told: list[dict[str, Any]] = []
        self.genuine: list[bool] = []
        is_genuine = documented_check()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.genuine.append(is_genuine(secret, self.headers["X-Elb-Signature"], body))
                receiver.told.append(json.loads(body) | {"path": self.path, "delivery": self.headers["X-Elb-Delivery"]})
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """It says nothing."""

        self._handler = Handler
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self._server.server_bind()  # the port is taken, and nobody listens yet
        self.url = f"http://127.0.0.1:{self._server.server_port}/in?token=T0KEN"

    @contextmanager
    def up(self) -> Iterator[None]:
        """Listen while the block lasts."""
        self._server.server_activate()
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def wait(self, count: int, seconds: float = NEXT_TURN) -> None:
        """Wait until so many different events have come."""
        wait_for(lambda: len(self.events()) >= count or None, seconds, f"{count} webhooks")

    def events(self) -> list[tuple[str, int, str]]:
        """What was said, each once, in the order in which it came first."""
        return list(dict.fromkeys((said["id"], said["attempt"], said["type"]) for said in self.told))


def documented_check() -> Any:
    """What the API's document tells receivers to do."""
    [code] = re.findall(r"```python\n(  import hashlib.*?)```", DOCUMENT.read_text(), re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(dedent(code), str(DOCUMENT), "exec"), found)  # noqa: S102 - the repository's own document
    return found["is_genuine"]


@pytest.fixture
def receiver(guarded: Guarded) -> Receiver:
    """One that is down."""
    return Receiver(guarded.product.stack.identity.webhook_secret)


def history(guarded: Guarded, job_id: str) -> list[str]:
    """What the history says of webhooks, oldest first."""
    items = guarded.product.http.get(f"/blast/jobs/{job_id}/events").json()["items"]
    return [event["kind"] for event in reversed(items) if event["kind"].startswith("webhook")]


def wait_told(guarded: Guarded, job_id: str) -> None:
    """Wait until nothing of the search is in the outbox any more."""
    outbox = {"elbindex outbox", "elbsearches w"}
    wait_for(lambda: not outbox & set(guarded.rows_of(job_id)) or None, 10, f"an empty outbox of {job_id}")


def test_the_host_dies_right_after_the_end_is_written_and_the_receiver_is_down(
    guarded: Guarded, receiver: Receiver
) -> None:
    pid = guarded.host_pid
    wire = guarded.tripwires.set(Tripwire(guarded.kill_host(), moment=Moment.AFTER, **END))
    job_id = guarded.submit(**SMALL, webhook_url=receiver.url)
    wait_killed(guarded, pid, wire)
    assert guarded.row(job_id)["phase"] == "completed"
    # The event was tried in vain before it came, whoever tried it: the next host's activity, or its timer.
    wait_for(lambda: history(guarded, job_id) or None, NEXT_TURN, "a try")
    assert history(guarded, job_id) == ["webhook_failing"]
    with receiver.up():
        receiver.wait(1)
    [(_, attempt, kind)] = receiver.events()
    assert (attempt, kind) == (1, "search.completed")
    assert all(receiver.genuine)
    said = receiver.told[0]
    assert (said["job_id"], said["path"], said["delivery"]) == (job_id, "/in?token=T0KEN", said["id"])
    assert guarded.product.http.get(said["results_url"].removeprefix("/api")).status_code == 200
    wait_told(guarded, job_id)
    assert history(guarded, job_id) == ["webhook_failing", "webhook_delivered"]
    assert guarded.product.detail(job_id)["webhook_url"] == receiver.url.partition("/in")[0] + "/..."


def test_a_cancelled_search_that_is_retried_is_told_of_twice_and_in_order(guarded: Guarded, receiver: Receiver) -> None:
    guarded.pace(60)
    try:
        with receiver.up():
            job_id = guarded.submit(**SMALL, webhook_url=receiver.url)
            wait_for(lambda: guarded.running_pods(job_id) or None, 30, "a running pod")
            guarded.cancel(job_id)
            assert guarded.wait_end(job_id)["status"] == "cancelled"
            receiver.wait(1)
            guarded.pace(0)
            guarded.product.http.post(f"/blast/jobs/{job_id}/retry", json={}).raise_for_status()
            receiver.wait(2)
    finally:
        guarded.pace(0)
    assert [event[1:] for event in receiver.events()] == [(1, "search.cancelled"), (2, "search.completed")]
    assert all(receiver.genuine)
    wait_told(guarded, job_id)
