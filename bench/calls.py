"""What searches cost in calls, and how long histories get: hours in virtual time, against real tables.

The simulation (``tests/simulation``) runs the real orchestrators, activities and observer; its cluster is in memory and
counts LISTs. Searches, cluster rows and events are in real tables (Azurite), and each request to them is counted, tries
included. Blobs are in memory; calls to them are counted by a wrapper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from azure.data.tables import TableServiceClient

from bench.common import Figure, Section
from bench.rows import clients_of
from bench.stand import Stands
from local.stack.identity import STORAGE_ACCOUNT
from local.stack.stack import Stack
from shared.clients.cluster_rows import TableClusterRows
from shared.clients.counters import COUNTERS
from shared.clients.search_store import TableSearchStore
from shared.clients.table_rows import Tables
from shared.domain.search import ClusterRef, Search
from tests.activities.worlds import CLUSTER
from tests.simulation.cluster import JobPlan
from tests.simulation.figures import monitor_history
from tests.simulation.product import Simulation

SECONDS = 600.0
OTHERS = 200
APART = 0.01
"""Seconds between two submits: so few that all searches are of one age, on which the monitors' polls depend."""
HOURS = 6.0
HISTORY_EVENTS = 99
GROWTH = 1.1
"""How many times the LISTs of one search there may be with others: looks fall a little differently."""


class StoredSearches(TableSearchStore):
    """The real store, with what the simulation puts into a store."""

    def put(self, search: Search) -> Search:
        """Write a new search."""
        return self.create(search)[0]


class StoredClusters(TableClusterRows):
    """The real rows, with what the simulation puts beside them."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self.refs: dict[str, ClusterRef] = {}


@dataclass
class CountedBlobs:
    """A store of blobs whose calls are counted."""

    blobs: Any
    calls: int = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.blobs, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **more: Any) -> Any:
            self.calls += 1
            return found(*arguments, **more)

        return call


@dataclass(frozen=True, slots=True)
class Cost:
    """What some searches cost together.

    Attributes:
        looks: LISTs of the searches' Jobs while all of them run.
        lists: LISTs of Jobs and of pods, of all kinds, from the first submit to the last end.
        steps: how often an orchestrator was run.
    """

    searches: int
    looks: int
    lists: int
    kubernetes: int
    tables: int
    blobs: int
    activities: int
    steps: int

    def figures(self, who: str, most_looks: float | None = None) -> list[Figure]:
        """As they are shown; each number of calls for one search.

        Args:
            most_looks: how many there may be; None for any number.
        """
        whole = {
            "LISTs": self.lists,
            "Kubernetes calls": self.kubernetes,
            "table transactions": self.tables,
            "blob calls": self.blobs,
            "activities": self.activities,
            "orchestrator steps": self.steps,
        }
        per_search = [
            Figure(f"{what} per search, {who}", [number / self.searches], "calls") for what, number in whole.items()
        ]
        return [Figure(f"looks while all run, {who}", [self.looks], "LISTs", most_looks), *per_search]


def run(stands: Stands) -> list[Section]:
    """Run the searches in virtual time."""
    others = stands.options.count(OTHERS, 5)
    with Stack(stands.options.folder / "calls", fresh=True, parts=("azurite",)) as stack:
        alone, together = _cost(stack, 1, others), _cost(stack, 1 + others, others)
    limit = alone.looks * GROWTH
    figures = [*alone.figures("alone"), *together.figures(f"with {others} others", limit)]
    histories = {
        "monitor, nobody calls back": monitor_history(HOURS),
        "monitor, a call-back each minute": monitor_history(HOURS, wake_every=60),
    }
    lengths = [Figure(what, [history.longest], "events", HISTORY_EVENTS) for what, history in histories.items()]
    generations = ", ".join(str(history.generations) for history in histories.values())
    return [
        Section(
            f"A search of {SECONDS / 60:g} minutes, in virtual time",
            figures,
            ["limit: what one search costs, and a tenth"],
        ),
        Section(f"Longest history in {HOURS:g} hours, in virtual time", lengths, [f"generations: {generations}"]),
    ]


def _cost(stack: Stack, searches: int, others: int) -> Cost:
    """Submit the searches, run them to their ends, count."""
    _drop_tables(stack)
    clients = clients_of(stack)
    with _counted_tables() as counted, Simulation({"ELB_ACTIVE_SEARCHES": f"{others + 1}"}) as simulation:
        world: Any = simulation.world
        world.searches = StoredSearches(clients.tables, clients.blobs(STORAGE_ACCOUNT))
        world.clusters = StoredClusters(clients.tables)
        world.events, world.stats = clients.events, clients.stats
        blobs = CountedBlobs(world.store)
        world.blobs = lambda _: blobs
        world.clusters.remember(CLUSTER)
        counted.clear()
        blobs.calls = 0
        calls_before = len(simulation.kube.record)
        own = simulation.submit_many(JobPlan(SECONDS, lead=1.0), searches, apart=APART)
        simulation.run_to_end(*own)
        if any(simulation.flip(job_id) is None for job_id in own):
            raise RuntimeError("a search did not complete")
        calls = simulation.kube.record[calls_before:]
        looks = [at for at in simulation.kube.lists(APART * (others + 1)) if at < SECONDS]
        activities, steps = len(simulation.engine.runs), simulation.engine.steps
    lists = [call for call in calls if call.what.startswith("list ")]
    return Cost(searches, len(looks), len(lists), len(calls), counted["storage_calls"], blobs.calls, activities, steps)


@contextmanager
def _counted_tables() -> Iterator[Counter[str]]:
    """What the app's own counters are told while this lasts; they themselves are emptied each time they are written."""
    counted: Counter[str] = Counter()

    def count(name: str, by: int = 1) -> None:
        counted[name] += by

    with patch.object(COUNTERS, "count", count):
        yield counted


def _drop_tables(stack: Stack) -> None:
    """Each simulation begins at the same moment, with the same ids: nothing may be left of the one before."""
    with TableServiceClient.from_connection_string(stack.stack_json["storage_connection_string"]) as service:
        for table in list(service.list_tables()):
            service.delete_table(table.name)
