"""The product on one warm cluster, in virtual time: submit searches, let hours pass, see what everybody saw when.

Real are the orchestrators, the activities, the observer, the endpoints and the timers; in memory are the stores and the
cluster. ``with Simulation() as simulation`` puts its clients in for the process while it lasts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

import azure.functions as func

from activities.registry import ACTIVITIES, WAKING, errors_as_data, with_client
from orchestrators.registry import ORCHESTRATORS
from shared import responses
from shared.clients.orchestrations import DurableOrchestrations
from shared.clients.provider import use
from shared.clients.starting import start_orchestration
from shared.config import read_settings
from shared.domain import functions as names
from shared.domain.callback import callback_token
from shared.domain.results import MANIFEST, RESULTS_CONTAINER, published_blob, query_blob
from shared.domain.schedule import ClusterRow
from shared.domain.search import Search
from shared.domain.states import Phase
from shared.domain.times import parse_time
from tests.activities.fakes import World
from tests.activities.worlds import CLUSTER, ENVIRONMENT, job_id, put_search, put_warm_cluster
from tests.simulation.agenda import Agenda
from tests.simulation.cluster import JobPlan, SimulatedKube
from tests.simulation.engine import VirtualEngine
from tests.simulation.execution import Instance
from triggers import freshness, jobs, timers

ACTIVITY_SECONDS = 0.02
RECONCILE_SECONDS = 60.0
REAL_BUDGET = 30.0
"""Real seconds that a list call waits for a look in virtual time: enough for any machine."""


@dataclass(frozen=True, slots=True)
class Flip:
    """When a search's Jobs ended, and when its row said completed, in seconds since the beginning."""

    job_id: str
    jobs_ended: float
    completed: float

    @property
    def seconds(self) -> float:
        """From the one to the other."""
        return round(self.completed - self.jobs_ended, 3)


class Simulation:
    """One app, one storage account, one cluster whose database is warm.

    Args:
        environment: settings besides the usual ones of the tests.
        activity_seconds: how long each activity takes.
    """

    def __init__(
        self, environment: Mapping[str, str] | None = None, *, activity_seconds: float = ACTIVITY_SECONDS
    ) -> None:
        self.agenda = Agenda()
        self.kube = SimulatedKube(agenda=self.agenda)
        settings = read_settings({**ENVIRONMENT, **(environment or {})})
        self.world = World(settings, cluster=self.kube, clock=self.agenda.now)
        self.engine = VirtualEngine(ORCHESTRATORS, usual_seconds=activity_seconds, agenda=self.agenda)
        client = self.engine.client
        self.engine.activities = {name: errors_as_data(function) for name, function in ACTIVITIES.items()} | {
            name: partial(with_client(function, name), client=client) for name, function in WAKING.items()
        }
        self.kube.blobs, self.kube.call_back = self.world.store, self.notify
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(use(self.world))
        self._stack.enter_context(patch.object(responses, "settings", lambda: self.world.settings))
        for budget in ("BUDGET_SECONDS", "SILENT_BUDGET_SECONDS"):  # they are of real time, which means nothing here
            self._stack.enter_context(patch.object(freshness, budget, REAL_BUDGET))
        put_warm_cluster(self.world)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # -- what people, Jobs and timers do

    def submit(self, plan: JobPlan | None, number: int = 1) -> str:
        """Submit a search now: its row, its query, its orchestration.

        Args:
            plan: what its Jobs will do; None for Jobs that stay pending.
            number: of the search; the newest in lists is the one submitted last.

        Returns:
            Its id, which is also that of its orchestration.
        """
        own = job_id(number)
        if plan is not None:
            self.kube.plans[own] = plan
        owner, query = self.world.settings.dev_user, {"blob": query_blob(own), "batch_len": 1000, "sha256": "0" * 64}
        search = put_search(self.world, own, owner=owner, created_at=self.agenda.now(), query=query)
        start_orchestration(search, DurableOrchestrations(self.engine.client))
        return own

    def submit_many(self, plan: JobPlan | None, count: int, *, first: int = 1000, apart: float = 0.01) -> list[str]:
        """Submit searches, one so many seconds after the other; time passes with it."""
        ids = []
        for number in range(first, first + count):
            ids.append(self.submit(plan, number))
            self.run_for(apart)
        return ids

    def notify(self, job_id: str, token: str | None = None) -> int:
        """Call back as a Job does, at the endpoint; the status of the answer. The right token where none is given."""
        token = callback_token(self.world.settings.callback_secret, job_id) if token is None else token
        request = _request("POST", {"X-Elb-Token": token}, id=job_id)
        return int(jobs.notify(request, self.engine.client).status_code)

    def list(self) -> list[dict[str, Any]]:
        """The first page of the list, at the endpoint."""
        answer = jobs.list_searches(_request("GET"), self.engine.client)
        assert answer.status_code == 200, answer.get_body()
        items: list[dict[str, Any]] = json.loads(answer.get_body())["items"]
        return items

    def reconcile(self) -> None:
        """One run of the stale reconcile."""
        timers.reconcile_stale_jobs(func.TimerRequest(), self.engine.client)

    def run_timers(self) -> None:
        """Run the stale reconcile every minute from now on."""
        self.agenda.every(RECONCILE_SECONDS, self.reconcile)

    # -- time, and what came of it

    def run_for(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.engine.run_for(seconds)

    def run_to_end(self, *job_ids: str, seconds: float = 100_000.0) -> None:
        """Let time pass until the orchestrations of these searches have ended; at most so many seconds."""
        waited = set(job_ids)

        def over() -> bool:
            waited.difference_update([own for own in waited if self.engine.instances[own].has_ended])
            return not waited

        self.engine.run_for(seconds, over)

    def seen_at(self, item: Mapping[str, Any]) -> datetime:
        """As of when a list's item is."""
        at = parse_time(item["observed_at"])
        assert at is not None
        return at

    def row(self, job_id: str) -> Search:
        """A search's row, as it is now."""
        return self.world.searches.get(self.world.settings.dev_user, job_id)

    def is_whole(self, job_id: str) -> bool:
        """Whether the search is completed with all of its Jobs counted, published, and said to be completed once."""
        row = self.row(job_id)
        published = (RESULTS_CONTAINER, published_blob(job_id, MANIFEST)) in self.world.store.blobs
        counted = row.progress.succeeded == row.progress.total == row.expected_jobs
        said = [event.kind for event in self.world.events.events.get(job_id, [])]
        return row.phase is Phase.COMPLETED and counted and published and said == ["completed"]

    def flip(self, job_id: str) -> Flip | None:
        """How long the search took from the end of its Jobs to completed; None while it is not."""
        for run in self.engine.runs_of(names.ADVANCE_SEARCH, job_id):
            if _phase_of(run.result) == Phase.COMPLETED:
                return Flip(job_id, self.kube.ended[job_id], run.ended)
        return None

    def monitor_of(self, job_id: str) -> Instance:
        """The monitor of a search's first run."""
        return self.engine.instances[names.monitor_instance(job_id, 1)]

    @property
    def cluster_row(self) -> ClusterRow:
        """What the app's instances agree on about the cluster."""
        return self.world.clusters.read(CLUSTER)


def _phase_of(result: Any) -> str:
    return str(result.get("phase")) if isinstance(result, Mapping) else ""


def _request(method: str, headers: Mapping[str, str] | None = None, **route: str) -> func.HttpRequest:
    return func.HttpRequest(
        method,
        "http://localhost:7071/api",
        headers={"Host": "localhost:7071", **(headers or {})},
        params={},
        route_params=route,
        body=b"",
    )
