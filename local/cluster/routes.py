"""The Kubernetes API over HTTP: every request enters here. Reads and writes are in `verbs.py`, streams in `streams.py`.

Started and stopped by `cluster.py`: a stopped cluster's API refuses connections.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import struct
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from local.cluster import discovery, errors
from local.cluster.clock import Clock
from local.cluster.errors import ApiError
from local.cluster.faults import Calls, Fault, Faults
from local.cluster.paths import Target, parse_path
from local.cluster.streams import Streams
from local.cluster.verbs import Verbs

Json = dict[str, Any]
logger = logging.getLogger(__name__)

_PROTOBUF = (
    "the body of the request was in an unknown format - accepted media types include: application/json (the emulator "
    "reads no protobuf: use kubectl create --dry-run=client -o yaml ... | kubectl apply -f -)"
)
_MAX_BODY = 16 * 1024 * 1024
_FAULT_REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def json_response(body: Json, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    data = json.dumps(body, separators=(",", ":")).encode()
    return web.Response(body=data, status=status, content_type="application/json", headers=headers)


class Api:
    """The API server: authentication, faults, counting, and the way to the verbs."""

    def __init__(self, verbs: Verbs, streams: Streams, faults: Faults, calls: Calls, token: str, clock: Clock) -> None:
        self._verbs = verbs
        self._streams = streams
        self._faults = faults
        self._calls = calls
        self._clock = clock
        self.token = token
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> int:
        """Listen on the loopback address; returns the port."""
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        app.on_response_prepare.append(self._date)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.05)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self._runner = runner
        return int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def _date(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Every answer is dated by the clock that dates the objects."""
        response.headers["Date"] = format_datetime(self._clock.now(), usegmt=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            for fault in self._faults.take(request.method, request.path_qs):
                if refused := await self._suffer(fault, request):
                    return refused
            self._authenticate(request.headers.get("Authorization", ""))
            return await self._answer(request)
        except ApiError as error:
            return json_response(error.status(), error.code)
        except Exception:
            logger.exception("%s %s failed", request.method, request.path_qs)
            return json_response(ApiError(500, "InternalError", "an error of the emulator: see its log").status(), 500)

    def _authenticate(self, authorization: str) -> None:
        """ApiError 401 unless the header carries the token: as a bearer token or as a basic password.

        kubectl sends no bearer token without TLS; what it does send is the user info of the server's URL.
        """
        basic = base64.b64encode(f"token:{self.token}".encode()).decode()
        if self.token and authorization not in (f"Bearer {self.token}", f"Basic {basic}"):
            raise errors.unauthorized()

    async def _suffer(self, fault: Fault, request: web.Request) -> web.Response | None:
        if fault.latency_seconds:
            await asyncio.sleep(fault.latency_seconds)
        if fault.reset and request.transport is not None:
            connection = request.transport.get_extra_info("socket")
            # With no time to linger, closing sends a reset instead of an orderly end.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.transport.abort()
            return web.Response(status=500)
        if not fault.status:
            return None
        reason = _FAULT_REASONS.get(fault.status, "Unknown")
        details: Json | None = None
        headers = {}
        if fault.retry_after_seconds is not None:
            details, headers = (
                {"retryAfterSeconds": fault.retry_after_seconds},
                {"Retry-After": str(fault.retry_after_seconds)},
            )
        body = ApiError(fault.status, reason, f"fault: {reason}", details).status()
        return json_response(body, fault.status, headers)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        document = discovery.answer(request.path) if request.method == "GET" else None
        if document is not None:
            self._calls.count("get", "discovery")
            return json_response(document)
        target = parse_path(request.path)
        verb = _verb(request, target)
        resource = target.kind.resource + (f"/{target.subresource}" if target.subresource else "")
        self._calls.count(verb, resource)
        if verb == "watch":
            return await self._streams.watch(request, target)
        if verb == "get" and target.subresource == "log":
            return await self._streams.log(request, target)
        if target.subresource not in ("", "status", "eviction", "finalize"):
            raise errors.no_resource()
        body = await _body(request) if request.method != "GET" else {}
        code, answer = self._verbs.run(verb, target, request.query, request.headers, body)
        return json_response(answer, code)


def _verb(request: web.Request, target: Target) -> str:
    """The API's verb for a method and a path; ApiError 405 when the resource does not have it."""
    watching = target.watch or request.query.get("watch") in ("1", "true", "True")
    if request.method == "GET":
        verb = "watch" if watching and not target.subresource else "get" if target.name else "list"
    else:
        verbs = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
        verb = verbs.get(request.method, "")
        if verb == "delete" and not target.name:
            verb = "deletecollection"
    needs_name = verb in ("update", "patch") and not target.name
    stray_name = verb == "create" and bool(target.name) and target.subresource != "eviction"
    if verb not in target.kind.verbs or needs_name or stray_name:
        raise errors.method_not_allowed()
    return verb


async def _body(request: web.Request) -> Any:
    data = await request.read()
    if not data:
        return {}
    if "protobuf" in request.content_type:
        raise ApiError(415, "UnsupportedMediaType", _PROTOBUF)
    try:
        return json.loads(data)
    except ValueError as error:
        text = f"the object provided is unrecognized (must be of type JSON): {error}"
        raise errors.bad_request(text) from error
