"""A tripwire: which request it waits for, and what happens then. Used by the tests; the proxies obey.

::

    wire = tripwires.set(Tripwire(kill(stack.kill_host), service="kubernetes", method="POST", path="/jobs$", nth=5))
    ...
    wire.wait()
"""

from __future__ import annotations

import asyncio
import enum
import re
import threading
from collections.abc import Awaitable, Callable
from typing import NoReturn

from aiohttp import web

from local.tripwire.calls import Call

Action = Callable[[Call], Awaitable[web.Response | None]]
"""Gives the answer that the host gets, or None for the upstream's own, or raises :class:`CutError`."""


class Moment(enum.Enum):
    """When the action comes."""

    BEFORE = "before the request is passed on"
    AFTER = "after the upstream answered, before the answer is passed on"


class CutError(Exception):
    """The connection ends without an answer.

    Args:
        reset: by a TCP reset, not by an orderly end.
    """

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("the connection is cut")
        self.reset = reset


class Kill:
    """The action that ends the host. From the moment it begins nothing that the host has sent is passed on.

    Args:
        callback: ends the host and returns when it is dead.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback

    async def __call__(self, _: Call) -> NoReturn:
        """End the host; its request gets no answer."""
        await asyncio.to_thread(self._callback)
        raise CutError


def kill(callback: Callable[[], None]) -> Action:
    """End the host with the given call, which returns when it is dead."""
    return Kill(callback)


def answer(status: int, *, retry_after_seconds: int | None = None) -> Action:
    """An answer that the upstream did not give."""

    async def act(_: Call) -> web.Response:
        headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
        return web.Response(status=status, text="asked for by a test", headers=headers)

    return act


def storage_error(status: int, code: str) -> Action:
    """Blob storage's refusal, with its error code in header and body (Azure Storage, "Status and error codes")."""

    async def act(_: Call) -> web.Response:
        body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>by a test</Message></Error>'
        return web.Response(status=status, text=body, content_type="application/xml", headers={"x-ms-error-code": code})

    return act


def reset() -> Action:
    """A TCP reset."""

    async def act(_: Call) -> NoReturn:
        raise CutError(reset=True)

    return act


def silence(seconds: float) -> Action:
    """No answer; after the given time the connection is closed. With ``AFTER``: done, and nobody told."""

    async def act(_: Call) -> NoReturn:
        await asyncio.sleep(seconds)
        raise CutError

    return act


def look(callback: Callable[[Call], None]) -> Action:
    """The request waits while the given call looks around, then goes on as if nothing had been."""

    async def act(call: Call) -> None:
        await asyncio.to_thread(callback, call)

    return act


class Scope:
    """The one search that a tripwire is for: the first one that nobody has heard of when the scope is made."""

    def __init__(self) -> None:
        self.job_id: str | None = None


class Tripwire:
    """Waits for a request.

    Args:
        action: what happens to the request; None only takes note of it.
        service: ``blob``, ``table``, ``arm`` or ``kubernetes``; any when empty.
        method: of HTTP; any when empty.
        path: regular expression, searched in the decoded path with its query string.
        body: regular expression, searched in the body.
        pattern: the whole pattern of :attr:`Call.pattern`; any when empty.
        nth: the first matching request that is met, from 1.
        times: how many are met from there on; None for all.
        moment: before or after the upstream has seen the request.
        scope: only requests of this search.
        after: only requests that come when this other tripwire has met one.
    """

    def __init__(
        self,
        action: Action | None,
        *,
        service: str = "",
        method: str = "",
        path: str = "",
        body: str = "",
        pattern: str = "",
        nth: int = 1,
        times: int | None = 1,
        moment: Moment = Moment.BEFORE,
        scope: Scope | None = None,
        after: Tripwire | None = None,
    ) -> None:
        self.action = action
        self.moment = moment
        self.scope = scope
        self.after = after
        self.met: list[Call] = []
        self._service, self._method, self._pattern = service, method, pattern
        self._path, self._body = re.compile(path), re.compile(body, re.DOTALL)
        self._before = nth - 1
        self._left = times
        self._fired = threading.Event()

    def take(self, call: Call) -> bool:
        """Whether this request is met; counts it."""
        if self._left == 0 or not self._is_for(call):
            return False
        if self._before > 0:
            self._before -= 1
            return False
        if self._left is not None:
            self._left -= 1
        self.met.append(call)
        self._fired.set()
        return True

    @property
    def has_fired(self) -> bool:
        """Whether a request was met."""
        return self._fired.is_set()

    def wait(self, seconds: float = 30) -> Call:
        """Wait for the first request that is met.

        Raises:
            TimeoutError: none came.
        """
        if not self._fired.wait(seconds):
            raise TimeoutError(f"no request met the tripwire within {seconds:g} s: {self}")
        return self.met[0]

    def __str__(self) -> str:
        wanted = (self._service, self._method, self._path.pattern, self._body.pattern, self._pattern)
        return " ".join(part for part in wanted if part)

    def _is_for(self, call: Call) -> bool:
        return (
            (self.after is None or self.after.has_fired)
            and self._service in ("", call.service)
            and self._method in ("", call.method)
            and (self.scope is None or (self.scope.job_id is not None and self.scope.job_id == call.job_id))
            and self._pattern in ("", call.pattern)
            and self._path.search(call.path) is not None
            and self._body.search(call.body) is not None
        )
