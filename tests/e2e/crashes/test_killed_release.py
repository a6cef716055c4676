"""The host dies while a database is being released, and is started again: the release comes to its end."""

from __future__ import annotations

import threading
import time

import httpx
import pytest

from tests.e2e.crashes.guarded import Guarded
from tests.e2e.product import DATABASE, wait_for


@pytest.mark.proves("W6")
@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.4])
def test_a_release_whose_host_is_killed_leaves_nothing(guarded: Guarded, seconds: float) -> None:
    product, asked = guarded.product, threading.Event()

    def release() -> None:
        asked.set()
        try:
            product.http.post("/warmup/release", json={"database": DATABASE})
        except httpx.TransportError:  # the host that it was sent to is gone
            return

    caller = threading.Thread(target=release)
    caller.start()
    asked.wait()
    time.sleep(seconds)
    product.stack.kill_host()
    caller.join()
    product.stack.wait_ready()
    try:
        wait_for(lambda: True if is_gone(guarded) else None, 60, "the end of the release")
        again = product.http.post("/warmup/release", json={"database": DATABASE})
        assert (again.status_code, again.json()["status"]) == (200, "nothing")
    finally:  # the other tests want it warm
        warm = product.finish(product.http.post("/warmup/start", json={"database": DATABASE}))
        assert warm["status"] == "succeeded", warm


def is_gone(guarded: Guarded) -> bool:
    """Whether no node has the database's folder and no Job of it is left."""
    state = guarded.product.stack.home.root / "state"
    jobs = guarded.product.kubectl("get", "jobs", "-l", f"db={DATABASE}", "-o", "name").split()
    return not jobs and not list(state.rglob(f"blast/{DATABASE}"))
