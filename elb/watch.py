"""Following a search until it has ended. What is shown, and how, is the caller's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from elb.addresses import part
from elb.api import Api, Json
from elb.errors import ClientError, Exit, RefusedError, WaitedTooLongError

ENDS: Mapping[str, Exit] = {
    "completed": Exit.OK,
    "failed": Exit.FAILED,
    "cancelled": Exit.CANCELLED,
    "delete_failed": Exit.FAILED,
}
"""The statuses in which nothing more happens by itself, and the exit code of each."""
OUTAGE_SECONDS = 600.0
"""For how long an API that was there and does not answer any more is asked again."""
Show = Callable[[Json], None]


def pause(watched_seconds: float) -> float:
    """Seconds until the next question.

    A question is answered from what the product knows, which it refreshes every 5 s at most while the Jobs run; so
    asking more often than every second shows nothing more, and after a while nobody sits before the screen.

    Args:
        watched_seconds: since the following began.
    """
    if watched_seconds < 60:
        return 1.0
    if watched_seconds < 600:
        return 2.0
    return 5.0 if watched_seconds < 3600 else 15.0


def follow(
    api: Api, job_id: str, show: Show, timeout: float | None = None, ends: Collection[str] = tuple(ENDS)
) -> Json:
    """Ask until the search has ended.

    Args:
        api: where.
        job_id: the search.
        show: called with the search's detail after each question. While the API does not answer it is the last one,
            marked as stale with the reason.
        timeout: seconds; None waits as long as it takes.
        ends: the statuses that end it.

    Returns:
        The detail of the search that has ended.

    Raises:
        WaitedTooLongError: ``timeout``, the search goes on.
        ClientError: as ``Api.send``; that nothing answers only after ``OUTAGE_SECONDS``.
    """
    path = f"blast/jobs/{part(job_id)}"
    began = answered = api.clock.monotonic()
    detail = api.get(path)
    while True:
        show(detail)
        if str(detail.get("status")) in ends and not detail.get("outage"):
            return detail
        watched = api.clock.monotonic() - began
        if timeout is not None and watched >= timeout:
            raise _too_long(job_id, detail, timeout)
        wait = pause(watched)
        api.clock.sleep(wait if timeout is None else min(wait, timeout - watched))
        try:
            detail = api.get(path, patience=0)
            answered = api.clock.monotonic()
        except ClientError as error:
            if not _may_pass(error) or api.clock.monotonic() - answered > OUTAGE_SECONDS:
                raise
            detail = {**detail, "stale": True, "stale_reason": error.message, "outage": True}


def wait_until_deleted(api: Api, job_id: str, show: Show, timeout: float | None = None) -> None:
    """Ask until the search is not there any more.

    Raises:
        ClientError: ``delete_failed`` with what could not be deleted, and as :func:`follow`.
    """
    try:
        detail = follow(api, job_id, show, timeout, ends=("delete_failed",))
    except RefusedError as error:
        if error.exit_code is Exit.NOT_FOUND:
            return
        raise
    why = detail.get("waiting_reason") or f"it is {detail.get('status')}"
    raise ClientError(
        "delete_failed", f"{job_id} could not be deleted: {why}", "delete it again", about={"job_id": job_id}
    )


def snapshot(detail: Mapping[str, Any], at: str) -> Json:
    """What ``watch --json`` prints of a detail; a line is printed when anything but ``at`` has changed."""
    names = ("job_id", "status", "phase", "waiting_reason", "progress", "steps", "stale", "stale_reason", "attempt")
    return {"at": at, **{name: detail.get(name) for name in names}, "error": detail.get("error")}


def _may_pass(error: ClientError) -> bool:
    return error.exit_code is Exit.UNREACHABLE or (isinstance(error, RefusedError) and error.status == 429)


def _too_long(job_id: str, detail: Mapping[str, Any], timeout: float) -> WaitedTooLongError:
    return WaitedTooLongError(
        "timeout",
        f"{job_id} is {detail.get('phase')} after {timeout:g} s of waiting",
        "it goes on",
        about={"job_id": job_id},
    )
