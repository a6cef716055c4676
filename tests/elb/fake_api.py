"""An HTTP API on loopback that answers what a test wrote down, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """A request that came.

    Args:
        params: the first value of each name in the query.
    """

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Answer:
    """An answer.

    Args:
        body: JSON, or bytes as they are.
        lost: the connection ends without an answer, after the request was read.
        cut: only so many bytes of the body are sent, then the connection ends.
        declared: the length that is declared, where it is not the body's.
    """

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False
    cut: int | None = None
    declared: int | None = None


Script = Callable[[Asked], Answer]


def refusal(status: int, code: str, **more: Any) -> Answer:
    """An error as the API gives it."""
    error = {"code": code, "message": f"what {code} says", "hint": f"what to do about {code}", **more}
    return Answer(status, {"error": error})


class FakeApi:
    """The server. Routes are templates such as ``GET /api/blast/jobs/{id}``."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._routes: list[tuple[re.Pattern[str], Script]] = []
        self._lock = threading.Lock()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one piece, or each answer takes 40 ms longer

            def _any(self) -> None:
                api._serve(self)

            do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815  # the names that the standard library calls

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # the client has read enough
                    super().handle()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeApi:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def on(self, route: str, *answers: Answer | Script) -> None:
        """What is answered, one after another; the last one for ever. A later call replaces an earlier one."""
        pattern = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route)))
        left = list(answers)

        def play(asked: Asked) -> Answer:
            with self._lock:
                answer = left.pop(0) if len(left) > 1 else left[0]
            return answer(asked) if callable(answer) else answer

        self._routes.insert(0, (pattern, play))

    def requests(self, route: str) -> list[Asked]:
        """Those that came to a route, in order."""
        pattern = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route)))
        return [asked for asked in self.asked if pattern.fullmatch(f"{asked.method} {asked.path}")]

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        body = b"".join(_chunks(handler)) if "chunked" in handler.headers.get("Transfer-Encoding", "") else None
        if body is None:
            body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        params = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        asked = Asked(handler.command, url.path, params, dict(handler.headers), body)
        with self._lock:
            self.asked.append(asked)
        line = f"{asked.method} {asked.path}"
        script = next((play for pattern, play in self._routes if pattern.fullmatch(line)), None)
        answer = script(asked) if script else Answer(404, b"no such page")
        if answer.lost:
            handler.close_connection = True
            return
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content) if answer.declared is None else answer.declared))
        handler.end_headers()
        handler.wfile.write(content if answer.cut is None else content[: answer.cut])
        if answer.cut is not None:
            handler.close_connection = True


def _chunks(handler: BaseHTTPRequestHandler) -> Iterable[bytes]:
    while size := int(handler.rfile.readline(), 16):
        yield handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
