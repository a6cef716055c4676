"""What the command line's submit helper says: exit code, log, the id it used, and what one look at it means.

Pure; called by ``activities/cli_engine.py``. The rules are in ``docs/kubernetes.md``, "The command-line engine".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from shared.domain.ids import JOB_ID
from shared.domain.masking import mask_secrets
from shared.domain.snapshot import ContainerView, JobState, JobView, PodView

LOG_LINES = 400
"""Lines of the helper's log that are read."""
LOG_BYTES = 4 << 20
"""Bytes that those lines may have; of longer ones the end is read, and it is the end that has the marker."""
SHOWN_BYTES = 8_000
"""Bytes of the log that users see: its end."""
_DIAGNOSTICS_BYTES = 2_000
_MARKER = "EXIT_CODE="


class ExitCode(IntEnum):
    """Exit codes of ``elastic-blast`` (``elastic_blast/constants.py``)."""

    OK = 0
    INPUT = 1
    DATABASE = 2
    ENGINE = 3
    MEMORY = 4
    TIMEOUT = 5
    PERMISSION = 6
    DEPENDENCY = 7
    CLUSTER = 8
    INTERRUPTED = 9
    NOT_READY = 10
    UNKNOWN = 255

    @property
    def is_transient(self) -> bool:
        """Whether another helper may succeed where this one did not."""
        return self in (ExitCode.CLUSTER, ExitCode.NOT_READY)


_MEANINGS: dict[ExitCode, tuple[str, str, str]] = {
    ExitCode.INPUT: ("bad_query_or_options", "it refused the query, the options or the configuration", "correct them"),
    ExitCode.DATABASE: ("bad_database", "it could not use the database", "check the database, then submit again"),
    ExitCode.ENGINE: ("blast_engine_error", "BLAST's engine failed", "retry once; if it stays, report it with the log"),
    ExitCode.MEMORY: ("out_of_memory", "it ran out of memory", "use a shorter batch_len or a larger node"),
    ExitCode.TIMEOUT: ("command_line_failed", "it ran into a time limit of its own", "read the log; retry the search"),
    ExitCode.PERMISSION: (
        "command_line_failed",
        "it lacked a permission, or ended in an unknown way",
        "read the log; check the roles of the service account of elb-openapi",
    ),
    ExitCode.DEPENDENCY: ("command_line_failed", "a program or service that it needs failed", "read the log"),
    ExitCode.CLUSTER: ("command_line_failed", "the cluster failed it", "read the log; retry the search"),
    ExitCode.INTERRUPTED: ("command_line_failed", "it was interrupted", "retry the search"),
    ExitCode.NOT_READY: ("command_line_failed", "the cluster was not ready for it", "wait, then retry the search"),
    ExitCode.UNKNOWN: ("command_line_failed", "it ended with an unknown error", "read the log; retry the search"),
}


@dataclass(frozen=True, slots=True)
class Exit:
    """The exit code that a log names; ``marked`` is False when it names none that is known."""

    code: ExitCode
    marked: bool


def read_exit(log: str) -> Exit:
    """Scan from the end: the last line that begins with ``EXIT_CODE=`` wins, whatever it says.

    Args:
        log: the whole text that was read, not the part that users see.
    """
    for line in reversed(re.split(r"[\r\n]", log)):
        text = line.strip(" \t")
        if not text.startswith(_MARKER):
            continue
        number = text.removeprefix(_MARKER)
        if re.fullmatch(r"[0-9]{1,3}", number) and int(number) in ExitCode:
            return Exit(ExitCode(int(number)), marked=True)
        break
    return Exit(ExitCode.PERMISSION, marked=False)


def alias_in(log: str, job_id: str) -> str:
    """The last id that the log names and that is not the search's own; empty when there is none."""
    named = re.findall(rf"(?<![0-9A-Za-z-]){JOB_ID.pattern}(?![0-9A-Za-z])", log)
    return next((found for found in reversed(named) if found != job_id), "")


_SECRETS = (
    (re.compile(r"(?i)\b(sig(?:=|%3D))[^\s&\"'<>]+"), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"), "***"),
    (
        re.compile(
            r"(?i)\b(AccountKey|SharedAccessSignature|[A-Za-z_-]{0,40}(?:token|secret|password|passwd|api[_-]?key))"
            r"(\"?\s*[:=]\s*\"?)[^\s\"',;&]+"
        ),
        r"\1\2***",
    ),
)
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])?")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def sanitise(text: str) -> str:
    """Text that may be shown: no terminal escapes, no control characters but tab and line feed, no secrets.

    Signatures of storage URLs, bearer tokens, JSON web tokens, account keys and what is named a token, a secret or a
    password are replaced.
    """
    text = _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def tail(text: str, limit_bytes: int) -> str:
    """The end of a text, at most so many bytes of UTF-8, beginning with a whole character."""
    return text.encode("utf-8", "replace")[-limit_bytes:].decode("utf-8", "ignore") if limit_bytes > 0 else ""


def diagnostics(pods: tuple[PodView, ...]) -> tuple[str, ...]:
    """One line per pod with its phase, and one per container that waits or has ended, with reason and exit code."""
    lines = []
    for pod in pods:
        why = f", Unschedulable: {pod.unschedulable}" if pod.unschedulable else ""
        lines.append(f"pod {pod.name}: phase {pod.phase}{why}")
        lines += [f"container {c.name}: {text}" for c in pod.containers if (text := _container_text(c))]
    return tuple(sanitise(line).replace("\n", " ")[:500] for line in lines)


