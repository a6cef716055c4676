"""LIST: selection, pages with `continue`, and the shape of the answer. Used by `verbs.py`."""

from __future__ import annotations

import base64
import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from local.cluster import errors
from local.cluster.kinds import Kind
from local.cluster.paths import Target
from local.cluster.selectors import match_fields, match_labels
from local.cluster.store import Store
from local.cluster.tables import metadata_only, table, wants_metadata, wants_table

Json = dict[str, Any]
Query = Mapping[str, str]

PAGES_KEPT_SECONDS = 300.0
PAGES_KEPT = 64
_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    "results."
)


def parse_int(text: str | None, name: str) -> int:
    """A query parameter that is a number, 0 when absent; ApiError 400 when it is none."""
    try:
        return int(text or 0)
    except ValueError as error:
        raise errors.bad_request(f"{name}: Invalid value: {text!r}: must be a number") from error


class Lists:
    """Answers lists. The rest of a paged list is kept, so that all pages show one moment, as etcd's snapshots do."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rests: OrderedDict[str, tuple[float, str, list[Json]]] = OrderedDict()
        self._serial = 0

    def expire_continues(self) -> None:
        """Let every `continue` that was handed out be too old (410)."""
        self._rests.clear()

    def select(self, target: Target, query: Query, objects: list[Json] | None = None) -> list[Json]:
        """The objects that the namespace and the selectors leave."""
        if objects is None:
            objects = self._store.listing(target.kind, target.namespace)
        if query.get("labelSelector"):
            matches = match_labels(query["labelSelector"])
            objects = [each for each in objects if matches(each["metadata"].get("labels") or {})]
        if query.get("fieldSelector"):
            matches = match_fields(query["fieldSelector"])
            objects = [each for each in objects if matches(each)]
        return objects

    def answer(self, target: Target, query: Query, accept: str, computed: list[Json] | None) -> Json:
        """The list or Table for a request; `computed` are objects that are not in the store."""
        if token := query.get("continue"):
            version, objects = self._rest_of(token)
        else:
            version, objects = str(self._store.version), self.select(target, query, computed)
        meta: Json = {"resourceVersion": version}
        limit = parse_int(query.get("limit"), "limit")
        if query.get("resourceVersion") == "0":
            limit = 0  # served from the watch cache, which ignores the limit
        if limit and len(objects) > limit:
            meta |= {"continue": self._keep(version, objects[limit:]), "remainingItemCount": len(objects) - limit}
            if query.get("labelSelector") or query.get("fieldSelector"):
                del meta["remainingItemCount"]
            objects = objects[:limit]
        if wants_table(accept):
            now = self._store.clock.now()
            return table(target.kind, objects, meta, query.get("includeObject", "Metadata"), now)
        if wants_metadata(accept):
            shown = [metadata_only(each) for each in objects]
            return {
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": meta,
                "items": shown,
            }
        return self.wrap(target.kind, objects, meta)

    @staticmethod
    def wrap(kind: Kind, objects: list[Json], meta: Json) -> Json:
        """A list object. Its items carry no kind and apiVersion, as those of the API server."""
        bare = [{key: value for key, value in each.items() if key not in ("kind", "apiVersion")} for each in objects]
        return {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": meta, "items": bare}

    def _keep(self, version: str, rest: list[Json]) -> str:
        self._serial += 1
        token = base64.urlsafe_b64encode(json.dumps({"v": "meta.k8s.io/v1", "rv": version, "n": self._serial}).encode())
        self._rests[token.decode()] = (time.monotonic(), version, rest)
        while len(self._rests) > PAGES_KEPT:
            self._rests.popitem(last=False)
        return token.decode()

    def _rest_of(self, token: str) -> tuple[str, list[Json]]:
        kept = self._rests.get(token)
        if kept is None or time.monotonic() - kept[0] > PAGES_KEPT_SECONDS:
            try:
                json.loads(base64.urlsafe_b64decode(token))
            except ValueError as error:
                raise errors.bad_request(f"continue key is not valid: {error}") from error
            raise errors.expired(_EXPIRED)
        return kept[1], kept[2]
