"""``POST /api/blast/jobs/validate``: every check that a submit makes, and what would be run; nothing is started."""

from __future__ import annotations

from typing import Any

import azure.functions as func

from shared.auth import Caller
from shared.clients.provider import clients
from shared.clients.warm_cache import read_views
from shared.domain.batching import count_batches
from shared.domain.cost import planned_cost
from shared.domain.errors import ElbError, PermanentError
from shared.domain.lifecycle import lifecycle_of
from shared.domain.planner import plan_warmup
from shared.domain.rates import Rate
from shared.responses import Reply, endpoint
from triggers.blueprint import http
from triggers.rates import limit_rate
from triggers.requests import SubmitRequest, as_model, read_object
from triggers.submission import Submission


@http("api/blast/jobs/validate", "POST", name="blast_jobs_validate")
@endpoint
def validate_search(req: func.HttpRequest, caller: Caller) -> Reply:
    """Report on a submit request. 200 also for a wrong one: ``ok`` says whether a submit would be accepted."""
    limit_rate(caller, Rate.VALIDATE)
    data = read_object(req)
    try:
        submission = Submission(caller, as_model(data, SubmitRequest))
    except PermanentError as error:
        row = {"id": "request", "status": "failed", "code": error.code, "message": error.message, "hint": error.hint}
        return Reply({"ok": False, "checks": [row], "plan": None, "estimate": None})
    checks = submission.report()
    ok = all(check["status"] == "ok" for check in checks)
    plan = estimate = None
    if ok:
        cluster_check, shards, fits = _cluster_check(submission)
        checks.append(cluster_check)
        ok = cluster_check["status"] != "failed"
        batches = count_batches(submission.queries.lengths, submission.batch_len)
        jobs = batches * shards if shards else None
        plan = {"batches": batches, "shards": shards, "jobs": jobs, "fits": fits}
        estimate = _estimate(submission, jobs)
    return Reply({"ok": ok, "checks": checks, "plan": plan, "estimate": estimate})


def _estimate(submission: Submission, jobs: int | None) -> dict[str, Any] | None:
    """What is known of the costs; nothing where the command line plans by itself."""
    if submission.request.engine == "cli":
        return None
    settings = clients().settings
    return planned_cost(jobs, settings.job_cpus, settings.vcpu_hour_usd)


def _cluster_check(submission: Submission) -> tuple[dict[str, Any], int | None, bool | None]:
    """Whether it would run now. A cluster that is not ready is a warning: the search would wait for it."""
    row = {"id": "cluster_ready", "status": "ok", "message": "", "hint": ""}
    try:
        state = lifecycle_of(clients().arm.cluster(submission.cluster))
        if not state.workload_possible:
            row |= {
                "status": "warning",
                "message": f"the cluster is {state.lifecycle}",
                "hint": "the search would wait",
            }
            return row, None, None
        if submission.request.engine == "cli":
            return row, 1, None
        nodes = read_views(clients().kube(submission.cluster), submission.request.database)
        plan = plan_warmup(submission.request.database, submission.database.shard_sizes(), nodes)
    except PermanentError as error:
        if error.code == "no_nodes":  # a cluster that has just been started: the search would wait
            row |= {"status": "warning", "code": error.code, "message": error.message, "hint": error.hint}
            return row, None, None
        row |= {"status": "failed", "code": error.code, "message": error.message, "hint": error.hint}
        return row, None, False
    except ElbError as error:
        row |= {"status": "warning", "code": error.code, "message": error.message, "hint": error.hint}
        return row, None, None
    return row, plan.layout, True
