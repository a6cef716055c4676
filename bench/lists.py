"""What a page of the list costs: 10,000 searches of one owner, 100 of them active on three clusters.

The rows are written through the app's own store. Each active search has one Job whose pod runs, so that its clusters
are in the shortest window. 90 active ones are the newest rows, so that the first page has nothing else; 10 are on the
100th page. The ended ones ran on a cluster that has no active search. The app's timers are off: what is counted is what
the lists cause.

Time is measured one call at a time. Calls are counted in a second round, in which the host talks to storage through
counting proxies, which take time of their own. LISTs are counted by the clusters' API servers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

import httpx

from bench.clusters import Place, several
from bench.common import Figure, Options, Section
from bench.rows import write_active, write_ended
from bench.stand import Stand, Stands
from local.tripwire.tripwires import Tripwires
from shared.domain.schedule import SHORTEST_WINDOW
from tests.e2e.product import wait_for

CLUSTERS = 3
PAGE_MS = 200.0
LISTS_PER_WINDOW = 2
MORE_THAN_A_WINDOW = SHORTEST_WINDOW + 0.5
TIMERS = ("reconcile_stale_jobs", "reconcile_auto_warm", "discover_external", "purge_history")


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything.

    Attributes:
        total: rows.
        newest: active ones, the newest rows.
        deep: active ones, on the deep page.
        page: number of the deep page.
        limit: rows of a page.
        calls: timed calls of each page.
        windows: in which calls are counted; one call of each finds a look due.
        counted: counted calls of each page, in each window.
        callers: parallel ones, each of which calls again and again.
        seconds: for which they do so.
    """

    total: int = 10_000
    newest: int = 90
    deep: int = 10
    page: int = 100
    limit: int = 50
    calls: int = 200
    windows: int = 3
    counted: int = 10
    callers: int = 200
    seconds: float = 18.0

    @property
    def active(self) -> list[int]:
        """Positions of the active ones; the newest row is 0."""
        first = (self.page - 1) * self.limit
        return [*range(self.newest), *range(first, first + self.deep)]


QUICK = Size(total=90, newest=12, deep=3, page=5, limit=10, calls=5, windows=1, counted=2, callers=10, seconds=2.0)


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of the list: where the next page begins, the milliseconds it took, and whether any row was stale."""

    following: str | None
    taken: float
    stale: bool


@dataclass(frozen=True, slots=True)
class Bench:
    """A stack with its clusters and proxies.

    Args:
        settings: of the host, for measuring time.
        counting: of the host, for counting calls.
    """

    stand: Stand
    tripwires: Tripwires
    places: Sequence[Place]
    size: Size
    settings: dict[str, str]
    counting: dict[str, str]

    def get(self, cursor: str | None = None, client: httpx.Client | None = None) -> Page:
        """One list call.

        Raises:
            RuntimeError: an error, or a page that is not full.
        """
        parameters = {"limit": str(self.size.limit)} | ({"cursor": cursor} if cursor else {})
        began = time.perf_counter()
        answer = (client or self.stand.product.http).get("/blast/jobs", params=parameters)
        taken = (time.perf_counter() - began) * 1000
        if answer.status_code != 200:
            raise RuntimeError(f"the list answered {answer.status_code}: {answer.text[:500]}")
        page = answer.json()
        if len(page["items"]) != self.size.limit:
            raise RuntimeError(f"a page of {len(page['items'])} searches")
        return Page(page["next_cursor"], taken, any(item["stale"] for item in page["items"]))

    def cursor_of(self, page: int) -> str | None:
        """Where a page begins; the first is 1."""
        cursor = None
        for _ in range(page - 1):
            cursor = self.get(cursor).following
        return cursor

    def lists(self) -> list[int]:
        """LISTs that each cluster's API server has answered so far."""
        return [
            sum(number for call, number in place.calls().items() if call.startswith("list ")) for place in self.places
        ]


def run(stands: Stands) -> list[Section]:
    """Measure with few rows, then with many."""
    size = QUICK if stands.options.quick else Size()
    with stands.stand() as stand, _bench(stand, stands.options, size) as bench:
        newest = datetime.now(UTC)
        ids = write_active(stand, [place.ref for place in bench.places], newest, size.active)
        for number, place in enumerate(bench.places):
            place.run_jobs(ids[number :: len(bench.places)])
        wanted = len(ids)
        wait_for(lambda: sum(place.running_pods for place in bench.places) >= wanted or None, 120, "running pods")
        bench.get()  # the first look writes what it sees
        time.sleep(MORE_THAN_A_WINDOW)
        few = _counts(bench, None)
        write_ended(stand, newest, sorted(set(range(size.total)) - set(size.active)))
        deep = _usual(bench)
        times = _times(bench, deep)
        callers = _callers(bench)
        first, last = _counts(bench, None), _counts(bench, deep)
    rows = f"{size.total:,} rows of one owner, {len(size.active)} active on {CLUSTERS} clusters, pages of {size.limit}"
    return [Section(f"{rows}; one call at a time", times), _counted(size, few, first, last), callers]


