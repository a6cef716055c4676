"""The Kubernetes API, as JSON over the official client's transport.

The official client's models are left out on purpose: they are slow to build (800 Jobs: 299 ms against 7 ms as JSON,
measured) and validate what the API server validates better. Its transport and TLS are used.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from shared.clients.counters import count
from shared.clients.kube_credentials import KubeAccess
from shared.clients.kube_errors import ExpiredError, error_of
from shared.domain.errors import ConflictError, NotFoundError, PermanentError, TransientError

PAGE = 500
MAX_LISTED = 50_000
"""Objects of one list at most, so that a cluster that nobody tidies cannot take the app's memory."""
_TRIES = 3
_IMPORTING = threading.Lock()
"""Held for the import: threads that import the client's lazily loaded modules at once deadlock, and none gets them."""


class Kube(Protocol):
    """One cluster's API server. Objects are the API's JSON."""

    def jobs(self, selector: str) -> list[dict[str, Any]]:
        """All Jobs of the namespace that match."""

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """All pods of the namespace that match."""

    def listed[T](self, kind: str, selector: str, read: Callable[[dict[str, Any]], T]) -> list[T]:
        """What ``read`` makes of every object of a kind that matches; no more than a page of JSON is held."""

    def nodes(self) -> list[dict[str, Any]]:
        """All nodes."""

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object. Raises NotFoundError."""

    def create(self, kind: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object. Raises ConflictError ``already_exists``."""

    def replace(self, kind: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object."""

    def delete(self, kind: str, name: str, uid: str = "") -> None:
        """Delete an object and what it owns (Background); one that is gone, or has another uid, is left alone."""

    def log_tail(self, pod: str, lines: int, limit_bytes: int, container: str = "") -> str:
        """The last lines of a container's log; empty when there is none yet. A pod of several needs its name."""

    def server_time(self) -> datetime | None:
        """What the API server's clock said at its last answer; None when that is not known."""


_PATHS = {
    "jobs": "/apis/batch/v1/namespaces/{ns}/jobs",
    "pods": "/api/v1/namespaces/{ns}/pods",
    "configmaps": "/api/v1/namespaces/{ns}/configmaps",
    "deployments": "/apis/apps/v1/namespaces/{ns}/deployments",
    "services": "/api/v1/namespaces/{ns}/services",
    "serviceaccounts": "/api/v1/namespaces/{ns}/serviceaccounts",
    "roles": "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles",
    "rolebindings": "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings",
    "daemonsets": "/apis/apps/v1/namespaces/{ns}/daemonsets",
    "nodes": "/api/v1/nodes",
    "nodemetrics": "/apis/metrics.k8s.io/v1beta1/nodes",
}


class KubeClient:
    """The Kubernetes API by the official client's transport.

    Args:
        access: where the API server is.
        namespace: of everything but nodes.
        token: gives a bearer token that is still good; asked for every request.
        refused: called when the server does not accept the token (401): it may have ended, or the keys changed.
        page: objects of one page of a list.
        timeout: seconds to connect, and seconds of silence before an answer is given up.
    """

    def __init__(
        self,
        access: KubeAccess,
        namespace: str,
        token: Callable[[], str],
        *,
        refused: Callable[[], object] = lambda: None,
        page: int = PAGE,
        timeout: tuple[float, float] = (5, 30),
    ) -> None:
        with _IMPORTING:
            from kubernetes.client import ApiClient, Configuration

        configuration = Configuration(host=access.server)
        configuration.retries = False  # nothing is sent twice behind our back, and no redirect gets the token
        configuration.connection_pool_maxsize = 32
        configuration.ca_cert_data = access.ca or None
        self._api: Any = ApiClient(configuration)
        self._server, self._namespace, self._token, self._refused = access.server, namespace, token, refused
        self._page, self._timeout = page, timeout
        self._answered_at: datetime | None = None

    def jobs(self, selector: str) -> list[dict[str, Any]]:
        """All Jobs of the namespace that match: a consistent LIST in pages, never from the watch cache."""
        return self.listed("jobs", selector, _as_it_is)

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """All pods of the namespace that match."""
        return self.listed("pods", selector, _as_it_is)

    def nodes(self) -> list[dict[str, Any]]:
        """All nodes."""
        return self.listed("nodes", "", _as_it_is)

    def listed[T](self, kind: str, selector: str, read: Callable[[dict[str, Any]], T]) -> list[T]:
        """Follow ``continue``; a list that expired half-way (410) begins again.

        Raises:
            TransientError: ``kube_list_expired`` time and again, or ``kube_list_too_long``, beyond ``MAX_LISTED``.
        """
        for _ in range(_TRIES):
            try:
                return self._pages(kind, selector, read)
            except ExpiredError:
                continue
        raise TransientError("kube_list_expired", f"the list of {kind} expired {_TRIES} times", "try again")

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object."""
        return self._call("GET", self._path(kind, name), what=f"{kind} {name}")

    def create(self, kind: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object; not tried again here, because the first try may have succeeded."""
        name = manifest["metadata"]["name"]
        return self._call("POST", self._path(kind), body=manifest, what=f"{kind} {name}")

    def replace(self, kind: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object."""
        name = manifest["metadata"]["name"]
        return self._call("PUT", self._path(kind, name), body=manifest, what=f"{kind} {name}")

    def delete(self, kind: str, name: str, uid: str = "") -> None:
        """Delete an object and what it owns (Background); one that is gone already is fine.

        Args:
            uid: where it is given, another object that has come under the same name meanwhile stays.
        """
        body: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        body |= {"preconditions": {"uid": uid}} if uid else {}
        try:
            self._call("DELETE", self._path(kind, name), body=body, what=f"{kind} {name}")
        except NotFoundError:
            return
        except ConflictError:
            if not uid:
                raise

    def log_tail(self, pod: str, lines: int, limit_bytes: int, container: str = "") -> str:
        """The last lines of a container's log, at most ``limit_bytes`` of them; empty when there is none (yet).

        Args:
            container: may be left out for a pod that has only one; the API server refuses to choose among several.
        """
        query = {"tailLines": str(lines)} | ({"container": container} if container else {})
        try:
            # The API's own limitBytes would keep the first bytes of the tail, and it is the last ones that tell.
            data = self._raw("GET", f"{self._path('pods', pod)}/log", query, None, f"log of {pod}", last=limit_bytes)
        except PermanentError:  # not started yet (400), or gone (404)
            return ""
        return data.decode("utf-8", "replace")

    def server_time(self) -> datetime | None:
        """What the API server's clock said at its last answer, in whole seconds (the header ``Date``)."""
        return self._answered_at

    def _path(self, kind: str, name: str | None = None) -> str:
        path = _PATHS[kind].format(ns=self._namespace)
        if name is None:
            return path
        if name in ("", ".", ".."):  # would address the collection, or what lies above it
            raise PermanentError("kube_refused", f"{name!r} is not the name of one of the {kind}")
        return f"{path}/{quote(name, safe='')}"

    def _pages[T](self, kind: str, selector: str, read: Callable[[dict[str, Any]], T]) -> list[T]:
        count("kube_lists")
        items: list[T] = []
        token = ""
        while True:
            query = {"limit": str(self._page)}
            query |= {"labelSelector": selector} if selector else {}
            query |= {"continue": token} if token else {}
            page = self._call("GET", self._path(kind), query, what=f"list of {kind}")
            if not str(page.get("kind") or "").endswith("List"):
                # Taken for a list without items it would mean that every Job is gone.
                raise TransientError("kube_unreachable", f"list of {kind}: this was no list of an API server")
            items += [read(item) for item in page.get("items") or ()]
            token = page.get("metadata", {}).get("continue") or ""
            if not token:
                return items
            if len(items) >= MAX_LISTED:
                hint = "remove old Jobs: finished ones of the command line stay until somebody does"
                raise TransientError("kube_list_too_long", f"there are more than {MAX_LISTED} {kind}", hint)

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        *,
        what: str,
    ) -> dict[str, Any]:
        try:
            parsed = json.loads(self._raw(method, path, query, body, what))
        except ValueError as error:
            raise TransientError("kube_unreachable", f"{what}: this was no answer of an API server") from error
        if not isinstance(parsed, dict):
            raise TransientError("kube_unreachable", f"{what}: this was no answer of an API server")
        return parsed

    def _raw(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        what: str,
        *,
        last: int | None = None,
    ) -> bytes:
        """One request; of the answer only the ``last`` bytes where a number is given, and never more in memory."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        headers["Authorization"] = f"Bearer {self._token()}"
        url = self._server + path + (f"?{urlencode(query)}" if query else "")
        count("kube_calls")
        try:
            response = self._api.call_api(
                method, url, headers, None if body is None else dict(body), _request_timeout=self._timeout
            )
            data: bytes = response.read() if last is None else _last(response.response.stream(), last)
            if response.status == 401:
                self._refused()
            if response.status >= 300:
                raise error_of(response.status, response.headers, data, what)
        except ApiException as error:  # what the transport makes of a TLS failure
            reason = " ".join(str(error.reason).split())
            raise TransientError("kube_unreachable", f"the cluster did not answer for {what}: {reason}") from error
        except (HTTPError, OSError) as error:
            raise TransientError("kube_unreachable", f"the cluster did not answer for {what}: {error}") from error
        self._answered_at = _date_of(response.headers) or self._answered_at
        return data


def _date_of(headers: Mapping[str, str]) -> datetime | None:
    try:
        return parsedate_to_datetime(headers.get("Date") or "").astimezone(UTC)
    except ValueError:
        return None


def _as_it_is(item: dict[str, Any]) -> dict[str, Any]:
    return item


def _last(chunks: Iterable[bytes], limit: int) -> bytes:
    data = b""
    for chunk in chunks:
        data = (data + chunk)[-limit:]
    return data
