"""A cluster in virtual time: Jobs begin and end by themselves, write their pieces, and call back if they are to."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared.domain.errors import ElbError, TransientError
from shared.domain.results import RESULTS_CONTAINER, piece_blob
from shared.domain.snapshot import ATTEMPT_LABEL, JOB_ID_LABEL
from tests.activities.fake_kube import FakeKube, Json, selects
from tests.activities.fakes import FakeBlobs
from tests.activities.worlds import hit, status_of
from tests.simulation.agenda import Agenda

SILENCE = TransientError("kube_unreachable", "the cluster did not answer")
_PIECE = gzip.compress(hit("q1", "subject", 60) + hit("q2", "subject", 50), mtime=0)
"""Valid gzip of valid rows, in the columns in which a shard of ``worlds.put_search`` writes them."""


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What the Jobs of a search do.

    Attributes:
        seconds: from their creation to their end, which is the same for all of them.
        starts: seconds from their creation until their pods run.
        lead: seconds before their end at which the first one calls back; None for a call-back that never comes.
        ends: ``succeeded`` or ``failed``.
        pieces: whether they write their results before they end.
    """

    seconds: float
    starts: float = 1.0
    lead: float | None = None
    ends: str = "succeeded"
    pieces: bool = True


class Call(NamedTuple):
    """A call to the API server, at a second of the virtual time."""

    at: float
    what: str
    selector: str
    answered: bool


@dataclass
class SimulatedKube(FakeKube):
    """The API server, which keeps record of every call.

    Attributes:
        plans: by job id, what the Jobs of that search will do; Jobs without a plan stay pending.
        ended: by job id, the second at which the search's Jobs ended.
        call_back: what a Job does with its search's id to call back.
        record: every call, in order.
        silence: what every call raises while the cluster does not answer.
    """

    agenda: Agenda = field(default_factory=Agenda)
    blobs: FakeBlobs = field(default_factory=FakeBlobs)
    plans: dict[str, JobPlan] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    call_back: Callable[[str], object] = lambda job_id: None
    record: list[Call] = field(default_factory=list)
    silence: ElbError | None = None
    _begun: set[tuple[str, str]] = field(default_factory=set)

    def create(self, kind: str, manifest: Mapping[str, Any]) -> Json:
        """Make an object; the first Job of an attempt sets the search's plan going."""
        now = self.agenda.now().isoformat()
        made = super().create(kind, {**manifest, "metadata": {**manifest["metadata"], "creationTimestamp": now}})
        labels = made["metadata"].get("labels") or {}
        own = labels.get(JOB_ID_LABEL, ""), labels.get(ATTEMPT_LABEL, "")
        with self._lock:
            first = kind == "jobs" and own[0] in self.plans and own not in self._begun
            if first:
                self._begun.add(own)
        if first:
            self._follow(self.plans[own[0]], *own)
        return made

    def go_silent(self, at: float, until: float) -> None:
        """Answer nothing from one second to another."""
        self.agenda.at(at, lambda: setattr(self, "silence", SILENCE))
        self.agenda.at(until, lambda: setattr(self, "silence", None))

    def lists(self, since: float = 0.0) -> list[float]:
        """Seconds of the looks at the searches' Jobs: the LISTs that everybody's searches share."""
        return [call.at for call in self.record if call.what == "list jobs" and call.at >= since and _is_look(call)]

    def jobs_of(self, job_id: str, attempt: str) -> list[Json]:
        """The BLAST Jobs of a search that are there, by name."""
        wanted = {"app": "blast", JOB_ID_LABEL: job_id, ATTEMPT_LABEL: attempt}
        found = [job for job in self.objects["jobs"].values() if wanted.items() <= job["metadata"]["labels"].items()]
        return sorted(found, key=lambda job: str(job["metadata"]["name"]))

    def _follow(self, plan: JobPlan, job_id: str, attempt: str) -> None:
        self.agenda.after(min(plan.starts, plan.seconds), lambda: self._run(job_id, attempt))
        self.agenda.after(plan.seconds, lambda: self._end(plan, job_id, attempt))
        if plan.lead is not None:
            self.agenda.after(max(0.0, plan.seconds - plan.lead), lambda: self.call_back(job_id))

    def _run(self, job_id: str, attempt: str) -> None:
        for job in self.jobs_of(job_id, attempt):
            job["status"] = status_of("running")
            self._put_pod(job, "Running")

    def _end(self, plan: JobPlan, job_id: str, attempt: str) -> None:
        for job in self.jobs_of(job_id, attempt):
            labels = job["metadata"]["labels"]
            if plan.pieces and plan.ends == "succeeded":
                name = piece_blob(job_id, int(labels["batch"]), int(labels["shard"]))
                self.blobs.blobs[RESULTS_CONTAINER, name] = _PIECE
            job["status"] = status_of(plan.ends)
            self._put_pod(job, plan.ends.capitalize())
        self.ended[job_id] = self.agenda.seconds

    def _put_pod(self, job: Json, phase: str) -> None:
        name = job["metadata"]["name"]
        labels = {**job["metadata"]["labels"], "job-name": name}
        terminated = {"terminated": {"exitCode": 2, "reason": "Error"}} if phase == "Failed" else {}
        pod = {
            "metadata": {"name": f"{name}-pod", "labels": labels},
            "spec": {"nodeName": "node-a", "containers": [{"name": "blast"}]},
            "status": {"phase": phase, "containerStatuses": [{"name": "blast", "state": terminated}]},
        }
        self.put("pods", pod)

    def _list(self, kind: str, selector: str) -> list[Json]:
        self._call("list", kind, selector=selector)
        return [o for o in self.objects[kind].values() if selects(selector, o["metadata"].get("labels") or {})]

    def _call(self, verb: str, kind: str, name: str = "", *, selector: str = "") -> None:
        self.record.append(Call(self.agenda.seconds, f"{verb} {kind}", selector, self.silence is None))
        if self.silence is not None:
            raise self.silence
        super()._call(verb, kind, name)


def _is_look(call: Call) -> bool:
    return "blast" in call.selector and "submit" in call.selector