@contextmanager
def _bench(stand: Stand, options: Options, size: Size) -> Iterator[Bench]:
    with Tripwires() as tripwires, several(stand, tripwires, CLUSTERS, options.folder / "clusters") as places:
        ports = {service: _port(stand.stack.stack_json[key]) for service, key in _SERVICES.items()}
        at = {service: f"http://127.0.0.1:{tripwires.point(service, port)}" for service, port in ports.items()}
        settings = {f"AzureWebJobs_{timer}_Disabled": "1" for timer in TIMERS} | {"ELB_ARM_ENDPOINT": at["arm"]}
        storage = {
            "ELB_STATE_TABLE_ENDPOINT": at["table"] + "/{account}",
            "ELB_BLOB_ENDPOINT": at["blob"] + "/{account}",
        }
        stand.use(settings | storage)
        yield Bench(stand, tripwires, places, size, settings, settings | storage)


_SERVICES = {"arm": "arm", "table": "table_endpoint", "blob": "blob_endpoint"}


def _port(address: str) -> int:
    return httpx.URL(address).port or 0


def _usual(bench: Bench) -> str | None:
    """Run the host without counting; where the deep page begins."""
    bench.stand.use(bench.settings)
    return bench.cursor_of(bench.size.page)


def _times(bench: Bench, deep: str | None) -> list[Figure]:
    figures = []
    for what, cursor in (("first page", None), (f"page {bench.size.page}", deep)):
        bench.get(cursor)
        pages = [bench.get(cursor) for _ in range(bench.size.calls)]
        figures.append(Figure(what, [page.taken for page in pages], "ms", PAGE_MS, "p95"))
        figures.append(Figure(f"{what}: answers with a stale row", [sum(page.stale for page in pages)], "answers"))
    return figures


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls that one list call caused."""

    storage: int
    kubernetes: int


def _counts(bench: Bench, cursor: str | None) -> list[Counts]:
    """Count, over some windows, so that some calls find a look due and others do not."""
    bench.stand.use(bench.counting)
    bench.get(cursor)
    counts = []
    for _ in range(bench.size.windows):
        time.sleep(MORE_THAN_A_WINDOW)
        for _ in range(bench.size.counted):
            mark, before = bench.tripwires.mark(), sum(place.calls().total() for place in bench.places)
            bench.get(cursor)
            asked = [call for call in bench.tripwires.calls(mark) if call.service != "arm"]
            counts.append(Counts(len(asked), sum(place.calls().total() for place in bench.places) - before))
    return counts


def _counted(size: Size, few: list[Counts], first: list[Counts], deep: list[Counts]) -> Section:
    """Calls per list call: with and without looks, in both totals."""
    figures = []
    pages = {
        f"first page, {len(size.active)} rows in all": few,
        f"first page, {size.total:,} rows in all": first,
        f"page {size.page}, {size.total:,} rows in all": deep,
    }
    for looking in (False, True):
        how = f"looks at {CLUSTERS} clusters" if looking else "no look due"
        limit = None
        for what, counts in pages.items():
            of_kind = [each for each in counts if bool(each.kubernetes) is looking]
            if of_kind:
                storage = [each.storage for each in of_kind]
                figures.append(Figure(f"storage, {how}: {what}", storage, "calls", limit, "median"))
                figures.append(Figure(f"Kubernetes, {how}: {what}", [each.kubernetes for each in of_kind], "calls"))
            if counts is few and of_kind:  # what the same page may cost when there are more rows
                limit = figures[-2].number("median")
    notes = [
        "limit: what the same page costs when there are no other rows",
        "the median, because once a minute a call writes the app's statistics",
    ]
    return Section("Calls for one list call", figures, notes)


def _callers(bench: Bench) -> Section:
    """Many callers at once; the LISTs that came of it."""
    callers = bench.size.callers
    limits = httpx.Limits(max_connections=callers)

    def call_again_and_again(client: httpx.Client, end: float) -> list[Page]:
        pages = [bench.get(client=client)]
        while time.perf_counter() < end:
            pages.append(bench.get(client=client))
        return pages

    address = bench.stand.stack.api
    with httpx.Client(base_url=address, timeout=120, limits=limits) as client, ThreadPoolExecutor(callers) as pool:
        before, began = bench.lists(), time.perf_counter()
        end = began + bench.size.seconds
        made = [pool.submit(call_again_and_again, client, end) for _ in range(callers)]
        pages = list(chain.from_iterable(each.result() for each in made))
        seconds = time.perf_counter() - began
    windows = math.floor(seconds / SHORTEST_WINDOW) + 1
    lists = [(after - earlier) / windows for earlier, after in zip(before, bench.lists(), strict=True)]
    figures = [
        Figure("LISTs per window, each cluster", lists, "LISTs", LISTS_PER_WINDOW),
        Figure("list call, first page", [page.taken for page in pages], "ms"),
        Figure("answers with a stale row", [sum(page.stale for page in pages)], "answers"),
    ]
    note = f"{len(pages)} calls in {seconds:.1f} s, which touches {windows} windows of {SHORTEST_WINDOW:g} s"
    return Section(f"{callers} callers at once", figures, [note])
