"""What the app does while nobody asks it anything: its timers' calls per minute, with a running and a stopped cluster.

Everything that the host asks of storage and of ARM goes through counting proxies; the cluster's API server counts
what it is asked itself. What Azure's own host adds (queues, leases of its timers) is not in it: the one-machine stack's
durable engine is another one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import httpx

from bench.clusters import Place, several
from bench.common import Figure, Section
from bench.stand import Stand, Stands
from local.tripwire.calls import Call
from local.tripwire.tripwires import Tripwires

MINUTES = 5
MINUTE = 60.0
QUICK_SECONDS = 2.0
BEGIN = 45.0
"""Second of a minute at which each window begins: the timers run at 0 and 30, and none of their turns is cut."""
KINDS = ("table", "blob read", "blob write", "blob list", "arm", "kubernetes")
_SERVICES = {"arm": "arm", "table": "table_endpoint", "blob": "blob_endpoint"}


def run(stands: Stands) -> list[Section]:
    """Count with the cluster running, then stopped; it is started again."""
    windows = stands.options.count(MINUTES, 1)
    seconds = QUICK_SECONDS if stands.options.quick else MINUTE
    with (
        stands.stand() as stand,
        Tripwires() as tripwires,
        several(stand, tripwires, 1, stands.options.folder / "clusters") as places,
    ):
        stand.use(_through(stand, tripwires))
        stand.upload()
        running = _counted(tripwires, places[0], windows, seconds)
        _operate(stand, "stop")
        stopped = _counted(tripwires, places[0], windows, seconds)
        _operate(stand, "start")
        stand.use({})  # the proxies end
    note = f"calls in each of {windows} windows of {seconds:g} s; no search was ever submitted"
    return [
        Section("Idle, its cluster runs", running, [note]),
        Section("Idle, its cluster is stopped", stopped, [note]),
    ]


def _through(stand: Stand, tripwires: Tripwires) -> dict[str, str]:
    """The host's settings with which all it asks is counted."""
    ports = {service: httpx.URL(stand.stack.stack_json[key]).port or 0 for service, key in _SERVICES.items()}
    at = {service: f"http://127.0.0.1:{tripwires.point(service, port)}" for service, port in ports.items()}
    return {
        "ELB_ARM_ENDPOINT": at["arm"],
        "ELB_STATE_TABLE_ENDPOINT": at["table"] + "/{account}",
        "ELB_BLOB_ENDPOINT": at["blob"] + "/{account}",
    }


def _operate(stand: Stand, what: str) -> None:
    """Stop or start the cluster, and wait until that is done."""
    ended = stand.product.finish(
        stand.product.http.post(f"/aks/{what}", json={"force": True} if what == "stop" else {})
    )
    if ended["status"] != "succeeded":
        raise RuntimeError(f"the cluster's {what} ended {ended}")


def _counted(tripwires: Tripwires, place: Place, windows: int, seconds: float) -> list[Figure]:
    """What was asked in windows that follow each other."""
    if seconds == MINUTE:
        time.sleep((BEGIN - time.time()) % MINUTE)
    counts = [_window(tripwires, place, seconds) for _ in range(windows)]
    return [Figure(f"{kind} calls", [count[kind] for count in counts], "calls") for kind in KINDS]


def _window(tripwires: Tripwires, place: Place, seconds: float) -> Counter[str]:
    mark, asked = tripwires.mark(), place.calls().total()
    time.sleep(seconds)
    return kinds(tripwires.calls(mark)) + Counter(kubernetes=place.calls().total() - asked)


def kinds(calls: Sequence[Call]) -> Counter[str]:
    """Calls by what they are charged as: those of blobs by reading, writing and listing."""
    return Counter(_kind(call) for call in calls)


def _kind(call: Call) -> str:
    if call.service != "blob":
        return call.service
    if "comp=list" in call.path:
        return "blob list"
    return "blob read" if call.method in ("GET", "HEAD") else "blob write"
