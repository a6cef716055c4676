"""The cluster and the storage, as the stand-in reaches them from inside a pod: plain HTTP, standard library only."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

PERMISSION, CLUSTER, DEPENDENCY = 6, 8, 7
_SECONDS = 30


class CommandError(Exception):
    """The command ends with an exit code and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotThereError(Exception):
    """404."""


class ConflictingError(Exception):
    """409."""


def _request(method: str, url: str, body: bytes | None, headers: Mapping[str, str], *, what: str, code: int) -> bytes:
    request = urllib.request.Request(url, body, dict(headers), method=method)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            raise NotThereError(what) from error
        if error.code == 409:
            raise ConflictingError(what) from error
        if error.code in (401, 403):
            raise CommandError(PERMISSION, f"{what}: refused with {error.code}") from error
        raise CommandError(code, f"{what}: HTTP {error.code}") from error
    except OSError as error:
        raise CommandError(code, f"{what}: {error}") from error


class Cluster:
    """The API server of the cluster that the pod runs in."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._url = environ["ELB_STAND_IN_KUBERNETES"].rstrip("/")
        self._token = environ.get("ELB_STAND_IN_TOKEN", "")

    def create_job(self, manifest: Mapping[str, Any]) -> None:
        """Make a Job; one of that name that is there already is fine (``kubectl apply``)."""
        try:
            self._call("POST", "/apis/batch/v1/namespaces/default/jobs", manifest)
        except ConflictingError:
            print(f"job {manifest['metadata']['name']} unchanged")
        else:
            print(f"job {manifest['metadata']['name']} created")

    def jobs(self, selector: str) -> list[dict[str, Any]]:
        """The Jobs that match."""
        answer = self._call("GET", f"/apis/batch/v1/namespaces/default/jobs?labelSelector={quote(selector)}")
        return list(answer["items"])

    def user_nodes(self) -> list[str]:
        """Names of the nodes that are not of a system pool."""
        items = self._call("GET", "/api/v1/nodes")["items"]
        mode = "kubernetes.azure.com/mode"
        return sorted(n["metadata"]["name"] for n in items if n["metadata"].get("labels", {}).get(mode) != "system")

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= {"Authorization": f"Bearer {self._token}"} if self._token else {}
        data = None if body is None else json.dumps(body).encode()
        answer = _request(method, self._url + path, data, headers, what=f"{method} {path}", code=CLUSTER)
        return dict(json.loads(answer))


class Storage:
    """Blobs by their URL, with the signature of the environment."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._sas = environ.get("ELB_STAND_IN_SAS", "").lstrip("?")

    def read(self, url: str) -> bytes:
        """A blob. Raises NotThereError."""
        return _request("GET", self._signed(url), None, _headers(), what=url, code=DEPENDENCY)

    def write(self, url: str, content: bytes) -> None:
        """Write a blob."""
        headers = _headers() | {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
        _request("PUT", self._signed(url), content, headers, what=url, code=DEPENDENCY)

    def names(self, container_url: str, prefix: str) -> list[str]:
        """Names of the blobs below a prefix; the first 5000, which is one page."""
        url = f"{container_url}?restype=container&comp=list&prefix={quote(prefix, safe='')}"
        listing = _request("GET", self._signed(url), None, _headers(), what=container_url, code=DEPENDENCY)
        return [name.text or "" for name in ET.fromstring(listing).iter("Name")]  # noqa: S314 - our own storage

    def _signed(self, url: str) -> str:
        joint = "&" if "?" in url else "?"
        return f"{url}{joint}{self._sas}" if self._sas else url


def _headers() -> dict[str, str]:
    return {"x-ms-version": "2021-12-02"}
