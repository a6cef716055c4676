"""The HTTP side of the host: HTTP triggers by their routes, and the admin calls that Azure's host has.

Function keys are not checked: this host listens on the loopback interface and the product's own authentication is in
the app. The admin calls ask for a loopback name in `Host` (and in `Origin`, when a browser sends one), so that no web
page can reach them through a name that resolves to 127.0.0.1.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from http.cookies import SimpleCookie
from typing import Any, Final

from aiohttp import web
from azure_functions_runtime.bindings.datumdef import Datum
from multidict import CIMultiDict

from local.host.functions import Function, Trigger
from local.host.routes import RouteTable
from local.host.worker import FunctionFailedError, Worker
from local.loopback import is_local

# mypy: allow-untyped-calls

MAX_BODY: Final = 100 * 1024 * 1024  # bytes; the limit of the Functions host

_log = logging.getLogger(__name__)

type RunNow = Callable[[Function, str], None]


class WebFront:
    """Answers every request of one app.

    Args:
        worker: what runs the functions.
        functions: all functions of the app.
        prefix: the route prefix of host.json, may be empty.
        run_now: starts a function that is not an HTTP one, with its input, and does not wait for it.

    Raises:
        HostConfigurationError: when a route cannot be read.
    """

    def __init__(self, worker: Worker, functions: Iterable[Function], prefix: str, run_now: RunNow) -> None:
        self._worker = worker
        self._functions = {function.name.casefold(): function for function in functions}
        self._routes = RouteTable(self._functions.values(), prefix)
        self._run_now = run_now
        self._began = time.monotonic()

    def application(self) -> web.Application:
        """The aiohttp application; all its paths lead here, because the order of routes is the Functions host's."""
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_route("*", r"/{path:[\s\S]*}", self._answer)  # a path may have %0A in it
        return application

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        began = time.perf_counter()
        admin = request.path == "/admin" or request.path.startswith("/admin/")
        response = await (self._admin(request) if admin else self._call(request))
        milliseconds = (time.perf_counter() - began) * 1000
        _log.info("%s %s %s %.0f ms", request.method, request.rel_url.raw_path, response.status, milliseconds)
        return response

    # -- HTTP triggers

    async def _call(self, request: web.Request) -> web.Response:
        found = self._routes.find(request.method, request.rel_url.raw_path)
        if found.function is None:
            if found.allowed:
                return web.Response(status=405, headers={"Allow": ", ".join(sorted(found.allowed))})
            return web.Response(status=404)
        if (request.content_length or 0) > MAX_BODY:
            return _too_large()
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:  # a body that did not say its length
            return _too_large()
        data = _request_data(request, found.parameters, body)
        try:
            returned = await self._worker.invoke(found.function, data)
        except FunctionFailedError as error:
            name = found.function.name
            _log.error("function %s failed: %s: %s\n%s", name, error.error_type, error, error.stack_trace)
            return web.Response(status=500)
        return _response(returned)

    # -- admin

    async def _admin(self, request: web.Request) -> web.Response:
        if not is_local(request):
            return web.Response(status=403, text="admin calls are for this machine only")
        match (request.method, request.path.strip("/").split("/")):
            case ("GET", ["admin", "host", "status"]):
                return web.json_response({
                    "id": "local",
                    "state": "Running",
                    "version": "4.0",
                    "processUptime": int((time.monotonic() - self._began) * 1000),
                    "functions": sorted(function.name for function in self._functions.values()),
                })  # fmt: skip
            case ("POST", ["admin", "functions", name]):
                return await self._run(name, request)
            case _:
                return web.Response(status=404)

    async def _run(self, name: str, request: web.Request) -> web.Response:
        function = self._functions.get(name.casefold())
        if function is None:
            return web.Response(status=404, text=f"there is no function {name}")
        if function.trigger not in (Trigger.TIMER, Trigger.ACTIVITY):
            return web.Response(
                status=400, text=f"{name} has the trigger {function.trigger}: it cannot be run like this"
            )
        try:
            document = json.loads(await request.read() or b"{}")
        except ValueError:
            return web.Response(status=400, text="the body is not JSON")
        given = document.get("input", "") if isinstance(document, dict) else ""
        self._run_now(function, given if isinstance(given, str) else json.dumps(given))
        return web.Response(status=202)


def _too_large() -> web.Response:
    return web.Response(status=413, text=f"a request may have {MAX_BODY} bytes")


def _request_data(request: web.Request, parameters: dict[str, str], body: bytes) -> Datum:
    """The request as the worker library takes it. Repeated headers and query parameters are joined by commas."""

    def texts(pairs: Iterable[tuple[str, str]]) -> dict[str, Datum]:
        joined: dict[str, str] = {}
        for name, value in pairs:
            joined[name] = f"{joined[name]},{value}" if name in joined else value
        return {name: Datum(value, "string") for name, value in joined.items()}

    url = f"{request.scheme}://{request.host}{request.raw_path}"
    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(url, "string"),
            "headers": texts((name.lower(), value) for name, value in request.headers.items()),
            "query": texts(request.rel_url.query.items()),
            "params": texts(parameters.items()),
            "body": Datum(body, "bytes"),
        },
        "http",
    )


def _response(returned: Datum | None) -> web.Response:
    if returned is None or returned.value is None:
        return web.Response(status=HTTPStatus.NO_CONTENT)
    if returned.type != "http":
        return web.Response(text=str(returned.value))
    value: dict[str, Any] = returned.value
    headers = CIMultiDict((name, datum.value) for name, datum in value["headers"].items())
    headers.popall("Content-Length", None)  # aiohttp's own is right, also for HEAD
    cookies: list[SimpleCookie] = value.get("cookies") or []
    for cookie in cookies:
        for morsel in cookie.values():
            headers.add("Set-Cookie", morsel.OutputString())
    return web.Response(status=int(value["status_code"].value), headers=headers, body=value["body"].value)
