"""Why a Job failed, for the person who reads it: code, message, hint, the Job, its exit code.

Exit codes 1 to 6 are BLAST's own (BLAST Command Line Applications User Manual, appendix "Exit codes": 1 query or
options, 2 database, 3 engine, 4 out of memory, 5 network, 6 output); 64 to 78 are those of the wrapper script
``shared/scripts/blast.sh``. They mean that only of the container that runs BLAST: elastic-blast's pods fetch the batch
in an init container and upload the result in a container beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.domain.snapshot import ContainerView, JobView, PodView

BLAST_CONTAINER = "blast"
_EXIT_CODES: dict[int, tuple[str, str, str]] = {
    1: ("bad_query_or_options", "BLAST refused the query or the options", "read the log tail; correct and submit"),
    2: ("bad_database", "BLAST could not use the database", "rewarm the database; if it stays, prepare it again"),
    3: ("blast_engine_error", "BLAST's engine failed", "retry once; if it stays, report it with the log tail"),
    4: ("out_of_memory", "BLAST ran out of memory", "use more shards, a shorter batch_len or a larger node"),
    5: ("blast_network_error", "BLAST lost a connection", "retry the search"),
    6: ("blast_output_error", "BLAST could not write its output", "the node's disk may be full; retry the search"),
    64: ("download_failed", "the query batch could not be downloaded", "check the nodes' way to the storage account"),
    65: (
        "storage_denied",
        "the storage account refused the node",
        "check the app's role and the storage account's firewall; a new role takes 60-180 s to act",
    ),
    70: ("job_failed", "the script or BLAST ended in an unknown way", "read the log tail; retry the search"),
    71: (
        "database_changed",
        "the database on the node is not of the version any more with which the search began",
        "retry the search: it then runs on one version as a whole",
    ),
    74: ("upload_failed", "the result could not be uploaded", "check the nodes' way to the storage account"),
    137: ("out_of_memory", "the container was killed, most likely for its memory", "use more shards or a larger node"),
}
_NO_STATISTICS = re.compile(r"are not supported for substitution scores|Substitution scores .+ are not supported")
_OTHER_SCORES = "choose -reward, -penalty, -gapopen and -gapextend among those that the log tail names"
_BESIDE_BLAST = ("upload_failed", "the result could not be uploaded", "read the log tail; check the way to the storage")
_BEFORE_BLAST = ("download_failed", "the query batch could not be fetched", "read the log tail; check the storage")
_NODE_LOST = ("node_lost", "the node went away under the pod", "warm the database again, then retry the search")
_EVICTED = ("pod_evicted", "the pod was taken off its node", "retry the search")
_LOST_BY = frozenset({"DeletionByTaintManager", "DeletionByPodGC", "NodeLost"})
"""Reasons of ``DisruptionTarget`` that say that the node is gone (Kubernetes, "Pod disruption conditions"), and the
pod's own reason of before that condition."""
_POLICY = re.compile(r"Container (?P<container>\S+) for pod .* failed with exit code (?P<code>\d+) matching")
"""What the Job controller writes of a ``podFailurePolicy`` that was met (Kubernetes, pkg/controller/job)."""
_REASONS: dict[str, tuple[str, str, str]] = {
    "DeadlineExceeded": ("search_timeout", "the Job ran into its deadline", "use more shards or a shorter batch_len"),
    "OOMKilled": ("out_of_memory", "the container was killed for its memory", "use more shards or a larger node"),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """The failing Job and what it means; ``container`` is the one of its pod whose log tells more."""

    code: str
    message: str
    hint: str
    job: str
    pod: str
    exit_code: int | None
    container: str = ""

    def to_error(self, log_tail: str = "") -> dict[str, Any]:
        """The error object of the search. ``log_tail`` is what the failing pod wrote last."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "job": self.job,
            "exit_code": self.exit_code,
            "log_tail": log_tail,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the durable boundary."""
        return {**self.to_error(), "pod": self.pod, "container": self.container}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Failure:
        """Read plain data; unknown fields are ignored."""
        return cls(
            data.get("code", "job_failed"),
            data.get("message", ""),
            data.get("hint", ""),
            data.get("job", ""),
            data.get("pod", ""),
            data.get("exit_code"),
            data.get("container", ""),
        )


_STORAGE_REFUSALS: dict[str, tuple[str, str, str]] = {
    "AuthorizationPermissionMismatch": (
        "storage_role_missing",
        "a role on the storage account is missing",
        "give the app its role on the storage account; a new role takes 60-180 s to act",
    ),
    "AuthorizationFailure": (
        "storage_firewall",
        "the firewall of the storage account does not let it in",
        "allow the subnet in the storage account's network rules",
    ),
}
"""Azure Storage's error codes of a 403 that have different cures (Microsoft Learn, "Status and error codes")."""


def storage_refusal(text: str) -> tuple[str, str, str]:
    """Code, what and hint of a refusal by the storage account.

    Args:
        text: holds the storage's own error code, perhaps; where it tells nothing, the code is ``storage_denied``.
    """
    told = (refusal for code, refusal in _STORAGE_REFUSALS.items() if re.search(rf"\b{code}\b", text))
    return next(told, _EXIT_CODES[65])


def told_by_log(failure: Failure, log_tail: str) -> Failure:
    """Tell apart what ends with the same exit code, by what was written.

    These are a bad query and bad options, a role that is missing and a firewall, and an engine that failed and one that
    has no statistics for the scores and gap costs that were asked for (blastn ends with 3 then).

    Args:
        log_tail: what the failing container wrote last; where it says neither, the failure stays as it is.
    """
    if failure.code == "storage_denied":
        code, what, hint = storage_refusal(log_tail)
        return replace(failure, code=code, message=failure.message.replace(_EXIT_CODES[65][1], what), hint=hint)
    if failure.code == "blast_engine_error" and _NO_STATISTICS.search(log_tail):
        what = "BLAST has no statistics for these scores and gap costs"
        message = failure.message.replace(_EXIT_CODES[3][1], what)
        return replace(failure, code="bad_options", message=message, hint=_OTHER_SCORES)
    if failure.code != "bad_query_or_options":
        return failure
    text = log_tail.lower()
    if "query is empty" in text or "no sequences" in text or "query contains no" in text:
        return replace(failure, code="bad_query", message=failure.message.replace("query or the options", "query"))
    if "argument" in text or "options error" in text:
        return replace(failure, code="bad_options", message=failure.message.replace("query or the options", "options"))
    return failure


def failure_of_job(job: JobView, pods: Iterable[PodView]) -> Failure:
    """Say why a Job has its ``Failed`` condition.

    Args:
        job: the failed Job.
        pods: its pods, newest first, those that are being deleted last: what they say counts if nobody else says it.
    """
    known = tuple(pods)
    pod = next(filter(_has_failed, known), known[0] if known else None)
    container = failed_container(pod) if pod else None
    name, exit_code = (container.name, container.exit_code) if container else _told_by_policy(job)
    code, what, hint = _meaning(job, pod, container, exit_code)
    said = f" (exit code {exit_code})" if exit_code is not None else ""
    message = f"{what} in Job {job.name}{said}"
    return Failure(code, message, hint, job.name, pod.name if pod else "", exit_code, name or _log_of(pod))


def _has_failed(pod: PodView) -> bool:
    return pod.phase == "Failed" or failed_container(pod) is not None


def failed_container(pod: PodView) -> ContainerView | None:
    """The container that failed; BLAST's own if it did, for its neighbours then fail after it."""
    failed = [container for container in pod.containers if container.exit_code not in (None, 0)]
    return min(failed, key=lambda c: c.name != BLAST_CONTAINER, default=None)


def _told_by_policy(job: JobView) -> tuple[str, int | None]:
    """Container and exit code as the Job's condition names them, for when its pods are gone."""
    found = _POLICY.search(job.message)
    return (found["container"], int(found["code"])) if found else ("", None)


def _log_of(pod: PodView | None) -> str:
    """The container to read where none has failed: of several the one that runs BLAST, else the first."""
    names = [container.name for container in pod.containers if not container.is_init] if pod else []
    return BLAST_CONTAINER if BLAST_CONTAINER in names else next(iter(names), "")


def _meaning(
    job: JobView, pod: PodView | None, container: ContainerView | None, exit_code: int | None
) -> tuple[str, str, str]:
    known = _REASONS.get(job.reason) or (_REASONS.get(container.terminated_reason) if container else None)
    if known is not None:
        return known
    if pod is not None and (pod.disruption or pod.reason) in _LOST_BY:
        return _NODE_LOST
    if pod is not None and (pod.disruption or pod.reason == "Evicted"):
        code, what, hint = _EVICTED
        return code, f"{what}: {pod.message}" if pod.message else what, hint
    unknown = ("job_failed", job.message or "the Job failed", "read the log tail; retry the search")
    if exit_code is None:
        return unknown
    if container is not None and container.is_init:
        return _BEFORE_BLAST
    if container is not None and container.name != BLAST_CONTAINER and _runs_blast(pod):
        return _BESIDE_BLAST
    return _EXIT_CODES.get(exit_code, unknown)


def _runs_blast(pod: PodView | None) -> bool:
    return pod is not None and any(container.name == BLAST_CONTAINER for container in pod.containers)