def _container_text(container: ContainerView) -> str:
    if container.waiting_reason:
        return f"waiting, {container.waiting_reason}: {container.waiting_message}".rstrip(": ")
    if container.exit_code is not None:
        return f"terminated, {container.terminated_reason or 'no reason given'}, exit code {container.exit_code}"
    return ""


def shown_log(pods: tuple[PodView, ...], log: str) -> str:
    """What users see: the pods' diagnostics and the end of the log, sanitised, at most ``SHOWN_BYTES`` together."""
    head = "\n".join(diagnostics(pods)) or "no pod of it is there"
    head = head.encode()[:_DIAGNOSTICS_BYTES].decode("utf-8", "ignore")
    return f"{head}\n{tail(sanitise(log), SHOWN_BYTES - len(head.encode()) - 1)}"


class HelperState(StrEnum):
    """What one look at the helper says."""

    RUNNING = "running"
    STUCK = "stuck"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class HelperLook:
    """One look.

    Attributes:
        alias: another id than the search's own that the log of a helper that succeeded names.
        code: of a helper that has ended.
        unmarked_bytes: bytes of the log of a helper that has ended without a known exit marker; else None.
        reasons: why a helper that is stuck waits.
    """

    state: HelperState
    alias: str = ""
    code: ExitCode | None = None
    error: Mapping[str, Any] | None = None
    unmarked_bytes: int | None = None
    reasons: tuple[str, ...] = ()
    log: str = ""

    @property
    def may_try_again(self) -> bool:
        """Whether one more helper may help: an exit code of a passing trouble, or a helper that somebody removed."""
        return self.state is HelperState.GONE or (self.code is not None and self.code.is_transient)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the durable boundary, without the log: an orchestration keeps every look in its history."""
        return {
            "state": self.state.value,
            "alias": self.alias,
            "code": None if self.code is None else int(self.code),
            "error": None if self.error is None else dict(self.error),
            "reasons": list(self.reasons),
            "may_try_again": self.may_try_again,
        }


def look_at_helper(job: JobView | None, pods: tuple[PodView, ...], log: str, job_id: str) -> HelperLook:
    """What the helper's Job, its pods (newest first) and its log say together.

    The log decides between success and failure, and only once the helper has ended.
    """
    shown = shown_log(pods, log)
    if job is None or job.deleting:
        return HelperLook(HelperState.GONE, log=shown)
    if not has_ended(job, pods):
        reasons = tuple(pod.why_waiting for pod in pods if pod.why_waiting)
        state = HelperState.STUCK if reasons else HelperState.RUNNING
        return HelperLook(state, reasons=tuple(map(sanitise, reasons)), log=shown)
    end = read_exit(log)
    unmarked = None if end.marked else len(log.encode("utf-8", "replace"))
    if end.code is ExitCode.OK:
        return HelperLook(HelperState.SUCCEEDED, alias=alias_in(log, job_id), code=end.code, log=shown)
    error = _error(end, job, pods, shown, unmarked)
    return HelperLook(HelperState.FAILED, code=end.code, error=error, unmarked_bytes=unmarked, log=shown)


def has_ended(job: JobView, pods: tuple[PodView, ...]) -> bool:
    """Whether the helper has ended: by its Job's condition, or by its newest pod where the Job is behind."""
    if job.state in (JobState.SUCCEEDED, JobState.FAILED):
        return True
    return bool(pods) and pods[0].phase in ("Succeeded", "Failed")


def _error(end: Exit, job: JobView, pods: tuple[PodView, ...], shown: str, unmarked: int | None) -> dict[str, Any]:
    code, what, hint = _MEANINGS[end.code]
    said = f"exit code {int(end.code)}"
    if unmarked is not None:
        what, said = "its log ends without an exit code", f"{unmarked} bytes of log"
        if any(c.terminated_reason == "OOMKilled" for pod in pods for c in pod.containers):
            code, what, hint = "out_of_memory", "it was killed for its memory", "report it with the log"
        elif job.reason == "DeadlineExceeded":
            what = "it was stopped at its deadline"
    return {
        "code": code,
        "message": f"elastic-blast submit failed in Job {job.name}: {what} ({said})",
        "hint": hint,
        "job": job.name,
        "exit_code": int(end.code),
        "log_tail": mask_secrets(shown),
    }


def openapi_missing() -> dict[str, Any]:
    """The error of a cluster without elb-openapi; the message is a promise to scripts that look for it."""
    return {
        "code": "openapi_missing",
        "message": "No elb-openapi pod found in cluster. Deploy it from the AKS card (provisioning a cluster runs this "
        "automatically; for an existing cluster use POST /api/aks/openapi/deploy).",
        "hint": "POST /api/aks/openapi/deploy, then submit again",
    }


def submit_timeout(seconds: float, looked: Mapping[str, Any] | None, *, removed: bool) -> dict[str, Any]:
    """The error of a helper that did not end in time.

    Args:
        seconds: how long it was waited for.
        looked: the last look at it: ``reasons`` and ``log``.
        removed: whether the helper is removed; if not, its own deadline ends it.
    """
    reasons = "; ".join((looked or {}).get("reasons") or ()) or "it still ran"
    left = "" if removed else "; the helper could not be removed: its own deadline ends it"
    return {
        "code": "submit_timeout",
        "message": f"elastic-blast submit did not end within {seconds:g} s: {reasons}{left}",
        "hint": "mend what the reason names, then retry the search",
        "log_tail": mask_secrets((looked or {}).get("log") or ""),
    }
