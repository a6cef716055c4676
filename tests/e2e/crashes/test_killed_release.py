"""The host dies at one point of a release of a database and is started again: the release comes to its end."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from local.tripwire.wires import Moment, Tripwire
from tests.e2e.crashes.guarded import Guarded, wait_killed
from tests.e2e.product import DATABASE, wait_for

_JOBS = {"service": "kubernetes", "path": "/jobs"}
POINTS: dict[str, dict[str, Any]] = {
    "before the first warmup Job goes": {**_JOBS, "method": "DELETE"},
    "after the first warmup Job has gone": {**_JOBS, "method": "DELETE", "moment": Moment.AFTER},
    "among the clean-up Jobs": {**_JOBS, "method": "POST", "nth": 2},
}


@pytest.mark.proves("W6")
@pytest.mark.parametrize("name", POINTS)
def test_a_release_whose_host_is_killed_leaves_nothing(guarded: Guarded, name: str) -> None:
    product, pid = guarded.product, guarded.host_pid

    def release() -> None:
        try:
            product.http.post("/warmup/release", json={"database": DATABASE})
        except httpx.TransportError:  # the host that it was sent to is gone
            return

    wire = guarded.tripwires.set(Tripwire(guarded.kill_host(), **POINTS[name]))
    caller = threading.Thread(target=release)
    caller.start()
    wait_killed(guarded, pid, wire)
    caller.join()
    try:
        wait_for(lambda: True if is_gone(guarded) else None, 60, "the end of the release")
        again = product.http.post("/warmup/release", json={"database": DATABASE})
        assert (again.status_code, again.json()["status"]) == (200, "nothing")
    finally:  # the other tests want it warm
        warm = product.finish(product.http.post("/warmup/start", json={"database": DATABASE}))
        assert warm["status"] == "succeeded", warm


def is_gone(guarded: Guarded) -> bool:
    """Whether no node has the database's folder and no Job is left but those of searches, which stay for their TTL."""
    state = guarded.product.stack.home.root / "state"
    selector = f"db={DATABASE},app!=blast"
    jobs = guarded.product.kubectl("get", "jobs", "-l", selector, "-o", "name").split()
    return not jobs and not list(state.rglob(f"blast/{DATABASE}"))
