"""The HTTP API as a script uses it. Used by every part of the demo; a notebook could use it too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urljoin

import httpx

Json = dict[str, Any]

POLL_SECONDS = 0.3
_ENDED = ("completed", "failed", "terminated", "canceled")


class DemoError(Exception):
    """Something went wrong that the demo cannot mend; the text is for the person who watches.

    Args:
        what: what happened.
        error: the API's error object, if it gave one.
    """

    def __init__(self, what: str, error: Mapping[str, Any] | None = None) -> None:
        super().__init__(what)
        self.error = dict(error or {})


class Api:
    """The app's API.

    Args:
        base: its address, with ``/api``.
        transport: how requests travel; the tests' own, the network otherwise.
        patience_seconds: how long an app that does not answer is asked again.
    """

    def __init__(
        self, base: str, transport: httpx.BaseTransport | None = None, *, patience_seconds: float = 30
    ) -> None:
        self._patience = patience_seconds
        self._base = base.rstrip("/") + "/"
        # Generous: on two cores, BLAST may be using both.
        self._client = httpx.Client(timeout=60, follow_redirects=True, transport=transport)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str) -> Json:
        """The JSON at a path below ``/api``, or at an address that the API gave.

        Raises:
            DemoError: the API refused; it has the API's error object.
        """
        return self._json("GET", path)

    def post(self, path: str, body: Mapping[str, Any]) -> Json:
        """Send JSON; raises as :meth:`get`."""
        return self._json("POST", path, body)

    def download(self, path: str) -> bytes:
        """The bytes at a path or an address; raises as :meth:`get`."""
        return self._request("GET", path, None).content

    def wait_for_work(self, work: Mapping[str, Any], what: str, seen: Callable[[], None] = lambda: None) -> Json:
        """Poll work that was accepted with 202 until it has ended.

        Args:
            work: the body of the 202.
            what: names the work in an error.
            seen: called at each poll.

        Returns:
            Its output.

        Raises:
            DemoError: it ended with a failure.
        """
        while True:
            status = self.get(str(work["status_url"]))
            seen()
            if str(status["runtime_status"]).lower() in _ENDED:
                break
            time.sleep(POLL_SECONDS)
        output = status.get("output") or {}
        if str(status["runtime_status"]).lower() != "completed" or output.get("status") == "failed":
            raise DemoError(f"{what} failed", output.get("error") or {"message": str(status)})
        return dict(output)

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        content: Json = self._request(method, path, body).json()
        return content

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> httpx.Response:
        address = urljoin(self._base, path)
        end = time.monotonic() + self._patience
        while True:
            try:
                answer = self._client.request(method, address, json=body)
                break
            except httpx.TransportError as error:
                # A dead host is started again within seconds. Only what changes nothing is asked twice.
                if method != "GET" or time.monotonic() > end:
                    raise DemoError(f"{method} {address}: no answer ({error!r})") from error
            time.sleep(POLL_SECONDS)
        if answer.is_success:
            return answer
        try:
            told = answer.json()["error"]
        except (ValueError, KeyError, TypeError):
            told = {"message": answer.text[:500]}
        raise DemoError(f"{method} {address}: {answer.status_code} {answer.reason_phrase}", told)
