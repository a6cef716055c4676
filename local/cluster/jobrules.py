"""The rules of the Job controller as pure functions: which failures count, when a Job has failed, how long to back off.

Source: Kubernetes 1.32 `pkg/controller/job` and the API's documentation of podFailurePolicy. Used by `jobs.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
MAX_BACKOFF_SECONDS = 600.0


@dataclass(slots=True)
class Ledger:
    """What the controller has counted for one Job; each pod once, by uid."""

    counted: set[str] = field(default_factory=set)
    succeeded: int = 0
    failed: int = 0
    consecutive_failures: int = 0
    last_failure: float = 0.0
    started: float = 0.0
    fail_job: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a Job has failed."""

    reason: str
    message: str


def policy_action(job: Json, pod: Json) -> tuple[str, str]:
    """The podFailurePolicy's action for a failed pod (`Count` when no rule matches) and the message of FailJob."""
    rules = (job["spec"].get("podFailurePolicy") or {}).get("rules") or []
    meta = pod["metadata"]
    for index, rule in enumerate(rules):
        if on_exit := rule.get("onExitCodes"):
            found = _matching_exit(on_exit, pod)
            if found is not None:
                container, code = found
                text = (
                    f"Container {container} for pod {meta['namespace']}/{meta['name']} failed with exit code {code} "
                    f"matching {rule['action']} rule at index {index}"
                )
                return str(rule["action"]), text
        for pattern in rule.get("onPodConditions") or []:
            if _has_condition(pod, pattern):
                text = (
                    f"Pod {meta['namespace']}/{meta['name']} has condition {pattern['type']} "
                    f"matching {rule['action']} rule at index {index}"
                )
                return str(rule["action"]), text
    return "Count", ""


def _matching_exit(on_exit: Json, pod: Json) -> tuple[str, int] | None:
    status, values = pod.get("status") or {}, set(on_exit.get("values") or [])
    for container in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
        if on_exit.get("containerName") not in (None, container["name"]):
            continue
        code = ((container.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
        if code != 0 and (code in values) is (on_exit["operator"] == "In"):
            return container["name"], code
    return None


def _has_condition(pod: Json, pattern: Json) -> bool:
    wanted = (pattern["type"], pattern.get("status") or "True")
    return any((c["type"], c["status"]) == wanted for c in (pod.get("status") or {}).get("conditions") or [])


def verdict(job: Json, ledger: Ledger, active_pods: list[Json], seconds_active: float) -> Verdict | None:
    """Whether and why the Job has failed by now."""
    spec = job["spec"]
    if ledger.fail_job:
        return Verdict("PodFailurePolicy", ledger.fail_job)
    limit = spec.get("backoffLimit", 6)
    restarts = 0
    if spec["template"]["spec"].get("restartPolicy") == "OnFailure":
        restarts = sum(_restarts(pod) for pod in active_pods)
    if ledger.failed > limit or (restarts > 0 and restarts >= max(limit, 1)):
        return Verdict("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and seconds_active >= deadline:
        return Verdict("DeadlineExceeded", "Job was active longer than specified deadline")
    return None


def _restarts(pod: Json) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return sum(int(status.get("restartCount", 0)) for status in statuses)


def backoff_left(ledger: Ledger, base_seconds: float, now: float) -> float:
    """Seconds until the next pod may be made: base, doubled with each failure in a row, at most 10 minutes."""
    if not ledger.consecutive_failures:
        return 0.0
    delay = min(base_seconds * 2.0 ** (ledger.consecutive_failures - 1), MAX_BACKOFF_SECONDS)
    return max(ledger.last_failure + delay - now, 0.0)


def pods_wanted(job: Json, ledger: Ledger) -> int:
    """How many pods should be active now."""
    spec = job["spec"]
    parallelism = int(spec.get("parallelism", 1))
    completions = spec.get("completions")
    if completions is None:  # a work queue: once one pod has succeeded, no new ones
        return 0 if ledger.succeeded else parallelism
    return max(min(parallelism, int(completions) - ledger.succeeded), 0)


def is_satisfied(job: Json, ledger: Ledger, active: int) -> bool:
    """Whether the Job has the successes that it asks for."""
    completions = job["spec"].get("completions")
    if completions is None:
        return ledger.succeeded > 0 and active == 0
    return ledger.succeeded >= int(completions)


def condition(job: Json, kind: str) -> Json | None:
    """The Job's condition of this type when it is True."""
    for each in (job.get("status") or {}).get("conditions") or []:
        if each["type"] == kind and each["status"] == "True":
            return dict(each)
    return None


def is_finished(job: Json) -> bool:
    """Whether the Job has ended: Complete or Failed. SuccessCriteriaMet and FailureTarget are not the end."""
    return condition(job, "Complete") is not None or condition(job, "Failed") is not None
