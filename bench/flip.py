"""From the end of a search's last Job to ``completed``: with the call-back, and without it, read and unread.

The end of a Job is the moment at which it gets its condition ``Complete``, as the emulated cluster notes it, in
microseconds; the Job's own ``completionTime`` has whole seconds. Several searches run at a time, up to the ceiling of
active searches; each is one batch in four shards.

Three ways, and a fourth by a simulated clock (``tests/simulation``):

- with push: the Jobs call back;
- read: no call-back arrives, a client reads the list each second. The end is the client's: it has the answer;
- unread: no call-back arrives, and nobody looks but the product itself. The end, as with push, is storage's time of the
  row's write.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from bench.common import Figure, Options, Section
from bench.stand import Stand, Stands, moment
from shared.domain.schedule import poll_interval
from tests.simulation.figures import flips_by_lists, flips_by_poll, flips_by_push
from tests.simulation.product import ACTIVITY_SECONDS

SEARCHES = 50
AT_ONCE = 10
"""The ceiling of active searches of one cluster (docs/behaviour.md, N14)."""
PACE_SECONDS = (8.0, 12.0)
QUICK_PACE_SECONDS = (1.0, 2.0)
PUSH_SECONDS, READ_SECONDS, UNREAD_SECONDS = 1.0, 6.0, 12.0
LONGEST_SECONDS = 900


@dataclass(slots=True)
class Watch:
    """The searches of one way, from their submits to the ends that were seen.

    Attributes:
        pace: seconds that a container waits before it begins; from, to.
        read_list: whether a client reads the list each second; the end is then what it reads.
    """

    stand: Stand
    count: int
    pace: tuple[float, float]
    read_list: bool
    running: set[str] = field(default_factory=set)
    seen: dict[str, float] = field(default_factory=dict)
    _next_read: float = 0.0

    def run(self) -> list[float]:
        """Submit, watch, and give the seconds from each search's last Job to its end.

        Raises:
            RuntimeError: a search did not complete.
            TimeoutError: one did not end.
        """
        limit = time.monotonic() + LONGEST_SECONDS
        while len(self.seen) < self.count:
            if time.monotonic() > limit:
                raise TimeoutError(f"{len(self.running)} searches have not ended after {LONGEST_SECONDS} s")
            if len(self.running) < AT_ONCE and len(self.running) + len(self.seen) < self.count:
                self.stand.pace(random.uniform(*self.pace))  # noqa: S311 - no secret
                self.running.add(self.stand.submit(batch_len=None)[0])
            self._look_by_list() if self.read_list else self._look_by_rows()
            time.sleep(0.1)
        return self._delays()

    def _look_by_rows(self) -> None:
        for job_id, end in self.stand.all_ended().items():
            if job_id in self.running:
                self.stand.check(job_id, end)
                self._ended(job_id, end.at)

    def _look_by_list(self) -> None:
        if time.monotonic() < self._next_read:
            return
        self._next_read = time.monotonic() + 1.0
        items = self.stand.product.http.get("/blast/jobs", params={"limit": AT_ONCE * 2}).json()["items"]
        now = time.time()
        for item in items:
            if item["job_id"] in self.running and item["completed_at"]:
                if item["status"] != "completed":
                    raise RuntimeError(f"{item['job_id']} ended {item['status']}: {item['error']}")
                self._ended(item["job_id"], now)

    def _ended(self, job_id: str, at: float) -> None:
        self.running.remove(job_id)
        self.seen[job_id] = at

    def _delays(self) -> list[float]:
        ends: dict[str, float] = {}
        for job in self.stand.times("app=blast")["jobs"]:
            job_id, end = job["labels"]["elb-job-id"], moment(job["ended"])
            ends[job_id] = max(end, ends.get(job_id, end))
        return [at - ends[job_id] for job_id, at in self.seen.items()]


def run(stands: Stands) -> list[Section]:
    """Measure the three ways."""
    count = stands.options.count(SEARCHES, 2)
    pace = QUICK_PACE_SECONDS if stands.options.quick else PACE_SECONDS

    def way(stand: Stand, name: str, limit: float, *, read: bool = False) -> Figure:
        return Figure(name, Watch(stand, count, pace, read).run(), "s", limit, "p95")

    with stands.stand() as stand, _dead_end() as nowhere:
        stand.warm()
        stand.wait_ended(stand.submit()[0])  # the first one pays for imports
        figures = [way(stand, "with push", PUSH_SECONDS)]
        stand.use({"ELB_CALLBACK_URL": nowhere})
        figures.append(way(stand, "no push, the list read each second", READ_SECONDS, read=True))
        figures.append(way(stand, "no push, unread", UNREAD_SECONDS))
        stand.pace(0)
    notes = [
        f"end of a Job: when the emulated cluster gave it Complete; up to {AT_ONCE} searches at a time, 4 Jobs each",
        f"containers are paced to {pace[0]:g}-{pace[1]:g} s, so that BLAST leaves the machine to the product",
    ]
    return [Section("From the last Job's end to completed", figures, notes), _long_searches(stands.options)]


def _long_searches(options: Options) -> Section:
    """The same of searches that run for long, in virtual time, each alone on its cluster: the worst case."""
    samples = options.count(30, 4)
    figures = []
    for minutes in (6, 50, 120):
        seconds = minutes * 60.0
        interval = poll_interval(timedelta(seconds=seconds)).total_seconds()
        push = flips_by_push(seconds, [3.0 * part / samples for part in range(samples)])
        read = flips_by_lists(seconds)
        unread = flips_by_poll(seconds, interval, samples)
        ways = {"with push": (push, PUSH_SECONDS), "read": (read, READ_SECONDS), "unread": (unread, interval + 2)}
        figures += [
            Figure(f"{minutes} min, {way}", [flip.seconds for flip in flips], "s", limit, "p95")
            for way, (flips, limit) in ways.items()
        ]
    note = f"push: the call comes up to 3 s before the Job ends; each activity takes {ACTIVITY_SECONDS * 1000:g} ms"
    return Section("The same of long searches, in virtual time", figures, [note])


@contextmanager
def _dead_end() -> Iterator[str]:
    """An address on which nobody listens, kept from others as long as it is needed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
