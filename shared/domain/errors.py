"""The one tree of errors.

::

    ElbError                    anything that the product says went wrong, for the person who gets it
    |- PermanentError           asking again cannot help; returned as data by activities, never retried
    |  |- InvalidInputError     the caller's input is wrong (HTTP 422)
    |  |- MalformedError        the request could not be understood (HTTP 400)
    |  |- NotFoundError         no such thing, or not yours (HTTP 404)
    |  |- ConflictError         it clashes with what is there (HTTP 409)
    |  |- ForbiddenError        your role does not allow it (HTTP 403)
    |  |- UnauthenticatedError  nobody is known to be asking (HTTP 401)
    |  |- PreconditionFailedError  it is not any more what the caller has seen (HTTP 412)
    |  |- GoneError             it was there, and is kept no longer (HTTP 410)
    |  |- TooLargeError         more than a limit allows (HTTP 413)
    |  '- StoredValueError      what the product has stored cannot be read (HTTP 500, shown with its code)
    |- TransientError           asking again may help; raised, so that the durable retry handles it (HTTP 503)
    |  '- RateLimitedError      the caller asks too often (HTTP 429)
    '- ConfigurationError       a setting is wrong; the app does not start

Every error has a ``code`` (snake_case, stable, for programs), a ``message`` (what happened, naming the value),
a ``hint`` (what to do) and an HTTP ``status``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class ElbError(Exception):
    """What happened, to which thing, and what to do about it.

    Args:
        code: stable snake_case name of the problem.
        message: what happened, naming the value.
        hint: what the reader can do.
        details: one mapping per wrong field: ``{"field": ..., "message": ...}``.
    """

    status: ClassVar[int] = 500

    def __init__(self, code: str, message: str, hint: str = "", *, details: tuple[Mapping[str, Any], ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        """Code and message, so that the code survives where an error travels as text (activity failures)."""
        return f"{self.code}: {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """The error object of the HTTP API and of a search's row."""
        body: dict[str, Any] = {"code": self.code, "message": self.message, "hint": self.hint}
        if self.details:
            body["details"] = [dict(d) for d in self.details]
        return body


class PermanentError(ElbError):
    """Asking again cannot help."""

    status = 422


class InvalidInputError(PermanentError):
    """The input is well-formed but wrong.

    Args:
        field: the request field, dotted (``options.outfmt``).
    """

    def __init__(self, code: str, message: str, hint: str = "", *, field: str = "") -> None:
        details = ({"field": field, "message": message},) if field else ()
        super().__init__(code, message, hint, details=details)
        self.field = field


class MalformedError(PermanentError):
    """The request could not be understood."""

    status = 400


class UnauthenticatedError(PermanentError):
    """Nobody is known to be asking."""

    status = 401


class ForbiddenError(PermanentError):
    """The caller's role does not allow it."""

    status = 403


class NotFoundError(PermanentError):
    """No such thing, or not the caller's."""

    status = 404


class ConflictError(PermanentError):
    """It clashes with what is there."""

    status = 409


class GoneError(PermanentError):
    """It was there, and is kept no longer."""

    status = 410


class TooLargeError(PermanentError):
    """More than a limit allows."""

    status = 413


class PreconditionFailedError(PermanentError):
    """It is not any more what the caller has seen (``If-Match``)."""

    status = 412


class StoredValueError(PermanentError):
    """What the product has stored cannot be read; it is kept as it is, and the hint says how to replace it."""

    status = 500


class TransientError(ElbError):
    """Asking again may help.

    Args:
        retry_after: seconds that the other side asked to wait, if it did.
    """

    status = 503

    def __init__(self, code: str, message: str, hint: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(code, message, hint)
        self.retry_after = retry_after


class RateLimitedError(TransientError):
    """The caller asks more often than they may; ``retry_after`` says when the next request may come."""

    status = 429


class ConfigurationError(ElbError):
    """A setting is missing or wrong; the app does not start."""
