"""What can go wrong, and the exit code of each: scripts decide by these, so they stay as they are.

::

    ClientError             anything that ends a command, for the person or the script that began it
    |- UsageError           the command line is wrong, or a file of it cannot be read (2)
    |- SearchEndedError     the search, or other work, ended otherwise than asked for (1 or 3)
    |- RefusedError         the API answered with an error (4, 5, 6 for its own failures, 8)
    |- UnreachableError     nothing that is the API answers (6)
    |- WaitedTooLongError   ``--timeout`` is over; the work goes on (7)
    '- DownloadError        a file did not arrive whole, or is not to be overwritten (9)
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """The exit codes, as ``docs/client.md`` lists them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    NOT_FOUND = 4
    NOT_AUTHORIZED = 5
    UNREACHABLE = 6
    TIMEOUT = 7
    REFUSED = 8
    DOWNLOAD = 9
    DEFECT = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class ClientError(Exception):
    """What happened, to which thing, and what to do about it.

    Args:
        code: stable snake_case name; the API's own where it gave one.
        message: what happened, naming the thing.
        hint: what the reader can do.
        exit_code: of the process.
        details: the API's, one mapping per wrong field.
        about: further fields for scripts, such as the id of the search.
    """

    exit_code: Exit = Exit.FAILED

    def __init__(
        self,
        code: str,
        message: str,
        hint: str = "",
        *,
        exit_code: Exit | None = None,
        details: tuple[Mapping[str, Any], ...] = (),
        about: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details = details
        self.about = dict(about or {})
        if exit_code is not None:
            self.exit_code = exit_code

    def to_dict(self) -> dict[str, Any]:
        """The error as ``--json`` shows it on standard error."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "hint": self.hint}
        if self.details:
            error["details"] = [dict(detail) for detail in self.details]
        return {"error": error, "exit_code": int(self.exit_code), **self.about}


class UsageError(ClientError):
    """The command line is wrong."""

    exit_code = Exit.USAGE


class SearchEndedError(ClientError):
    """It ended, but not as asked for."""


class RefusedError(ClientError):
    """The API answered with an error.

    Args:
        status: the HTTP status.
        error: the API's error object.
        what: which request, such as ``GET /api/blast/jobs/x``: the API's message need not name the thing.
        retry_after: seconds after which the API would like to be asked again, where it said so.
    """

    def __init__(self, status: int, error: Mapping[str, Any], what: str, retry_after: float | None = None) -> None:
        details = error.get("details")
        super().__init__(
            str(error.get("code") or f"http_{status}"),
            str(error.get("message") or f"{what} was answered with {status}"),
            str(error.get("hint") or ""),
            exit_code=exit_code_of(status),
            details=tuple(item for item in details if isinstance(item, Mapping)) if isinstance(details, list) else (),
            about={"request": what} | ({} if retry_after is None else {"retry_after": retry_after}),
        )
        self.status = status


class UnreachableError(ClientError):
    """Nothing answers, or what answers is not the API."""

    exit_code = Exit.UNREACHABLE


class WaitedTooLongError(ClientError):
    """The time to wait is over; what was waited for goes on."""

    exit_code = Exit.TIMEOUT


class DownloadError(ClientError):
    """A file did not arrive whole."""

    exit_code = Exit.DOWNLOAD


def exit_code_of(status: int) -> Exit:
    """The exit code for an error answer of the API.

    Args:
        status: the HTTP status, 400 or above.
    """
    if status in (401, 403):
        return Exit.NOT_AUTHORIZED
    if status in (404, 410):
        return Exit.NOT_FOUND
    return Exit.UNREACHABLE if status >= 500 else Exit.REFUSED
