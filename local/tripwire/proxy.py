"""One reverse proxy: passes requests on as they are, except those that meet a tripwire. Used by :mod:`.tripwires`.

Headers and path go through byte for byte: storage signs them. Whole messages only: the host watches nothing.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable, Iterable

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from local.tripwire.wires import CutError

LONGEST_BODY = 1 << 28
# Of one connection, not of the message (RFC 9110, 7.6.1). A body that waits for a 100 has come in before it goes on.
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect"})
_NOT_ADDED = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")

Upstream = Callable[[], Awaitable[web.Response]]
Judge = Callable[[web.Request, bytes, Upstream], Awaitable[web.Response]]
"""Decides what becomes of a request: usually what the upstream answers."""


class Proxy:
    """Listens on a loopback port for one upstream port.

    Args:
        upstream: port of the loopback interface.
        judge: is given each request; raises :class:`CutError` to end its connection.
    """

    def __init__(self, upstream: int, judge: Judge) -> None:
        self.upstream = upstream
        self._judge = judge
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> int:
        """Listen; returns the port."""
        # A connection each: one that the upstream closes while it is being used again would be a failure of our own.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=timeout)
        application = web.Application(client_max_size=LONGEST_BODY)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            return await self._judge(request, body, lambda: self._pass_on(request, body))
        except CutError as cut:
            _cut(request, with_reset=cut.reset)
        except aiohttp.ClientError:  # the upstream is gone, and so is the connection to it
            _cut(request, with_reset=False)
        return web.Response()

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        if self._session is None:
            raise CutError
        headers = _end_to_end(request.raw_headers)
        url = URL(f"http://127.0.0.1:{self.upstream}{request.raw_path}", encoded=True)
        has_body = bool(body) or "Content-Length" in headers
        async with self._session.request(
            request.method,
            url,
            headers=headers,
            data=body if has_body else None,
            skip_auto_headers=_NOT_ADDED,
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
            return web.Response(
                status=answer.status, reason=answer.reason, headers=_end_to_end(answer.raw_headers), body=content
            )


def _end_to_end(raw: Iterable[tuple[bytes, bytes]]) -> CIMultiDict[str]:
    pairs = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)
    return CIMultiDict((name, value) for name, value in pairs if name.lower() not in _HOP_BY_HOP)


def _cut(request: web.Request, *, with_reset: bool) -> None:
    transport = request.transport
    if transport is None:
        return
    if with_reset:
        raw: socket.socket | None = transport.get_extra_info("socket")
        if raw is not None:
            # Lingering for no time at all makes the kernel send RST in place of FIN (socket(7)).
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
