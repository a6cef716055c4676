"""The answers that last: watches and followed logs. Called by `routes.py`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from local.cluster import podlog
from local.cluster.errors import ApiError
from local.cluster.kinds import PODS
from local.cluster.kubelet import Kubelet
from local.cluster.lists import Lists, parse_int
from local.cluster.paths import Target
from local.cluster.selectors import match_fields, match_labels
from local.cluster.store import Change, Store
from local.cluster.tables import metadata_only, table, wants_metadata, wants_table

Json = dict[str, Any]

_MAX_WATCH_SECONDS = 1800


class _View:
    """What one watch sees: its selectors and the form of its objects."""

    def __init__(self, target: Target, request: web.Request, store: Store) -> None:
        query, accept = request.query, request.headers.get("Accept", "")
        self._target, self._store = target, store
        self._labels = match_labels(query.get("labelSelector", ""))
        self._fields = match_fields(query.get("fieldSelector", ""))
        self._table = wants_table(accept)
        self._partial = wants_metadata(accept)
        self._include = query.get("includeObject", "Metadata")
        self._header = True

    def sees(self, obj: Json | None) -> bool:
        """Whether the object is among those watched."""
        if obj is None:
            return False
        meta, target = obj["metadata"], self._target
        if target.namespace not in (None, meta.get("namespace", "")) or target.name not in ("", meta["name"]):
            return False
        return bool(self._labels(meta.get("labels") or {}) and self._fields(obj))

    def event(self, kind: str, obj: Json) -> bytes:
        """One line of the stream."""
        if self._table:
            version = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            obj = table(self._target.kind, [obj], version, self._include, self._store.clock.now(), self._header)
            self._header = False
        elif self._partial:
            obj = metadata_only(obj)
        return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"

    def of_change(self, change: Change) -> bytes | None:
        """The line for a change: an object that comes into the selection is ADDED, one that leaves it DELETED."""
        before, after = self.sees(change.old), change.type != "DELETED" and self.sees(change.obj)
        if after:
            return self.event("MODIFIED" if before else "ADDED", change.obj)
        if before:
            return self.event("DELETED", change.obj)
        return None

    def bookmark(self, initial: bool) -> bytes:
        """The line that tells the client the present version."""
        kind, meta = self._target.kind, {"resourceVersion": str(self._store.version)}
        annotations = {"annotations": {"k8s.io/initial-events-end": "true"}} if initial else {}
        obj = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta | annotations}
        return json.dumps({"type": "BOOKMARK", "object": obj}).encode() + b"\n"


class Streams:
    """Watches and logs."""

    def __init__(self, store: Store, lists: Lists, kubelet: Kubelet) -> None:
        self._store = store
        self._lists = lists
        self._kubelet = kubelet

    async def watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        """Stream changes until the client goes or `timeoutSeconds` are over."""
        view = _View(target, request, self._store)
        changes: asyncio.Queue[Change] = asyncio.Queue()
        first, goes_on = self._beginning(view, target, request.query, changes)
        unsubscribe = self._store.subscribe(lambda c: changes.put_nowait(c) if c.kind is target.kind else None)
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        try:
            await response.prepare(request)
            for line in first:
                await response.write(line)
            if goes_on:
                seconds = parse_int(request.query.get("timeoutSeconds"), "timeoutSeconds") or _MAX_WATCH_SECONDS
                await self._pass_on(response, view, changes, min(seconds, _MAX_WATCH_SECONDS))
            await response.write_eof()
        except ConnectionError:
            return response  # the client has gone
        finally:
            unsubscribe()
        return response

    def _beginning(
        self, view: _View, target: Target, query: Mapping[str, str], changes: asyncio.Queue[Change]
    ) -> tuple[list[bytes], bool]:
        """The first lines, and whether the watch goes on: it does not when its version is too old (410).

        Without a version a watch begins with what there is, otherwise with what changed since.
        """
        version, initial = query.get("resourceVersion", ""), query.get("sendInitialEvents") == "true"
        if initial or version in ("", "0"):
            lines = [view.event("ADDED", each) for each in self._store.listing(target.kind) if view.sees(each)]
            return lines + ([view.bookmark(True)] if initial else []), True
        try:
            missed = self._store.changes_since(parse_int(version, "resourceVersion"), target.kind)
        except ApiError as error:
            return [json.dumps({"type": "ERROR", "object": error.status()}).encode() + b"\n"], False
        for change in missed:
            changes.put_nowait(change)
        return [], True

    @staticmethod
    async def _pass_on(
        response: web.StreamResponse, view: _View, changes: asyncio.Queue[Change], seconds: float
    ) -> None:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    line = view.of_change(await changes.get())
                    if line is not None:
                        await response.write(line)
        except TimeoutError:
            return

    async def log(self, request: web.Request, target: Target) -> web.StreamResponse:
        """A container's log, whole, its tail, or followed to the container's end."""
        query = request.query
        pod = self._store.get(PODS, target.namespace or "", target.name)
        container = podlog.choose_container(pod, query.get("container"))
        tail = podlog.parse_number(query.get("tailLines"), "tailLines")
        limit = podlog.parse_number(query.get("limitBytes"), "limitBytes")
        stamped = query.get("timestamps") in ("true", "1")
        following = query.get("follow") in ("true", "1")
        if not pod["spec"].get("nodeName"):
            return web.Response(text="")
        if not self._kubelet.is_running(pod["spec"]["nodeName"]):
            address = (pod.get("status") or {}).get("hostIP", "")
            where = f"containerLogs/{target.namespace}/{target.name}/{container}"
            text = f'Get "https://{address}:10250/{where}": dial tcp {address}:10250: i/o timeout'
            raise ApiError(500, "InternalError", text)
        path = podlog.log_file(pod, container, query.get("previous") in ("true", "1"), self._kubelet.log_folder(pod))
        data, position = podlog.read_tail(path, tail)
        data = podlog.with_timestamps(data, path) if stamped else data
        if not following:
            return web.Response(body=data[:limit] if limit is not None else data, content_type="text/plain")
        return await self._follow(request, pod, container, path, position, data)

    async def _follow(
        self, request: web.Request, pod: Json, container: str, path: Path, position: int, data: bytes
    ) -> web.StreamResponse:
        meta = pod["metadata"]
        number = path.stem

        def ended() -> bool:
            now = self._store.find(PODS, meta["namespace"], meta["name"])
            if now is None or now["metadata"]["uid"] != meta["uid"]:
                return True
            status = podlog.container_status(now, container)
            begins = "waiting" in (status.get("state") or {}) and not status.get("lastState")
            runs = begins or "running" in (status.get("state") or {})
            return not runs or str(status.get("restartCount", 0)) != number

        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        try:
            await response.prepare(request)
            await response.write(data)
            async for piece in podlog.follow(path, position, ended):
                await response.write(piece)
            await response.write_eof()
        except ConnectionError:
            return response  # the client has gone
        return response
