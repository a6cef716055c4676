"""Why a Job failed, for the person who reads it: code, message, hint, the Job, its exit code.

Exit codes 1 to 6 are BLAST's own (BLAST Command Line Applications User Manual, appendix "Exit codes": 1 query or
options, 2 database, 3 engine, 4 out of memory, 5 network, 6 output); 64 to 78 are those of the wrapper script
``shared/scripts/blast.sh``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.domain.snapshot import JobView, PodView

_EXIT_CODES: dict[int, tuple[str, str, str]] = {
    1: ("bad_query_or_options", "BLAST refused the query or the options", "read the log tail; correct and submit"),
    2: ("bad_database", "BLAST could not use the database", "rewarm the database; if it stays, prepare it again"),
    3: ("blast_engine_error", "BLAST's engine failed", "retry once; if it stays, report it with the log tail"),
    4: ("out_of_memory", "BLAST ran out of memory", "use more shards, a shorter batch_len or a larger node"),
    5: ("blast_network_error", "BLAST lost a connection", "retry the search"),
    6: ("blast_output_error", "BLAST could not write its output", "the node's disk may be full; retry the search"),
    64: ("download_failed", "the query batch could not be downloaded", "check the nodes' way to the storage account"),
    65: ("storage_denied", "the storage account refused the node", "check the firewall and the role of the app"),
    70: ("job_failed", "the script or BLAST ended in an unknown way", "read the log tail; retry the search"),
    74: ("upload_failed", "the result could not be uploaded", "check the nodes' way to the storage account"),
    137: ("out_of_memory", "the container was killed, most likely for its memory", "use more shards or a larger node"),
}
_REASONS: dict[str, tuple[str, str, str]] = {
    "DeadlineExceeded": ("search_timeout", "the Job ran into its deadline", "use more shards or a shorter batch_len"),
    "OOMKilled": ("out_of_memory", "the container was killed for its memory", "use more shards or a larger node"),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """The failing Job and what it means."""

    code: str
    message: str
    hint: str
    job: str
    pod: str
    exit_code: int | None

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
        return {**self.to_error(), "pod": self.pod}

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
        )


def told_by_log(failure: Failure, log_tail: str) -> Failure:
    """Tell a bad query from bad options, which BLAST ends with the same exit code, by what it wrote.

    Args:
        log_tail: what the failing pod wrote last; where it says neither, the failure stays as it is.
    """
    if failure.code != "bad_query_or_options":
        return failure
    text = log_tail.lower()
    if "query is empty" in text or "no sequences" in text or "query contains no" in text:
        return replace(failure, code="bad_query", message=failure.message.replace("query or the options", "query"))
    if "argument" in text or "options error" in text:
        return replace(failure, code="bad_options", message=failure.message.replace("query or the options", "options"))
    return failure


def failure_of_job(job: JobView, pods: tuple[PodView, ...]) -> Failure:
    """Say why a Job has its ``Failed`` condition.

    Args:
        job: the failed Job.
        pods: its pods, newest first.
    """
    ended = [(pod, c) for pod in pods for c in pod.containers if c.exit_code not in (None, 0)]
    pod, container = ended[0] if ended else (pods[0] if pods else None, None)
    exit_code = container.exit_code if container else None
    known = _REASONS.get(job.reason) or (container and _REASONS.get(container.terminated_reason))
    code, what, hint = known or _EXIT_CODES.get(
        exit_code if exit_code is not None else -1,
        ("job_failed", job.message or "the Job failed", "read the log tail; retry the search"),
    )
    said = f" (exit code {exit_code})" if exit_code is not None else ""
    return Failure(code, f"{what} in Job {job.name}{said}", hint, job.name, pod.name if pod else "", exit_code)
